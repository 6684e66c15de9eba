//! Who has asked, and until when that counts: one number for each caller, in bounded memory, without a lock.
//!
//! The number is a time, the *arrival time* of GCRA: until then the caller has something to pay back. A caller whose time has
//! passed is no different from one who was never seen, so its entry may go. That is what keeps the table small: whoever comes
//! anew looks now and then, through one part of the table, for those who can go.
//!
//! An entry goes in two steps. First its time is replaced by [`GONE`], in one atomic step and only if it has passed; then it is
//! taken out. Whoever holds the entry in between sees the mark and starts anew, so no request is ever counted on an entry that
//! nobody will look at again.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use papaya::{HashMap, ResizeMode};

use crate::telemetry;

/// The mark of an entry that is taken out. No clock gets there: it is 584 years.
const GONE: u64 = u64::MAX;
/// Into how many parts the table is divided, so that looking through one is short.
const PARTS: u64 = 64;
/// Fewer entries than these are not worth looking through, in one part.
const FEW: usize = 64;
/// A part of a full table is not looked through more often than this, in nanoseconds; and an entry stays so long after its time.
const REST: u64 = 1_000_000_000;
/// After so many entries a request looks no further: that is a millisecond or two.
const MOST_SEEN: usize = 20_000;
/// Entries of each quota that strangers share while the table is full of callers who still have something to pay back.
const SHARED: usize = 1024;

#[derive(Debug)]
pub(super) struct Table {
    /// Of what it is a table, in metrics.
    name: &'static str,
    hasher: RandomState,
    parts: Box<[Part]>,
    shared: Box<[Entry]>,
    held: AtomicUsize,
    most: usize,
    next_part: AtomicUsize,
}

type Entries = HashMap<u64, Entry, BuildHasherDefault<Hashed>>;

#[derive(Debug)]
struct Part {
    entries: Entries,
    /// How many entries there must be before it is looked through.
    enough: AtomicUsize,
    rests_until: AtomicU64,
}

#[derive(Debug, Default)]
struct Entry(AtomicU64);

impl Table {
    /// Room for `most` callers, who have so many quotas.
    pub(super) fn new(name: &'static str, most: usize, quotas: usize) -> Self {
        Self {
            name,
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Part::new()).collect(),
            shared: (0..quotas.max(1) * SHARED).map(|_| Entry::default()).collect(),
            held: AtomicUsize::new(0),
            most,
            next_part: AtomicUsize::new(0),
        }
    }

    /// The key of a caller: with a secret of this process in it, so that nobody can make up a name that shares another's entry.
    pub(super) fn key(&self, caller: &impl Hash) -> u64 {
        self.hasher.hash_one(caller)
    }

    /// How many callers are held, of whom some may have nothing to pay back any more.
    pub(super) fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Replaces the caller's time by what `next` makes of it, in one atomic step, or leaves it if `next` fails. A caller who was not
    /// seen has 0. `next` may be called more than once.
    pub(super) fn update<T, E>(
        &self,
        (quota, key): (usize, u64),
        now: u64,
        next: impl Fn(u64) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        // Neither the lowest nor the highest bits, by which a map finds its entries.
        let part = pick(&self.parts, key >> 24);
        // Shared with those of the same quota only: a debt under one of longer windows would take others longer than their own.
        let shared = pick(
            &self.shared,
            (quota * SHARED) as u64 + (key >> 32) % SHARED as u64,
        );
        loop {
            if let Some(told) = self.update_held(part, key, &next) {
                return told;
            }
            if !self.make_room(part, now) {
                if let Some(told) = shared.update(&next) {
                    return told;
                }
            } else if part.entries.pin().try_insert(key, shared.copied()).is_err() {
                self.give_up_room();
            }
        }
    }

    /// `None`: the caller has no entry.
    fn update_held<T, E>(
        &self,
        part: &Part,
        key: u64,
        next: impl Fn(u64) -> Result<(T, u64), E>,
    ) -> Option<Result<T, E>> {
        let entries = part.entries.pin();
        let told = entries.get(&key)?.update(next);
        if told.is_none() {
            self.take_out(part, key);
        }
        told
    }

    /// Whether there is room for one more, which is his then.
    fn make_room(&self, part: &Part, now: u64) -> bool {
        if part.entries.len() >= part.enough.load(Ordering::Relaxed) {
            self.look_through(part, now);
        }
        if self.take_room() {
            return true;
        }
        self.look_for_room(now);
        self.take_room()
    }

    /// Callers who can go may be in any part. As long as nobody has gone, the next part is looked through.
    fn look_for_room(&self, now: u64) {
        let first = self.next_part.fetch_add(1, Ordering::Relaxed) as u64;
        let mut seen = 0;
        for turn in 0..PARTS {
            let part = pick(&self.parts, first.wrapping_add(turn));
            if part.rests_until.load(Ordering::Relaxed) > now {
                continue;
            }
            seen += part.entries.len();
            self.look_through(part, now);
            if self.len() < self.most || seen > MOST_SEEN {
                return;
            }
        }
    }

    fn take_room(&self) -> bool {
        let one_more = |held| (held < self.most).then_some(held + 1);
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if let Ok(before) = taken {
            telemetry::limited_callers(self.name, before + 1);
        }
        taken.is_ok()
    }

    fn give_up_room(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes out all who have nothing to pay back.
    fn look_through(&self, part: &Part, now: u64) {
        part.rests_until
            .store(now.saturating_add(REST), Ordering::Relaxed);
        for (key, entry) in &part.entries.pin() {
            if entry.end(now) {
                self.take_out(part, *key);
            }
        }
        let twice = part.entries.len().saturating_mul(2);
        part.enough.store(twice.max(FEW), Ordering::Relaxed);
        telemetry::limited_callers(self.name, self.len());
    }

    fn take_out(&self, part: &Part, key: u64) {
        if let Ok(Some(_)) = part.entries.pin().remove_if(&key, |_, entry| entry.is_gone()) {
            self.give_up_room();
        }
    }
}

impl Part {
    fn new() -> Self {
        Self {
            // Who comes anew waits while it grows, which is short. Step by step, a part that grew and is then only read would be two
            // tables for good.
            entries: HashMap::builder()
                .hasher(BuildHasherDefault::default())
                .resize_mode(ResizeMode::Blocking)
                .build(),
            enough: AtomicUsize::new(FEW),
            rests_until: AtomicU64::new(0),
        }
    }
}

impl Entry {
    /// `None`: the entry is gone.
    fn update<T, E>(&self, next: impl Fn(u64) -> Result<(T, u64), E>) -> Option<Result<T, E>> {
        let mut time = self.0.load(Ordering::Relaxed);
        while time != GONE {
            let (told, new) = match next(time) {
                Ok(told) => told,
                Err(error) => return Some(Err(error)),
            };
            let replaced =
                self.0
                    .compare_exchange_weak(time, new.min(GONE - 1), Ordering::Relaxed, Ordering::Relaxed);
            match replaced {
                Ok(_) => return Some(Ok(told)),
                Err(other) => time = other,
            }
        }
        None
    }

    /// An entry for one of those who share this one: what they used while there was no room, he has used as well, or he would have
    /// twice as much when there is room again.
    fn copied(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    /// Whether it is gone: its time has passed, and nobody changed it meanwhile. It must have passed for a while, since others may have
    /// read the clock before us and come here after us; to who finds no entry then it must be as if there had been one.
    fn end(&self, now: u64) -> bool {
        let time = self.0.load(Ordering::Relaxed);
        let ended = || {
            self.0
                .compare_exchange(time, GONE, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        time == GONE || (time.saturating_add(REST) <= now && ended())
    }

    fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GONE
    }
}

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the place is a remainder of the slice's own length"
)]
fn pick<T>(all: &[T], place: u64) -> &T {
    &all[place as usize % all.len()]
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are whole numbers, and come below.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
