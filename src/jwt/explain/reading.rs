//! An unverified token, as far as it can be read. Nothing is decided by what stands here.

use base64_simd::{Out, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::super::authenticator::MOST_TOKEN_BYTES;
use super::super::claims::Claims;
use super::super::header::Header;
use super::super::json::read_object;
use super::values;

const UNREADABLE: &str = "cannot be read";
const ABSENT: &str = "absent";

type Object = Map<String, Value>;

/// The parts of a token, each as far as it can be decoded; the signature is not kept.
pub(super) struct Decoded {
    length: usize,
    parts: String,
    header: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

impl Decoded {
    /// What is too long to be judged is not looked at here either.
    pub(super) fn of(token: &str) -> Self {
        if token.len() > MOST_TOKEN_BYTES {
            return Self {
                length: token.len(),
                parts: "not looked at".to_owned(),
                header: None,
                payload: None,
            };
        }
        let parts: Vec<&str> = token.split('.').collect();
        let part = |place: usize| parts.get(place).and_then(|part| decode(part));
        Self {
            length: token.len(),
            parts: describe(&parts),
            header: part(0),
            // Of five parts, as an encrypted token has, the second is no payload.
            payload: part(1).filter(|_| parts.len() <= 3),
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_default()
    }
}

fn describe(parts: &[&str]) -> String {
    let flaws = match parts.len() {
        3 => flaws_of(parts),
        1 => "; an opaque token or an API key, but no signed token".to_owned(),
        5 => "; an encrypted token has so many".to_owned(),
        _ => String::new(),
    };
    format!("{}{flaws}", parts.len())
}

fn flaws_of(parts: &[&str]) -> String {
    let named = ["header", "claims", "signature"].into_iter().zip(parts);
    let flaws = named.map(|(name, part)| match decode(part) {
        None => format!("; the {name}: not base64url"),
        Some(_) if part.is_empty() => format!("; the {name}: empty"),
        Some(_) => String::new(),
    });
    flaws.collect()
}

/// As the judge decodes it: canonical, without padding.
fn decode(part: &str) -> Option<Vec<u8>> {
    let mut room = vec![0; part.len()];
    let decoded = URL_SAFE_NO_PAD.decode(part.as_bytes(), Out::from_slice(&mut room));
    decoded.ok().map(|decoded| decoded.to_vec())
}

/// Header and claims: once as the judge reads them, and once as whatever JSON they are.
pub(super) struct Reading<'d> {
    pub(super) decoded: &'d Decoded,
    pub(super) header: Option<Header<'d>>,
    pub(super) claims: Option<Claims<'d>>,
    header_values: Option<Object>,
    claim_values: Option<Object>,
}

impl<'d> Reading<'d> {
    pub(super) fn of(decoded: &'d Decoded) -> Self {
        let (header, payload) = (decoded.header.as_deref(), decoded.payload.as_deref());
        let values = |part: Option<&[u8]>| part.and_then(|json| serde_json::from_slice(json).ok());
        Self {
            decoded,
            header: header.and_then(|json| read_object(json).ok()),
            claims: payload.and_then(|json| read_object(json).ok()),
            header_values: values(header),
            claim_values: values(payload),
        }
    }

    pub(super) fn length(&self) -> String {
        format!("{} bytes", self.decoded.length)
    }

    pub(super) fn parts(&self) -> String {
        self.decoded.parts.clone()
    }

    pub(super) fn header_member(&self, name: &str) -> String {
        member(self.header_values.as_ref(), name)
    }

    pub(super) fn claim(&self, name: &str) -> String {
        member(self.claim_values.as_ref(), name)
    }

    /// The value of a claim, or the words for why there is none.
    pub(super) fn claim_value(&self, name: &str) -> Result<&Value, &'static str> {
        let claims = self.claim_values.as_ref().ok_or(UNREADABLE)?;
        claims.get(name).ok_or(ABSENT)
    }

    /// Those of the names that are members of the header.
    pub(super) fn header_names(&self, names: &[&'static str]) -> Vec<&'static str> {
        present(self.header_values.as_ref(), names)
    }

    pub(super) fn claim_names(&self, names: &[&'static str]) -> Vec<&'static str> {
        present(self.claim_values.as_ref(), names)
    }

    /// How long the `kid` is, in bytes.
    pub(super) fn kid_length(&self) -> Option<usize> {
        let kid = self.header_values.as_ref()?.get("kid")?;
        kid.as_str().map(str::len)
    }

    pub(super) fn header_object(&self) -> String {
        let fits = |json: &[u8]| read_object::<Header<'_>>(json).is_ok();
        object(self.header_values.as_ref(), self.header.is_some(), fits)
    }

    pub(super) fn claims_object(&self) -> String {
        let fits = |json: &[u8]| read_object::<Claims<'_>>(json).is_ok();
        object(self.claim_values.as_ref(), self.claims.is_some(), fits)
    }
}

fn member(object: Option<&Object>, name: &str) -> String {
    match object.map(|object| object.get(name)) {
        None => UNREADABLE.to_owned(),
        Some(None) => ABSENT.to_owned(),
        Some(Some(value)) => values::value(value),
    }
}

fn present(object: Option<&Object>, names: &[&'static str]) -> Vec<&'static str> {
    let is_there = |name: &&&str| object.is_some_and(|object| object.contains_key(**name));
    names.iter().filter(is_there).copied().collect()
}

/// The names of an object's members, or which of them keeps the judge from reading it. Of that one only the kind is told,
/// since it may be anything.
fn object(object: Option<&Object>, is_read: bool, fits: impl Fn(&[u8]) -> bool) -> String {
    let Some(object) = object else {
        return "no JSON object".to_owned();
    };
    let names = values::list(object.keys());
    if is_read {
        return format!("an object with {names}");
    }
    let mut members = object.iter();
    match members.find(|(name, value)| !fits(json!({ *name: value }).to_string().as_bytes())) {
        Some((name, value)) => format!("{} is {}", values::quoted(name), values::kind(value)),
        None => format!("a member twice, or too many of them, in an object with {names}"),
    }
}
