//! The `WWW-Authenticate` writer. It cannot write an illegal header: every value that it quotes comes from a type whose
//! grammar is a subset of what RFC 6750 section 3 allows, so nothing is ever escaped, and nothing of a request is echoed.

use std::borrow::Cow;
use std::fmt::{self, Write};

use http::HeaderValue;

use crate::scope::Scope;

/// An authentication scheme: the first word of `Authorization` and of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// RFC 6750.
    Bearer,
    /// `Authorization: ApiKey <key>`; also the scheme that stands for a key in a header of its own.
    ApiKey,
}

impl Scheme {
    /// The scheme of this name, which is compared without case (RFC 9110 section 11.1).
    pub(crate) fn named(word: &[u8]) -> Option<Self> {
        [Self::Bearer, Self::ApiKey]
            .into_iter()
            .find(|scheme| word.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
    }

    /// The word as it is written in a header.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::ApiKey => "ApiKey",
        }
    }
}

/// The protection space that a challenge names (RFC 9110 section 11.5); `api` unless set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(Cow<'static, str>);

/// The text cannot stand in a quoted header value as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a realm is visible ASCII and spaces, without \" and \\")]
#[non_exhaustive]
pub struct InvalidRealm;

impl Realm {
    /// A realm known when the program is written.
    ///
    /// # Panics
    ///
    /// When `text` holds anything but visible ASCII and spaces, or `"` or `\`. In a `const` that is a compile error.
    #[must_use]
    #[allow(
        clippy::panic,
        reason = "`from_static` is the one place that may: in a const it is a compile error"
    )]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(
            is_quotable(text.as_bytes()),
            "a realm is visible ASCII and spaces, without \" and \\"
        );
        Self(Cow::Borrowed(text))
    }

    /// A realm read at run time.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRealm> {
        let text = text.into();
        if is_quotable(text.as_bytes()) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidRealm)
        }
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self(Cow::Borrowed("api"))
    }
}

/// What RFC 6750 section 3 allows between quotes: 0x20-21, 0x23-5B, 0x5D-7E.
const fn is_quotable(mut bytes: &[u8]) -> bool {
    while let [first, rest @ ..] = bytes {
        if !matches!(first, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            return false;
        }
        bytes = rest;
    }
    true
}

/// The `error` codes of RFC 6750 section 3.1, and of what extends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
    /// RFC 9470 section 3.
    InsufficientUserAuthentication,
}

impl ErrorCode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InsufficientUserAuthentication => "insufficient_user_authentication",
        }
    }
}

/// One challenge: a scheme and what goes with it.
#[derive(Clone)]
pub(crate) struct Challenge {
    scheme: Scheme,
    text: String,
}

impl Challenge {
    pub(crate) fn new(scheme: Scheme, realm: &Realm) -> Self {
        Self {
            scheme,
            text: format!("{} realm=\"{}\"", scheme.as_str(), realm.0),
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Adds `error` and `error_description`. A description with a character that may not be quoted is left out: it is
    /// ours, so that is a mistake of ours and no reason for a broken header.
    pub(crate) fn error(mut self, code: ErrorCode, description: &'static str) -> Self {
        let _ = write!(self.text, ", error=\"{}\"", code.as_str());
        if is_quotable(description.as_bytes()) {
            let _ = write!(self.text, ", error_description=\"{description}\"");
        }
        self
    }

    /// Adds `scope`: all that is wanted, not what is missing (RFC 6750 section 3).
    pub(crate) fn scope(mut self, scopes: &[Scope]) -> Self {
        self.text.push_str(", scope=\"");
        for (index, scope) in scopes.iter().enumerate() {
            if index > 0 {
                self.text.push(' ');
            }
            self.text.push_str(scope.as_str());
        }
        self.text.push('"');
        self
    }

    /// Adds what a user's authentication must be: `acr_values` in order of preference, and `max_age` in seconds (RFC 9470 section 3).
    pub(crate) fn authentication(mut self, acr_values: &[&str], max_age: Option<u64>) -> Self {
        if !acr_values.is_empty() {
            let _ = write!(self.text, ", acr_values=\"{}\"", acr_values.join(" "));
        }
        if let Some(age) = max_age {
            let _ = write!(self.text, ", max_age=\"{age}\"");
        }
        self
    }

    pub(crate) fn to_header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.text).unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"api\""))
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All that a route accepts, `Bearer` first, each scheme once: some clients look at the first word of the header alone.
#[derive(Clone, Debug)]
pub(crate) struct Challenges(Vec<Challenge>);

impl Challenges {
    pub(crate) fn new(challenges: impl IntoIterator<Item = Challenge>) -> Self {
        let mut kept: Vec<Challenge> = Vec::new();
        for challenge in challenges {
            if !kept.iter().any(|other| other.scheme == challenge.scheme) {
                kept.push(challenge);
            }
        }
        kept.sort_by_key(|challenge| challenge.scheme != Scheme::Bearer);
        Self(kept)
    }

    /// Every challenge, plain.
    pub(crate) fn plain(&self) -> Vec<HeaderValue> {
        self.0.iter().map(Challenge::to_header_value).collect()
    }

    /// Every challenge, with `detail` only on the scheme that the client tried (RFC 9449 section 7.2 asks so of several).
    pub(crate) fn with(&self, tried: Scheme, detail: impl Fn(Challenge) -> Challenge) -> Vec<HeaderValue> {
        let tried = self.answering(tried);
        self.0
            .iter()
            .map(|challenge| {
                let challenge = challenge.clone();
                if Some(challenge.scheme) == tried {
                    detail(challenge)
                } else {
                    challenge
                }
                .to_header_value()
            })
            .collect()
    }

    /// Every challenge with `detail`: what was presented is not known to be of one scheme.
    pub(crate) fn with_all(&self, detail: impl Fn(Challenge) -> Challenge) -> Vec<HeaderValue> {
        self.0
            .iter()
            .map(|challenge| detail(challenge.clone()).to_header_value())
            .collect()
    }

    /// Only the challenge of the caller's scheme, with `detail`: what a 403 carries.
    pub(crate) fn only(&self, tried: Scheme, detail: impl Fn(Challenge) -> Challenge) -> Vec<HeaderValue> {
        let tried = self.answering(tried);
        self.0
            .iter()
            .filter(|challenge| Some(challenge.scheme) == tried)
            .map(|challenge| detail(challenge.clone()).to_header_value())
            .collect()
    }

    fn answering(&self, tried: Scheme) -> Option<Scheme> {
        let found = self
            .0
            .iter()
            .find(|challenge| challenge.scheme == tried)
            .or_else(|| self.0.first());
        found.map(Challenge::scheme)
    }
}
