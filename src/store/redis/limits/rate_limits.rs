use std::fmt;
use std::sync::Arc;

use redis::Client;

use super::count::{Count, read};
use super::error::RedisRateLimitsError;
use super::line::Line;
use crate::limit::{Quota, SharedRateLimits, Taken};

/// Rate limits that all machines share, over Redis or Valkey: what a caller used at one machine is used at all of them.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_resource_server::{Quota, RedisRateLimits, SharedRateLimits};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let limits = RedisRateLimits::new(client);             // connects at the first request
/// let taken = limits.take("free:alice", Quota::per_minute(60)).await?;
/// assert!(taken.granted || taken.next > Duration::ZERO);
/// # Ok(())
/// # }
/// ```
///
/// Clones share one connection. The engine is one Redis (6 or later) or Valkey that can be written to, with whatever fails over
/// behind its address; TLS and the password are the client's (`rediss://` needs a TLS feature of your own dependency on `redis`).
/// Not done: sentinels and clusters are not asked who the primary is.
///
/// # What a request costs
///
/// One question to the engine, in which a script judges and counts: so no two machines use the same place. Time is the engine's
/// own; clocks of machines do not matter. A caller is one small key, which vanishes as soon as the quota is whole again. A
/// refused request writes nothing.
///
/// # What callers may have more or less
///
/// - An engine that loses keys (it restarts, evicts, or a replica takes over that lagged behind) gives callers their whole quota
///   again. `maxmemory-policy noeviction` makes a full engine fail instead.
/// - A request counts although nobody waited for its answer, and twice if the connection broke while it was answered.
/// - What a key holds is in doubt if it cannot be read, or says that the quota is whole later than it can be (the quota was
///   lowered, or the engine's clock set back). Then the quota counts as spent, and comes back from now on.
///
/// # When the engine is away
///
/// A task connects, for up to 2 seconds, while requests wait for it as long as they may. After a failure it pauses for up to half
/// a second, in which requests fail at once with the reason. A connection on which an answer stays out for half a second is given
/// up, even if nobody waits for the answer any more; one that is merely slow is kept. A replica is no place to count.
///
/// A runtime that is kept and never polled again keeps the task that connects: there is no connection until it is dropped.
///
/// # What the engine's user may do
///
/// Whoever can write to the engine can lock callers out, and give them more than their plan. Give the servers a user of their own,
/// who may do no more than this (with your prefix, and `+select` for a database other than 0):
///
/// ```text
/// ACL SETUSER limits on >password ~trs:limit:* +evalsha +eval +time +get +set
/// ```
///
/// Keys are named by the callers, so who may read their names learns who has been there of late.
#[derive(Clone)]
pub struct RedisRateLimits {
    line: Arc<Line>,
    prefix: Arc<str>,
}

impl RedisRateLimits {
    /// Limits over this engine. Nothing is connected yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            line: Arc::new(Line::new(client)),
            prefix: "trs".into(),
        }
    }

    /// What the names of the keys begin with, before `:limit:`: machines with the same prefix count together. Default: `trs`,
    /// because most engines serve one fleet.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }
}

impl SharedRateLimits for RedisRateLimits {
    type Error = RedisRateLimitsError;

    /// May be dropped at any time. It ends by itself, after some seconds at most.
    async fn take(&self, caller: &str, quota: Quota) -> Result<Taken, RedisRateLimitsError> {
        let count = Count::of(&self.prefix, caller, quota);
        let answer = match self.line.ask(count.by_digest()).await {
            // It is new, or has forgotten it.
            Err(error) if error.is_unknown_script() => self.line.ask(count.by_script()).await,
            answer => answer,
        };
        read(answer?, quota)
    }
}

/// The client knows a password.
impl fmt::Debug for RedisRateLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisRateLimits")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
