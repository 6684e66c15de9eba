use std::borrow::Cow;
use std::fmt;

// Scopes and classes stand between quotes, with spaces between them (RFC 6749 section 3.3, RFC 9470 section 3).
use crate::scope::is_scope_token;

/// An authentication context class (`acr`, OpenID Connect Core section 2): a name for how strongly a user was authenticated, which
/// the issuer and its resource servers agreed on. Compared to the letter.
///
/// ```
/// use tower_resource_server::Acr;
///
/// const PHISHING_RESISTANT: Acr = Acr::from_static("phr");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acr(Cow<'static, str>);

/// The text cannot stand among the `acr_values` of a challenge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an authentication context class is one or more visible ASCII characters, without \" and \\")]
#[non_exhaustive]
pub struct InvalidAcr;

impl Acr {
    /// A class known when the program is written.
    ///
    /// # Panics
    ///
    /// When `text` is empty or holds anything but visible ASCII, or `"` or `\`. In a `const` that is a compile error.
    #[must_use]
    #[allow(
        clippy::panic,
        reason = "`from_static` is the one place that may: in a const it is a compile error"
    )]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(
            is_scope_token(text.as_bytes()),
            "an authentication context class is one or more visible ASCII characters, without \" and \\"
        );
        Self(Cow::Borrowed(text))
    }

    /// A class read at run time.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidAcr> {
        let text = text.into();
        if is_scope_token(text.as_bytes()) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidAcr)
        }
    }

    /// The class as a word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
