//! The port to who administers API keys, and what is the same over every store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{
    ApiKeyFormat, ApiKeyRecord, KeyDigest, KeyQuery, KeyReport, KeyStore, MintedKey, NewKey, ReportLimits,
};
use crate::clock::{Clock, SystemClock};
use crate::scope::Scope;

mod change;
mod error;
mod steps;

pub use change::{Committed, KeyChange, KeyUses};
pub use error::RegistryError;
pub(super) use steps::storable;
use steps::{MOST_ATTEMPTS, Steps, must_live, new_id, storable_as, successor, to_the_millisecond};

/// A [`KeyStore`] that can also be administered: keys are minted, listed, changed, rotated and revoked.
///
/// A store implements five methods: [`get`](Self::get), [`list`](Self::list), [`commit`](Self::commit),
/// [`add_uses`](Self::add_uses) and, if it has a clock of its own, [`now`](Self::now). The rest is provided, and is the same
/// over every store. `testing::conformance` has a suite that tells whether a store of yours keeps what these promise.
///
/// What is acknowledged is in the store. On the same node a change is seen by the next request; when other nodes see it
/// depends on the store.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{ApiKeyFormat, KeyRegistry, MemoryKeyStore, NewKey, Scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let format = ApiKeyFormat::new("sk", "live")?;
/// let keys = MemoryKeyStore::new();
///
/// let first = keys.mint(&format, NewKey::of("billing-robot").scopes([Scope::from_static("invoices:read")])).await?;
/// let shown_once = first.key().expose();
///
/// // The new key works at once, and the old one for another day.
/// let second = keys.rotate(first.record().id(), &format, Duration::from_secs(24 * 60 * 60)).await?;
///
/// // A key that leaked gets no grace.
/// keys.revoke(second.record().id()).await?;
/// # assert!(shown_once.starts_with("sk_live_"));
/// # Ok(())
/// # }
/// ```
pub trait KeyRegistry: KeyStore {
    /// The record with this id.
    fn get(&self, id: &str) -> impl Future<Output = Result<Option<ApiKeyRecord>, Self::Error>> + Send;

    /// The records that are asked for, in the order of their ids, byte by byte; at most `query.limit`.
    fn list(&self, query: &KeyQuery) -> impl Future<Output = Result<Vec<ApiKeyRecord>, Self::Error>> + Send;

    /// Carries out a change as a whole or not at all, and answers when it will not be lost. What a store does wrong here
    /// is a key that works after it was revoked: [`find`](KeyStore::find) must see the change from now on.
    fn commit(&self, change: &KeyChange) -> impl Future<Output = Result<Committed, Self::Error>> + Send;

    /// Adds to the counts of uses, of uses that a limit turned away and of refusals, all keys at once, and moves the times of
    /// last use forwards, never backwards. The time of last use tells of accepted uses only: where
    /// [`uses`](KeyUses::uses) is 0, the stored time stays, and if there is none, there is none after it. None of this counts
    /// as a change of the record: its revision stays. Ids that are not there are passed over.
    fn add_uses(&self, uses: &[KeyUses]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The time that keys are made, expire and are revoked at. Default: the operating system's.
    fn now(&self) -> SystemTime {
        SystemClock::new().now()
    }

    /// Makes a key. The answer holds it in plain, for the only time.
    fn mint(
        &self,
        format: &ApiKeyFormat,
        wanted: NewKey,
    ) -> impl Future<Output = Result<IssuedKey, RegistryError<Self::Error>>> + Send {
        let minted = format.mint();
        async move {
            let key = minted?;
            let now = to_the_millisecond(self.now());
            let record = wanted.into_record(new_id(now)?, *key.digest(), now)?;
            let record = record.start(key.start()).build();
            self.put(KeyChange::add(record.clone())).await?;
            Ok(IssuedKey { key, record })
        }
    }

    /// Takes over a key that was made elsewhere, by its digest: [`KeyDigest::of`] the key, or the SHA-256 that was stored
    /// of it. A key of fewer than 128 random bits can be guessed; replace it soon.
    fn import(
        &self,
        digest: KeyDigest,
        wanted: NewKey,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        async move {
            let now = to_the_millisecond(self.now());
            let record = wanted.into_record(new_id(now)?, digest, now)?.build();
            self.put(KeyChange::add(record.clone())).await?;
            Ok(record)
        }
    }

    /// Gives a live key other scopes, all of them anew.
    fn set_scopes(
        &self,
        id: &str,
        scopes: impl IntoIterator<Item = Scope> + Send,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        async move {
            self.change(id, |record, now| {
                must_live(record, now)?;
                Ok(Some(record.to_builder().scopes(scopes.iter().cloned())))
            })
            .await
        }
    }

    /// Sets the end of a live key, sooner or later than it was; at once, if the time has come. What has ended cannot be
    /// brought back, and the grace of a rotated key cannot be made longer.
    fn expire(
        &self,
        id: &str,
        at: SystemTime,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        async move {
            let at = storable_as("at", Some(at))?;
            self.change(id, |record, now| {
                must_live(record, now)?;
                if let (Some(to), Some(end)) = (record.rotated_to(), record.expires_at())
                    && at > end
                {
                    return Err(RegistryError::AlreadyRotated { to: to.to_owned() });
                }
                Ok(Some(record.to_builder().expires_at(at)))
            })
            .await
        }
    }

    /// Withdraws a key, and no other. A key that is revoked already stays as it is.
    fn revoke(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        async move {
            self.change(id, |record, now| {
                Ok((!record.is_revoked()).then(|| record.to_builder().revoked_at(now)))
            })
            .await
        }
    }

    /// Makes a successor of a live key, with the same owner, name, scopes, plan, metadata and length of life. It works at
    /// once; the old key works until the grace ends, or its own end if that comes first.
    ///
    /// A key is rotated once. No more than two keys of a chain live at a time: while a predecessor, the last or one before
    /// it, is in its grace, only a rotation without grace is possible, or that predecessor must be revoked first.
    /// (The nodes' clocks are trusted to agree.)
    fn rotate(
        &self,
        id: &str,
        format: &ApiKeyFormat,
        grace: Duration,
    ) -> impl Future<Output = Result<IssuedKey, RegistryError<Self::Error>>> + Send {
        let minted = format.mint();
        async move {
            let key = minted?;
            for _ in 0..MOST_ATTEMPTS {
                let now = to_the_millisecond(self.now());
                let old = self.known(id).await?;
                self.may_rotate(&old, grace, now).await?;
                let (ended, next) = successor(&old, &key, grace, now)?;
                let change = KeyChange {
                    add: Some(next.clone()),
                    replace: Some(ended),
                };
                match self.commit(&change).await.map_err(RegistryError::Store)? {
                    Committed::Done => return Ok(IssuedKey { key, record: next }),
                    Committed::Conflict => {}
                    Committed::Taken => return Err(RegistryError::Taken),
                }
            }
            Err(RegistryError::Contended)
        }
    }

    /// Live keys that are too old, that nobody uses, or that never expire.
    fn report(
        &self,
        limits: ReportLimits,
    ) -> impl Future<Output = Result<KeyReport, RegistryError<Self::Error>>> + Send {
        async move {
            let [old, unused, endless] = limits.queries(self.now());
            Ok(KeyReport {
                old: self.list_all(old).await?,
                unused: self.list_all(unused).await?,
                endless: self.list_all(endless).await?,
            })
        }
    }

    /// Every record that is asked for, page by page, however many they are.
    fn list_all(
        &self,
        query: KeyQuery,
    ) -> impl Future<Output = Result<Vec<ApiKeyRecord>, RegistryError<Self::Error>>> + Send {
        async move {
            let (mut all, mut query) = (Vec::new(), query.limit(1_000));
            loop {
                let page = self.list(&query).await.map_err(RegistryError::Store)?;
                let is_last = page.len() < query.limit;
                query.after = page.last().map(|record| record.id().to_owned());
                all.extend(page);
                if is_last {
                    return Ok(all);
                }
            }
        }
    }
}

impl<S: KeyRegistry> KeyRegistry for Arc<S> {
    fn get(&self, id: &str) -> impl Future<Output = Result<Option<ApiKeyRecord>, Self::Error>> + Send {
        (**self).get(id)
    }

    fn list(&self, query: &KeyQuery) -> impl Future<Output = Result<Vec<ApiKeyRecord>, Self::Error>> + Send {
        (**self).list(query)
    }

    fn commit(&self, change: &KeyChange) -> impl Future<Output = Result<Committed, Self::Error>> + Send {
        (**self).commit(change)
    }

    fn add_uses(&self, uses: &[KeyUses]) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).add_uses(uses)
    }

    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// A key that was made, and its record. `Debug` does not show the key.
#[derive(Debug)]
pub struct IssuedKey {
    key: MintedKey,
    record: ApiKeyRecord,
}

impl IssuedKey {
    /// The key, in plain for the only time.
    pub fn key(&self) -> &MintedKey {
        &self.key
    }

    /// What is stored of it.
    pub fn record(&self) -> &ApiKeyRecord {
        &self.record
    }
}
