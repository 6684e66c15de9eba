use std::fmt;
use std::sync::Arc;

use super::address::Network;
use crate::principal::{Identity, Method, Principal};

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who<'p> {
    /// One identity. `client` stands in where a token names no subject.
    Principal {
        method: Method,
        user: bool,
        issuer: Option<&'p str>,
        subject: Option<&'p str>,
        client: Option<&'p str>,
    },
    Key(&'p str),
    Client {
        issuer: Option<&'p str>,
        client: &'p str,
    },
    /// What a function of the host calls it.
    Group(&'p str),
    /// All of them, or those of one network.
    Anonymous(Option<Network>),
}

impl<'p> Who<'p> {
    fn principal(caller: &'p Principal) -> Self {
        let identity: &'p Identity = caller.identity();
        let subject = identity.subject();
        Self::Principal {
            method: identity.method(),
            user: identity.is_user(),
            issuer: identity.issuer(),
            subject,
            client: caller.client().filter(|_| subject.is_none()),
        }
    }

    /// As text, for a place that other machines count at. No two of them have the same.
    pub(super) fn name(&self, plan: &str) -> String {
        let method = Method::as_str;
        let words = match self {
            Self::Principal {
                method: by,
                user,
                issuer,
                subject,
                client,
            } => serde_json::json!([plan, "principal", method(*by), user, issuer, subject, client]),
            Self::Key(id) => serde_json::json!([plan, "key", id]),
            Self::Client { issuer, client } => serde_json::json!([plan, "client", issuer, client]),
            Self::Group(name) => serde_json::json!([plan, "group", name]),
            Self::Anonymous(None) => serde_json::json!([plan, "anonymous"]),
            Self::Anonymous(Some(network)) => serde_json::json!([plan, "anonymous", network.to_string()]),
        };
        words.to_string()
    }
}

/// A word about a caller that a function of the host tells.
pub(super) type Tell = Arc<dyn for<'p> Fn(&'p Principal) -> Option<&'p str> + Send + Sync>;

/// How callers are told apart.
#[derive(Clone, Default)]
pub(super) enum Per {
    #[default]
    Principal,
    Key,
    Client,
    Group(Tell),
}

impl Per {
    pub(super) fn who<'p>(&self, caller: &'p Principal) -> Who<'p> {
        let told = match self {
            Self::Principal => None,
            Self::Key => caller.key_id().map(Who::Key),
            Self::Client => caller.client().map(|client| Who::Client {
                issuer: caller.issuer(),
                client,
            }),
            Self::Group(name) => name(caller).map(Who::Group),
        };
        told.unwrap_or_else(|| Who::principal(caller))
    }
}

impl fmt::Debug for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Principal => "Principal",
            Self::Key => "Key",
            Self::Client => "Client",
            Self::Group(_) => "Group",
        })
    }
}
