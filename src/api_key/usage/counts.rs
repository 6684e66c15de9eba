//! What was not written down yet, counted without a lock.
//!
//! A counter whose counts were written down is closed and taken out of the map, so that it takes no other key's place. A
//! counter says how much was announced to it and not taken from it. Whoever counts announces first, and whoever takes takes
//! back no more than he got: so where nothing is announced, nothing was counted and nobody is about to. Closing is one atomic
//! step from "nothing" to [`CLOSED`], so an announcement comes before it, and then the counter is not closed; or after it,
//! and then whoever counts sees the mark, has counted nothing yet, and takes a new counter. Nothing falls between, and
//! nothing counts twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::KeyUses;

/// The mark of a counter that is taken out. No key is presented 2^63 times between two writes.
const CLOSED: u64 = 1 << 63;

#[derive(Debug, Default)]
pub(super) struct Counts {
    counters: papaya::HashMap<Arc<str>, Counter>,
    lost: AtomicU64,
}

/// What is counted, or taken, at a time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    uses: u64,
    /// When the last use was, in seconds since 1970. Without a use it is 0, or what the counter says already.
    last_used_at: u64,
    limited: u64,
    refused: u64,
}

#[derive(Debug, Default)]
struct Counter {
    /// Announced and not taken, of all outcomes together.
    announced: AtomicU64,
    uses: AtomicU64,
    /// Seconds since 1970.
    last_used_at: AtomicU64,
    limited: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    /// One use that a limit has turned away.
    pub(super) const LIMITED: Self = Self {
        uses: 0,
        last_used_at: 0,
        limited: 1,
        refused: 0,
    };
    /// One request whose key was known and not valid.
    pub(super) const REFUSED: Self = Self {
        uses: 0,
        last_used_at: 0,
        limited: 0,
        refused: 1,
    };

    /// One use.
    pub(super) fn used(now: SystemTime) -> Self {
        Self {
            uses: 1,
            last_used_at: seconds(now),
            limited: 0,
            refused: 0,
        }
    }

    fn of(written: &KeyUses) -> Self {
        Self {
            uses: written.uses,
            last_used_at: seconds(written.last_used_at),
            limited: written.limited,
            refused: written.refused,
        }
    }

    fn sum(self) -> u64 {
        self.uses
            .saturating_add(self.limited)
            .saturating_add(self.refused)
    }

    fn into_uses(self, id: &Arc<str>) -> KeyUses {
        let last_used_at = UNIX_EPOCH.checked_add(Duration::from_secs(self.last_used_at));
        KeyUses::new(Arc::clone(id), self.uses, last_used_at.unwrap_or(UNIX_EPOCH))
            .limited(self.limited)
            .refused(self.refused)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Counter {
    /// `false` if the counter was closed meanwhile; then nothing was counted.
    fn add(&self, tally: Tally) -> bool {
        if self.announced.fetch_add(tally.sum(), Ordering::Relaxed) & CLOSED != 0 {
            return false;
        }
        // The time before the count: whoever takes the count sees the time. And only when it moves, so that a busy key's
        // time is read by all cores and written by one a second.
        if self.last_used_at.load(Ordering::Relaxed) < tally.last_used_at {
            self.last_used_at.fetch_max(tally.last_used_at, Ordering::Relaxed);
        }
        let counts = [
            (&self.uses, tally.uses),
            (&self.limited, tally.limited),
            (&self.refused, tally.refused),
        ];
        for (count, more) in counts {
            if more > 0 {
                // Whoever takes the count has seen the announcement, so it is never taken back before it was made.
                count.fetch_add(more, Ordering::Release);
            }
        }
        true
    }

    fn take(&self) -> Tally {
        let uses = self.uses.swap(0, Ordering::Acquire);
        let taken = Tally {
            uses,
            last_used_at: self.last_used_at.load(Ordering::Relaxed),
            limited: self.limited.swap(0, Ordering::Acquire),
            refused: self.refused.swap(0, Ordering::Acquire),
        };
        self.announced.fetch_sub(taken.sum(), Ordering::Relaxed);
        taken
    }

    /// `false` if something was not taken.
    fn close(&self) -> bool {
        let closed = self
            .announced
            .compare_exchange(0, CLOSED, Ordering::Relaxed, Ordering::Relaxed);
        closed.is_ok()
    }

    fn is_closed(&self) -> bool {
        self.announced.load(Ordering::Relaxed) & CLOSED != 0
    }
}

impl Counts {
    /// Counts for the key with this id, unless `most` other keys have counts that were not written down. The id is made
    /// `shared` only if there is no counter yet.
    pub(super) fn add(&self, id: &str, shared: impl Fn() -> Arc<str>, tally: Tally, most: usize) {
        let counters = self.counters.pin();
        loop {
            if let Some(counter) = counters.get(id) {
                if counter.add(tally) {
                    return;
                }
                let _ = counters.remove_if(id, |_, counter| counter.is_closed());
            } else if counters.len() >= most {
                self.lost.fetch_add(tally.sum(), Ordering::Relaxed);
                return;
            } else {
                counters.get_or_insert_with(shared(), Counter::default);
            }
        }
    }

    /// Takes what was counted, at most `most` keys of it. One caller at a time.
    pub(super) fn take(&self, most: usize) -> Vec<KeyUses> {
        let counters = self.counters.pin();
        let taken = counters.iter().filter_map(|(id, counter)| {
            let taken = counter.take();
            // If it is nothing, somebody is about to count his first.
            (taken.sum() > 0).then(|| taken.into_uses(id))
        });
        taken.take(most).collect()
    }

    /// What was taken is written down: who does not present these keys just now makes room. One caller at a time, the one
    /// who took: until then the places are kept, so that what is given back never comes on top of other keys.
    pub(super) fn forget(&self, written: &[KeyUses]) {
        let counters = self.counters.pin();
        for KeyUses { id, .. } in written {
            if counters.get(&**id).is_some_and(Counter::close) {
                let _ = counters.remove_if(&**id, |_, counter| counter.is_closed());
            }
        }
    }

    /// What could not be written down counts again; it is bounded by what was taken.
    pub(super) fn give_back(&self, taken: &[KeyUses]) {
        for uses in taken {
            self.add(&uses.id, || Arc::clone(&uses.id), Tally::of(uses), usize::MAX);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn keys(&self) -> usize {
        self.counters.len()
    }
}
