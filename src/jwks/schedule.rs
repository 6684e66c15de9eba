//! When an issuer's keys are fetched: the rules as a state machine that neither waits, nor locks, nor asks the time.
//!
//! Two things cause a fetch. The schedule does: the first keys, a refresh before they are old, and another attempt after
//! a failure. And a token with an unknown key may, out of a budget of its own: neither takes anything from the other, so
//! junk cannot put off a refresh, and a refresh does not make a real rotation wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::status::{FetchState, KeyState, KeyStatus};
use super::unknown_keys::{KeyName, UnknownKeys};

pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// An issuer that asks for a longer pause than this is asked again all the same: its word is one header, and without
/// keys nobody is let in.
const LONGEST_OBEYED_PAUSE: Duration = Duration::from_secs(10 * 60);

/// What the owner of the service has set, and its defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) time_to_live: Duration,
    pub(super) shortest_life: Duration,
    pub(super) longest_life: Duration,
    pub(super) stale_for: Duration,
    pub(super) cool_down: Duration,
    pub(super) longest_wait: Duration,
}

/// Until when a set of keys is what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    fresh_until: Duration,
    /// After this the keys are not used, whatever the issuer does.
    pub(super) usable_until: Duration,
}

#[derive(Debug)]
pub(super) struct Schedule {
    rules: Rules,
    lease: Option<Lease>,
    /// When the next fetch starts that no request has to ask for.
    due: Duration,
    running: Option<Purpose>,
    /// The unknown key that a fetch is to be made for.
    asked_for: Option<KeyName>,
    unknown: UnknownKeys,
    fetches_for_unknown: u64,
    /// Scheduled fetches that failed in a row.
    failures: u32,
    /// Why the last fetch failed, if it did.
    failure: Option<Arc<str>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Purpose {
    scheduled: bool,
    unknown: Option<KeyName>,
}

/// What the refresh task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Fetch,
    /// Nothing before this time, unless a request asks.
    WaitUntil(Duration),
}

/// What a request is told that cannot be judged with the keys in memory.
#[derive(Debug)]
pub(super) enum Answer {
    /// A fetch runs or is about to.
    Wait,
    /// The issuer has no such key.
    Unknown,
    Unavailable {
        retry_after: Duration,
        cause: Arc<str>,
    },
}

impl Schedule {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            lease: None,
            due: Duration::ZERO,
            running: None,
            asked_for: None,
            unknown: UnknownKeys::default(),
            fetches_for_unknown: 0,
            failures: 0,
            failure: None,
        }
    }

    /// What is to be done now. [`Step::Fetch`] is a promise to tell how it ended.
    pub(super) fn next(&mut self, now: Duration) -> Step {
        let purpose = Purpose {
            scheduled: now >= self.due,
            unknown: self.asked_for.take(),
        };
        if purpose.scheduled || purpose.unknown.is_some() {
            self.running = Some(purpose);
            return Step::Fetch;
        }
        let boundaries = self.lease.map(|lease| [lease.fresh_until, lease.usable_until]);
        let ahead = boundaries
            .into_iter()
            .flatten()
            .filter(|boundary| *boundary > now);
        Step::WaitUntil(ahead.fold(self.due, Duration::min))
    }

    /// When [`next`](Self::next) has something to do, if no request asks before; never while a fetch runs.
    pub(super) fn due(&self) -> Duration {
        match self.running {
            Some(_) => Duration::MAX,
            None if self.asked_for.is_some() => Duration::ZERO,
            None => self.due,
        }
    }

    /// `life`: for how long the source says that its keys are good. `changed`: whether they are others than before.
    pub(super) fn succeeded(&mut self, now: Duration, life: Option<Duration>, changed: bool) -> Lease {
        let purpose = self.end();
        let life = life.map_or(self.rules.time_to_live, |said| {
            said.max(self.rules.shortest_life).min(self.rules.longest_life)
        });
        let fresh_until = now.saturating_add(life);
        let lease = Lease {
            fresh_until,
            usable_until: fresh_until.saturating_add(self.rules.stale_for),
        };
        self.lease = Some(lease);
        self.due = now.saturating_add(refresh_after(life));
        (self.failures, self.failure) = (0, None);
        match purpose.unknown {
            _ if changed => self.unknown.forget_keys(),
            Some(key) => self.unknown.was_in_vain(key, now, self.rules.cool_down),
            None => {}
        }
        lease
    }

    /// `pause`: for how long the issuer says that it does not want to be asked.
    pub(super) fn failed(&mut self, now: Duration, cause: Arc<str>, pause: Option<Duration>) {
        if self.end().scheduled {
            self.due = now.saturating_add(retry_after(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
        if let Some(pause) = pause {
            let until = now.saturating_add(pause.min(LONGEST_OBEYED_PAUSE));
            self.due = self.due.max(until);
            self.unknown.hold_until(until);
        }
        self.failure = Some(cause);
    }

    /// The fetch ended without an answer because its runtime has gone, which says nothing about the issuer. It is not
    /// counted, so that whoever waited for it may ask for another.
    pub(super) fn interrupted(&mut self) {
        if self
            .running
            .take()
            .is_some_and(|purpose| purpose.unknown.is_some())
        {
            self.unknown.refund();
        }
    }

    fn end(&mut self) -> Purpose {
        let purpose = self.running.take().unwrap_or_default();
        self.fetches_for_unknown += u64::from(purpose.unknown.is_some());
        purpose
    }

    /// Somebody needs keys, and there are none that can be used.
    pub(super) fn wants_keys(&self, now: Duration) -> Answer {
        match &self.failure {
            Some(cause) if self.running.is_none() && now < self.due => unavailable(now, self.due, cause),
            _ => Answer::Wait,
        }
    }

    /// How many fetches for unknown keys have ended.
    pub(super) fn fetches_for_unknown(&self) -> u64 {
        self.fetches_for_unknown
    }

    /// Somebody needs a key that is not in the set. `since`: how many fetches for unknown keys had ended when they came;
    /// one that ended since then was for all who waited, and what it brought is the last word.
    pub(super) fn wants_key(&mut self, key: KeyName, since: u64, now: Duration) -> Answer {
        let answer = self.would_tell(key, since, now);
        if matches!(answer, Answer::Wait) && !self.fetches() {
            self.unknown.spend(now, self.rules.cool_down);
            self.asked_for = Some(key);
        }
        answer
    }

    /// What [`wants_key`](Self::wants_key) would say; nothing is spent.
    pub(super) fn would_tell(&self, key: KeyName, since: u64, now: Duration) -> Answer {
        let may_fetch = || self.fetches_for_unknown == since && self.unknown.may_be_fetched(key, now);
        if self.fetches() || may_fetch() {
            return Answer::Wait;
        }
        match &self.failure {
            Some(cause) => unavailable(now, self.due.min(self.unknown.next()), cause),
            None => Answer::Unknown,
        }
    }

    /// Whether a fetch runs or is about to.
    fn fetches(&self) -> bool {
        self.running.is_some() || self.asked_for.is_some()
    }

    /// What is published. `date` turns a time of the steady clock into a date.
    pub(super) fn status(&self, now: Duration, date: impl Fn(Duration) -> SystemTime) -> KeyStatus {
        let keys = match self.lease {
            Some(lease) if now < lease.fresh_until => KeyState::Fresh,
            Some(lease) if now < lease.usable_until => KeyState::Stale {
                since: date(lease.fresh_until),
            },
            _ => KeyState::None,
        };
        let fetch = match self.running {
            Some(_) => FetchState::Running,
            None if self.failures > 0 && now < self.due => FetchState::Waiting {
                retry_at: date(self.due),
            },
            None => FetchState::Idle,
        };
        KeyStatus { keys, fetch }
    }
}

fn unavailable(now: Duration, until: Duration, cause: &Arc<str>) -> Answer {
    Answer::Unavailable {
        retry_after: until.saturating_sub(now).max(FIRST_RETRY),
        cause: Arc::clone(cause),
    }
}

/// 80 % of the life, moved by up to a tenth of that either way, so that a fleet does not ask all at once.
fn refresh_after(life: Duration) -> Duration {
    share(life, 720..=880)
}

/// 1 s doubling to 1 min, shortened by up to a tenth.
fn retry_after(failures: u32) -> Duration {
    let longest = FIRST_RETRY.saturating_mul(1 << failures.min(6)).min(LAST_RETRY);
    share(longest, 900..=1000)
}

/// So many thousandths of a time, by chance.
fn share(time: Duration, thousandths: std::ops::RangeInclusive<u32>) -> Duration {
    (time / 1000).saturating_mul(fastrand::u32(thousandths))
}
