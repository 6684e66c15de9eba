//! Values somewhere in a payload that was read before, at a place that the configuration names.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json::{OneOrMany, Text};

/// The strings at the end of a path; `None` if it does not lead anywhere. What is there and is no string is an error.
pub(super) fn strings_at<'t, S: AsRef<str>>(
    payload: &'t [u8],
    path: &[S],
) -> Result<Option<OneOrMany<'t>>, serde_json::Error> {
    value_at(payload, path)
}

/// The value at the end of a path; `None` if it does not lead anywhere. What is there and is of another type is an error.
pub(super) fn value_at<'t, T: Deserialize<'t>, S: AsRef<str>>(
    payload: &'t [u8],
    path: &[S],
) -> Result<Option<T>, serde_json::Error> {
    Step(path, PhantomData).deserialize(&mut serde_json::Deserializer::from_slice(payload))
}

/// Walks down objects to the member that a path names.
struct Step<'p, S, T>(&'p [S], PhantomData<T>);

impl<'t, S: AsRef<str>, T: Deserialize<'t>> DeserializeSeed<'t> for Step<'_, S, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return T::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_map(self)
    }
}

impl<'t, S: AsRef<str>, T: Deserialize<'t>> Visitor<'t> for Step<'_, S, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object on the way to the value")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let mut found = None;
        while let Some(Text(name)) = map.next_key()? {
            if name == wanted.as_ref() {
                found = map.next_value_seed(Step(rest, PhantomData))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
