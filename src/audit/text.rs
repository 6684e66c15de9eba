//! Texts that a host's functions return, which may have them from a request.

use crate::writing::is_unseen;

/// In bytes. A template of a route and an id are shorter; a longer one is an attack or a mistake.
const LONGEST: usize = 256;

/// Cut to 256 bytes, at the border of a character, and without characters that could forge a line or steer a terminal.
pub(crate) fn plain(text: &str) -> Box<str> {
    let visible = |letter: char| if is_unseen(letter) { '\u{fffd}' } else { letter };
    cut(text).chars().map(visible).collect::<String>().into()
}

fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
