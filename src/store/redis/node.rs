//! What this process knows, and whether it hears.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::ear::LONGEST_SILENCE;
use super::engine::Engine;
use super::error::RedisRevocationsError;
use super::follower;
use super::news::{NewsId, Place};
use super::owed::Owed;
use super::status::{Hearing, RedisRevocationsStatus};
use super::wire;
use crate::clock::Clock;
use crate::revocation::{Index, Relaxed, Revocation};
use crate::telemetry;

/// A date that goes back by more was set, and not merely corrected.
const STEP: Duration = Duration::from_secs(2);

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
    /// Whether everything was known once.
    loaded: AtomicBool,
    hears: AtomicBool,
    /// When the question was asked whose answer was that there is nothing new, in milliseconds of the steady clock.
    heard_at: AtomicU64,
    unreadable: AtomicU64,
    state: Mutex<State>,
    owed: Mutex<Owed>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    /// Where it can come back to; none until everything was loaded.
    place: Option<Place>,
    /// When it heard last, by the date.
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
            loaded: AtomicBool::new(false),
            hears: AtomicBool::new(false),
            heard_at: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            state: Mutex::default(),
            owed: Mutex::default(),
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
        if self.hears_now() {
            return false;
        }
        !self.loaded.load(Ordering::Acquire) || self.silence() >= self.patience
    }

    pub(super) fn hears_now(&self) -> bool {
        self.hears.load(Ordering::Acquire) && self.silence() < LONGEST_SILENCE
    }

    fn silence(&self) -> Duration {
        let heard_at = Duration::from_millis(self.heard_at.load(Ordering::Acquire));
        self.clock.monotonic().saturating_sub(heard_at)
    }

    /// All that the engine held at this moment of the steady clock is known. `false`: the date went back, so what seemed to be over
    /// may count again, and is to be loaded once more.
    pub(super) fn hears(&self, asked_at: Duration) -> bool {
        let asked_at = u64::try_from(asked_at.as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        {
            let mut state = self.state();
            let latest = state.heard.unwrap_or(now);
            state.heard = Some(now);
            if now + STEP < latest {
                return false;
            }
        }
        self.heard_at.store(asked_at, Ordering::Release);
        self.measure();
        let heard_before = self.hears.swap(true, Ordering::AcqRel);
        if !self.loaded.swap(true, Ordering::AcqRel) {
            self.progress.send_modify(|progress| progress.loaded = true);
        }
        if !heard_before {
            telemetry::revocations_heard();
        }
        true
    }

    /// The connection is lost, or the engine is not what it was.
    pub(super) fn is_deaf(&self, error: &RedisRevocationsError) {
        self.engine.hang_up();
        self.measure();
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

    fn measure(&self) {
        telemetry::revocations(self.silence(), self.index.len(), self.owed().len());
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// An entry of the engine. What cannot be read is not guessed at: a later version may have written it.
    pub(super) fn read(&self, name: &[u8], entry: &[u8]) {
        if name.is_empty() {
            return;
        }
        for order in wire::orders(name, entry) {
            match order {
                Some(order) => {
                    self.index.apply(&order);
                    self.owed().settle(&order);
                }
                None => _ = self.unreadable.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    /// The engine has acknowledged it.
    pub(super) fn revoked(&self, order: &Revocation) {
        self.index.apply(order);
        self.owed().add(order.clone());
    }

    /// Another connection: where it was, if it can go on from there.
    pub(super) fn comes_back(&self) -> Option<Place> {
        self.engine.hang_up();
        self.owed().unsend();
        self.state().place.clone()
    }

    /// Everything is loaded anew, and the engine may have lost anything that is known.
    pub(super) async fn leaves(self: Arc<Self>) -> Result<(), RedisRevocationsError> {
        self.state().place = None;
        let this = Arc::clone(&self);
        // A million take longer than a request should wait for its turn on this thread. What was owed is known.
        let known = spawn_blocking(move || {
            let owed = this.owed().take();
            drop(owed);
            this.index.orders().into_iter().collect()
        });
        let known = known.await.map_err(|_| RedisRevocationsError::NoRuntime)?;
        self.owed().restore(known);
        Ok(())
    }

    /// The time, some of what the engine is to be told, and whether it may have lost any of that.
    pub(super) fn before_a_turn(&self, most: usize) -> (Duration, Vec<Revocation>, bool) {
        let owed = self.owed();
        (self.clock.monotonic(), owed.some(most), owed.restores())
    }

    pub(super) fn were_sent(&self, orders: Vec<Revocation>, newest: NewsId) {
        self.owed().were_sent(orders, newest);
    }

    pub(super) fn has_sent_all(&self) -> bool {
        self.owed().some(1).is_empty()
    }

    /// The news were read up to here.
    pub(super) fn is_at(&self, place: &Place) {
        self.owed().is_read_to(place.last.id);
        if place.last.id >= place.settles {
            self.state().place = Some(place.clone());
        }
    }

    pub(super) fn status(&self) -> RedisRevocationsStatus {
        let hears = self.hears_now();
        let (answered, last) = {
            let state = self.state();
            (state.heard, state.place.as_ref().map(|place| place.last.id))
        };
        RedisRevocationsStatus {
            hearing: match answered {
                None => Hearing::NotYet,
                Some(_) if hears => Hearing::Now,
                Some(date) => Hearing::NotSince(date),
            },
            entries: self.index.len(),
            owed: self.owed().len(),
            last_id: last.map(|id| id.to_string()),
            unreadable: self.unreadable.load(Ordering::Relaxed),
        }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
