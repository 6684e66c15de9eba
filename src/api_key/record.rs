use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ApiKeyRecordBuilder, KeyDigest, KeyUses};
use crate::authenticator::Judgement;
use crate::error::AuthError;
use crate::principal::{Identity, Method, PrincipalData};
use crate::scope::ScopeSet;

/// What is stored of an API key: everything but the key. Cloning it costs a reference count.
///
/// ```
/// use tower_resource_server::{ApiKeyRecord, KeyDigest, Scope};
///
/// let record = ApiKeyRecord::builder("key_1", "billing-robot", KeyDigest::of("sk_test_…"))
///     .scopes([Scope::from_static("invoices:read")])
///     .build();
/// assert_eq!(record.owner(), "billing-robot");
/// ```
#[derive(Clone)]
pub struct ApiKeyRecord(Arc<Inner>);

struct Inner {
    /// What a request gets, made once.
    principal: Arc<PrincipalData>,
    told: ApiKeyRecordBuilder,
}

impl ApiKeyRecord {
    /// Starts a record: the id that people and logs call the key by, whose it is, and the key's digest.
    pub fn builder(
        id: impl Into<String>,
        owner: impl Into<String>,
        digest: KeyDigest,
    ) -> ApiKeyRecordBuilder {
        ApiKeyRecordBuilder::new(id.into(), owner.into(), digest)
    }

    pub(super) fn of(told: ApiKeyRecordBuilder) -> Self {
        let principal = PrincipalData {
            scopes: told.scopes.clone(),
            credential_id: Some(Arc::clone(&told.id).into()),
            plan: told.plan.clone(),
            issued_at: told.created_at,
            expires_at: told.expires_at,
            ..PrincipalData::new(Identity {
                method: Method::ApiKey,
                user: false,
                issuer: None,
                subject: Some(Arc::clone(&told.owner).into()),
            })
        };
        Self(Arc::new(Inner {
            principal: Arc::new(principal),
            told,
        }))
    }

    /// A builder that holds all of this, to change some of it.
    pub fn to_builder(&self) -> ApiKeyRecordBuilder {
        self.0.told.clone()
    }

    /// What people and logs call the key by.
    pub fn id(&self) -> &str {
        &self.0.told.id
    }

    #[cfg(feature = "stored-keys")]
    pub(super) fn shared_id(&self) -> &Arc<str> {
        &self.0.told.id
    }

    /// Whose key it is: the principal's subject.
    pub fn owner(&self) -> &str {
        &self.0.told.owner
    }

    /// What people call the key, if they named it.
    pub fn name(&self) -> Option<&str> {
        self.0.told.name.as_deref()
    }

    /// How the key begins, for people to recognise it by.
    pub fn start(&self) -> Option<&str> {
        self.0.told.start.as_deref()
    }

    /// The digest that the key is found by.
    pub fn digest(&self) -> &KeyDigest {
        &self.0.told.digest
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.told.scopes
    }

    /// When the key was made.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.0.told.created_at
    }

    /// When the key starts to be valid.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.0.told.not_before
    }

    /// When the key ceases to be valid.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.told.expires_at
    }

    /// When the key was revoked; for people, since a revoked key is refused whatever the time is.
    pub fn revoked_at(&self) -> Option<SystemTime> {
        self.0.told.revoked_at
    }

    /// Whether the key was revoked.
    pub fn is_revoked(&self) -> bool {
        self.0.told.revoked_at.is_some()
    }

    /// When the key was last used, as far as it was written down; see `UsageRecorder`.
    pub fn last_used_at(&self) -> Option<SystemTime> {
        self.0.told.last_used_at
    }

    /// How often the key was used, as far as it was written down: requests that were authenticated by it.
    pub fn uses(&self) -> u64 {
        self.0.told.uses
    }

    /// How many of the uses were turned away by a limit, as far as it was written down.
    pub fn limited(&self) -> u64 {
        self.0.told.limited
    }

    /// How often the key was presented while it was revoked, had expired or was not valid yet, as far as it was written
    /// down. These are no uses.
    pub fn refused(&self) -> u64 {
        self.0.told.refused
    }

    /// The id of the key that took this one's place in a rotation.
    pub fn rotated_to(&self) -> Option<&str> {
        self.0.told.rotated_to.as_deref()
    }

    /// The id of the key whose place this one took.
    pub fn rotated_from(&self) -> Option<&str> {
        self.0.told.rotated_from.as_deref()
    }

    /// The name of the plan that limits how often the key may be used.
    pub fn plan(&self) -> Option<&str> {
        self.0.told.plan.as_deref()
    }

    /// What else is kept with the key: words of yours, which nothing here reads.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.told.metadata
    }

    /// How often the record was changed; uses do not count. See [`KeyRegistry::commit`](super::KeyRegistry::commit).
    pub fn revision(&self) -> u64 {
        self.0.told.revision
    }

    /// Whether the key is not revoked and has not expired. A key whose time has not come yet counts as live: nobody has
    /// ended it.
    pub fn is_live(&self, now: SystemTime) -> bool {
        !self.is_revoked() && self.expires_at().is_none_or(|end| now < end)
    }

    /// What is stored when another text of this record is committed: see [`KeyChange::replace`](super::KeyChange). For
    /// stores that keep whole records.
    #[must_use]
    pub fn replaced_by(&self, new: &Self) -> Self {
        let (stored, mut told) = (&self.0.told, new.to_builder());
        told.id = Arc::clone(&stored.id);
        told.digest = stored.digest;
        told.uses = stored.uses;
        told.limited = stored.limited;
        told.refused = stored.refused;
        told.last_used_at = stored.last_used_at;
        told.revision = stored.revision.saturating_add(1);
        told.build()
    }

    /// What is stored when uses are added: see [`KeyRegistry::add_uses`](super::KeyRegistry::add_uses). For stores that
    /// keep whole records.
    #[must_use]
    pub fn with_uses(&self, used: &KeyUses) -> Self {
        let mut told = self.to_builder();
        told.uses = told.uses.saturating_add(used.uses);
        told.limited = told.limited.saturating_add(used.limited);
        told.refused = told.refused.saturating_add(used.refused);
        if used.uses > 0 {
            told.last_used_at = told.last_used_at.max(Some(used.last_used_at));
        }
        told.build()
    }

    /// The principal, if this is the key's record and the key is valid now. The record is compared with the digest that
    /// was asked for: a store that answers with somebody else's record lets nobody in.
    pub(super) fn judge(&self, digest: &KeyDigest, now: SystemTime) -> Judgement {
        if !self.digest().matches(digest) {
            return Err(AuthError::ApiKeyUnknown);
        }
        let name = || (Arc::clone(&self.0.told.id), Arc::clone(&self.0.told.owner));
        if self.is_revoked() {
            let (id, owner) = name();
            return Err(AuthError::ApiKeyRevoked { id, owner });
        }
        if self.not_before().is_some_and(|start| now < start) {
            let (id, owner) = name();
            return Err(AuthError::ApiKeyNotYetValid { id, owner });
        }
        if self.expires_at().is_some_and(|end| now >= end) {
            let (id, owner) = name();
            return Err(AuthError::ApiKeyExpired { id, owner });
        }
        Ok(Arc::clone(&self.0.principal))
    }
}

impl PartialEq for ApiKeyRecord {
    fn eq(&self, other: &Self) -> bool {
        self.0.told == other.0.told
    }
}

impl Eq for ApiKeyRecord {}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("id", &self.id())
            .field("owner", &self.owner())
            .field("scopes", self.scopes())
            .field("not_before", &self.not_before())
            .field("expires_at", &self.expires_at())
            .field("revoked_at", &self.revoked_at())
            .field("rotated_to", &self.rotated_to())
            .finish_non_exhaustive()
    }
}
