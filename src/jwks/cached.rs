use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::key_set::KeySet;
use super::provider::{KeyProvider, Lookup};
use super::remote::RemoteKeys;
use super::source::{ErasedSource, KeySource, Loaded};
use crate::clock::Clock;
use crate::error::{AuthError, Problems};
use crate::telemetry;

const TIME_TO_LIVE: Duration = Duration::from_secs(10 * 60);
const COOL_DOWN: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A source that has not answered by then is not waited for by the task either.
const LONGEST_LOAD: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Keeps what a [`KeySource`] gave, and decides when to ask it again.
///
/// - Nothing is loaded before the first use, and then once for all who wait.
/// - When the time to live is over, one refresh runs in the background while the keys in use stay in use; also when it
///   fails.
/// - A token with an unknown `kid` is worth one load, and then none for the cool-down, so that junk cannot make this
///   service a burden to the issuer.
/// - A request waits only if there are no keys at all, or its `kid` is unknown and a load is allowed; after one second it
///   is answered with 503.
/// - After a failure the next attempt waits 1 s, doubling to 1 min.
///
/// The loads run as tasks on the tokio runtime that the request runs on, which must have its time and I/O drivers enabled; a
/// cancelled request does not stop them.
#[derive(Debug, Clone)]
pub struct CachedKeys {
    source: Arc<dyn ErasedSource>,
    remote: Option<RemoteKeys>,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    time_to_live: Duration,
    cool_down: Duration,
    longest_wait: Duration,
}

impl CachedKeys {
    /// Keeps what this source gives.
    pub fn new(source: impl KeySource) -> Self {
        Self::build(Arc::new(source), None)
    }

    fn build(source: Arc<dyn ErasedSource>, remote: Option<RemoteKeys>) -> Self {
        let settings = Settings {
            time_to_live: TIME_TO_LIVE,
            cool_down: COOL_DOWN,
            longest_wait: LONGEST_WAIT,
        };
        Self {
            source,
            remote,
            settings,
        }
    }

    /// How long keys are used before the source is asked again. Default: 10 min, because that is how long a key that the
    /// issuer withdrew may go on working.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.settings.time_to_live = time;
        self
    }

    /// How long after a load for an unknown `kid` no other is made for one. Default: 30 s, because a real rotation is
    /// rare and junk is not.
    #[must_use]
    pub fn cool_down(mut self, time: Duration) -> Self {
        self.settings.cool_down = time;
        self
    }

    /// How long a request waits for a load at most. Default: 1 s, because a client that waits longer gives up.
    #[must_use]
    pub fn longest_wait(mut self, time: Duration) -> Self {
        self.settings.longest_wait = time;
        self
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if let Some(remote) = &self.remote {
            remote.check(problems);
        }
        if self.settings.time_to_live.is_zero() {
            problems.add("time_to_live", "0 s would load the keys for every request");
        }
        if self.settings.cool_down.is_zero() {
            problems.add("cool_down", "0 s would let every junk token cause a load");
        }
    }

    pub(super) fn provider(self, issuer: Arc<str>, clock: Arc<dyn Clock>) -> Arc<dyn KeyProvider> {
        let Self { source, settings, .. } = self;
        let (installed, state) = (ArcSwapOption::empty(), Mutex::default());
        Arc::new(Handle(Arc::new(Cache {
            source,
            settings,
            issuer,
            clock,
            installed,
            state,
        })))
    }
}

impl From<RemoteKeys> for CachedKeys {
    fn from(keys: RemoteKeys) -> Self {
        Self::build(Arc::new(keys.clone()), Some(keys))
    }
}

/// The cache of one issuer. Readers take a snapshot; the lock is held for a few instructions and never during a load.
struct Cache {
    source: Arc<dyn ErasedSource>,
    settings: Settings,
    issuer: Arc<str>,
    clock: Arc<dyn Clock>,
    installed: ArcSwapOption<Installed>,
    state: Mutex<LoadState>,
}

#[derive(Debug)]
struct Installed {
    set: KeySet,
    expires: Duration,
}

#[derive(Debug, Default)]
struct LoadState {
    /// Told when the load that is under way has ended.
    running: Option<Running>,
    /// The load that failed last, if it did.
    failure: Option<Failure>,
    failures: u32,
    /// No load for an unknown `kid` before this time.
    next_for_unknown: Duration,
}

/// How a load ended: told to those who waited for it, whatever happens after it.
type Outcome<E> = Result<KeySet, E>;
type Running = watch::Receiver<Option<Outcome<Failure>>>;

#[derive(Debug, Clone)]
struct Failure {
    cause: Arc<str>,
    next_attempt: Duration,
}

/// The text of a failure that others are told too.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(Arc<str>);

#[derive(Debug)]
struct Handle(Arc<Cache>);

impl KeyProvider for Handle {
    fn current(&self) -> Lookup {
        let cache = &self.0;
        let now = cache.clock.monotonic();
        if let Some(installed) = &*cache.installed.load() {
            if now >= installed.expires {
                cache.refresh_in_background(now);
            }
            return Lookup::Ready(installed.set.clone());
        }
        cache.first_keys(now)
    }

    fn beyond(&self, seen: &KeySet) -> Lookup {
        let cache = &self.0;
        let now = cache.clock.monotonic();
        let mut state = cache.state();
        if let Some(installed) = &*cache.installed.load()
            && !installed.set.is(seen)
        {
            return Lookup::Ready(installed.set.clone());
        }
        if state.is_running() {
            let next = state.next_for_unknown;
            return cache.wait(&mut state, next);
        }
        if now < state.next_for_unknown {
            return Lookup::Refused(match &state.failure {
                Some(failure) => failure.tell(now, state.next_for_unknown),
                None => AuthError::SigningKeyUnknown,
            });
        }
        let next = now.saturating_add(cache.settings.cool_down);
        state.next_for_unknown = next;
        cache.wait(&mut state, next)
    }
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, LoadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request is told that saw no keys. Between its look and the lock the load may have ended, so it looks again.
    fn first_keys(self: &Arc<Self>, now: Duration) -> Lookup {
        let mut state = self.state();
        if let Some(installed) = &*self.installed.load() {
            return Lookup::Ready(installed.set.clone());
        }
        match &state.failure {
            Some(failure) if now < failure.next_attempt && !state.is_running() => {
                Lookup::Refused(failure.tell(now, now))
            }
            _ => self.wait(&mut state, now),
        }
    }

    /// Starts a refresh, unless one is under way, has just ended, or failed a short while ago.
    fn refresh_in_background(self: &Arc<Self>, now: Duration) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            // Somebody is at it; this request has its keys and does not wait.
            Err(TryLockError::WouldBlock) => return,
        };
        let ended = self
            .installed
            .load()
            .as_ref()
            .is_some_and(|installed| now < installed.expires);
        let waiting = state
            .failure
            .as_ref()
            .is_some_and(|failure| now < failure.next_attempt);
        if !ended && !waiting && !state.is_running() {
            let _ = self.start(&mut state);
        }
    }

    /// Joins the load that is under way, or starts one, and waits for its end. If it fails, this caller's kind of request
    /// causes no other before `next`.
    fn wait(self: &Arc<Self>, state: &mut LoadState, next: Duration) -> Lookup {
        let running = match state.running.clone().filter(|_| state.is_running()) {
            Some(running) => running,
            None => match self.start(state) {
                Ok(running) => running,
                Err(error) => return Lookup::Refused(error),
            },
        };
        Lookup::Wait(Box::pin(Arc::clone(self).ended(running, next)))
    }

    /// Starts a load as a task of its own, which no request owns. It keeps the source alive, and not the cache.
    fn start(self: &Arc<Self>, state: &mut LoadState) -> Result<Running, AuthError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| AuthError::KeysUnavailable {
            retry_after: FIRST_RETRY,
            source: error.into(),
        })?;
        let (sender, receiver) = watch::channel(None);
        let load = Load {
            cache: Arc::downgrade(self),
            ended: sender,
            result: None,
        };
        let source = Arc::clone(&self.source);
        runtime.spawn(async move {
            let result = tokio::time::timeout(LONGEST_LOAD, source.load()).await;
            load.end_with(result.unwrap_or_else(|elapsed| Err(elapsed.into())));
        });
        state.running = Some(receiver.clone());
        Ok(receiver)
    }

    async fn ended(self: Arc<Self>, mut running: Running, next: Duration) -> Outcome<AuthError> {
        let ended = tokio::time::timeout(self.settings.longest_wait, running.wait_for(Option::is_some)).await;
        let outcome = ended.map(|told| told.ok().and_then(|outcome| outcome.clone()));
        let now = self.clock.monotonic();
        match outcome {
            Ok(Some(outcome)) => outcome.map_err(|failure| failure.tell(now, next)),
            Ok(None) => Err(Failure::now("the load was interrupted", now).tell(now, now)),
            Err(_) => Err(Failure::now("the keys did not arrive in time", now).tell(now, now)),
        }
    }

    fn finish(&self, result: Loaded) -> Outcome<Failure> {
        // Whoever listens to this is a stranger's code, so it does not run under the lock.
        match &result {
            Ok(set) => telemetry::keys_fetched(&self.issuer, set.len(), set.skipped().len()),
            Err(error) => telemetry::keys_not_fetched(&self.issuer, &**error),
        }
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.running = None;
        let outcome = result.map_err(|error| state.fail(chain(&*error), now));
        if let Ok(set) = &outcome {
            let expires = now.saturating_add(self.settings.time_to_live);
            let set = set.clone();
            self.installed.store(Some(Arc::new(Installed { set, expires })));
            state.failure = None;
            state.failures = 0;
        }
        outcome
    }
}

impl LoadState {
    fn fail(&mut self, cause: String, now: Duration) -> Failure {
        let pause = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(6))
            .min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        let failure = Failure {
            cause: cause.into(),
            next_attempt: now.saturating_add(pause),
        };
        self.failure = Some(failure.clone());
        failure
    }

    /// A load whose runtime has gone is not running any more.
    fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.has_changed().is_ok())
    }
}

impl Failure {
    fn now(cause: &str, now: Duration) -> Self {
        Self {
            cause: cause.into(),
            next_attempt: now,
        }
    }

    /// `next`: no load for this caller before that time, even if the pause after the failure is over.
    fn tell(&self, now: Duration, next: Duration) -> AuthError {
        let next = self.next_attempt.max(next);
        let retry_after = next.saturating_sub(now).max(FIRST_RETRY);
        AuthError::KeysUnavailable {
            retry_after,
            source: Box::new(Told(Arc::clone(&self.cause))),
        }
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| text + ": " + &cause.to_string())
}

/// A load under way. However it ends, also by a panic in the source or with its runtime, nobody waits on.
///
/// A runtime that goes says nothing about the issuer, so this is no failure, and the next use may load at once. It may also
/// go while [`Cache::start`] hands the task over, with the cache's state locked: then nothing here may ask for that lock.
struct Load {
    cache: Weak<Cache>,
    ended: watch::Sender<Option<Outcome<Failure>>>,
    result: Option<Loaded>,
}

impl Load {
    fn end_with(mut self, result: Loaded) {
        self.result = Some(result);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let panicked = std::thread::panicking().then(|| Err("the key source panicked".into()));
        if let Some(result) = self.result.take().or(panicked)
            && let Some(cache) = self.cache.upgrade()
        {
            self.ended.send_replace(Some(cache.finish(result)));
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("issuer", &self.issuer)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
