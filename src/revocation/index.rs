//! What was withdrawn, for requests to look up: without waiting and without a copy of what is asked for.
//!
//! Everything counts a little longer than it was ordered to: a token is accepted for the leeway of its issuer after its `exp`,
//! and what withdraws it must not end before it does.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use papaya::{Equivalent, HashMap, ResizeMode};

use super::order::{Cut, Revocation, Target};
use super::rule::{Dated, Rule};
use super::{CredentialFacts, Standing};
use crate::clock::{Clock, MOST_LEEWAY};
use crate::principal::Method;

/// Entries are cleared away when there are twice as many as were left the last time, and not before there are so many.
const FEW: usize = 1_024;

pub(crate) struct Index {
    issuers: HashMap<Box<str>, Arc<OfIssuer>>,
    keys: List<Box<str>, SystemTime>,
    /// How many there are, or were before some of them were cleared away; and how many it takes to clear again.
    entries: AtomicUsize,
    clear_at: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// What is withdrawn of one issuer's tokens. Names are its own.
#[derive(Debug, Default)]
struct OfIssuer {
    tokens: List<Box<str>, SystemTime>,
    subjects: List<Box<str>, Rule>,
    clients: List<Box<str>, Rule>,
    /// One entry at most, for all of its tokens.
    all: List<(), Rule>,
}

/// Entries, and the moment from which none of them counts: then nobody looks for one.
#[derive(Debug)]
struct List<K: Hash + Eq, V> {
    entries: HashMap<K, V>,
    over: AtomicU64,
}

impl<K: Hash + Eq, V> Default for List<K, V> {
    fn default() -> Self {
        // Who adds waits while it grows. Step by step, a list that grew and is then only read would be two tables for good.
        let entries = HashMap::builder().resize_mode(ResizeMode::Blocking);
        Self {
            entries: entries.build(),
            over: AtomicU64::new(0),
        }
    }
}

impl<K: Hash + Eq, V> List<K, V> {
    /// Said before the entry is there, so that nobody who could find it is told not to look.
    fn will_last(&self, until: SystemTime) {
        self.over.fetch_max(nanoseconds(until), Ordering::AcqRel);
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.over.load(Ordering::Acquire) <= nanoseconds(now)
    }

    fn look<Q, T>(&self, key: &Q, now: SystemTime, at: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        if self.is_over(now) {
            return None;
        }
        self.entries.pin().get(key).map(at)
    }
}

impl List<Box<str>, SystemTime> {
    fn add(&self, id: &str, until: SystemTime) {
        self.will_last(until);
        let entries = self.entries.pin();
        entries.update_or_insert(id.into(), |before| until.max(*before), until);
    }

    fn has(&self, id: Option<&str>, now: SystemTime) -> bool {
        let counts = id.and_then(|id| self.look(id, now, |until| now < *until));
        counts.unwrap_or(false)
    }

    fn clear(&self, now: SystemTime) {
        self.entries.pin().retain(|_, until| now < *until);
    }
}

impl<K: Hash + Eq> List<K, Rule> {
    fn add(&self, key: K, cut: Cut, until: SystemTime) {
        self.will_last(until);
        let cut = Dated { cut, until };
        let entries = self.entries.pin();
        entries.update_or_insert_with(key, |before| before.with(cut), || Rule::of(cut));
    }

    fn each(&self, target: impl Fn(&K, Cut) -> Target, take: &mut impl FnMut(Target, SystemTime)) {
        for (key, rule) in &self.entries.pin() {
            for one in rule.cuts() {
                take(target(key, one.cut), one.until);
            }
        }
    }

    fn clear(&self, now: SystemTime) {
        self.entries.pin().retain(|_, rule| rule.counts(now));
    }
}

/// What is let through although nobody can tell whether it was withdrawn.
#[derive(Debug, Clone, Copy, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "four switches, each set by a method of its own"
)]
pub(crate) struct Relaxed {
    pub(crate) without_id: bool,
    pub(crate) without_subject: bool,
    pub(crate) without_client: bool,
    pub(crate) without_issue_time: bool,
}

impl Index {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            issuers: HashMap::new(),
            keys: List::default(),
            entries: AtomicUsize::new(0),
            clear_at: AtomicUsize::new(FEW),
            clock,
        }
    }

    pub(crate) fn len(&self) -> usize {
        let issuers = self.issuers.pin();
        self.keys.entries.len() + issuers.values().map(|of| of.len()).sum::<usize>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds to what is withdrawn. Nothing that was withdrawn before becomes good by it, in whatever order orders come.
    pub(crate) fn apply(&self, order: &Revocation) {
        let now = self.clock.now();
        let until = order.until.checked_add(MOST_LEEWAY).unwrap_or(order.until);
        if until <= now {
            return;
        }
        if self.entries.fetch_add(1, Ordering::Relaxed) >= self.clear_at.load(Ordering::Relaxed) {
            self.clear(now);
        }
        if let Target::ApiKey { id } = &order.target {
            self.keys.add(id, until);
        } else if let Some(issuer) = order.target.issuer() {
            let issuers = self.issuers.pin();
            let of = issuers.get_or_insert_with(issuer.into(), Arc::default);
            of.apply(&order.target, until);
        }
    }

    /// The orders that amount to all that counts.
    pub(crate) fn orders(&self) -> Vec<Revocation> {
        let now = self.clock.now();
        let mut orders = Vec::with_capacity(self.len());
        let mut take = |target, until: SystemTime| {
            if now < until {
                let until = until.checked_sub(MOST_LEEWAY).unwrap_or(until);
                orders.push(Revocation { target, until });
            }
        };
        for (id, until) in &self.keys.entries.pin() {
            take(Target::ApiKey { id: id.clone() }, *until);
        }
        for (issuer, of) in &self.issuers.pin() {
            of.each(issuer, &mut take);
        }
        orders
    }

    /// Forgets what no longer counts.
    fn clear(&self, now: SystemTime) {
        self.keys.clear(now);
        for of in self.issuers.pin().values() {
            of.clear(now);
        }
        let left = self.len();
        self.entries.store(left, Ordering::Relaxed);
        self.clear_at.store((2 * left).max(FEW), Ordering::Relaxed);
    }

    pub(crate) fn standing(&self, credential: &CredentialFacts<'_>, relaxed: Relaxed) -> Standing {
        let now = self.clock.now();
        match (credential.method, credential.issuer) {
            (Method::ApiKey, _) if self.keys.has(credential.id, now) => Standing::Revoked,
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

/// Names of people and of keys are for nobody's log.
impl fmt::Debug for Index {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("Index");
        out.field("entries", &self.len()).finish_non_exhaustive()
    }
}

impl OfIssuer {
    fn len(&self) -> usize {
        let of_many = self.subjects.entries.len() + self.clients.entries.len() + self.all.entries.len();
        self.tokens.entries.len() + of_many
    }

    fn apply(&self, target: &Target, until: SystemTime) {
        match target {
            Target::Token { id, .. } => self.tokens.add(id, until),
            Target::Subject { subject, cut, .. } => self.subjects.add(subject.clone(), *cut, until),
            Target::Client { client, cut, .. } => self.clients.add(client.clone(), *cut, until),
            Target::Issuer { cut, .. } => self.all.add((), *cut, until),
            Target::ApiKey { .. } => {}
        }
    }

    fn each(&self, issuer: &str, take: &mut impl FnMut(Target, SystemTime)) {
        let issuer = || Box::from(issuer);
        for (id, until) in &self.tokens.entries.pin() {
            let (issuer, id) = (issuer(), id.clone());
            take(Target::Token { issuer, id }, *until);
        }
        self.subjects.each(
            |subject, cut| {
                let (issuer, subject) = (issuer(), subject.clone());
                Target::Subject { issuer, subject, cut }
            },
            take,
        );
        self.clients.each(
            |client, cut| {
                let (issuer, client) = (issuer(), client.clone());
                Target::Client { issuer, client, cut }
            },
            take,
        );
        self.all.each(
            |(), cut| Target::Issuer {
                issuer: issuer(),
                cut,
            },
            take,
        );
    }

    fn clear(&self, now: SystemTime) {
        self.tokens.clear(now);
        self.subjects.clear(now);
        self.clients.clear(now);
        self.all.clear(now);
    }

    fn standing(&self, token: &CredentialFacts<'_>, relaxed: Relaxed, now: SystemTime) -> Standing {
        if self.tokens.has(token.id, now) {
            return Standing::Revoked;
        }
        let judge = |rule: &Rule| rule.standing(token, relaxed.without_issue_time, now);
        let of = |names: &List<Box<str>, Rule>, name: Option<&str>, claim, may_lack| match name {
            Some(name) => names.look(name, now, judge).unwrap_or(Standing::Good),
            // It could be one of those that are withdrawn, if there are any.
            None if may_lack || names.is_over(now) => Standing::Good,
            None => Standing::Untellable(claim),
        };
        let mut standing = self.all.look(&(), now, judge).unwrap_or(Standing::Good);
        if standing == Standing::Good {
            standing = of(&self.subjects, token.subject, "sub", relaxed.without_subject);
        }
        if standing == Standing::Good {
            standing = of(&self.clients, token.client, "client_id", relaxed.without_client);
        }
        standing
    }
}

/// Since 1970; all times after 2554 are one.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
