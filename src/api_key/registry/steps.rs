use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::format::push_base62;
use super::super::{ApiKeyRecord, ApiKeyRecordBuilder, MintError, MintedKey};
use super::{Committed, KeyChange, KeyRegistry, RegistryError};

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
                        let revision = stored.revision() + 1;
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
            let Some(id) = old.rotated_from().filter(|_| !grace.is_zero()) else {
                return Ok(());
            };
            // It can end between here and the commit, and never come back: a record that was rotated lives no longer.
            match self.get(id).await.map_err(RegistryError::Store)? {
                Some(before) if before.is_live(now) => Err(RegistryError::TwoLive {
                    predecessor: id.to_owned(),
                }),
                _ => Ok(()),
            }
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
pub(super) fn successor(
    old: &ApiKeyRecord,
    key: &MintedKey,
    grace: Duration,
    now: SystemTime,
) -> Result<(ApiKeyRecord, ApiKeyRecord), MintError> {
    let id = new_id(now)?;
    let end = now.checked_add(grace).map(to_the_millisecond);
    let end = match (end, old.expires_at()) {
        (Some(end), Some(own)) => end.min(own),
        (end, own) => end.or(own).unwrap_or(now),
    };
    let mut next = ApiKeyRecordBuilder::new(id.clone(), old.owner().to_owned(), *key.digest());
    let told = old.to_builder();
    next.name = told.name;
    next.scopes = told.scopes;
    next.plan = told.plan;
    next.metadata = told.metadata;
    next.expires_at = life_of(old).map(|life| now + life);
    let next = next
        .start(key.start())
        .created_at(now)
        .rotated_from(old.id())
        .build();
    Ok((old.to_builder().expires_at(end).rotated_to(id).build(), next))
}

/// For how long a key was made to live. One that does not tell when it was made, or was made to end at once, has no length
/// to hand on but what is left of it.
fn life_of(old: &ApiKeyRecord) -> Option<Duration> {
    let end = old.expires_at()?;
    let begin = old.created_at().unwrap_or(end);
    end.duration_since(begin).ok()
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
