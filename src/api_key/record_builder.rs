use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ApiKeyRecord, KeyDigest};
use crate::scope::{Scope, ScopeSet};

/// Builds an [`ApiKeyRecord`]: for a store that reads one back, and for keys that come with the configuration. New keys are
/// made by [`KeyRegistry::mint`](super::KeyRegistry::mint).
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyRecordBuilder {
    pub(super) id: Arc<str>,
    pub(super) owner: Arc<str>,
    pub(super) digest: KeyDigest,
    pub(super) name: Option<Box<str>>,
    pub(super) start: Option<Box<str>>,
    pub(super) scopes: ScopeSet,
    pub(super) created_at: Option<SystemTime>,
    pub(super) not_before: Option<SystemTime>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) revoked_at: Option<SystemTime>,
    pub(super) last_used_at: Option<SystemTime>,
    pub(super) uses: u64,
    pub(super) limited: u64,
    pub(super) refused: u64,
    pub(super) rotated_to: Option<Box<str>>,
    pub(super) rotated_from: Option<Box<str>>,
    pub(super) plan: Option<Box<str>>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) revision: u64,
}

impl ApiKeyRecordBuilder {
    pub(super) fn new(id: String, owner: String, digest: KeyDigest) -> Self {
        Self {
            id: id.into(),
            owner: owner.into(),
            digest,
            name: None,
            start: None,
            scopes: ScopeSet::empty(),
            created_at: None,
            not_before: None,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            uses: 0,
            limited: 0,
            refused: 0,
            rotated_to: None,
            rotated_from: None,
            plan: None,
            metadata: BTreeMap::new(),
            revision: 0,
        }
    }

    /// What people call the key. Default: nothing, because the id names it already.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// How the key begins (`MintedKey::start`), for people to recognise it by. Default: not kept, because of a key made
    /// elsewhere nobody knows which part may be shown.
    #[must_use]
    pub fn start(mut self, start: impl Into<String>) -> Self {
        self.start = Some(start.into().into());
        self
    }

    /// What the key may do. Default: nothing, because a key should be given what it needs and no more.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// When the key was made. Default: unknown, because keys made elsewhere may not tell.
    #[must_use]
    pub fn created_at(mut self, at: SystemTime) -> Self {
        self.created_at = Some(at);
        self
    }

    /// The key is refused before this moment. Default: valid from the start, because a key is mostly wanted now.
    #[must_use]
    pub fn not_before(mut self, at: SystemTime) -> Self {
        self.not_before = Some(at);
        self
    }

    /// The key is refused from this moment on. Default: never, because the owner of a machine's key rotates it and
    /// cannot be asked to log in.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The key is withdrawn. The time is for people: a revoked key is refused at any time, since two machines' clocks may
    /// differ. Default: it is not, because a record is made for a key that works.
    #[must_use]
    pub fn revoked_at(mut self, at: SystemTime) -> Self {
        self.revoked_at = Some(at);
        self
    }

    /// The key is withdrawn, and nobody knows since when. Default: it is not.
    #[must_use]
    pub fn revoked(self) -> Self {
        self.revoked_at(SystemTime::UNIX_EPOCH)
    }

    /// When the key was last used. Default: never, or unknown.
    #[must_use]
    pub fn last_used_at(mut self, at: SystemTime) -> Self {
        self.last_used_at = Some(at);
        self
    }

    /// How often the key was used. Default: 0, because a record is made before the key is used.
    #[must_use]
    pub fn uses(mut self, uses: u64) -> Self {
        self.uses = uses;
        self
    }

    /// How many of the uses were turned away by a limit. Default: 0, because a record is made before the key is used.
    #[must_use]
    pub fn limited(mut self, limited: u64) -> Self {
        self.limited = limited;
        self
    }

    /// How often the key was presented while it was not valid. Default: 0, because a record is made before the key is used.
    #[must_use]
    pub fn refused(mut self, refused: u64) -> Self {
        self.refused = refused;
        self
    }

    /// The id of the key that took this one's place. Default: none did.
    #[must_use]
    pub fn rotated_to(mut self, id: impl Into<String>) -> Self {
        self.rotated_to = Some(id.into().into());
        self
    }

    /// The id of the key whose place this one took. Default: none.
    #[must_use]
    pub fn rotated_from(mut self, id: impl Into<String>) -> Self {
        self.rotated_from = Some(id.into().into());
        self
    }

    /// The name of the plan that limits how often the key may be used. Default: none, because limits are a layer's.
    #[must_use]
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into().into());
        self
    }

    /// What else to keep with the key. Never a secret: it is stored and listed as it is. Default: nothing.
    #[must_use]
    pub fn metadata<K, V>(mut self, entries: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        self.metadata = entries
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self
    }

    /// How often the record was changed, for a store that reads one back. Default: 0, because it is new.
    #[must_use]
    pub fn revision(mut self, revision: u64) -> Self {
        self.revision = revision;
        self
    }

    /// The record.
    pub fn build(self) -> ApiKeyRecord {
        ApiKeyRecord::of(self)
    }
}

impl fmt::Debug for ApiKeyRecordBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecordBuilder")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
