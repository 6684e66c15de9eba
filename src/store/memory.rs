use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::api_key::{
    ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry, KeyStore, KeyUses,
};
use crate::clock::{Clock, SystemClock};

/// API keys in this process's memory: for tests, for keys that come with the configuration, and to learn the crate.
///
/// Readers never wait for a writer. What was inserted or replaced is seen by the next request. Not done: nothing is kept
/// over a restart, nothing is shared with other processes.
///
/// ```
/// use tower_resource_server::{ApiKeyFormat, ApiKeyRecord, MemoryKeyStore, Scope};
///
/// let minted = ApiKeyFormat::new("sk", "test")?.mint()?;
/// let store = MemoryKeyStore::from_iter([
///     ApiKeyRecord::builder("key_1", "robot", *minted.digest()).scopes([Scope::from_static("deploy")]).build(),
/// ]);
/// # assert!(store.len() == 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemoryKeyStore {
    /// What requests see.
    records: papaya::HashMap<KeyDigest, ApiKeyRecord>,
    /// Who administers goes by ids, one at a time. Two records may have one id if they were inserted so; the last counts.
    by_id: Mutex<BTreeMap<String, KeyDigest>>,
    clock: Arc<dyn Clock>,
}

impl MemoryKeyStore {
    /// A store without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who tells the time that keys are made, expire and are revoked at, by the methods of [`KeyRegistry`]. Default:
    /// `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds a record, or replaces the one with the same digest: so a key is revoked, expired or given other scopes.
    /// Give each record an id of its own: by an id that two have, only the last one is listed, changed and revoked.
    pub fn insert(&self, record: ApiKeyRecord) {
        self.put(&mut self.ids(), record);
    }

    /// Forgets a key. It is refused from now on, as unknown.
    pub fn remove(&self, key: &KeyDigest) -> Option<ApiKeyRecord> {
        let mut ids = self.ids();
        let removed = self.records.pin().remove(key).cloned()?;
        if ids.get(removed.id()) == Some(key) {
            ids.remove(removed.id());
        }
        Some(removed)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<String, KeyDigest>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, ids: &mut BTreeMap<String, KeyDigest>, record: ApiKeyRecord) {
        let (id, digest) = (record.id().to_owned(), *record.digest());
        if let Some(before) = self.records.pin().insert(digest, record)
            && ids.get(before.id()) == Some(&digest)
        {
            ids.remove(before.id());
        }
        ids.insert(id, digest);
    }

    fn at(&self, digest: &KeyDigest) -> Option<ApiKeyRecord> {
        self.records.pin().get(digest).cloned()
    }

    fn by_id(&self, ids: &BTreeMap<String, KeyDigest>, id: &str) -> Option<ApiKeyRecord> {
        self.at(ids.get(id)?)
    }

    /// What a change would store, or why it cannot be.
    fn prepare(
        &self,
        ids: &BTreeMap<String, KeyDigest>,
        change: &KeyChange,
    ) -> Result<Vec<ApiKeyRecord>, Committed> {
        let mut stored = Vec::new();
        if let Some(new) = &change.replace {
            let old = self
                .by_id(ids, new.id())
                .filter(|old| old.revision() == new.revision());
            stored.push(old.ok_or(Committed::Conflict)?.replaced_by(new));
        }
        if let Some(new) = &change.add {
            if ids.contains_key(new.id()) || self.records.pin().contains_key(new.digest()) {
                return Err(Committed::Taken);
            }
            stored.push(new.clone());
        }
        Ok(stored)
    }
}

impl Default for MemoryKeyStore {
    fn default() -> Self {
        Self {
            records: papaya::HashMap::default(),
            by_id: Mutex::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl FromIterator<ApiKeyRecord> for MemoryKeyStore {
    fn from_iter<I: IntoIterator<Item = ApiKeyRecord>>(records: I) -> Self {
        let store = Self::new();
        records.into_iter().for_each(|record| store.insert(record));
        store
    }
}

impl KeyStore for MemoryKeyStore {
    type Error = Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        Ok(self.at(key))
    }

    fn find_now(&self, key: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Infallible>> {
        Some(Ok(self.at(key)))
    }
}

impl KeyRegistry for MemoryKeyStore {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, Infallible> {
        Ok(self.by_id(&self.ids(), id))
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, Infallible> {
        let ids = self.ids();
        let start = query.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = ids
            .range::<str, _>((start, Bound::Unbounded))
            .filter_map(|(_, digest)| self.at(digest));
        Ok(found
            .filter(|record| query.matches(record))
            .take(query.limit)
            .collect())
    }

    async fn commit(&self, change: &KeyChange) -> Result<Committed, Infallible> {
        let mut ids = self.ids();
        Ok(match self.prepare(&ids, change) {
            Ok(stored) => {
                for record in stored {
                    self.put(&mut ids, record);
                }
                Committed::Done
            }
            Err(refused) => refused,
        })
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), Infallible> {
        let mut ids = self.ids();
        for used in uses {
            if let Some(record) = self.by_id(&ids, &used.id) {
                self.put(&mut ids, record.with_uses(used));
            }
        }
        Ok(())
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}
