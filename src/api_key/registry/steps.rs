use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::format::push_base62;
use super::super::{ApiKeyRecord, ApiKeyRecordBuilder, MintError, MintedKey};
use super::{Committed, KeyChange, KeyRegistry, RegistryError};
use crate::error::ConfigError;

/// Somebody else was quicker so often that something is wrong with the store.
pub(super) const MOST_ATTEMPTS: usize = 200;

/// The steps that the provided methods share.
pub(super) trait Steps: KeyRegistry {
    fn known(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        async move {
            let found = self.get(id).await.map_err(RegistryError::Store)?;
            found.ok_or(RegistryError::Unknown)
        }
    }

    fn put(&self, change: KeyChange) -> impl Future<Output = Result<(), RegistryError<Self::Error>>> + Send {
        async move {
            match self.commit(&change).await.map_err(RegistryError::Store)? {
                Committed::Done => Ok(()),
                Committed::Conflict => Err(RegistryError::Contended),
                Committed::Taken => Err(RegistryError::Taken),
            }
        }
    }

    /// Reads, changes and writes, again if somebody else was quicker. `None` leaves the record as it is.
    fn change(
        &self,
        id: &str,
        edit: impl Fn(
            &ApiKeyRecord,
            SystemTime,
        ) -> Result<Option<ApiKeyRecordBuilder>, RegistryError<Self::Error>>
        + Send
        + Sync,
    ) -> impl Future<Output = Result<ApiKeyRecord, RegistryError<Self::Error>>> + Send {
        async move {
            for _ in 0..MOST_ATTEMPTS {
                let old = self.known(id).await?;
                let Some(new) = edit(&old, to_the_millisecond(self.now()))? else {
                    return Ok(old);
                };
                let change = KeyChange::replace(new.build());
                match self.commit(&change).await.map_err(RegistryError::Store)? {
                    Committed::Done => {
                        let stored = change.replace.unwrap_or(old);
                        let revision = stored.revision().saturating_add(1);
                        return Ok(stored.to_builder().revision(revision).build());
                    }
                    Committed::Conflict | Committed::Taken => {}
                }
            }
            Err(RegistryError::Contended)
        }
    }

    fn may_rotate(
        &self,
        old: &ApiKeyRecord,
        grace: Duration,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), RegistryError<Self::Error>>> + Send {
        async move {
            must_live(old, now)?;
            if let Some(to) = old.rotated_to() {
                return Err(RegistryError::AlreadyRotated { to: to.to_owned() });
            }
            if grace.is_zero() {
                return Ok(());
            }
            match self.living_predecessor(old, now).await? {
                Some(predecessor) => Err(RegistryError::TwoLive { predecessor }),
                None => Ok(()),
            }
        }
    }

    /// The id of an older key of the chain that is still in its grace. Those before a key that was given a grace had ended
    /// when that key was rotated, so that mostly one record is read. What lives here can end before the commit, and never
    /// comes back: a record that was rotated lives no longer than it was told then.
    fn living_predecessor(
        &self,
        of: &ApiKeyRecord,
        now: SystemTime,
    ) -> impl Future<Output = Result<Option<String>, RegistryError<Self::Error>>> + Send {
        async move {
            let (mut key, mut seen) = (of.clone(), HashSet::new());
            // Records that were written by hand may name each other in a circle.
            while let Some(id) = key.rotated_from().filter(|id| !seen.contains(*id)) {
                let Some(before) = self.get(id).await.map_err(RegistryError::Store)? else {
                    break;
                };
                if before.is_live(now) {
                    return Ok(Some(id.to_owned()));
                }
                let rotated_at = key.created_at();
                if rotated_at
                    .zip(before.expires_at())
                    .is_some_and(|(at, end)| end > at)
                {
                    break;
                }
                seen.insert(id.to_owned());
                key = before;
            }
            Ok(None)
        }
    }
}

impl<R: KeyRegistry + ?Sized> Steps for R {}

pub(super) fn must_live<E>(record: &ApiKeyRecord, now: SystemTime) -> Result<(), RegistryError<E>> {
    if record.is_live(now) {
        Ok(())
    } else {
        Err(RegistryError::NotLive)
    }
}

/// The old key with its end, and the new one.
pub(super) fn successor<E>(
    old: &ApiKeyRecord,
    key: &MintedKey,
    grace: Duration,
    now: SystemTime,
) -> Result<(ApiKeyRecord, ApiKeyRecord), RegistryError<E>> {
    let id = new_id(now)?;
    let grace_ends = storable_as("grace", now.checked_add(grace))?;
    let end = old.expires_at().map_or(grace_ends, |own| own.min(grace_ends));
    let mut next = ApiKeyRecordBuilder::new(id.clone(), old.owner().to_owned(), *key.digest());
    let told = old.to_builder();
    next.name = told.name;
    next.scopes = told.scopes;
    next.plan = told.plan;
    next.metadata = told.metadata;
    // A key that was made to live until the end of all dates has a successor that ends there too.
    let lives_as_long = life_of(old, now).and_then(|life| storable(now.checked_add(life)).ok());
    next.expires_at = lives_as_long.or(old.expires_at());
    let next = next
        .start(key.start())
        .created_at(now)
        .rotated_from(old.id())
        .build();
    Ok((old.to_builder().expires_at(end).rotated_to(id).build(), next))
}

/// For how long a key was made to live; of one that does not tell when it was made, what is left of its life.
fn life_of(old: &ApiKeyRecord, now: SystemTime) -> Option<Duration> {
    let end = old.expires_at()?;
    let begin = old.created_at().filter(|made| *made < end).unwrap_or(now);
    Some(end.duration_since(begin).unwrap_or_default())
}

/// The end of the year 9999, in seconds since 1970: what every database and every log can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// A time that a store is to keep; or else what is wrong with it.
pub(in crate::api_key) fn storable(time: Option<SystemTime>) -> Result<SystemTime, &'static str> {
    let last = UNIX_EPOCH.checked_add(Duration::from_secs(LAST_SECOND));
    let time = time.filter(|time| last.is_none_or(|last| *time <= last));
    time.map(to_the_millisecond).ok_or("later than the year 9999")
}

/// The same for the one time that a call is about.
pub(super) fn storable_as(setter: &'static str, time: Option<SystemTime>) -> Result<SystemTime, ConfigError> {
    storable(time).map_err(|problem| ConfigError::one(setter, problem))
}

/// The time, as stores keep it: to the millisecond, and not before 1970.
pub(in crate::api_key) fn to_the_millisecond(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000);
    UNIX_EPOCH.checked_add(whole).unwrap_or(time)
}

/// `key_` and 19 characters: eight that count milliseconds, so that ids sort by age, and eleven from 8 random bytes. An id
/// is no secret.
pub(super) fn new_id(now: SystemTime) -> Result<String, MintError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(MintError)?;
    let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut id = b"key_".to_vec();
    push_base62::<8>(&mut id, &millis.to_be_bytes());
    push_base62::<11>(&mut id, &random);
    Ok(id.into_iter().map(char::from).collect())
}
