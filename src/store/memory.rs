use std::convert::Infallible;

use crate::api_key::{ApiKeyRecord, KeyDigest, KeyStore};

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
#[derive(Debug, Default)]
pub struct MemoryKeyStore {
    records: papaya::HashMap<KeyDigest, ApiKeyRecord>,
}

impl MemoryKeyStore {
    /// A store without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record, or replaces the one with the same digest: so a key is revoked, expired or given other scopes.
    pub fn insert(&self, record: ApiKeyRecord) {
        self.records.pin().insert(*record.digest(), record);
    }

    /// Forgets a key. It is refused from now on, as unknown.
    pub fn remove(&self, key: &KeyDigest) -> Option<ApiKeyRecord> {
        self.records.pin().remove(key).cloned()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
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
        Ok(self.records.pin().get(key).cloned())
    }

    fn find_now(&self, key: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Infallible>> {
        Some(Ok(self.records.pin().get(key).cloned()))
    }
}
