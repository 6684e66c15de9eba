//! JSON as it was written: members in their order, repeated ones included, which `serde_json::Value` would hide.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// `None` for a number that is no whole number from 0 on.
    Number(f64, Option<u64>),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()
    }

    /// The first member of this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        members
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number, _) => Some(*number),
            _ => None,
        }
    }

    /// The strings of a string or of an array of nothing but strings.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::Array(values) => values.iter().map(Json::text).collect(),
            _ => None,
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whether no object in here, however deep, has a member twice, and none has more than `most` members.
    pub fn is_strict(&self, most: usize) -> bool {
        match self {
            Self::Array(values) => values.iter().all(|value| value.is_strict(most)),
            Self::Object(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
                names.sort_unstable();
                members.len() <= most
                    && names.windows(2).all(|pair| pair[0] != pair[1])
                    && members.iter().all(|(_, value)| value.is_strict(most))
            }
            _ => true,
        }
    }

    /// How many arrays and objects stand in each other, this one included.
    pub fn depth(&self) -> usize {
        let deepest = |depths: &mut dyn Iterator<Item = usize>| 1 + depths.max().unwrap_or(0);
        match self {
            Self::Array(values) => deepest(&mut values.iter().map(Json::depth)),
            Self::Object(members) => deepest(&mut members.iter().map(|(_, value)| value.depth())),
            _ => 0,
        }
    }
}

/// RFC 7515 section 4.1.9: without regard to case, with or without `application/`.
pub fn media_type_is(value: &str, wanted: &str) -> bool {
    let value = value.to_ascii_lowercase();
    value == wanted || value == format!("application/{wanted}")
}

/// RFC 6749 appendix A.4.
pub fn is_scope_token(word: &str) -> bool {
    !word.is_empty() && crate::quotable(word) && !word.contains(' ')
}

impl<'j> Deserialize<'j> for Json {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'j> Visitor<'j> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64, Some(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64, None))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value, None))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
