use std::sync::Arc;
use std::time::SystemTime;

use super::{Revocations, Standing, TokenFacts};
use crate::clock::{Clock, SystemClock};

/// Revocations in this process's memory. Clones are the same list, so one is given to the layer and one is kept at hand.
///
/// Not done: nothing is kept over a restart, and other processes hear nothing of it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_resource_server::MemoryRevocations;
///
/// let revocations = MemoryRevocations::new();
/// // until the token would have expired anyway
/// revocations.revoke_token("https://idp.test", "t-123", SystemTime::now() + Duration::from_secs(600));
/// // "log out everywhere": only tokens with `token_version` 3 and above
/// revocations.require_version("https://idp.test", "user_7", 3);
/// ```
#[derive(Debug, Clone)]
pub struct MemoryRevocations {
    lists: Arc<Lists>,
    accepts_without_id: bool,
    accepts_without_subject: bool,
}

type Key = (Box<str>, Box<str>);

#[derive(Debug)]
struct Lists {
    tokens: papaya::HashMap<Key, SystemTime>,
    versions: papaya::HashMap<Key, u64>,
    clock: Arc<dyn Clock>,
}

impl MemoryRevocations {
    /// A list with nothing on it.
    pub fn new() -> Self {
        Self::with_clock(SystemClock::new())
    }

    /// The same, with a clock that says when an entry may be forgotten.
    pub fn with_clock(clock: impl Clock) -> Self {
        let lists = Lists {
            tokens: papaya::HashMap::new(),
            versions: papaya::HashMap::new(),
            clock: Arc::new(clock),
        };
        Self {
            lists: Arc::new(lists),
            accepts_without_id: false,
            accepts_without_subject: false,
        }
    }

    /// Lets tokens without `jti` through, which nobody can revoke one by one. Default: refused, because a check that was
    /// configured must not pass for want of a claim.
    #[must_use]
    pub fn accept_tokens_without_id(mut self) -> Self {
        self.accepts_without_id = true;
        self
    }

    /// Lets tokens without `sub` through when a subject's tokens are withdrawn by version: they are nobody's. Default: refused,
    /// because they could be that subject's.
    #[must_use]
    pub fn accept_tokens_without_subject(mut self) -> Self {
        self.accepts_without_subject = true;
        self
    }

    /// Withdraws one token of an issuer. The entry counts until `expires_at`, when the token is dead anyway.
    pub fn revoke_token(&self, issuer: &str, token_id: &str, expires_at: SystemTime) {
        let now = self.lists.clock.now();
        let tokens = self.lists.tokens.pin();
        tokens.retain(|_, until| counts(*until, now));
        tokens.insert(key(issuer, token_id), expires_at);
    }

    /// Withdraws every token of a subject whose `token_version` is missing or below `minimum`.
    pub fn require_version(&self, issuer: &str, subject: &str, minimum: u64) {
        self.lists.versions.pin().insert(key(issuer, subject), minimum);
    }

    fn is_listed(&self, issuer: &str, token_id: &str) -> bool {
        if self.lists.tokens.is_empty() {
            return false;
        }
        let until = self.lists.tokens.pin().get(&key(issuer, token_id)).copied();
        until.is_some_and(|until| counts(until, self.lists.clock.now()))
    }

    fn is_below_minimum(&self, issuer: &str, subject: &str, version: Option<u64>) -> bool {
        let minimum = self.lists.versions.pin().get(&key(issuer, subject)).copied();
        minimum.is_some_and(|minimum| version.is_none_or(|version| version < minimum))
    }
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an entry counts still, or may be forgotten.
fn counts(until: SystemTime, now: SystemTime) -> bool {
    now < until
}

fn key(issuer: &str, name: &str) -> Key {
    (issuer.into(), name.into())
}

impl Revocations for MemoryRevocations {
    fn standing(&self, token: &TokenFacts<'_>) -> Standing {
        match token.token_id {
            Some(id) if self.is_listed(token.issuer, id) => return Standing::Revoked,
            None if !self.accepts_without_id => return Standing::Untellable("jti"),
            _ => {}
        }
        if self.lists.versions.is_empty() {
            return Standing::Good;
        }
        match token.subject {
            None if self.accepts_without_subject => Standing::Good,
            None => Standing::Untellable("sub"),
            Some(subject) if self.is_below_minimum(token.issuer, subject, token.version) => Standing::Revoked,
            Some(_) => Standing::Good,
        }
    }
}
