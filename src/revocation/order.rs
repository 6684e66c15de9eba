use std::time::SystemTime;

/// An order to withdraw credentials, and until when it must be remembered: until the last of them has expired. It counts for five
/// minutes more, the largest leeway that an issuer can be given, within which a token is accepted after its `exp`.
///
/// What is withdrawn stays so until then: a later order can only add to an earlier one.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_resource_server::{MemoryRevocations, Revocation};
///
/// let revocations = MemoryRevocations::new();
/// let now = SystemTime::now();
/// let expired = now + Duration::from_secs(3600);            // as long as tokens live
/// revocations.revoke(&Revocation::token("https://idp.test", "t-123", expired));
/// // "log out everywhere"
/// revocations.revoke(&Revocation::subject("https://idp.test", "user_7", now, expired));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revocation {
    pub(crate) target: Target,
    pub(crate) until: SystemTime,
}

/// Whose credentials are withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Token {
        issuer: Box<str>,
        id: Box<str>,
    },
    Subject {
        issuer: Box<str>,
        subject: Box<str>,
        cut: Cut,
    },
    Client {
        issuer: Box<str>,
        client: Box<str>,
        cut: Cut,
    },
    Issuer {
        issuer: Box<str>,
        cut: Cut,
    },
    ApiKey {
        id: Box<str>,
    },
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cut {
    /// Those whose `iat` is not later.
    IssuedUntil(SystemTime),
    /// Those whose version is missing or lower.
    BelowVersion(u64),
}

impl Target {
    pub(super) fn issuer(&self) -> Option<&str> {
        match self {
            Self::Token { issuer, .. }
            | Self::Subject { issuer, .. }
            | Self::Client { issuer, .. }
            | Self::Issuer { issuer, .. } => Some(issuer),
            Self::ApiKey { .. } => None,
        }
    }
}

impl Revocation {
    /// One token of an issuer, by its id. `expires_at` is the token's.
    #[must_use]
    pub fn token(issuer: impl Into<String>, id: impl Into<String>, expires_at: SystemTime) -> Self {
        let (issuer, id) = (boxed(issuer), boxed(id));
        Self {
            target: Target::Token { issuer, id },
            until: expires_at,
        }
    }

    /// A subject's tokens that were issued at `issued_until` or before, by the issuer's clock and to the second in which it
    /// writes `iat`: whoever logs in within that second has to do so again.
    #[must_use]
    pub fn subject(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Self {
        let (issuer, subject) = (boxed(issuer), boxed(subject));
        let cut = Cut::IssuedUntil(issued_until);
        Self {
            target: Target::Subject { issuer, subject, cut },
            until,
        }
    }

    /// A subject's tokens whose version is missing or below `minimum`.
    #[must_use]
    pub fn version(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        minimum: u64,
        until: SystemTime,
    ) -> Self {
        let (issuer, subject) = (boxed(issuer), boxed(subject));
        let cut = Cut::BelowVersion(minimum);
        Self {
            target: Target::Subject { issuer, subject, cut },
            until,
        }
    }

    /// The tokens of a client, whoever stands behind them, that were issued at `issued_until` or before: a client secret was
    /// stolen.
    #[must_use]
    pub fn client(
        issuer: impl Into<String>,
        client: impl Into<String>,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Self {
        let (issuer, client) = (boxed(issuer), boxed(client));
        let cut = Cut::IssuedUntil(issued_until);
        Self {
            target: Target::Client { issuer, client, cut },
            until,
        }
    }

    /// All tokens of an issuer, by the name in their `iss`, that were issued at `issued_until` or before. Who fears that its signing key was stolen must
    /// withdraw the key: whoever has it writes any `iat`.
    #[must_use]
    pub fn issuer(issuer: impl Into<String>, issued_until: SystemTime, until: SystemTime) -> Self {
        let issuer = boxed(issuer);
        let cut = Cut::IssuedUntil(issued_until);
        Self {
            target: Target::Issuer { issuer, cut },
            until,
        }
    }

    /// An API key, by the id of its record. For good it is revoked in its store.
    #[must_use]
    pub fn api_key(id: impl Into<String>, until: SystemTime) -> Self {
        Self {
            target: Target::ApiKey { id: boxed(id) },
            until,
        }
    }
}

fn boxed(text: impl Into<String>) -> Box<str> {
    text.into().into_boxed_str()
}
