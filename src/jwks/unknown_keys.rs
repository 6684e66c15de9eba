//! What a service may spend on keys that an issuer does not have: one fetch in a cool-down, and less for a key that was
//! fetched for in vain already.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::verifying_key::Algorithm;

const MOST_KEYS: usize = 1000;

/// Stands for the name and algorithm that a token gives. A hash of them with a secret of this process, so that what is
/// remembered is small, and nobody can make up a name that is taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyName(u64);

#[derive(Debug, Default)]
pub(super) struct NameHasher(RandomState);

impl NameHasher {
    pub(super) fn name(&self, kid: Option<&str>, algorithm: Algorithm) -> KeyName {
        KeyName(self.0.hash_one((kid, algorithm)))
    }
}

#[derive(Debug, Default)]
pub(super) struct UnknownKeys {
    /// No fetch for any unknown key before this time.
    next: Duration,
    fetched_in_vain: HashMap<KeyName, Pause>,
}

#[derive(Debug)]
struct Pause {
    until: Duration,
    length: Duration,
}

impl UnknownKeys {
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn may_be_fetched(&self, key: KeyName, now: Duration) -> bool {
        let waits = |pause: &Pause| now < pause.until;
        now >= self.next && !self.fetched_in_vain.get(&key).is_some_and(waits)
    }

    pub(super) fn spend(&mut self, now: Duration, cool_down: Duration) {
        self.next = now.saturating_add(cool_down);
    }

    pub(super) fn refund(&mut self) {
        self.next = Duration::ZERO;
    }

    pub(super) fn hold_until(&mut self, time: Duration) {
        self.next = self.next.max(time);
    }

    /// The issuer answered, and has no such key. An issuer may sign with a key a moment before it publishes it, so the key
    /// is worth another fetch, but only after two cool-downs, then four: what comes again and again is somebody's mistake,
    /// and must leave the budget to others.
    pub(super) fn was_in_vain(&mut self, key: KeyName, now: Duration, cool_down: Duration) {
        let known = self.fetched_in_vain.get(&key);
        if known.is_none() && self.fetched_in_vain.len() >= MOST_KEYS {
            return;
        }
        let length = known.map_or(cool_down, |pause| pause.length).saturating_mul(2);
        let until = now.saturating_add(length);
        self.fetched_in_vain.insert(key, Pause { until, length });
    }

    /// There is a new set, so anything may be in the next.
    pub(super) fn forget_keys(&mut self) {
        self.fetched_in_vain.clear();
    }
}
