use std::sync::Arc;
use std::time::SystemTime;

use super::super::ApiKeyRecord;

/// A change of the registry, carried out as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChange {
    /// A record to add. Neither its id nor its digest may be there already.
    pub add: Option<ApiKeyRecord>,
    /// The new text of a record that is there. Its [`revision`](ApiKeyRecord::revision) is the one that it was read with:
    /// if the stored record has another by now, nothing happens; else it is stored with the next one. Id, digest, the counts
    /// of uses and the time of last use stay as they are stored.
    pub replace: Option<ApiKeyRecord>,
}

impl KeyChange {
    /// Adds a record.
    pub fn add(record: ApiKeyRecord) -> Self {
        Self {
            add: Some(record),
            replace: None,
        }
    }

    /// Replaces a record, if it still is what it was when it was read.
    pub fn replace(record: ApiKeyRecord) -> Self {
        Self {
            add: None,
            replace: Some(record),
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Committed {
    /// It was carried out.
    Done,
    /// The record to replace has changed meanwhile, or is not there; nothing was done.
    Conflict,
    /// The id or the digest to add is there already; nothing was done.
    Taken,
}

/// What one key was presented for, by outcome, and was not written down yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUses {
    /// The id of the key's record.
    pub id: Arc<str>,
    /// How many uses to add: requests that were authenticated by the key.
    pub uses: u64,
    /// When the last of these uses was. If there are none, it says nothing, and the stored time stays.
    pub last_used_at: SystemTime,
    /// How many of the uses, of these or of earlier ones, were turned away by a limit.
    pub limited: u64,
    /// How many requests to add that were refused because the key was revoked, had expired or was not valid yet. They are no
    /// uses.
    pub refused: u64,
}

impl KeyUses {
    /// Uses of the key with this id.
    pub fn new(id: impl Into<Arc<str>>, uses: u64, last_used_at: SystemTime) -> Self {
        Self {
            id: id.into(),
            uses,
            last_used_at,
            limited: 0,
            refused: 0,
        }
    }

    /// So many uses were turned away by a limit. Default: 0, because most keys stay within their limits.
    #[must_use]
    pub fn limited(mut self, limited: u64) -> Self {
        self.limited = limited;
        self
    }

    /// So many requests were refused. Default: 0, because most keys are valid.
    #[must_use]
    pub fn refused(mut self, refused: u64) -> Self {
        self.refused = refused;
        self
    }
}
