//! What this process knows, and whether it hears.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::engine::{Engine, LONGEST_SILENCE, NewsId, Place};
use super::error::RedisRevocationsError;
use super::follower;
use super::status::{Hearing, RedisRevocationsStatus};
use super::wire;
use crate::clock::Clock;
use crate::revocation::{Index, Relaxed};
use crate::telemetry;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) engine: Arc<Engine>,
    pub(super) index: Index,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) relaxed: Relaxed,
    pub(super) replicas: u32,
    patience: Duration,
    /// Whether there is a task that hears.
    follows: AtomicBool,
    hears: AtomicBool,
    /// When the engine answered last, in milliseconds of the steady clock.
    heard_at: AtomicU64,
    unreadable: AtomicU64,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    /// The generation, and the last news that were heard; none until everything was loaded.
    place: Option<(String, NewsId)>,
    /// Whether the engine has all that was known before that.
    is_whole: bool,
    told: NewsId,
    heard: Option<SystemTime>,
}

/// How far the first load is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) loaded: bool,
    pub(super) failures: u64,
    pub(super) failure: Option<RedisRevocationsError>,
}

impl Node {
    pub(super) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        relaxed: Relaxed,
        replicas: u32,
        patience: Duration,
    ) -> Self {
        Self {
            engine: Arc::new(engine),
            index: Index::new(Arc::clone(&clock)),
            clock,
            relaxed,
            replicas,
            patience,
            follows: AtomicBool::new(false),
            hears: AtomicBool::new(false),
            heard_at: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            state: Mutex::default(),
            progress: watch::Sender::default(),
        }
    }

    /// Sees to it that there is a task that hears. Whether there is one, or a runtime to start one.
    pub(super) fn follow(self: &Arc<Self>) -> bool {
        if self.follows.load(Ordering::Acquire) {
            return true;
        }
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        if !self.follows.swap(true, Ordering::AcqRel) {
            drop(runtime.spawn(follower::run(self)));
        }
        true
    }

    /// The task has ended; the next use starts another.
    pub(super) fn is_alone(&self, error: &RedisRevocationsError) {
        self.is_deaf(error);
        self.follows.store(false, Ordering::Release);
    }

    /// Whether it has been deaf for longer than it may, or knows nothing yet.
    pub(super) fn is_too_deaf(&self) -> bool {
        if !self.progress.borrow().loaded {
            return true;
        }
        let silence = self.silence();
        let is_deaf = !self.hears.load(Ordering::Acquire) || silence >= LONGEST_SILENCE;
        is_deaf && silence >= self.patience
    }

    fn silence(&self) -> Duration {
        let heard_at = Duration::from_millis(self.heard_at.load(Ordering::Acquire));
        self.clock.monotonic().saturating_sub(heard_at)
    }

    /// The engine has answered, and all that it holds is known.
    pub(super) fn hears(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.heard_at.store(now, Ordering::Release);
        self.state().heard = Some(self.clock.now());
        let heard_before = self.hears.swap(true, Ordering::AcqRel);
        if !self.progress.borrow().loaded {
            self.progress.send_modify(|progress| progress.loaded = true);
        }
        if !heard_before {
            telemetry::revocations_heard();
        }
    }

    /// The connection is lost, or the engine is not what it was.
    pub(super) fn is_deaf(&self, error: &RedisRevocationsError) {
        let heard_before = self.hears.swap(false, Ordering::AcqRel);
        let mut is_first = false;
        self.progress.send_modify(|progress| {
            is_first = progress.failures == 0 && !progress.loaded;
            progress.failures = progress.failures.saturating_add(1);
            progress.failure = Some(error.clone());
        });
        if heard_before || is_first {
            telemetry::revocations_not_heard(error);
        }
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Adds what the engine holds. What cannot be read is not guessed at: a later version may have written it.
    pub(super) fn add(&self, name: &[u8], entry: &[u8]) {
        for order in wire::orders(name, entry) {
            match order {
                Some(order) => self.index.apply(&order),
                None => _ = self.unreadable.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    /// Where it was, if it can go on from there.
    pub(super) fn place(&self) -> Option<Place> {
        let state = self.state();
        if !state.is_whole {
            return None;
        }
        let (generation, last) = state.place.clone()?;
        Some(Place {
            generation,
            last,
            told: state.told,
        })
    }

    /// Everything is loaded anew: what the engine said before counts no longer.
    pub(super) fn leaves(&self) {
        let mut state = self.state();
        state.place = None;
        state.is_whole = false;
        state.told = NewsId::default();
    }

    /// The engine has all that this node knows.
    pub(super) fn is_whole(&self) {
        self.state().is_whole = true;
    }

    pub(super) fn is_at(&self, generation: String, last: NewsId) {
        self.state().place = Some((generation, last));
    }

    /// News up to here are known. Said after they are, so that whoever loads meanwhile puts them back, or is told of them here.
    pub(super) fn was_told(&self, newest: NewsId) {
        let mut state = self.state();
        state.told = state.told.max(newest);
    }

    pub(super) fn told(&self) -> NewsId {
        self.state().told
    }

    pub(super) fn status(&self) -> RedisRevocationsStatus {
        let hears = self.hears.load(Ordering::Acquire) && self.silence() < LONGEST_SILENCE;
        let (answered, last) = {
            let state = self.state();
            (state.heard, state.place.as_ref().map(|(_, last)| *last))
        };
        RedisRevocationsStatus {
            hearing: match answered {
                None => Hearing::NotYet,
                Some(_) if hears => Hearing::Now,
                Some(date) => Hearing::NotSince(date),
            },
            entries: self.index.len(),
            last_id: last
                .filter(|id| *id != NewsId::default())
                .map(|id| id.to_string()),
            unreadable: self.unreadable.load(Ordering::Relaxed),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
