//! Uses that were not written down yet, counted without a lock.
//!
//! A counter whose uses were written down is closed and taken out of the map, so that it takes no other key's place. Closing
//! is one atomic step from "no use" to [`CLOSED`], so a use is counted before it, and then the counter is not closed; or
//! after it, and then whoever counts sees the mark and takes a new counter. No use falls between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::{ApiKeyRecord, KeyUses};

/// The mark of a counter that is taken out. No key is used 2^63 times between two writes.
const CLOSED: u64 = 1 << 63;

#[derive(Debug, Default)]
pub(super) struct Counts {
    counters: papaya::HashMap<Arc<str>, Counter>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Counter {
    uses: AtomicU64,
    /// Seconds since 1970.
    last_used_at: AtomicU64,
}

impl Counter {
    /// `false` if the counter was closed meanwhile.
    fn add(&self, uses: u64, second: u64) -> bool {
        // The time before the count: whoever takes the count sees the time. And only when it moves, so that a busy key's
        // time is read by all cores and written by one a second.
        if self.last_used_at.load(Ordering::Relaxed) < second {
            self.last_used_at.fetch_max(second, Ordering::Relaxed);
        }
        self.uses.fetch_add(uses, Ordering::Release) & CLOSED == 0
    }

    /// `false` if there are uses that were not taken.
    fn close(&self) -> bool {
        let closed = self
            .uses
            .compare_exchange(0, CLOSED, Ordering::Acquire, Ordering::Relaxed);
        closed.is_ok()
    }

    fn is_closed(&self) -> bool {
        self.uses.load(Ordering::Relaxed) & CLOSED != 0
    }
}

impl Counts {
    /// Counts one use, unless `most` other keys have uses that were not written down.
    pub(super) fn count(&self, record: &ApiKeyRecord, now: SystemTime, most: usize) {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.add(record.shared_id(), 1, second, most);
    }

    fn add(&self, id: &Arc<str>, uses: u64, second: u64, most: usize) {
        let counters = self.counters.pin();
        loop {
            if let Some(counter) = counters.get(&**id) {
                if counter.add(uses, second) {
                    return;
                }
                let _ = counters.remove_if(&**id, |_, counter| counter.is_closed());
            } else if counters.len() >= most {
                self.lost.fetch_add(uses, Ordering::Relaxed);
                return;
            } else {
                counters.get_or_insert_with(Arc::clone(id), Counter::default);
            }
        }
    }

    /// Takes what was counted, at most `most` keys of it. One caller at a time.
    pub(super) fn take(&self, most: usize) -> Vec<KeyUses> {
        let counters = self.counters.pin();
        let mut taken = Vec::new();
        for (id, counter) in &counters {
            if taken.len() == most {
                break;
            }
            let uses = counter.uses.swap(0, Ordering::Acquire);
            if uses == 0 {
                continue; // somebody is about to count his first
            }
            let second = counter.last_used_at.load(Ordering::Relaxed);
            let last_used_at = UNIX_EPOCH.checked_add(Duration::from_secs(second));
            taken.push(KeyUses::new(
                Arc::clone(id),
                uses,
                last_used_at.unwrap_or(UNIX_EPOCH),
            ));
        }
        taken
    }

    /// What was taken is written down: who does not use these keys just now makes room. One caller at a time, the one who
    /// took: until then the places are kept, so that what is given back never comes on top of other keys.
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
        for KeyUses {
            id,
            uses,
            last_used_at,
        } in taken
        {
            let second = last_used_at.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.add(id, *uses, second.as_secs(), usize::MAX);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn keys(&self) -> usize {
        self.counters.len()
    }
}
