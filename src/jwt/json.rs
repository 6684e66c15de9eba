//! One strict pass over a JSON object: UTF-8, no member twice, nothing behind it, bounded depth and number of members.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

const DEEPEST: usize = 16;
const MOST_MEMBERS: usize = 256;
/// The last second of the year 9999, the latest that RFC 3339 can write.
pub(super) const LATEST_DATE: u64 = 253_402_300_799;

/// A struct that takes the members it knows out of an object.
pub(super) trait Members<'t>: Default {
    /// Reads the value of `name` from `map`, or says `false` and leaves it.
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads the whole text as one object. The error never holds a piece of the text, which is a stranger's.
pub(super) fn read_object<'t, M: Members<'t>>(bytes: &'t [u8]) -> Result<M, &'static str> {
    let mut members = M::default();
    read_object_into(bytes, &mut members)?;
    Ok(members)
}

/// The same, into a place that is there: for what is large, so that it is never moved.
pub(super) fn read_object_into<'t, M: Members<'t>>(
    bytes: &'t [u8],
    members: &mut M,
) -> Result<(), &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Object::into(members)
        .deserialize(&mut reader)
        .map_err(|error| describe(&error))?;
    reader.end().map_err(|_| "something stands behind the object")
}

pub(super) fn describe(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "a member is repeated, of the wrong type, or out of range",
        _ => "it is not JSON",
    }
}

/// Reads the value of a member that must be an object.
pub(super) fn next_object<'t, M: Members<'t>, A: MapAccess<'t>>(map: &mut A) -> Result<M, A::Error> {
    let mut members = M::default();
    map.next_value_seed(Object::into(&mut members))?;
    Ok(members)
}

/// Reads an object, here or inside another.
struct Object<'m, M> {
    members: &'m mut M,
    rest: Anything,
}

impl<'m, M> Object<'m, M> {
    fn into(members: &'m mut M) -> Self {
        Self {
            members,
            rest: Anything { depth: 1 },
        }
    }
}

impl<'t, M: Members<'t>> DeserializeSeed<'t> for Object<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'t, M: Members<'t>> Visitor<'t> for Object<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key()? {
            if !self.members.take(&name, &mut map)? {
                map.next_value_seed(self.rest)?;
            }
            seen.add(name)?;
        }
        Ok(())
    }
}

/// Takes no member: an object that must be one, and of which nothing is used.
#[derive(Debug, Default)]
pub(super) struct Unread;

impl<'t> Members<'t> for Unread {
    fn take<A: MapAccess<'t>>(&mut self, _: &str, _: &mut A) -> Result<bool, A::Error> {
        Ok(false)
    }
}

/// The names of an object's members so far. Claims have less than 24, so nothing is allocated for most.
#[derive(Default)]
struct Seen<'t>(SmallVec<[Cow<'t, str>; 24]>);

impl<'t> Seen<'t> {
    fn add<E: de::Error>(&mut self, name: Cow<'t, str>) -> Result<(), E> {
        if self.0.contains(&name) {
            return Err(E::custom("a member is repeated"));
        }
        if self.0.len() == MOST_MEMBERS {
            return Err(E::custom("too many members"));
        }
        self.0.push(name);
        Ok(())
    }
}

/// A value that nobody reads, held to the same rules.
#[derive(Clone, Copy)]
struct Anything {
    depth: usize,
}

impl Anything {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(E::custom("too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'t> DeserializeSeed<'t> for Anything {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Anything {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while seq.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key()? {
            map.next_value_seed(deeper)?;
            seen.add(name)?;
        }
        Ok(())
    }
}

/// A string, borrowed unless it was written with escapes.
#[derive(Debug, Clone)]
pub(super) struct Text<'t>(pub(super) Cow<'t, str>);

impl<'t> Deserialize<'t> for Text<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'t> Visitor<'t> for TextVisitor {
    type Value = Text<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Text<'t>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'t>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// A string, or a value that is none: for claims that have a meaning only where they are strings.
#[derive(Debug, Clone)]
pub(super) struct TextOrOther<'t>(Option<Text<'t>>);

impl TextOrOther<'_> {
    pub(super) fn as_str(&self) -> Option<&str> {
        self.0.as_ref().map(|text| &*text.0)
    }
}

impl<'t> Deserialize<'t> for TextOrOther<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
        if !json.starts_with('"') {
            let mut reader = serde_json::Deserializer::from_str(json);
            return Anything { depth: 1 }
                .deserialize(&mut reader)
                .map(|()| Self(None))
                .map_err(de::Error::custom);
        }
        serde_json::from_str(json)
            .map(|text| Self(Some(text)))
            .map_err(de::Error::custom)
    }
}

/// A whole number, or a value that is none: for claims that have a meaning only where they are whole numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeNumber(pub(super) Option<u64>);

impl<'t> Deserialize<'t> for WholeNumber {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
        let mut reader = serde_json::Deserializer::from_str(json);
        Anything { depth: 1 }
            .deserialize(&mut reader)
            .map_err(de::Error::custom)?;
        Ok(Self(json.parse().ok()))
    }
}

/// A string or an array of strings, as `aud` is.
#[derive(Debug)]
pub(super) enum OneOrMany<'t> {
    One(Text<'t>),
    Many(Vec<Text<'t>>),
}

impl OneOrMany<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter().map(|text| &*text.0)
    }
}

impl<'t> Deserialize<'t> for OneOrMany<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'t> Visitor<'t> for OneOrManyVisitor {
    type Value = OneOrMany<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'t str) -> Result<OneOrMany<'t>, E> {
        TextVisitor.visit_borrowed_str(text).map(OneOrMany::One)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany<'t>, E> {
        TextVisitor.visit_str(text).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<OneOrMany<'t>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            texts.push(text);
        }
        Ok(OneOrMany::Many(texts))
    }
}

/// `NumericDate` of RFC 7519 section 2: seconds since 1970 as a JSON number, which may have a fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct NumericDate(pub(super) Duration);

impl<'t> Deserialize<'t> for NumericDate {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(DateVisitor)
    }
}

struct DateVisitor;

impl Visitor<'_> for DateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds from 1970 to 9999")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
        if seconds > LATEST_DATE {
            Err(E::custom("out of range"))
        } else {
            Ok(NumericDate(Duration::from_secs(seconds)))
        }
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
        u64::try_from(seconds)
            .map_err(E::custom)
            .and_then(|seconds| self.visit_u64(seconds))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
        let date = Duration::try_from_secs_f64(seconds).map_err(E::custom)?;
        self.visit_u64(date.as_secs()).map(|_| NumericDate(date))
    }
}
