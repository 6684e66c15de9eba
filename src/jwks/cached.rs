use std::sync::Arc;
use std::time::Duration;

use super::provider::KeyProvider;
use super::published::{Handle, Published};
use super::remote::RemoteKeys;
use super::schedule::Rules;
use super::source::{ErasedSource, KeySource};
use crate::clock::Clock;
use crate::error::Problems;

const RULES: Rules = Rules {
    time_to_live: Duration::from_secs(10 * 60),
    shortest_life: Duration::from_secs(60),
    longest_life: Duration::from_secs(24 * 60 * 60),
    stale_for: Duration::from_secs(60 * 60),
    cool_down: Duration::from_secs(30),
    longest_wait: Duration::from_secs(1),
};

/// Keeps what a [`KeySource`] gave, and decides when to ask it again, so that keys are there whatever the issuer does.
///
/// - Nothing is fetched before the first use, and then once for all who wait. From then on a task fetches in the
///   background, whether requests come or not.
/// - A set has the life that its source gives it (`Cache-Control: max-age` for keys over HTTP, never under 1 min or above
///   24 h), or else [`time_to_live`](Self::time_to_live). It is renewed when about 80 % of that have passed, a little
///   earlier or later by chance, so that a fleet does not ask all at once.
/// - After a failure the next attempt comes within 1 s, then 2 s, doubling to 1 min; or when the issuer asks for it
///   (`Retry-After`, for up to 10 min). The keys in use stay in use for their whole life and for
///   [`stale_for`](Self::stale_for) after it. A document that cannot be used is a failure like any other, and never
///   replaces what works.
/// - A token with an unknown `kid` is worth one fetch for all who wait, and then none for the
///   [`cool_down`](Self::cool_down). This budget is apart from the schedule: junk does not put off a refresh. A `kid` that
///   was fetched for in vain has to wait for two cool-downs, then four, and so on, until there is a new set; 1,000 such names
///   are remembered, as hashes.
/// - A request waits only if there are no keys at all, or its `kid` is unknown and the budget allows a fetch; after
///   [`longest_wait`](Self::longest_wait) it is answered with 503. A `kid` that may not be fetched for is answered with
///   401, or with 503 and `Retry-After` if the last fetch failed.
/// - A key that is not in the newest set verifies nothing any more, also no token that was verified before.
///
/// The task runs on the tokio runtime of the request that came first, which must have its time and I/O drivers enabled. It
/// ends with the last layer that uses it; a cancelled request does not stop it; and if its runtime has gone, the next
/// request starts another. A runtime that is kept but never polled again keeps the task without running it: do not warm up
/// on one that you then leave standing. The issuer's `key_status` tells how things are. While a machine is suspended, its
/// steady clock may stand still, and with it the age of keys.
#[derive(Debug, Clone)]
pub struct CachedKeys {
    source: Arc<dyn ErasedSource>,
    remote: Option<RemoteKeys>,
    rules: Rules,
}

impl CachedKeys {
    /// Keeps what this source gives.
    pub fn new(source: impl KeySource) -> Self {
        Self::build(Arc::new(source), None)
    }

    fn build(source: Arc<dyn ErasedSource>, remote: Option<RemoteKeys>) -> Self {
        Self {
            source,
            remote,
            rules: RULES,
        }
    }

    /// The life of keys whose source does not say how long they are good for. Default: 10 min, because that is how long a
    /// key that the issuer withdrew may go on working.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.rules.time_to_live = time;
        self
    }

    /// The shortest life that the source may give its keys. Default: 1 min, because an issuer that says "do not cache" must
    /// not be asked for every request.
    #[must_use]
    pub fn shortest_life(mut self, time: Duration) -> Self {
        self.rules.shortest_life = time;
        self
    }

    /// The longest life that the source may give its keys. Default: 24 h, because that is how long a stolen key works after
    /// the issuer withdrew it.
    #[must_use]
    pub fn longest_life(mut self, time: Duration) -> Self {
        self.rules.longest_life = time;
        self
    }

    /// How long keys stay in use after their life while no new ones can be had. Default: 1 h, because most outages are
    /// shorter, and a withdrawn key should not live much longer. Zero: never; several days: for a service that must outlive
    /// its issuer.
    #[must_use]
    pub fn stale_for(mut self, time: Duration) -> Self {
        self.rules.stale_for = time;
        self
    }

    /// How long after a fetch for an unknown `kid` no other is made for one. Default: 30 s, because a real rotation is
    /// rare and junk is not.
    #[must_use]
    pub fn cool_down(mut self, time: Duration) -> Self {
        self.rules.cool_down = time;
        self
    }

    /// How long a request waits for keys at most. Default: 1 s, because a client that waits longer gives up.
    #[must_use]
    pub fn longest_wait(mut self, time: Duration) -> Self {
        self.rules.longest_wait = time;
        self
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if let Some(remote) = &self.remote {
            remote.check(problems);
        }
        let rules = &self.rules;
        for (setter, time) in [
            ("time_to_live", rules.time_to_live),
            ("shortest_life", rules.shortest_life),
        ] {
            if time.is_zero() {
                problems.add(setter, "0 s would load the keys for every request");
            }
        }
        if rules.cool_down.is_zero() {
            problems.add("cool_down", "0 s would let every junk token cause a load");
        }
        if rules.longest_life < rules.shortest_life {
            problems.add("longest_life", "it is shorter than shortest_life");
        }
    }

    pub(super) fn provider(self, issuer: Arc<str>, clock: Arc<dyn Clock>) -> Arc<dyn KeyProvider> {
        let published = Published::new(self.source, self.remote, self.rules, issuer, clock);
        Arc::new(Handle(Arc::new(published)))
    }
}

impl From<RemoteKeys> for CachedKeys {
    fn from(keys: RemoteKeys) -> Self {
        Self::build(Arc::new(keys.clone()), Some(keys))
    }
}
