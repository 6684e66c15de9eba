//! The types of values that claims have.

use std::borrow::Cow;
use std::time::Duration;

use super::{Flaw, Reader, WRONG_MEMBER};

/// The last second of the year 9999, the latest that RFC 3339 can write.
const LATEST_DATE: u64 = 253_402_300_799;

/// What a value is read as.
pub(in crate::jwt) trait Value<'t>: Sized {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw>;
}

/// A string, borrowed unless it was written with escapes.
#[derive(Debug, Clone)]
pub(in crate::jwt) struct Text<'t>(pub(in crate::jwt) Cow<'t, str>);

impl<'t> Value<'t> for Text<'t> {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        match reader.next_kind() {
            Some(b'"') => reader.string().map(Self),
            _ => Err(reader.wrong_type()),
        }
    }
}

impl<'t> Value<'t> for Vec<Text<'t>> {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        let mut texts = Vec::new();
        reader.each_element(|element| {
            texts.push(element.read()?);
            Ok(())
        })?;
        Ok(texts)
    }
}

/// A string, or a value that is none: for claims that have a meaning only where they are strings.
#[derive(Debug, Clone)]
pub(in crate::jwt) struct TextOrOther<'t>(Option<Text<'t>>);

impl TextOrOther<'_> {
    pub(in crate::jwt) fn as_str(&self) -> Option<&str> {
        self.0.as_ref().map(|text| &*text.0)
    }
}

impl<'t> Value<'t> for TextOrOther<'t> {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        if reader.next_kind() == Some(b'"') {
            return reader.read().map(|text| Self(Some(text)));
        }
        reader.skip().map(|()| Self(None))
    }
}

/// A whole number, or a value that is none: for claims that have a meaning only where they are whole numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::jwt) struct WholeNumber(pub(in crate::jwt) Option<u64>);

impl<'t> Value<'t> for WholeNumber {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        let ((), written) = reader.as_written(Reader::skip)?;
        Ok(Self(written.parse().ok()))
    }
}

/// A string or an array of strings, as `aud` is.
#[derive(Debug)]
pub(in crate::jwt) enum OneOrMany<'t> {
    One(Text<'t>),
    Many(Vec<Text<'t>>),
}

impl OneOrMany<'_> {
    pub(in crate::jwt) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter().map(|text| &*text.0)
    }
}

impl<'t> Value<'t> for OneOrMany<'t> {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        if reader.next_kind() == Some(b'[') {
            reader.read().map(Self::Many)
        } else {
            reader.read().map(Self::One)
        }
    }
}

/// `NumericDate` of RFC 7519 section 2: seconds since 1970 as a JSON number, which may have a fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::jwt) struct NumericDate(pub(in crate::jwt) Duration);

impl<'t> Value<'t> for NumericDate {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        if !matches!(reader.next_kind(), Some(b'-' | b'0'..=b'9')) {
            return Err(reader.wrong_type());
        }
        let written = reader.number()?;
        let date = match written.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => written
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        date.filter(|date| date.as_secs() <= LATEST_DATE)
            .map(Self)
            .ok_or(WRONG_MEMBER)
    }
}
