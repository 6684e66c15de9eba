use std::time::{Duration, SystemTime};

use super::{ApiKeyRecord, KeyQuery};

const QUARTER: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// From when on a key is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportLimits {
    age: Duration,
    unused: Duration,
}

impl Default for ReportLimits {
    fn default() -> Self {
        Self {
            age: QUARTER,
            unused: QUARTER,
        }
    }
}

impl ReportLimits {
    /// Keys older than this are listed. Default: 90 days, because that is the usual limit for the age of a key.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Keys that were not used for this long are listed. Default: 90 days, because what runs once a quarter is still used.
    #[must_use]
    pub fn unused(mut self, time: Duration) -> Self {
        self.unused = time;
        self
    }

    /// The three questions that a report asks.
    pub(super) fn queries(self, now: SystemTime) -> [KeyQuery; 3] {
        let ago = |time| now.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
        let live = KeyQuery::default().live_at(now);
        [
            live.clone().created_before(ago(self.age)),
            live.clone().unused_since(ago(self.unused)),
            live.never_expires(),
        ]
    }
}

/// Live keys that are worth a look. One key may stand in several lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyReport {
    /// Keys to rotate: too old.
    pub old: Vec<ApiKeyRecord>,
    /// Keys to revoke: nobody seems to need them. Uses are known only where a `UsageRecorder` writes them down.
    pub unused: Vec<ApiKeyRecord>,
    /// Keys that never expire.
    pub endless: Vec<ApiKeyRecord>,
}
