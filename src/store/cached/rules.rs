//! How an entry may be used: a pure function of its age, of what was heard since, and of whether the store answers.

use std::time::Duration;

/// The lives of entries, and the patience of requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) fresh: Duration,
    pub(super) stale_for: Duration,
    pub(super) unknown_for: Duration,
    pub(super) deadline: Duration,
}

/// What was heard of changes since an entry was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Everything: if it had changed, the entry would be gone.
    Everything,
    /// Nothing is heard now.
    Nothing,
    /// Everything is heard now, and not all the time since the entry was read.
    NotAll,
}

/// How an entry may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usable {
    AtOnce,
    /// While the store is asked in the background.
    AtOnceAndRefresh,
    /// The store is asked first; if it has no answer, the entry is used.
    IfStoreFails,
    Not,
}

impl Rules {
    /// An entry of this age at least is used no more.
    pub(super) fn longest_use(&self) -> Duration {
        self.fresh.saturating_add(self.stale_for)
    }

    pub(super) fn of_known(&self, age: Duration, heard: Heard, store_fails: bool) -> Usable {
        let is_fresh = age < self.fresh && heard != Heard::NotAll;
        if is_fresh && age < self.refresh_from() {
            Usable::AtOnce
        } else if is_fresh {
            Usable::AtOnceAndRefresh
        } else if age >= self.longest_use() {
            Usable::Not
        } else if heard == Heard::Everything || store_fails {
            Usable::AtOnceAndRefresh
        } else {
            Usable::IfStoreFails
        }
    }

    /// Whether "there is no such key" still counts.
    pub(super) fn of_unknown(&self, age: Duration, heard: Heard) -> bool {
        age < self.unknown_for && heard != Heard::NotAll
    }

    /// A key that is used all the time is renewed ahead, so that none of its requests waits.
    fn refresh_from(&self) -> Duration {
        self.fresh / 5 * 4
    }
}
