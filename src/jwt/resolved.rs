//! The issuers that were found at run time: a bounded memory of them, and of names that are nobody's.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OnceCell, Semaphore};

use super::issuer::Issuer;
use super::resolver::ResolvedIssuers;
use crate::authenticator::BoxFuture;
use crate::error::{AuthError, Told, chain};

const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// In bytes; a resolver need not look at more.
const LONGEST_NAME: usize = 2048;
const MOST_REFUSED: u64 = 10_000;
/// More look-ups at once would let junk take every connection to the resolver's database.
const MOST_LOOKUPS: usize = 64;

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
    lookups: Mutex<HashMap<Arc<str>, Arc<Lookup>>>,
    room: Semaphore,
}

#[derive(Clone)]
struct Found {
    issuer: Issuer,
    until: Duration,
}

/// One look-up for all who wait for it. Whoever of them comes first makes it; if that request is cancelled, the next.
type Lookup = OnceCell<Result<Issuer, Failure>>;

/// What all who wait are told.
#[derive(Clone)]
enum Failure {
    Nobody,
    Unfit(&'static str),
    Failed(Arc<str>),
}

impl Resolved {
    pub(super) fn new(settings: ResolvedIssuers) -> Self {
        Self(Arc::new(Inner {
            found: Cache::new(settings.capacity),
            refused: Cache::new(MOST_REFUSED),
            hasher: RandomState::new(),
            lookups: Mutex::default(),
            room: Semaphore::new(MOST_LOOKUPS),
            settings,
        }))
    }

    pub(super) fn find(&self, name: &str) -> Known {
        let inner = &self.0;
        if name.len() > LONGEST_NAME {
            return Known::Refused(AuthError::IssuerUnknown);
        }
        let now = inner.now();
        if let Some(issuer) = inner.found(name, now) {
            return Known::Here(issuer);
        }
        if inner
            .refused
            .get(&inner.hash(name))
            .is_some_and(|until| now < until)
        {
            return Known::Refused(AuthError::IssuerUnknown);
        }
        Known::Wait(Box::pin(Arc::clone(inner).look_up(name.into())))
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

    fn lookups(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Lookup>>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(self: Arc<Self>, name: Arc<str>) -> Result<Issuer, AuthError> {
        let lookup = Arc::clone(self.lookups().entry(Arc::clone(&name)).or_default());
        let waiting = Waiting {
            inner: &self,
            name: &name,
            lookup: &lookup,
        };
        let answer = lookup.get_or_init(|| self.ask(&name));
        let told = tokio::time::timeout(LONGEST_WAIT, answer).await;
        let told = told.map_or_else(
            |elapsed| Err(Failure::Failed(elapsed.to_string().into())),
            Clone::clone,
        );
        drop(waiting);
        told.map_err(Failure::into_error)
    }

    async fn ask(&self, name: &Arc<str>) -> Result<Issuer, Failure> {
        let _room = self.room.acquire().await.map_err(|_| Failure::Nobody)?;
        let resolver = Arc::clone(&self.settings.resolver);
        let answer = resolver.resolve(Arc::clone(name)).await;
        let now = self.now();
        match answer {
            Ok(Some(issuer)) => {
                let issuer = self.adopt(issuer, name)?;
                let until = now.saturating_add(self.settings.time_to_live);
                let found = Found {
                    issuer: issuer.clone(),
                    until,
                };
                self.found.insert(Arc::clone(name), found);
                Ok(issuer)
            }
            Ok(None) => {
                let until = now.saturating_add(self.settings.refused_for);
                self.refused.insert(self.hash(name), until);
                Err(Failure::Nobody)
            }
            Err(error) => Err(Failure::Failed(chain(&*error).into())),
        }
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

/// Takes the look-up out of the list when nobody waits for it any more, however that comes about.
struct Waiting<'w> {
    inner: &'w Inner,
    name: &'w Arc<str>,
    lookup: &'w Arc<Lookup>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut lookups = self.inner.lookups();
        let is_listed = lookups
            .get(self.name)
            .is_some_and(|listed| Arc::ptr_eq(listed, self.lookup));
        // Two are the list's own and this one's: whoever joins does so under this lock.
        if is_listed && (self.lookup.initialized() || Arc::strong_count(self.lookup) <= 2) {
            lookups.remove(self.name);
        }
    }
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
