//! Strings (RFC 8259 section 7).

use std::borrow::Cow;

use super::{Flaw, NOT_JSON, Reader};

/// A byte in each place of a word of eight.
const fn eight_of(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte that is less than `limit`, which is at most 128. Above the first such byte others may be
/// marked that are not.
const fn less_than(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(eight_of(limit)) & !word & eight_of(0x80)
}

/// How many of these bytes stand before the first that is a quote, a backslash or a control character.
fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut plain = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let special = less_than(word, 0x20)
            | less_than(word ^ eight_of(b'"'), 1)
            | less_than(word ^ eight_of(b'\\'), 1);
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    plain + rest.iter().take_while(is_plain).count()
}

impl<'t> Reader<'t> {
    /// The string whose opening quote is the next byte.
    pub(super) fn string(&mut self) -> Result<Cow<'t, str>, Flaw> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut is_escaped = false;
        loop {
            end += plain(bytes.get(end..).unwrap_or_default());
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    end += 2;
                }
                _ => return Err(NOT_JSON),
            }
        }
        let quoted = self.at..=end;
        self.at = end + 1;
        if is_escaped {
            let quoted = self.text.get(quoted).ok_or(NOT_JSON)?;
            return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| NOT_JSON);
        }
        self.text.get(start..end).map(Cow::Borrowed).ok_or(NOT_JSON)
    }
}
