//! What was withdrawn, for requests to look up: without waiting and without a copy of what is asked for.
//!
//! Everything counts a little longer than it was ordered to: a token is accepted for the leeway of its issuer after its `exp`,
//! and what withdraws it must not end before it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use papaya::HashMap;

use super::order::{Revocation, Target};
use super::rule::{Dated, Rule};
use super::{CredentialFacts, Standing};
use crate::clock::{Clock, MOST_LEEWAY};
use crate::principal::Method;

/// Entries are cleared away when there are twice as many as were left the last time, and not before there are so many.
const FEW: usize = 1_024;

#[derive(Debug)]
pub(super) struct Index {
    issuers: HashMap<Box<str>, Arc<OfIssuer>>,
    keys: HashMap<Box<str>, SystemTime>,
    /// How many there are, or were before some of them were cleared away; and how many it takes to clear again.
    entries: AtomicUsize,
    clear_at: AtomicUsize,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is withdrawn of one issuer's tokens. Names are its own.
#[derive(Debug, Default)]
struct OfIssuer {
    tokens: HashMap<Box<str>, SystemTime>,
    subjects: HashMap<Box<str>, Rule>,
    clients: HashMap<Box<str>, Rule>,
    /// One entry at most, for all of its tokens.
    all: HashMap<(), Rule>,
    /// Until when some subject or client is withdrawn, in seconds since 1970: while that is so, a token that names none could
    /// be its.
    subjects_until: AtomicU64,
    clients_until: AtomicU64,
}

/// What is let through although nobody can tell whether it was withdrawn.
#[derive(Debug, Clone, Copy, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "four switches, each set by a method of its own"
)]
pub(super) struct Relaxed {
    pub(super) without_id: bool,
    pub(super) without_subject: bool,
    pub(super) without_client: bool,
    pub(super) without_issue_time: bool,
}

impl Index {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            issuers: HashMap::new(),
            keys: HashMap::new(),
            entries: AtomicUsize::new(0),
            clear_at: AtomicUsize::new(FEW),
            clock,
        }
    }

    pub(super) fn len(&self) -> usize {
        let issuers = self.issuers.pin();
        self.keys.len() + issuers.values().map(|of| of.len()).sum::<usize>()
    }

    /// Adds to what is withdrawn. Nothing that was withdrawn before becomes good by it, in whatever order orders come.
    pub(super) fn apply(&self, order: &Revocation) {
        let now = self.clock.now();
        let until = order.until.checked_add(MOST_LEEWAY).unwrap_or(order.until);
        if until <= now {
            return;
        }
        if self.entries.fetch_add(1, Ordering::Relaxed) >= self.clear_at.load(Ordering::Relaxed) {
            self.clear(now);
        }
        if let Target::ApiKey { id } = &order.target {
            later(&self.keys, id, until);
        } else if let Some(issuer) = order.target.issuer() {
            let issuers = self.issuers.pin();
            let of = issuers.get_or_insert_with(issuer.into(), Arc::default);
            of.apply(&order.target, until);
        }
    }

    /// Forgets what no longer counts.
    fn clear(&self, now: SystemTime) {
        self.keys.pin().retain(|_, until| now < *until);
        for of in self.issuers.pin().values() {
            of.clear(now);
        }
        let left = self.len();
        self.entries.store(left, Ordering::Relaxed);
        self.clear_at.store((2 * left).max(FEW), Ordering::Relaxed);
    }

    pub(super) fn standing(&self, credential: &CredentialFacts<'_>, relaxed: Relaxed) -> Standing {
        let now = self.clock.now();
        match (credential.method, credential.issuer) {
            (Method::ApiKey, _) if is_listed(&self.keys, credential.id, now) => Standing::Revoked,
            (Method::ApiKey, _) => Standing::Good,
            (Method::Jwt, None) => Standing::Untellable("iss"),
            (Method::Jwt, Some(_)) if credential.id.is_none() && !relaxed.without_id => {
                Standing::Untellable("jti")
            }
            (Method::Jwt, Some(issuer)) => match self.issuers.pin().get(issuer) {
                Some(of) => of.standing(credential, relaxed, now),
                None => Standing::Good,
            },
        }
    }
}

impl OfIssuer {
    fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len() + self.clients.len() + self.all.len()
    }

    fn apply(&self, target: &Target, until: SystemTime) {
        match target {
            Target::Token { id, .. } => later(&self.tokens, id, until),
            Target::Subject { subject, cut, .. } => {
                self.subjects_until.fetch_max(seconds(until), Ordering::AcqRel);
                add(&self.subjects, subject.clone(), Dated { cut: *cut, until });
            }
            Target::Client { client, cut, .. } => {
                self.clients_until.fetch_max(seconds(until), Ordering::AcqRel);
                add(&self.clients, client.clone(), Dated { cut: *cut, until });
            }
            Target::Issuer { cut, .. } => add(&self.all, (), Dated { cut: *cut, until }),
            Target::ApiKey { .. } => {}
        }
    }

    fn clear(&self, now: SystemTime) {
        self.tokens.pin().retain(|_, until| now < *until);
        for rules in [&self.subjects, &self.clients] {
            rules.pin().retain(|_, rule| rule.counts(now));
        }
        self.all.pin().retain(|(), rule| rule.counts(now));
    }

    fn standing(&self, token: &CredentialFacts<'_>, relaxed: Relaxed, now: SystemTime) -> Standing {
        if is_listed(&self.tokens, token.id, now) {
            return Standing::Revoked;
        }
        let judge = |rule: &Rule| rule.standing(token, relaxed.without_issue_time, now);
        let all = self.all.pin().get(&()).map_or(Standing::Good, judge);
        if all != Standing::Good {
            return all;
        }
        let subject = match token.subject {
            Some(subject) => self.subjects.pin().get(subject).map_or(Standing::Good, judge),
            None if relaxed.without_subject => Standing::Good,
            None => unless_over(&self.subjects_until, now, "sub"),
        };
        if subject != Standing::Good {
            return subject;
        }
        match token.client {
            Some(client) => self.clients.pin().get(client).map_or(Standing::Good, judge),
            None if relaxed.without_client => Standing::Good,
            None => unless_over(&self.clients_until, now, "client_id"),
        }
    }
}

/// A token without this claim could be one of those that are withdrawn, if there are any.
fn unless_over(until: &AtomicU64, now: SystemTime, claim: &'static str) -> Standing {
    if seconds(now) < until.load(Ordering::Acquire) {
        Standing::Untellable(claim)
    } else {
        Standing::Good
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn is_listed(entries: &HashMap<Box<str>, SystemTime>, id: Option<&str>, now: SystemTime) -> bool {
    let until = id.and_then(|id| entries.pin().get(id).copied());
    until.is_some_and(|until| now < until)
}

fn later(entries: &HashMap<Box<str>, SystemTime>, id: &str, until: SystemTime) {
    let entries = entries.pin();
    entries.update_or_insert(id.into(), |before| until.max(*before), until);
}

fn add<K: std::hash::Hash + Eq>(rules: &HashMap<K, Rule>, key: K, cut: Dated) {
    rules
        .pin()
        .update_or_insert_with(key, |before| before.with(cut), || Rule::of(cut));
}
