use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::Problems;

/// The longest that a spent quota may take to be whole again.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const NANOS_A_SECOND: u128 = 1_000_000_000;

/// How often a caller may ask: so many requests in a window of time, and how many of them at once.
///
/// ```
/// use tower_resource_server::Quota;
///
/// const FREE: Quota = Quota::per_minute(60);                   // 60 at once, then one each second
/// const GOLD: Quota = Quota::per_second(50).at_once(100);      // 100 at once, then 50 each second
/// ```
///
/// # What it allows, exactly
///
/// What was used comes back evenly, one request each `window / requests`, and not all at the end of a window (the generic cell
/// rate algorithm, GCRA). So in any span of time at most `at_once + span * requests / window` requests pass, wherever the span
/// begins. A caller who has been idle finds all of `at_once` again.
///
/// Zero requests, a window of nothing, or a quota that takes more than 366 days to be whole again are refused by whoever is built
/// with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    requests: u32,
    window: Duration,
    at_once: u32,
}

impl Quota {
    /// So many requests in each window.
    #[must_use]
    pub const fn new(requests: u32, window: Duration) -> Self {
        Self {
            requests,
            window,
            at_once: requests,
        }
    }

    /// So many requests in each second.
    #[must_use]
    pub const fn per_second(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many requests in each minute.
    #[must_use]
    pub const fn per_minute(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(60))
    }

    /// So many requests in each hour.
    #[must_use]
    pub const fn per_hour(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(60 * 60))
    }

    /// So many requests in each 24 hours.
    #[must_use]
    pub const fn per_day(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(24 * 60 * 60))
    }

    /// How many requests may come at once, or after a pause. Default: all of a window, because that is what "60 a minute" says.
    #[must_use]
    pub const fn at_once(mut self, requests: u32) -> Self {
        self.at_once = requests;
        self
    }

    /// How many requests a caller has who has been idle.
    pub const fn most(&self) -> u32 {
        self.at_once
    }

    /// The time in which one request comes back; rounded up to whole nanoseconds, so that it is never one too many.
    pub fn interval(&self) -> Duration {
        let nanos = self.window.as_nanos().div_ceil(u128::from(self.requests.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The time in which a spent quota is whole again.
    pub fn recovery(&self) -> Duration {
        self.interval().saturating_mul(self.at_once)
    }

    /// The window that goes with [`most`](Self::most), in whole seconds, rounded up: never faster than what is allowed.
    pub(super) fn window_seconds(&self) -> u64 {
        let nanos = self.window.as_nanos().saturating_mul(u128::from(self.at_once));
        let seconds = nanos.div_ceil(u128::from(self.requests.max(1)) * NANOS_A_SECOND);
        u64::try_from(seconds).unwrap_or(u64::MAX)
    }

    /// One part of it; never less than one request at once.
    pub(super) fn one_in(self, parts: NonZeroU32) -> Self {
        Self {
            requests: self.requests,
            window: self.window.saturating_mul(parts.get()),
            at_once: (self.at_once / parts).max(1),
        }
    }

    pub(super) fn check(&self, setter: &'static str, problems: &mut Problems) {
        if self.requests == 0 || self.at_once == 0 {
            problems.add(setter, "a quota of no request at all lets nobody in");
        } else if self.window.is_zero() {
            problems.add(setter, "a window of no time limits nothing");
        } else if self.recovery() > LONGEST {
            problems.add(
                setter,
                format!("{self:?} takes more than 366 days to be whole again"),
            );
        }
    }
}
