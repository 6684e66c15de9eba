use std::fmt::{self, Write};
use std::sync::Arc;

use http::HeaderValue;

use super::{Quota, Taken};
use crate::error::Problems;
use crate::telemetry::{CountedBy, PlanCounters};

/// Longer names are somebody's mistake, and each stands in every answer.
const LONGEST_NAME: usize = 64;

/// A quota and what it is called: a quota policy of draft-ietf-httpapi-ratelimit-headers-10.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) quota: Quota,
    /// The value of `RateLimit-Policy`, section 3 of the draft.
    policy: HeaderValue,
    counters: PlanCounters,
}

impl Plan {
    pub(super) fn new(name: Arc<str>, quota: Quota) -> Self {
        let policy = format!("\"{name}\";q={};w={}", quota.most(), quota.window_seconds());
        Self {
            policy: header_value(&policy),
            counters: PlanCounters::new(&name),
            name,
            quota,
        }
    }

    pub(super) fn count(&self, by: CountedBy, taken: Taken) {
        self.counters.count(by, taken.granted);
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// The value of `RateLimit`, section 4 of the draft: what remains, and the seconds until there is more, rounded up.
    pub(crate) fn service_limit(&self, taken: Taken) -> HeaderValue {
        let mut value = String::with_capacity(self.name.len() + 28);
        // To write to a text does not fail.
        let _ = write!(
            value,
            "\"{}\";r={};t={}",
            self.name,
            taken.remaining,
            taken.seconds()
        );
        header_value(&value)
    }
}

/// As the policy is told to clients.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy.to_str().unwrap_or_default())
    }
}

/// A name is a String of RFC 9651 section 3.3.3 without anything to escape, so it always is a header value.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("\"\""))
}

pub(super) fn check_name(name: &str, setter: &'static str, problems: &mut Problems) {
    let legal = |letter: u8| (b' '..=b'~').contains(&letter) && letter != b'"' && letter != b'\\';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(legal) {
        problems.add(
            setter,
            format!(
                "{name:?} is no name of a plan: 1 to {LONGEST_NAME} letters of ASCII, without quotes and backslashes"
            ),
        );
    }
}
