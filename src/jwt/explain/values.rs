//! What a stranger wrote, as text for people: quoted, so that it cannot pass for a line of ours, and cut.

use serde_json::Value;

use crate::writing::is_unseen;

const LONGEST_TEXT: usize = 120;
const LONGEST_ERROR: usize = 600;
const MOST_PIECES: usize = 24;

/// A text in quotes. Control characters, and others that cannot be seen, are escaped.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    if cut.len() == text.len() {
        format!("{text:?}")
    } else {
        format!("{cut:?}… ({} bytes)", text.len())
    }
}

/// Texts in quotes, one after the other.
pub(super) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    joined(texts.into_iter().map(|text| quoted(text.as_ref())))
}

/// Pieces that are for people already; of many, the first ones.
pub(super) fn joined(pieces: impl IntoIterator<Item = String>) -> String {
    let mut pieces = pieces.into_iter();
    let first: Vec<String> = pieces.by_ref().take(MOST_PIECES).collect();
    match (first.join(", "), pieces.count()) {
        (none, _) if none.is_empty() => "none".to_owned(),
        (all, 0) => all,
        (some, more) => format!("{some} and {more} more"),
    }
}

/// A JSON value. What stands inside of an inner array or object is not shown.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", joined(values.iter().map(item))),
        Value::Object(members) => format!("an object with {}", list(members.keys())),
        other => item(other),
    }
}

fn item(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        other => other.to_string(),
    }
}

/// What a value is, where it may be something to keep to oneself.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The text of an error, which may repeat what a server answered: in one line, and cut.
pub(super) fn error(text: &str) -> String {
    let mut cut: String = text.chars().take(LONGEST_ERROR).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut.chars()
        .map(|one| match one {
            // What a stranger wrote must neither end a line nor turn the order of letters.
            one if is_unseen(one) => one.escape_default().to_string(),
            one => one.to_string(),
        })
        .collect()
}
