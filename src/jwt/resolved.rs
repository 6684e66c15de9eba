//! The issuers that were found at run time: a bounded memory of them, and of names that are nobody's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::issuer::Issuer;
use super::resolver::ResolvedIssuers;
use crate::authenticator::BoxFuture;
use crate::error::{AuthError, Told, chain};
use crate::telemetry::{self, Looked};

/// Of a request.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Of a look-up. It goes on when nobody waits for it any more, so that a resolver which is slow once is not asked for ever.
const LONGEST_LOOKUP: Duration = Duration::from_secs(5);
/// In bytes; a resolver need not look at more.
const LONGEST_NAME: usize = 2048;
const MOST_REFUSED: u64 = 10_000;
/// More look-ups at once would let junk take every connection to the resolver's database.
const MOST_LOOKUPS: usize = 64;
/// More than moka takes.
const LONGEST_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is known of an issuer by its name.
pub(super) enum Known {
    Here(Issuer),
    Wait(BoxFuture<Result<Issuer, AuthError>>),
    Refused(AuthError),
}

#[derive(Clone)]
pub(super) struct Resolved(Arc<Inner>);

struct Inner {
    settings: ResolvedIssuers,
    found: Cache<Arc<str>, Found>,
    /// Until when a name is nobody's, by its hash with a secret of this process.
    refused: Cache<u64, Duration>,
    hasher: RandomState,
    /// Those that are under way.
    lookups: Mutex<HashMap<Arc<str>, Answered>>,
    /// For names that may be anybody's.
    room: Arc<Semaphore>,
    /// For names that were found before: junk must not keep those out whose time is over.
    room_for_known: Arc<Semaphore>,
}

#[derive(Clone)]
struct Found {
    issuer: Issuer,
    until: Duration,
}

type Answer = Result<Issuer, Failure>;

/// Where all who wait for a look-up hear its answer.
type Answered = watch::Receiver<Option<Answer>>;

/// What all who wait are told.
#[derive(Clone)]
enum Failure {
    Nobody,
    Unfit(&'static str),
    Failed(Arc<str>),
}

impl Resolved {
    pub(super) fn new(settings: ResolvedIssuers) -> Self {
        // Our own clock says how long an entry counts; this only lets go of issuers that nobody asks for any more.
        let kept_for = settings.time_to_live.saturating_mul(2).min(LONGEST_KEPT);
        let found = Cache::builder()
            .max_capacity(settings.capacity)
            .eviction_listener(|_, _, cause| {
                if cause == RemovalCause::Size {
                    telemetry::cache(telemetry::Cache::Issuers, Looked::Evicted);
                }
            })
            .time_to_live(kept_for);
        Self(Arc::new(Inner {
            found: found.build(),
            refused: Cache::new(MOST_REFUSED),
            hasher: RandomState::new(),
            lookups: Mutex::default(),
            room: Arc::new(Semaphore::new(MOST_LOOKUPS)),
            room_for_known: Arc::new(Semaphore::new(MOST_LOOKUPS)),
            settings,
        }))
    }

    pub(super) fn find(&self, name: &str) -> Known {
        if name.len() > LONGEST_NAME {
            return Known::Refused(AuthError::IssuerUnknown);
        }
        let remembered = self.0.remembered(name);
        let looked = if remembered.is_some() {
            Looked::Hit
        } else {
            Looked::Miss
        };
        telemetry::cache(telemetry::Cache::Issuers, looked);
        match remembered {
            Some(Ok(issuer)) => Known::Here(issuer),
            Some(Err(failure)) => Known::Refused(failure.into_error()),
            None => Known::Wait(Box::pin(Arc::clone(&self.0).look_up(name.into()))),
        }
    }

    /// Whether what was verified by this issuer still counts.
    pub(super) fn trusts(&self, issuer: &Issuer) -> bool {
        let known = self.0.found(issuer.name(), self.0.now());
        known.is_some_and(|known| known.is(issuer))
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.settings.clock.monotonic()
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    fn found(&self, name: &str, now: Duration) -> Option<Issuer> {
        let found = self.found.get(name)?;
        (now < found.until).then_some(found.issuer)
    }

    /// What an earlier look-up said, as long as that counts.
    fn remembered(&self, name: &str) -> Option<Answer> {
        let now = self.now();
        if let Some(issuer) = self.found(name, now) {
            return Some(Ok(issuer));
        }
        let until = self.refused.get(&self.hash(name))?;
        (now < until).then_some(Err(Failure::Nobody))
    }

    fn lookups(&self) -> MutexGuard<'_, HashMap<Arc<str>, Answered>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(self: Arc<Self>, name: Arc<str>) -> Result<Issuer, AuthError> {
        let answer = match Handle::try_current() {
            Ok(runtime) => timeout(LONGEST_WAIT, self.answer(&name, &runtime))
                .await
                .unwrap_or_else(|_| Err(failed("the look-up took too long"))),
            Err(error) => Err(failed(&error.to_string())),
        };
        answer.map_err(Failure::into_error)
    }

    async fn answer(self: &Arc<Self>, name: &Arc<str>, runtime: &Handle) -> Answer {
        let under_way = self.lookups().get(name).cloned();
        let mut answered = if let Some(answered) = under_way {
            answered
        } else {
            let room = self.room_for(name).acquire_owned().await;
            let room = room.map_err(|error| failed(&error.to_string()))?;
            // Others may have asked for the same name meanwhile.
            if let Some(answer) = self.remembered(name) {
                return answer;
            }
            self.start(name, room, runtime)
        };
        let answer = answered.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| Err(failed("the look-up was interrupted")))
    }

    /// Waiting for room is part of a request and ends with it, so there are never more look-ups than that.
    fn room_for(&self, name: &str) -> Arc<Semaphore> {
        Arc::clone(if self.found.contains_key(name) {
            &self.room_for_known
        } else {
            &self.room
        })
    }

    /// One look-up for all who wait for it, as a task of its own, which no cancelled request stops.
    fn start(self: &Arc<Self>, name: &Arc<str>, room: OwnedSemaphorePermit, runtime: &Handle) -> Answered {
        let (tell, answered) = watch::channel(None);
        match self.lookups().entry(Arc::clone(name)) {
            Entry::Occupied(other) => return other.get().clone(),
            Entry::Vacant(place) => place.insert(answered.clone()),
        };
        let under_way = UnderWay {
            inner: Arc::clone(self),
            name: Arc::clone(name),
        };
        // A runtime that is shutting down drops the task at once, so no lock is held here.
        runtime.spawn(async move {
            let answer = timeout(LONGEST_LOOKUP, under_way.inner.ask(&under_way.name)).await;
            let answer = answer.unwrap_or_else(|_| Err(failed("the look-up took too long")));
            // Whoever comes from now on is told what is remembered.
            drop((under_way, room));
            let _ = tell.send(Some(answer));
        });
        answered
    }

    async fn ask(&self, name: &Arc<str>) -> Answer {
        let resolver = Arc::clone(&self.settings.resolver);
        let answer = resolver.resolve(Arc::clone(name)).await;
        let now = self.now();
        let adopted = match answer {
            Ok(Some(issuer)) => self.adopt(issuer, name),
            Ok(None) => {
                let until = now.saturating_add(self.settings.refused_for);
                self.refused.insert(self.hash(name), until);
                Err(Failure::Nobody)
            }
            Err(error) => return Err(failed(&chain(&*error))),
        };
        match &adopted {
            Ok(issuer) => {
                let until = now.saturating_add(self.settings.time_to_live);
                let issuer = issuer.clone();
                self.found.insert(Arc::clone(name), Found { issuer, until });
            }
            // With it go its keys, and the task that fetched them.
            Err(_) => self.found.invalidate(name),
        }
        adopted
    }

    fn adopt(&self, issuer: Issuer, name: &str) -> Result<Issuer, Failure> {
        if issuer.name() != name {
            return Err(Failure::Unfit("its name is not the one that was asked for"));
        }
        if !issuer.names_its_scopes() {
            return Err(Failure::Unfit(
                "its scopes are not named (accepted_scopes, accept_any_scope)",
            ));
        }
        issuer.keys.belongs_to_stranger(self.settings.only_public);
        Ok(issuer)
    }
}

/// Takes the look-up out of the list when it has ended, however that comes about.
struct UnderWay {
    inner: Arc<Inner>,
    name: Arc<str>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.inner.lookups().remove(&self.name);
    }
}

fn failed(why: &str) -> Failure {
    Failure::Failed(why.into())
}

impl Failure {
    fn into_error(self) -> AuthError {
        match self {
            Self::Nobody => AuthError::IssuerUnknown,
            Self::Unfit(why) => AuthError::IssuerMisconfigured(why),
            Self::Failed(cause) => AuthError::ResolverUnavailable(Box::new(Told(cause))),
        }
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved")
            .field("settings", &self.0.settings)
            .field("found", &self.0.found.entry_count())
            .finish_non_exhaustive()
    }
}
