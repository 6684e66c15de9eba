use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::registry::storable;
use super::{ApiKeyRecordBuilder, KeyDigest};
use crate::error::{ConfigError, Problems};
use crate::scope::{Scope, ScopeSet};

const LONGEST_WORD: usize = 200;
const MOST_METADATA: usize = 50;
const LONGEST_METADATA: usize = 1_000;

/// What is asked for when a key is made: whose it is, and what it may do.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{NewKey, Scope};
///
/// let wanted = NewKey::of("billing-robot")
///     .name("nightly run")
///     .scopes([Scope::from_static("invoices:read")])
///     .expires_in(Duration::from_secs(90 * 24 * 60 * 60));
/// ```
#[derive(Debug, Clone)]
pub struct NewKey {
    owner: String,
    name: Option<String>,
    scopes: ScopeSet,
    not_before: Option<SystemTime>,
    expires: Option<Expiry>,
    plan: Option<String>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy)]
enum Expiry {
    At(SystemTime),
    In(Duration),
}

impl NewKey {
    /// A key of this owner: 1 to 200 characters, no control characters. Give each client a key of its own, so that one
    /// can be withdrawn without touching another.
    pub fn of(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            name: None,
            scopes: ScopeSet::empty(),
            not_before: None,
            expires: None,
            plan: None,
            metadata: BTreeMap::new(),
        }
    }

    /// What people call the key: 1 to 200 characters. Default: nothing, because the id names it already.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What the key may do. Default: nothing, because a key should be given what it needs and no more.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// The key is refused before this moment. Default: valid at once, because a key is mostly wanted now.
    #[must_use]
    pub fn not_before(mut self, at: SystemTime) -> Self {
        self.not_before = Some(at);
        self
    }

    /// The key is refused from this moment on. Default: never, because the owner of a machine's key rotates it and
    /// cannot be asked to log in; a [report](super::KeyRegistry::report) lists such keys.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.expires = Some(Expiry::At(at));
        self
    }

    /// The key is refused once this much time has passed since it was made. Default: never; see
    /// [`expires_at`](Self::expires_at).
    #[must_use]
    pub fn expires_in(mut self, life: Duration) -> Self {
        self.expires = Some(Expiry::In(life));
        self
    }

    /// The name of the plan that limits how often the key may be used: 1 to 200 characters. Default: none, because
    /// limits are a layer's.
    #[must_use]
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// What else to keep with the key: at most 50 entries, each of at most 1,000 bytes. Never a secret: it is stored and
    /// listed as it is. Default: nothing.
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

    /// The record of a key that is made now, or every reason why there cannot be one.
    pub(super) fn into_record(
        self,
        id: String,
        digest: KeyDigest,
        now: SystemTime,
    ) -> Result<ApiKeyRecordBuilder, ConfigError> {
        let mut problems = Problems::default();
        check_word(&mut problems, "owner", Some(&self.owner));
        check_word(&mut problems, "name", self.name.as_deref());
        check_word(&mut problems, "plan", self.plan.as_deref());
        check_metadata(&mut problems, &self.metadata);
        let ends = self.expires.and_then(|expiry| match expiry {
            Expiry::At(at) => check_time(&mut problems, "expires", Some(at)),
            Expiry::In(life) => check_time(&mut problems, "expires", now.checked_add(life)),
        });
        let starts = self
            .not_before
            .and_then(|at| check_time(&mut problems, "not_before", Some(at)));
        if ends.is_some_and(|end| end <= now) {
            problems.add("expires", "the end is not in the future");
        }
        if starts.zip(ends).is_some_and(|(start, end)| end <= start) {
            problems.add("not_before", "the key would expire before it is valid");
        }
        problems.into_result()?;
        let mut record = ApiKeyRecordBuilder::new(id, self.owner, digest);
        record.name = self.name.map(Into::into);
        record.scopes = self.scopes;
        record.created_at = Some(now);
        record.not_before = starts;
        record.expires_at = ends;
        record.plan = self.plan.map(Into::into);
        record.metadata = self.metadata;
        Ok(record)
    }
}

/// These words stand in logs, one line each, and in databases that know no NUL.
fn check_word(problems: &mut Problems, setter: &'static str, word: Option<&str>) {
    let Some(word) = word else { return };
    if !(1..=LONGEST_WORD).contains(&word.chars().count()) {
        problems.add(setter, format!("it has not 1 to {LONGEST_WORD} characters"));
    }
    if word.chars().any(char::is_control) {
        problems.add(setter, "it has control characters");
    }
}

fn check_time(problems: &mut Problems, setter: &'static str, time: Option<SystemTime>) -> Option<SystemTime> {
    storable(time)
        .map_err(|problem| problems.add(setter, problem))
        .ok()
}

fn check_metadata(problems: &mut Problems, metadata: &BTreeMap<String, String>) {
    if metadata.len() > MOST_METADATA {
        problems.add("metadata", format!("more than {MOST_METADATA} entries"));
    }
    for (name, value) in metadata {
        if name.is_empty() || name.chars().any(char::is_control) || value.contains('\0') {
            problems.add(
                "metadata",
                format!("{name:?} is no name, or has a value with NUL"),
            );
        }
        if name.len() + value.len() > LONGEST_METADATA {
            problems.add(
                "metadata",
                format!("an entry of more than {LONGEST_METADATA} bytes"),
            );
        }
    }
}
