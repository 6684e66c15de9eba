use std::time::SystemTime;

use super::ApiKeyRecord;

/// Which keys to list. All that is asked for must hold; [`matches`](Self::matches) says what each means.
///
/// Records come in the order of their ids, which for minted keys is the order in which they were made.
///
/// ```
/// use tower_resource_server::KeyQuery;
///
/// let first = KeyQuery::default().owner("billing-robot").limit(50);
/// let next = first.clone().after("key_0000000000000000000a");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Keys of this owner.
    pub owner: Option<String>,
    /// Keys that are neither revoked nor expired at this time.
    pub live_at: Option<SystemTime>,
    /// Keys made before this time. A key that does not tell when it was made counts as old.
    pub created_before: Option<SystemTime>,
    /// Keys not used since this time, and made before it.
    pub unused_since: Option<SystemTime>,
    /// Keys without an end.
    pub never_expires: bool,
    /// Only ids that come after this one, byte by byte.
    pub after: Option<String>,
    /// At most so many records.
    pub limit: usize,
}

impl Default for KeyQuery {
    fn default() -> Self {
        Self {
            owner: None,
            live_at: None,
            created_before: None,
            unused_since: None,
            never_expires: false,
            after: None,
            limit: 1_000,
        }
    }
}

impl KeyQuery {
    /// Only keys of this owner. Default: everybody's.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Only keys that are neither revoked nor expired at this time. Default: those too, because a list is for people who
    /// wonder what became of a key.
    #[must_use]
    pub fn live_at(mut self, now: SystemTime) -> Self {
        self.live_at = Some(now);
        self
    }

    /// Only keys made before this time, or at an unknown one. Default: of any age.
    #[must_use]
    pub fn created_before(mut self, time: SystemTime) -> Self {
        self.created_before = Some(time);
        self
    }

    /// Only keys that were not used since this time, and are older than that. Default: used or not.
    #[must_use]
    pub fn unused_since(mut self, time: SystemTime) -> Self {
        self.unused_since = Some(time);
        self
    }

    /// Only keys without an end. Default: with or without.
    #[must_use]
    pub fn never_expires(mut self) -> Self {
        self.never_expires = true;
        self
    }

    /// Only what comes after this id: the last one of the page before. Default: from the first.
    #[must_use]
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// At most so many records. Default: 1,000, because an answer should be bounded.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whether a record is asked for, whatever the limit: for stores that sift by themselves, and the meaning of the
    /// fields for those that let a database do it.
    pub fn matches(&self, record: &ApiKeyRecord) -> bool {
        let older = |limit: SystemTime| record.created_at().is_none_or(|made| made < limit);
        let unused = |limit: SystemTime| record.last_used_at().is_none_or(|used| used < limit);
        self.owner.as_deref().is_none_or(|owner| owner == record.owner())
            && self.live_at.is_none_or(|now| record.is_live(now))
            && self.created_before.is_none_or(older)
            && self
                .unused_since
                .is_none_or(|limit| older(limit) && unused(limit))
            && (!self.never_expires || record.expires_at().is_none())
            && self.after.as_deref().is_none_or(|after| record.id() > after)
    }
}
