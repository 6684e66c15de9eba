use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::KeyDigest;
use crate::authenticator::Judgement;
use crate::error::AuthError;
use crate::principal::{Identity, Method, PrincipalData};
use crate::scope::{Scope, ScopeSet};

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
    principal: Arc<PrincipalData>,
    id: Box<str>,
    owner: Arc<str>,
    start: Option<Box<str>>,
    digest: KeyDigest,
    not_before: Option<SystemTime>,
    expires_at: Option<SystemTime>,
    revoked: bool,
}

/// Builds an [`ApiKeyRecord`].
#[derive(Debug, Clone)]
pub struct ApiKeyRecordBuilder {
    id: Box<str>,
    owner: Arc<str>,
    start: Option<Box<str>>,
    digest: KeyDigest,
    scopes: ScopeSet,
    created_at: Option<SystemTime>,
    not_before: Option<SystemTime>,
    expires_at: Option<SystemTime>,
    revoked: bool,
}

impl ApiKeyRecord {
    /// Starts a record: the id that people and logs call the key by, whose it is, and the key's digest.
    pub fn builder(
        id: impl Into<String>,
        owner: impl Into<String>,
        digest: KeyDigest,
    ) -> ApiKeyRecordBuilder {
        ApiKeyRecordBuilder {
            id: id.into().into(),
            owner: owner.into().into(),
            start: None,
            digest,
            scopes: ScopeSet::empty(),
            created_at: None,
            not_before: None,
            expires_at: None,
            revoked: false,
        }
    }

    /// What people and logs call the key by.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Whose key it is: the principal's subject.
    pub fn owner(&self) -> &str {
        &self.0.owner
    }

    /// How the key begins, for people to recognise it by.
    pub fn start(&self) -> Option<&str> {
        self.0.start.as_deref()
    }

    /// The digest that the key is found by.
    pub fn digest(&self) -> &KeyDigest {
        &self.0.digest
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.principal.scopes
    }

    /// When the key was made.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.0.principal.issued_at
    }

    /// When the key starts to be valid.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.0.not_before
    }

    /// When the key ceases to be valid.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at
    }

    /// Whether the key was revoked.
    pub fn is_revoked(&self) -> bool {
        self.0.revoked
    }

    /// The principal, if this is the key's record and the key is valid now. The record is compared with the digest that
    /// was asked for: a store that answers with somebody else's record lets nobody in.
    pub(crate) fn judge(&self, digest: &KeyDigest, now: SystemTime) -> Judgement {
        let inner = &*self.0;
        if !inner.digest.matches(digest) {
            return Err(AuthError::ApiKeyUnknown);
        }
        if inner.revoked {
            return Err(AuthError::ApiKeyRevoked);
        }
        if inner.not_before.is_some_and(|start| now < start) {
            return Err(AuthError::ApiKeyNotYetValid);
        }
        if inner.expires_at.is_some_and(|end| now >= end) {
            return Err(AuthError::ApiKeyExpired);
        }
        Ok(Arc::clone(&inner.principal))
    }
}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("id", &self.0.id)
            .field("owner", &self.0.owner)
            .field("scopes", self.scopes())
            .field("not_before", &self.0.not_before)
            .field("expires_at", &self.0.expires_at)
            .field("revoked", &self.0.revoked)
            .finish_non_exhaustive()
    }
}

impl ApiKeyRecordBuilder {
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

    /// The key is withdrawn. Default: it is not, because a record is made for a key that works.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// The record.
    pub fn build(self) -> ApiKeyRecord {
        let subject = Some(Arc::clone(&self.owner));
        let principal = PrincipalData {
            scopes: self.scopes,
            credential_id: Some(self.id.clone()),
            issued_at: self.created_at,
            expires_at: self.expires_at,
            ..PrincipalData::new(Identity {
                method: Method::ApiKey,
                user: false,
                issuer: None,
                subject,
            })
        };
        ApiKeyRecord(Arc::new(Inner {
            principal: Arc::new(principal),
            id: self.id,
            owner: self.owner,
            start: self.start,
            digest: self.digest,
            not_before: self.not_before,
            expires_at: self.expires_at,
            revoked: self.revoked,
        }))
    }
}
