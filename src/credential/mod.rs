//! Reading credentials out of a request: pure, without any judgement of what was found.
//!
//! A reader looks in its own places and says one of four things. "Two credentials" and "unreadable" are told apart from
//! "none" here, before anything is judged, so that no later step can pick one of two or take garbage for absence.

#[cfg(feature = "api-key")]
mod api_key;
mod attempts;
mod authorization;
#[cfg(feature = "jwt")]
mod bearer;

#[cfg(feature = "api-key")]
pub(crate) use api_key::ApiKeyReader;
pub(crate) use attempts::{Asking, Attempt, Attempts, CountAttempts, Unlimited};
#[cfg(feature = "jwt")]
pub(crate) use bearer::BearerReader;

use std::cell::OnceCell;

use attempts::Taking;
use authorization::Authorization;
use http::{Extensions, HeaderMap, HeaderName};

use crate::challenge::Scheme;
use crate::error::AuthError;

/// The part of a request that authenticators look at.
#[derive(Debug)]
pub(crate) struct RequestHead<'r> {
    pub(crate) headers: &'r HeaderMap,
    extensions: &'r Extensions,
    authorization: OnceCell<Authorization<'r>>,
    taking: Taking,
}

impl<'r> RequestHead<'r> {
    pub(crate) fn new(headers: &'r HeaderMap, extensions: &'r Extensions) -> Self {
        Self {
            headers,
            extensions,
            authorization: OnceCell::new(),
            taking: Taking::default(),
        }
    }
}

/// What the request carries, unverified.
pub(crate) struct Credential<'r> {
    /// Visible ASCII; kept as bytes, so that nobody has to go over it to know that it is UTF-8.
    pub(crate) value: &'r [u8],
    /// Where it was found, so that the header can be marked or removed.
    pub(crate) header: HeaderName,
    /// The scheme that the client used; a header of its own counts as the scheme of its kind.
    pub(crate) scheme: Scheme,
    /// Which of several authenticators is to judge it.
    pub(crate) judge: usize,
}

impl<'r> Credential<'r> {
    fn new(value: &'r [u8], header: HeaderName, scheme: Scheme) -> Self {
        Self {
            value,
            header,
            scheme,
            judge: 0,
        }
    }

    /// Whether the value has three parts: a compact JWS, if it is anything.
    pub(crate) fn has_jwt_shape(&self) -> bool {
        memchr::memchr_iter(b'.', self.value).count() == 2
    }

    /// Whether it is the very same value, which another reader found: a header that holds a credential holds one.
    pub(crate) fn is_in_the_place_of(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("header", &self.header)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// What a reader found.
#[derive(Debug)]
pub(crate) enum Presented<'r> {
    None,
    One(Credential<'r>),
    /// There is something, and it cannot be read.
    Malformed(Flaw),
    Twice,
}

/// Why a credential cannot be read, and of which scheme it is, as far as that can be told.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) error: AuthError,
    pub(crate) scheme: Option<Scheme>,
}

/// The one value of a header that must not be repeated: RFC 9110 section 5.3 lets nobody choose among several.
fn single_value<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r [u8]>, Presented<'r>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.as_bytes())),
        (Some(_), Some(_)) => Err(Presented::Twice),
    }
}

/// A credential that is not empty and of visible ASCII.
fn visible(bytes: &[u8]) -> Result<&[u8], AuthError> {
    if bytes.is_empty() {
        return Err(AuthError::CredentialEmpty);
    }
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(AuthError::HeaderUnreadable);
    }
    Ok(bytes)
}

/// `token68` of RFC 9110 section 11.2: `=` only at the end, and not alone.
fn token68(bytes: &[u8]) -> Result<&[u8], NotToken68> {
    if bytes.is_empty() {
        return Err(NotToken68::Empty);
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let (body, _) = bytes.split_at(bytes.len() - padding);
    // Every byte is looked at, even after a bad one: so the compiler looks at many at a time, and tokens are long.
    let bad = body
        .iter()
        .fold(0, |bad, byte| bad | u8::from(!is_of_token68(*byte)));
    if body.is_empty() || bad != 0 {
        return Err(NotToken68::Unreadable);
    }
    Ok(bytes)
}

#[derive(Debug, Clone, Copy)]
enum NotToken68 {
    Empty,
    Unreadable,
}

impl From<NotToken68> for AuthError {
    fn from(flaw: NotToken68) -> Self {
        match flaw {
            NotToken68::Empty => Self::CredentialEmpty,
            NotToken68::Unreadable => Self::HeaderUnreadable,
        }
    }
}

#[allow(
    clippy::needless_bitwise_bool,
    reason = "without a branch the compiler looks at many bytes at a time"
)]
fn is_of_token68(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits stand in a row.
    let digit_or_mark = byte.wrapping_sub(b'-') <= b'9' - b'-';
    letter | digit_or_mark | (byte == b'_') | (byte == b'~') | (byte == b'+')
}
