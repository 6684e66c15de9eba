use std::time::Duration;

use super::Quota;

/// What became of one request at one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// Whether it may pass.
    pub granted: bool,
    /// How many more may come at once.
    pub remaining: u32,
    /// The time until there is one more.
    pub next: Duration,
}

impl Taken {
    /// It may pass. `debt`: the time until the quota is whole again, this request included.
    pub fn granted(quota: Quota, debt: Duration) -> Self {
        let (whole, interval) = (quota.recovery().as_nanos(), quota.interval().as_nanos().max(1));
        let credit = whole.saturating_sub(debt.as_nanos());
        let next = interval - credit % interval;
        Self {
            granted: true,
            remaining: u32::try_from(credit / interval).unwrap_or(u32::MAX),
            next: Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX)),
        }
    }

    /// It may not. `wait`: the time until one may.
    pub fn refused(wait: Duration) -> Self {
        Self {
            granted: false,
            remaining: 0,
            next: wait,
        }
    }

    /// The time until there is one more in whole seconds, rounded up: who waits as long is not early.
    pub(super) fn seconds(&self) -> u64 {
        self.next
            .as_secs()
            .saturating_add(u64::from(self.next.subsec_nanos() > 0))
    }
}
