use std::convert::Infallible;
use std::sync::Arc;

use super::index::{Index, Relaxed};
use super::{CredentialFacts, Revocation, Revocations, Standing};
use crate::clock::{Clock, SystemClock};

/// Revocations in this process's memory. Clones are the same list, so one is given to the layers and one is kept at hand; what a
/// clone was told to accept is its own.
///
/// An entry counts until all that it withdraws has expired, and five minutes more. What no longer counts is cleared away
/// when the list has doubled since the last time, and not before it has 1,024 entries. Not done: nothing is kept over a restart, and other processes hear nothing of it.
#[derive(Debug, Clone)]
pub struct MemoryRevocations {
    index: Arc<Index>,
    relaxed: Relaxed,
}

impl MemoryRevocations {
    /// A list with nothing on it.
    pub fn new() -> Self {
        Self::with_clock(SystemClock::new())
    }

    /// The same, with a clock that says when an entry may be forgotten.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            index: Arc::new(Index::new(Arc::new(clock))),
            relaxed: Relaxed::default(),
        }
    }

    /// Lets tokens without an id through, which nobody can revoke one by one. Default: refused, because a check that was
    /// configured must not pass for want of a claim.
    #[must_use]
    pub fn accept_tokens_without_id(mut self) -> Self {
        self.relaxed.without_id = true;
        self
    }

    /// Lets tokens without `sub` through while tokens of some subject are withdrawn: they are nobody's. Default: refused,
    /// because they could be that subject's.
    #[must_use]
    pub fn accept_tokens_without_subject(mut self) -> Self {
        self.relaxed.without_subject = true;
        self
    }

    /// Lets tokens that name no client through while tokens of some client are withdrawn. Default: refused, because they could
    /// be that client's.
    #[must_use]
    pub fn accept_tokens_without_client(mut self) -> Self {
        self.relaxed.without_client = true;
        self
    }

    /// Lets tokens without `iat` through whose subject, client or issuer had its earlier tokens withdrawn. Default: refused,
    /// because they could be of before.
    #[must_use]
    pub fn accept_tokens_without_issue_time(mut self) -> Self {
        self.relaxed.without_issue_time = true;
        self
    }

    /// Withdraws; the next request notices.
    pub fn revoke(&self, revocation: &Revocation) {
        self.index.apply(revocation);
    }

    /// How many entries there are, those that no longer count and were not cleared away yet included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is withdrawn.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl Revocations for MemoryRevocations {
    type Error = Infallible;

    fn standing(&self, credential: &CredentialFacts<'_>) -> Standing {
        self.index.standing(credential, self.relaxed)
    }
}
