use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use super::cache::Cache;
use super::rules::Rules;
use super::{CachedKeyStoreError, KeyStoreStatus};
use crate::api_key::{
    ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry, KeyStore, KeyUses,
};
use crate::clock::{Clock, SystemClock};

/// Remembers what another key store answered, so that most requests are judged from memory, and known keys go on working
/// while that store is down.
///
/// - An entry is **fresh** for 10 s and answers at once. When 80 % of that have passed, the next request has it renewed in the
///   background; so a key that is used all the time is never waited for.
/// - After that it depends on whether changes are heard ([`KeyStore::follow`]). If they are, the entry answers at once and
///   is renewed in the background, since a change would have been heard. If they are not (the store has no news to tell, or
///   the connection is lost), the request waits until the store has answered: so the fresh time is how long a key that was
///   revoked on another node may go on working.
/// - If the store fails, or does not answer within the [`deadline`](Self::deadline), entries are used for the **stale** time
///   of another 10 min. From the first failure on, the store is asked once a second until it answers, and meanwhile known
///   keys are answered at once, and others with an error: 503, never 401. If nobody asked for as long as an entry is fresh,
///   the next request waits for the store again. A failure of a load during which others were
///   answered is not held against the store, nor is one that is about [one key](KeyStore::is_about_one_key): that key is
///   answered with an error and not from memory, since what cannot be read may say that it was revoked.
/// - "There is no such key" is remembered for 5 s, for up to 10,000 digests, in a place of its own: junk does not displace a
///   known key.
/// - A key is looked up once for all who wait for it, by a task that no cancelled request stops. Of unknown keys,
///   64 are looked up at a time and about a thousand wait, so that a node which has just started can learn its keys; and once
///   200 in a second were nobody's, no more are looked up until the second is over. What comes beyond that is answered with an
///   error at once. Known keys have as much room of their own.
/// - A change that is heard, and one that was committed here, drops what is remembered of that key before anything else
///   happens; an answer that the store was giving meanwhile is not remembered. When the news begin to be heard (again),
///   everything that was read before is asked for anew, each entry at its next use.
///
/// Whether a key has expired or was revoked is judged by the layer, at each request, from the record. A remembered record's
/// [`last_used_at`](ApiKeyRecord::last_used_at), [`uses`](ApiKeyRecord::uses) and the counts beside it are those of when it was
/// read.
///
/// It is a [`KeyRegistry`] if the store is one. [`get`](KeyRegistry::get) and [`list`](KeyRegistry::list) are not answered
/// from memory. Administer through it: what is committed past it is seen when it is heard, or when the entry is no longer
/// fresh. In a [`KeyChange`] of your own making, `replace` must have the digest that is stored.
///
/// Tasks run on the tokio runtime of the request that needs them, which must have its time driver enabled. They end with this
/// value, and if their runtime has gone, the next request starts others. A runtime that is kept but never polled again keeps
/// the task that hears the news without running it: do not make the first request on one that you then leave standing.
/// Building one does no I/O and starts nothing. Not done: nothing is shared with other processes, nothing is kept over a
/// restart.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{ApiKeyLayer, CachedKeyStore, MemoryKeyStore};
///
/// # let database = MemoryKeyStore::new();
/// let store = CachedKeyStore::new(database).fresh(Duration::from_secs(5));
/// let layer = ApiKeyLayer::new(store);
/// ```
pub struct CachedKeyStore<S> {
    cache: Arc<Cache<S>>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) rules: Rules,
    pub(super) capacity: u64,
    pub(super) most_loads: usize,
    pub(super) most_unknown: usize,
    pub(super) clock: Arc<dyn Clock>,
}

impl Settings {
    /// How many unknown keys may wait for room, beside those that have it.
    pub(super) fn longest_line(&self) -> usize {
        self.most_loads.saturating_mul(16).min(Semaphore::MAX_PERMITS)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules {
                fresh: Duration::from_secs(10),
                stale_for: Duration::from_secs(10 * 60),
                unknown_for: Duration::from_secs(5),
                deadline: Duration::from_secs(1),
            },
            capacity: 100_000,
            most_loads: 64,
            most_unknown: 200,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl<S: KeyStore> CachedKeyStore<S> {
    /// Remembers what this store answers.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::build(Arc::new(store), Settings::default())
    }

    fn build(store: Arc<S>, settings: Settings) -> Self {
        Self {
            cache: Arc::new(Cache::new(store, settings)),
        }
    }

    fn set(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.cache.settings.clone();
        change(&mut settings);
        Self::build(Arc::clone(&self.cache.store), settings)
    }

    /// How long an entry answers without the store being asked, unless a change is heard. Zero: the store is always asked,
    /// once for all who come at the same time. Default: 10 s, because that is how long a key may go on working that was
    /// revoked elsewhere while no news were heard.
    #[must_use]
    pub fn fresh(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.fresh = time)
    }

    /// How long an entry is used after it ceased to be fresh, while the store fails, or while changes are heard and it is
    /// renewed. Zero: not at all. Default: 10 min, because that is longer than most restarts of a database, and a key that
    /// is revoked during an outage should not live much longer.
    #[must_use]
    pub fn stale_for(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.stale_for = time)
    }

    /// How long "there is no such key" is remembered, unless a change is heard. Zero: not at all. Default: 5 s, because a
    /// client that is told its key too early should not have to wait longer.
    #[must_use]
    pub fn unknown_for(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.unknown_for = time)
    }

    /// How many known keys are remembered; each is a record, so they take the memory that your records take. Keys that are
    /// seldom used give way. Default: 100,000, because that is more than most services have in use at a time.
    #[must_use]
    pub fn capacity(self, entries: u64) -> Self {
        self.set(|settings| settings.capacity = entries)
    }

    /// How long a request waits for the store at most, and how late the store may be before it is taken to be down. What was
    /// asked goes on in the background, for 5 s in all, or for the deadline if that is longer. Default: 1 s, because a client that waits longer gives up.
    #[must_use]
    pub fn deadline(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.deadline = time)
    }

    /// How many unknown keys are looked up at a time; and how many known ones, for which there is as much room again. Others
    /// wait, for the deadline at most; of unknown keys no more than 16 times as many, and what comes beyond is answered with an
    /// error. One at least. Default: 64, because more would let junk take every connection to a database.
    #[must_use]
    pub fn most_loads(self, number: usize) -> Self {
        self.set(|settings| settings.most_loads = number.clamp(1, Semaphore::MAX_PERMITS))
    }

    /// How many look-ups in a second may find nobody. After that, keys that are not in memory are answered with an error until
    /// the second is over; known keys are not touched, and look-ups that find somebody do not count. One at least. Default:
    /// 200, because honest clients have keys that exist, and a flood of invented ones should be no load on a database.
    #[must_use]
    pub fn most_unknown(self, number: usize) -> Self {
        self.set(|settings| settings.most_unknown = number.max(1))
    }

    /// Who tells how old an entry is. Default: `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.set(|settings| settings.clock = Arc::new(clock))
    }

    /// How the store and its news are now.
    pub fn status(&self) -> KeyStoreStatus {
        self.cache.status()
    }

    /// The store behind the cache.
    pub fn store(&self) -> &S {
        &self.cache.store
    }
}

impl<S: KeyStore> KeyStore for CachedKeyStore<S> {
    type Error = CachedKeyStoreError;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, CachedKeyStoreError> {
        self.cache.find(key).await
    }

    fn find_now(&self, key: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, CachedKeyStoreError>> {
        self.cache.find_now(key)
    }

    fn knows(&self, key: &KeyDigest) -> bool {
        self.cache.knows(key)
    }

    fn is_about_one_key(error: &CachedKeyStoreError) -> bool {
        matches!(error, CachedKeyStoreError::Unreadable(_))
    }
}

impl<S: KeyRegistry> KeyRegistry for CachedKeyStore<S> {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, CachedKeyStoreError> {
        self.store().get(id).await.map_err(CachedKeyStoreError::of)
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, CachedKeyStoreError> {
        self.store().list(query).await.map_err(CachedKeyStoreError::of)
    }

    async fn commit(&self, change: &KeyChange) -> Result<Committed, CachedKeyStoreError> {
        let _changed = Changed {
            cache: &self.cache,
            change,
        };
        self.store().commit(change).await.map_err(CachedKeyStoreError::of)
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), CachedKeyStoreError> {
        self.store().add_uses(uses).await.map_err(CachedKeyStoreError::of)
    }

    fn now(&self) -> SystemTime {
        self.store().now()
    }
}

/// Drops what is remembered of the keys of a change when it has been carried out. Also when that failed, panicked or was
/// cancelled: then nobody knows whether it was.
struct Changed<'c, S: KeyStore> {
    cache: &'c Cache<S>,
    change: &'c KeyChange,
}

impl<S: KeyStore> Drop for Changed<'_, S> {
    fn drop(&mut self) {
        for record in self.change.replace.iter().chain(&self.change.add) {
            self.cache.forget(record.digest());
        }
    }
}

impl<S> fmt::Debug for CachedKeyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKeyStore")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
