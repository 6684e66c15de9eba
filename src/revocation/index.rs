//! What was withdrawn, for requests to look up: without waiting and without a copy of what is asked for.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use papaya::{Equivalent, HashMap};

use super::order::{Cut, Revocation, Target};
use super::{CredentialFacts, Standing};
use crate::clock::Clock;
use crate::principal::Method;

/// Entries are cleared away when there are twice as many as were left the last time, and not before there are so many.
const FEW: usize = 1_024;

#[derive(Debug)]
pub(super) struct Index {
    tokens: HashMap<Named, SystemTime>,
    subjects: HashMap<Named, Rule>,
    clients: HashMap<Named, Rule>,
    issuers: HashMap<Box<str>, Rule>,
    keys: HashMap<Box<str>, SystemTime>,
    clear_at: AtomicUsize,
    pub(super) clock: Arc<dyn Clock>,
}

/// A name within an issuer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Named(Box<str>, Box<str>);

/// The same, to look for: it hashes as what it stands for.
#[derive(Hash)]
struct NameRef<'n>(&'n str, &'n str);

impl Equivalent<Named> for NameRef<'_> {
    fn equivalent(&self, name: &Named) -> bool {
        *self.0 == *name.0 && *self.1 == *name.1
    }
}

/// What is withdrawn of whose credentials are many.
#[derive(Debug, Clone, Copy)]
struct Rule {
    issued_until: Option<SystemTime>,
    below_version: Option<u64>,
    until: SystemTime,
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
            tokens: HashMap::new(),
            subjects: HashMap::new(),
            clients: HashMap::new(),
            issuers: HashMap::new(),
            keys: HashMap::new(),
            clear_at: AtomicUsize::new(FEW),
            clock,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len() + self.clients.len() + self.issuers.len() + self.keys.len()
    }

    /// Adds to what is withdrawn. Nothing that was withdrawn before becomes good by it, in whatever order orders come.
    pub(super) fn apply(&self, order: &Revocation) {
        if self.len() >= self.clear_at.load(Ordering::Relaxed) {
            self.clear();
        }
        let (rule, until) = (Rule::of(order), order.until);
        match &order.target {
            Target::Token { issuer, id } => {
                later(&self.tokens, Named(issuer.clone(), id.clone()), until);
            }
            Target::ApiKey { id } => later(&self.keys, id.clone(), until),
            Target::Subject { issuer, subject } => {
                add(&self.subjects, Named(issuer.clone(), subject.clone()), rule);
            }
            Target::Client { issuer, client } => {
                add(&self.clients, Named(issuer.clone(), client.clone()), rule);
            }
            Target::Issuer { issuer } => add(&self.issuers, issuer.clone(), rule),
        }
    }

    /// Forgets what no longer counts.
    fn clear(&self) {
        let now = self.clock.now();
        self.tokens.pin().retain(|_, until| now < *until);
        self.keys.pin().retain(|_, until| now < *until);
        for rules in [&self.subjects, &self.clients] {
            rules.pin().retain(|_, rule| now < rule.until);
        }
        self.issuers.pin().retain(|_, rule| now < rule.until);
        let next = (2 * self.len()).max(FEW);
        self.clear_at.store(next, Ordering::Relaxed);
    }

    pub(super) fn standing(&self, credential: &CredentialFacts<'_>, relaxed: Relaxed) -> Standing {
        let now = self.clock.now();
        match (credential.method, credential.issuer) {
            (Method::ApiKey, _) => self.standing_of_key(credential, now),
            (Method::Jwt, Some(issuer)) => self.standing_of_token(issuer, credential, relaxed, now),
            (Method::Jwt, None) => Standing::Untellable("iss"),
        }
    }

    fn standing_of_key(&self, key: &CredentialFacts<'_>, now: SystemTime) -> Standing {
        let until = key.id.and_then(|id| self.keys.pin().get(id).copied());
        if until.is_some_and(|until| now < until) {
            Standing::Revoked
        } else {
            Standing::Good
        }
    }

    fn standing_of_token(
        &self,
        issuer: &str,
        token: &CredentialFacts<'_>,
        relaxed: Relaxed,
        now: SystemTime,
    ) -> Standing {
        match token.id {
            Some(id) if self.is_listed(issuer, id, now) => return Standing::Revoked,
            None if !relaxed.without_id => return Standing::Untellable("jti"),
            _ => {}
        }
        let rules = [
            self.issuers
                .pin()
                .get(issuer)
                .copied()
                .map_or(Ok(None), |rule| Ok(Some(rule))),
            find(
                &self.subjects,
                issuer,
                token.subject,
                "sub",
                relaxed.without_subject,
            ),
            find(
                &self.clients,
                issuer,
                token.client,
                "client_id",
                relaxed.without_client,
            ),
        ];
        for rule in rules {
            let standing = match rule {
                Ok(Some(rule)) if now < rule.until => rule.standing(token, relaxed),
                Ok(_) => Standing::Good,
                Err(claim) => Standing::Untellable(claim),
            };
            if standing != Standing::Good {
                return standing;
            }
        }
        Standing::Good
    }

    fn is_listed(&self, issuer: &str, id: &str, now: SystemTime) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let until = self.tokens.pin().get(&NameRef(issuer, id)).copied();
        until.is_some_and(|until| now < until)
    }
}

/// The rule for this name. Where there are rules, a token without a name could be anybody's.
fn find(
    rules: &HashMap<Named, Rule>,
    issuer: &str,
    name: Option<&str>,
    claim: &'static str,
    may_be_nobodys: bool,
) -> Result<Option<Rule>, &'static str> {
    if rules.is_empty() {
        return Ok(None);
    }
    match name {
        Some(name) => Ok(rules.pin().get(&NameRef(issuer, name)).copied()),
        None if may_be_nobodys => Ok(None),
        None => Err(claim),
    }
}

fn later<K: Hash + Eq>(entries: &HashMap<K, SystemTime>, key: K, until: SystemTime) {
    entries
        .pin()
        .update_or_insert(key, |before| until.max(*before), until);
}

fn add<K: Hash + Eq>(rules: &HashMap<K, Rule>, key: K, rule: Rule) {
    rules.pin().update_or_insert(key, |before| before.and(rule), rule);
}

impl Rule {
    fn of(order: &Revocation) -> Self {
        Self {
            issued_until: match order.cut {
                Cut::IssuedUntil(time) => Some(time),
                Cut::All | Cut::BelowVersion(_) => None,
            },
            below_version: match order.cut {
                Cut::BelowVersion(version) => Some(version),
                Cut::All | Cut::IssuedUntil(_) => None,
            },
            until: order.until,
        }
    }

    /// Both, for as long as either counts.
    fn and(self, other: Self) -> Self {
        Self {
            issued_until: self.issued_until.max(other.issued_until),
            below_version: self.below_version.max(other.below_version),
            until: self.until.max(other.until),
        }
    }

    fn standing(self, token: &CredentialFacts<'_>, relaxed: Relaxed) -> Standing {
        let is_below = |minimum| token.version.is_none_or(|version| version < minimum);
        if self.below_version.is_some_and(is_below) {
            return Standing::Revoked;
        }
        match (self.issued_until, token.issued_at) {
            (None, _) => Standing::Good,
            (Some(time), Some(issued)) if time < issued => Standing::Good,
            (Some(_), Some(_)) => Standing::Revoked,
            (Some(_), None) if relaxed.without_issue_time => Standing::Good,
            (Some(_), None) => Standing::Untellable("iat"),
        }
    }
}
