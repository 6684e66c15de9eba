use std::fmt;

use super::{Asked, Demand};
use crate::error::{AuthError, Refusal};
use crate::principal::{Method, Principal};

/// That the caller is of a certain kind. Who is of another gets 403, since no other scope or step-up would help.
///
/// ```
/// use tower_resource_server::CallerKind;
///
/// let people = CallerKind::user();
/// let our_own = CallerKind::client_of("https://login.example.com/", ["web", "mobile"]);
/// ```
#[derive(Debug, Clone)]
pub struct CallerKind(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Method(Method),
    User,
    Client { issuer: Box<str>, names: Vec<Box<str>> },
    Undelegated,
    Actor { issuer: Box<str>, names: Vec<Box<str>> },
}

impl CallerKind {
    /// An API key, and no token.
    #[must_use]
    pub fn api_key() -> Self {
        Self(Kind::Method(Method::ApiKey))
    }

    /// A token, and no API key.
    #[must_use]
    pub fn token() -> Self {
        Self(Kind::Method(Method::Jwt))
    }

    /// A user, and no client that acts for itself; see [`Identity::is_user`](crate::principal::Identity::is_user).
    #[must_use]
    pub fn user() -> Self {
        Self(Kind::User)
    }

    /// A token of this issuer that was issued to one of these clients. A client's name is its issuer's own: another issuer may
    /// have a client of the same name.
    #[must_use]
    pub fn client_of<const N: usize>(issuer: impl Into<String>, clients: [&str; N]) -> Self {
        const { assert!(N > 0, "at least one client is named") };
        Self(Kind::Client {
            issuer: issuer.into().into(),
            names: clients.map(Box::from).into(),
        })
    }

    /// Nobody acts for the subject: the token has no `act` (RFC 8693 section 4.1).
    #[must_use]
    pub fn undelegated() -> Self {
        Self(Kind::Undelegated)
    }

    /// Somebody acts for the subject (`act`), and is one of these by its `sub`, of this issuer: that of `act`, or else the token's.
    #[must_use]
    pub fn actor_of<const N: usize>(issuer: impl Into<String>, actors: [&str; N]) -> Self {
        const { assert!(N > 0, "at least one actor is named") };
        Self(Kind::Actor {
            issuer: issuer.into().into(),
            names: actors.map(Box::from).into(),
        })
    }
}

impl Demand for CallerKind {}

impl Asked for CallerKind {
    fn check(&self, caller: &Principal) -> Result<(), Refusal> {
        let (is_met, error) = match &self.0 {
            Kind::Method(method) => (caller.method() == *method, AuthError::MethodNotAccepted),
            Kind::User => (caller.is_user(), AuthError::NotAUser),
            Kind::Client { issuer, names } => {
                let is_one = is_of(issuer, names, caller.issuer(), caller.client());
                (is_one, AuthError::ClientNotAccepted)
            }
            Kind::Undelegated => (caller.actor().is_none(), AuthError::ActorNotAccepted),
            Kind::Actor { issuer, names } => {
                let actor = caller.actor();
                let theirs = actor
                    .and_then(|actor| actor.issuer.as_deref())
                    .or(caller.issuer());
                let name = actor.and_then(|actor| actor.subject.as_deref());
                (is_of(issuer, names, theirs, name), AuthError::ActorNotAccepted)
            }
        };
        if is_met {
            return Ok(());
        }
        Err(Refusal::of_caller(error, caller))
    }
}

/// What is absent is nobody's.
fn is_of(issuer: &str, names: &[Box<str>], its_issuer: Option<&str>, name: Option<&str>) -> bool {
    its_issuer == Some(issuer) && name.is_some_and(|name| names.iter().any(|one| **one == *name))
}

impl fmt::Display for CallerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Method(method) => write!(out, "method={}", method.as_str()),
            Kind::User => out.write_str("user"),
            Kind::Client { issuer, names } => write!(out, "client={names:?} of {issuer:?}"),
            Kind::Undelegated => out.write_str("no actor"),
            Kind::Actor { issuer, names } => write!(out, "actor={names:?} of {issuer:?}"),
        }
    }
}
