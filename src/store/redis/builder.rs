use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Client;

use super::engine::Engine;
use super::node::Node;
use super::revocations::RedisRevocations;
use crate::clock::{Clock, SystemClock};
use crate::revocation::Relaxed;

/// Settings of [`RedisRevocations`].
#[must_use]
pub struct RedisRevocationsBuilder {
    client: Client,
    prefix: String,
    replicas: u32,
    deaf_for: Duration,
    relaxed: Relaxed,
    clock: Arc<dyn Clock>,
}

impl RedisRevocationsBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            prefix: "trs".to_owned(),
            replicas: 0,
            deaf_for: Duration::from_secs(30),
            relaxed: Relaxed::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// What the names of the keys begin with, in braces: nodes with the same prefix share their revocations. Default: `trs`,
    /// because most engines serve one fleet.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many replicas must have a revocation before `revoke` returns; it waits for them for one second. Default: 0,
    /// because nodes put back what an engine has lost.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// For how long a node that cannot hear goes on with what it knows; then credentials that it takes to be good get 503. It
    /// is counted, by the steady clock, from the last time that it asked whether there is anything new and was told that there
    /// is not, which it asks twice a second. Default: 30 seconds, because an engine that is restarted, or replaced by its replica,
    /// takes about as long. That an engine is silent is noticed after 3 seconds, and no sooner for a shorter time.
    pub fn deaf_for(mut self, time: Duration) -> Self {
        self.deaf_for = time;
        self
    }

    /// As soon as a node notices that it cannot hear, credentials that it takes to be good get 503: at once when the
    /// connection is closed, after at most 3 seconds when the engine is silent. Default: they are let through for 30
    /// seconds, see [`deaf_for`](Self::deaf_for).
    pub fn refuse_when_deaf(self) -> Self {
        self.deaf_for(Duration::ZERO)
    }

    /// Lets tokens without an id through, which nobody can revoke one by one. Default: refused, because a check that was
    /// configured must not pass for want of a claim.
    pub fn accept_tokens_without_id(mut self) -> Self {
        self.relaxed.without_id = true;
        self
    }

    /// Lets tokens without `sub` through while tokens of some subject are withdrawn: they are nobody's. Default: refused,
    /// because they could be that subject's.
    pub fn accept_tokens_without_subject(mut self) -> Self {
        self.relaxed.without_subject = true;
        self
    }

    /// Lets tokens that name no client through while tokens of some client are withdrawn. Default: refused, because they could
    /// be that client's.
    pub fn accept_tokens_without_client(mut self) -> Self {
        self.relaxed.without_client = true;
        self
    }

    /// Lets tokens without `iat` through whose subject, client or issuer had its earlier tokens withdrawn. Default: refused,
    /// because they could be of before.
    pub fn accept_tokens_without_issue_time(mut self) -> Self {
        self.relaxed.without_issue_time = true;
        self
    }

    /// Says when an entry may be forgotten, and for how long a node has been deaf. Default: the system's clock, because
    /// that is the time that issuers write.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The list. Nothing is connected yet: that begins with the first use, or with
    /// [`warm_up`](RedisRevocations::warm_up).
    pub fn build(self) -> RedisRevocations {
        let engine = Engine::new(self.client, &self.prefix);
        let node = Node::new(engine, self.clock, self.relaxed, self.replicas, self.deaf_for);
        RedisRevocations::of(node)
    }
}

/// The client knows a password.
impl fmt::Debug for RedisRevocationsBuilder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisRevocationsBuilder")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("deaf_for", &self.deaf_for)
            .field("relaxed", &self.relaxed)
            .finish_non_exhaustive()
    }
}
