//! One strict pass over a JSON object (RFC 8259): UTF-8, no member twice, nothing behind it, bounded depth and number of
//! members.
//!
//! Written for this crate and not on `serde_json`, because it is most of what a fresh token costs beside its signature.
//! Strings with escapes, which are rare, and numbers with exponents are still left to others. What this accepts `serde_json`
//! accepts too, with the same meaning: the fuzz targets `payload_json` and `header_json` compare the two.

mod text;
mod values;

use std::borrow::Cow;

use smallvec::SmallVec;

pub(super) use values::{NumericDate, OneOrMany, Text, TextOrOther, Value, WholeNumber};

/// How deep arrays and objects may stand in each other, the outermost included.
const DEEPEST: usize = 16;
const MOST_MEMBERS: usize = 256;

/// What is wrong with a text. It never holds a piece of it, since it is a stranger's.
pub(super) type Flaw = &'static str;

const NOT_JSON: Flaw = "it is not JSON";
const WRONG_MEMBER: Flaw = "a member is repeated, of the wrong type, or out of range";

/// A struct that takes the members it knows out of an object.
pub(super) trait Members<'t>: Default {
    /// Reads the value of `name`, or says `false` and leaves it.
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw>;
}

/// Reads the whole text as one object.
pub(super) fn read_object<'t, M: Members<'t>>(bytes: &'t [u8]) -> Result<M, Flaw> {
    let mut members = M::default();
    read_object_into(bytes, &mut members)?;
    Ok(members)
}

/// The same, into a place that is there: for what is large, so that it is never moved.
pub(super) fn read_object_into<'t, M: Members<'t>>(bytes: &'t [u8], members: &mut M) -> Result<(), Flaw> {
    let mut reader = Reader::new(bytes)?;
    reader.object_into(members)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(()),
        Some(_) => Err("something stands behind the object"),
    }
}

/// Walks through a text, value by value.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Result<Self, Flaw> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        Ok(Self {
            text,
            at: 0,
            depth: 0,
        })
    }

    /// The next value as what the place where it goes wants.
    pub(super) fn read<V: Value<'t>>(&mut self) -> Result<V, Flaw> {
        V::read(self)
    }

    /// The next value, which must be an object.
    pub(super) fn object<M: Members<'t>>(&mut self) -> Result<M, Flaw> {
        let mut members = M::default();
        self.object_into(&mut members)?;
        Ok(members)
    }

    fn object_into<M: Members<'t>>(&mut self, members: &mut M) -> Result<(), Flaw> {
        self.each_member(|name, value| {
            if members.take(name, value)? {
                return Ok(());
            }
            value.skip()
        })
    }

    /// Hands over each member of the next value, which must be an object. `member` must read the value.
    pub(super) fn each_member(
        &mut self,
        mut member: impl FnMut(&str, &mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.open(b'{')?;
        let mut seen = Seen::default();
        if !self.closes(b'}') {
            loop {
                let Text(name) = self.member_name()?;
                self.expect(b':')?;
                member(&name, self)?;
                seen.add(name)?;
                if !self.goes_on(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Hands over each element of the next value, which must be an array. `element` must read it.
    pub(super) fn each_element(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.open(b'[')?;
        if !self.closes(b']') {
            loop {
                element(self)?;
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Goes over a value that nobody reads, which is held to the same rules.
    pub(super) fn skip(&mut self) -> Result<(), Flaw> {
        match self.next_kind() {
            Some(b'"') => self.read::<Text<'_>>().map(drop),
            Some(b'{') => self.each_member(|_, value| value.skip()),
            Some(b'[') => self.each_element(Self::skip),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => self.word(),
        }
    }

    /// The next value, which must be an object, and how it is written.
    pub(super) fn object_as_written<M: Members<'t>>(&mut self) -> Result<(M, &'t str), Flaw> {
        self.as_written(Self::object)
    }

    /// What is read of the next value, and how that is written.
    fn as_written<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Flaw>,
    ) -> Result<(T, &'t str), Flaw> {
        self.skip_space();
        let start = self.at;
        let value = read(self)?;
        let written = self.text.get(start..self.at).ok_or(NOT_JSON)?;
        Ok((value, written))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The byte that the next value begins with, which tells its type.
    fn next_kind(&mut self) -> Option<u8> {
        self.skip_space();
        self.peek()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Flaw> {
        if self.next_kind() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(NOT_JSON)
        }
    }

    /// Enters an array or object.
    fn open(&mut self, bracket: u8) -> Result<(), Flaw> {
        if self.next_kind() != Some(bracket) {
            return Err(self.wrong_type());
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(WRONG_MEMBER);
        }
        Ok(())
    }

    /// Whether the array or object ends here.
    fn closes(&mut self, bracket: u8) -> bool {
        let closes = self.next_kind() == Some(bracket);
        self.at += usize::from(closes);
        closes
    }

    /// Whether another element or member follows, or the bracket.
    fn goes_on(&mut self, bracket: u8) -> Result<bool, Flaw> {
        if self.closes(bracket) {
            return Ok(false);
        }
        self.expect(b',').map(|()| true)
    }

    fn member_name(&mut self) -> Result<Text<'t>, Flaw> {
        if self.next_kind() == Some(b'"') {
            self.read()
        } else {
            Err(NOT_JSON)
        }
    }

    /// What is wrong with a value that is not of the type that is wanted: if it can be the beginning of one at all.
    fn wrong_type(&self) -> Flaw {
        match self.peek() {
            Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => WRONG_MEMBER,
            _ => NOT_JSON,
        }
    }

    /// `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), Flaw> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words = ["true", "false", "null"];
        let word = words.into_iter().find(|word| rest.starts_with(word));
        self.at += word.ok_or(NOT_JSON)?.len();
        Ok(())
    }

    /// A number as it is written (RFC 8259 section 6). One that no `f64` can hold is refused.
    fn number(&mut self) -> Result<&'t str, Flaw> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(NOT_JSON),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let written = self.text.get(start..self.at).ok_or(NOT_JSON)?;
        // Numbers with fewer digits than the largest are never larger.
        if (has_exponent || written.len() > 300) && !written.parse().is_ok_and(f64::is_finite) {
            return Err(NOT_JSON);
        }
        Ok(written)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(NOT_JSON) } else { Ok(()) }
    }
}

/// The names of an object's members so far. Claims have less than 24, so nothing is allocated for most.
#[derive(Default)]
struct Seen<'t> {
    names: SmallVec<[Cow<'t, str>; 24]>,
    /// How each begins and how long it is: names are compared only where these are the same.
    marks: SmallVec<[u64; 24]>,
}

impl<'t> Seen<'t> {
    fn add(&mut self, name: Cow<'t, str>) -> Result<(), Flaw> {
        let mark = mark(&name);
        if self.marks.contains(&mark) && self.names.contains(&name) || self.names.len() == MOST_MEMBERS {
            return Err(WRONG_MEMBER);
        }
        self.marks.push(mark);
        self.names.push(name);
        Ok(())
    }
}

fn mark(name: &str) -> u64 {
    let begin = name.bytes().take(7);
    begin.fold(name.len() as u64, |mark, byte| mark << 8 | u64::from(byte))
}
