//! What requests see of an issuer's keys: a snapshot that is replaced as a whole, and a way to wait for the next one.
//!
//! # Why there is no race in it
//!
//! Everything that decides is behind one lock, which is held for a few instructions, never during a fetch, and never while
//! code of others runs: the clock is asked before, and errors are turned into text before. Beside it stand things that are
//! read without it, and none of them decides anything:
//!
//! - the snapshot is stored under the lock, so whoever holds the lock sees the schedule and the keys that belong together;
//! - `due` and `alive` only say whether it is worth waking the task: a stale answer makes a request wake it in vain, or
//!   leaves that to the next request or to the task's own timer;
//! - whether a task is started is decided by one atomic exchange of `alive`, so there is never a second one; and the task
//!   gives `alive` back when it is dropped, however that comes about. Nobody keeps a handle of it, so none can be that of
//!   another task: it ends because it is woken when this value is dropped, and finds nothing;
//! - a fetch may be cancelled before the task that waits for it, or after: both say that the runtime goes, which is no
//!   answer of the issuer, and neither is counted as one. So whoever waits on another runtime asks for another fetch;
//! - who waits has subscribed to the ends of fetches before it looks at the state, so no end is missed; a wake-up that
//!   comes while the task is at work is kept for it ([`Notify::notify_one`] stores one).
//!
//! So there is no interleaving of atomics for a model checker such as loom to explore that the lock does not already order.
//! `tests/it/drills/races.rs` shakes it all the same.
//!
//! What it rests on: a runtime that lives is driven. A task on one that is kept and never polled holds `alive`, and nothing
//! is fetched.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::key_set::{KeySet, KeySetMark};
use super::provider::{KeyProvider, Lookup};
use super::refresher::{self, LONGEST_LOAD};
use super::remote::RemoteKeys;
use super::schedule::{Answer, FIRST_RETRY, Lease, Rules, Schedule};
use super::source::ErasedSource;
use super::status::KeyStatus;
use super::unknown_keys::{KeyName, NameHasher};
use super::verifying_key::Algorithm;
use crate::authenticator::BoxFuture;
use crate::clock::Clock;
use crate::credential::{Asking, Unlimited};
use crate::error::{AuthError, Told};

/// The keys of one issuer, and all that is known about fetching them.
pub(super) struct Published {
    pub(super) issuer: Arc<str>,
    pub(super) source: Arc<dyn ErasedSource>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wake: Arc<Notify>,
    /// Counts the fetches that ended.
    pub(super) ended: watch::Sender<u64>,
    /// Issuers that are found at run time have none: there is no end to their names.
    pub(super) has_gauges: AtomicBool,
    remote: Option<RemoteKeys>,
    rules: Rules,
    names: NameHasher,
    snapshot: ArcSwapOption<Snapshot>,
    schedule: Mutex<Schedule>,
    /// The time of the clock, in milliseconds, at which the task has something to do.
    due: AtomicU64,
    /// Whether there is a task.
    alive: AtomicBool,
    /// The fetch under way, which ends with this value.
    load: Mutex<Option<AbortHandle>>,
}

struct Snapshot {
    set: KeySet,
    usable_until: Duration,
}

/// What a request waits for.
enum Wanted {
    AnyKeys,
    /// A key that was in no set yet. `since`: how many fetches for unknown keys had ended when this request came.
    Key {
        kid: Option<String>,
        algorithm: Algorithm,
        name: KeyName,
        since: u64,
    },
}

impl Published {
    pub(super) fn new(
        source: Arc<dyn ErasedSource>,
        remote: Option<RemoteKeys>,
        rules: Rules,
        issuer: Arc<str>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer,
            source,
            clock,
            remote,
            rules,
            has_gauges: AtomicBool::new(true),
            wake: Arc::default(),
            ended: watch::Sender::default(),
            names: NameHasher::default(),
            snapshot: ArcSwapOption::empty(),
            schedule: Mutex::new(Schedule::new(rules)),
            due: AtomicU64::new(0),
            alive: AtomicBool::new(false),
            load: Mutex::default(),
        }
    }

    /// Changes or asks the schedule, and says when the task is needed next.
    pub(super) fn schedule<T>(&self, ask: impl FnOnce(&mut Schedule, Duration) -> T) -> T {
        let now = self.clock.monotonic();
        let mut schedule = self.locked();
        let answer = ask(&mut schedule, now);
        let due = u64::try_from(schedule.due().as_millis()).unwrap_or(u64::MAX);
        self.due.store(due, Ordering::Relaxed);
        answer
    }

    /// Lets every request from now on see this set. The one in use stays if the new one says the same, so that what was
    /// verified with it stays verified.
    pub(super) fn publish(&self, new: KeySet) {
        self.schedule(|schedule, now| {
            let life = new.life();
            let (set, changed) = match &*self.snapshot.load() {
                Some(old) if old.set.says_the_same(&new) => (old.set.clone(), false),
                _ => (new, true),
            };
            let Lease { usable_until, .. } = schedule.succeeded(now, life, changed);
            self.snapshot
                .store(Some(Arc::new(Snapshot { set, usable_until })));
        });
    }

    pub(super) fn status(&self) -> KeyStatus {
        let (date, steady) = (self.clock.now(), self.clock.monotonic());
        self.locked().status(steady, |time| {
            let moved = if time >= steady {
                date.checked_add(time.saturating_sub(steady))
            } else {
                date.checked_sub(steady.saturating_sub(time))
            };
            moved.unwrap_or(if time >= steady {
                date
            } else {
                SystemTime::UNIX_EPOCH
            })
        })
    }

    /// Gives the fetch under way to this value, which ends it when it is dropped.
    pub(super) fn owns_load(&self, load: AbortHandle) {
        let _before = self
            .load
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(load);
    }

    /// The task has ended: with its runtime, which says nothing about the issuer.
    pub(super) fn is_alone(&self) {
        self.schedule(|schedule, _| schedule.interrupted());
        self.alive.store(false, Ordering::Release);
        self.ended.send_modify(|ended| *ended += 1);
    }

    fn locked(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self, now: Duration) -> Option<KeySet> {
        self.look(now, KeySet::clone)
    }

    /// Looks at the keys, if there are some that may be used.
    fn look<T>(&self, now: Duration, at: impl FnOnce(&KeySet) -> T) -> Option<T> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        (now < snapshot.usable_until).then(|| at(&snapshot.set))
    }

    /// Wakes the task, or starts one on the runtime of this request if there is none or its runtime has gone.
    fn rouse(self: &Arc<Self>) -> Result<(), AuthError> {
        if self.alive.load(Ordering::Acquire) {
            self.wake.notify_one();
            return Ok(());
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(unavailable)?;
        if self.alive.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // A runtime that is shutting down drops the task at once, so no lock is held here.
        drop(runtime.spawn(refresher::run(self)));
        if self.alive.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(unavailable("the runtime is shutting down"))
        }
    }

    /// The task's own timer wakes it in time, as a rule; this is for a clock that is not the machine's, and for a runtime
    /// that has gone.
    fn rouse_if_due(self: &Arc<Self>, now: Duration) {
        let due = Duration::from_millis(self.due.load(Ordering::Relaxed));
        if now >= due || !self.alive.load(Ordering::Acquire) {
            let _ = self.rouse();
        }
    }

    fn find(self: &Arc<Self>, wanted: Wanted, longest_wait: Duration, asking: &dyn Asking) -> Lookup {
        // Whether it may ask is found out before anything is spent, and without the lock.
        let told = self.remembered(&wanted).or_else(|| match asking.may_ask() {
            Ok(()) => self.ask(&wanted),
            Err(error) => Some(Err(error)),
        });
        match told {
            Some(Ok(set)) => Lookup::Ready(set),
            Some(Err(error)) => Lookup::Refused(error),
            None => match self.rouse() {
                Ok(()) => Lookup::Wait(Box::pin(Arc::clone(self).wait(wanted, longest_wait))),
                Err(error) => Lookup::Refused(error),
            },
        }
    }

    /// What can be said now; nothing, if there is a fetch to wait for, for which this spends what it takes.
    fn ask(&self, wanted: &Wanted) -> Option<Result<KeySet, AuthError>> {
        self.told(wanted, Schedule::wants_key)
    }

    /// The same, and nothing is spent.
    fn remembered(&self, wanted: &Wanted) -> Option<Result<KeySet, AuthError>> {
        self.told(wanted, |schedule, key, since, now| {
            schedule.would_tell(key, since, now)
        })
    }

    fn told(
        &self,
        wanted: &Wanted,
        beyond: impl FnOnce(&mut Schedule, KeyName, u64, Duration) -> Answer,
    ) -> Option<Result<KeySet, AuthError>> {
        self.schedule(|schedule, now| {
            let answer = match (wanted, self.usable(now)) {
                (Wanted::AnyKeys, Some(set)) => return Some(Ok(set)),
                (Wanted::Key { kid, algorithm, .. }, Some(set)) if set.knows(kid.as_deref(), *algorithm) => {
                    return Some(Ok(set));
                }
                (Wanted::Key { name, since, .. }, Some(_)) => beyond(schedule, *name, *since, now),
                (_, None) => schedule.wants_keys(now),
            };
            match answer {
                Answer::Wait => None,
                Answer::Unknown => Some(Err(AuthError::SigningKeyUnknown)),
                Answer::Unavailable { retry_after, cause } => Some(Err(AuthError::KeysUnavailable {
                    retry_after,
                    source: Box::new(Told(cause)),
                })),
            }
        })
    }

    async fn wait(self: Arc<Self>, wanted: Wanted, longest: Duration) -> Result<KeySet, AuthError> {
        let in_time = tokio::time::timeout(longest, self.answer(&wanted)).await;
        in_time.unwrap_or_else(|_| Err(unavailable("the keys did not arrive in time")))
    }

    async fn answer(self: &Arc<Self>, wanted: &Wanted) -> Result<KeySet, AuthError> {
        let mut ended = self.ended.subscribe();
        loop {
            // Marked as seen first, then asked: an end in between is seen by one of the two.
            ended.mark_unchanged();
            if let Some(told) = self.ask(wanted) {
                return told;
            }
            self.rouse()?;
            if ended.changed().await.is_err() {
                return Err(unavailable("the fetch was interrupted"));
            }
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let load = self.load.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(load) = load {
            load.abort();
        }
        // The task sees that there is nothing left to do.
        self.wake.notify_one();
    }
}

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AuthError {
    AuthError::KeysUnavailable {
        retry_after: FIRST_RETRY,
        source: cause.into(),
    }
}

/// The layers' hold on the keys: when the last of them goes, the task goes.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<Published>);

impl KeyProvider for Handle {
    fn current(&self, asking: &dyn Asking) -> Lookup {
        let published = &self.0;
        let now = published.clock.monotonic();
        match published.usable(now) {
            Some(set) => {
                published.rouse_if_due(now);
                Lookup::Ready(set)
            }
            None => published.find(Wanted::AnyKeys, published.rules.longest_wait, asking),
        }
    }

    /// Without a count of references, which all threads with a hot token would fight over.
    fn is_current(&self, keys: &KeySetMark) -> bool {
        let published = &self.0;
        let now = published.clock.monotonic();
        published.rouse_if_due(now);
        published.look(now, |set| set.is(keys)).unwrap_or(false)
    }

    fn beyond(&self, kid: Option<&str>, algorithm: Algorithm, asking: &dyn Asking) -> Lookup {
        let published = &self.0;
        let wanted = Wanted::Key {
            kid: kid.map(str::to_owned),
            algorithm,
            name: published.names.name(kid, algorithm),
            since: published.locked().fetches_for_unknown(),
        };
        published.find(wanted, published.rules.longest_wait, asking)
    }

    fn warm_up(&self) -> BoxFuture<Result<(), AuthError>> {
        match self.0.find(Wanted::AnyKeys, LONGEST_LOAD, &Unlimited) {
            Lookup::Ready(_) => Box::pin(std::future::ready(Ok(()))),
            Lookup::Wait(loading) => Box::pin(async move { loading.await.map(drop) }),
            Lookup::Refused(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn status(&self) -> KeyStatus {
        self.0.status()
    }

    fn belongs_to_stranger(&self, only_public: bool) {
        self.0.has_gauges.store(false, Ordering::Relaxed);
        if let Some(remote) = &self.0.remote
            && only_public
        {
            remote.only_public_addresses();
        }
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("issuer", &self.issuer)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
