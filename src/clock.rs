//! Time, as something that can be handed in.

#![allow(
    clippy::disallowed_methods,
    reason = "the one place that asks the operating system for the time"
)]

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// How far two clocks may be taken to differ at most, which is what an issuer's leeway is for.
pub(crate) const MOST_LEEWAY: Duration = Duration::from_secs(300);

/// Tells the time: the date, to judge a token's `exp`, and a steady count, to judge how old a cached key set is.
///
/// The two are apart because the date may jump (an operator, NTP) and the steady count never does. Everything in this
/// crate that depends on time asks a clock, so that a test can turn it; `testing::TestClock` is made for that.
///
/// A clock that lies about [`now`](Self::now) makes expired tokens valid.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The date and time of day.
    fn now(&self) -> SystemTime;

    /// Time passed since a fixed moment of the clock's own choosing. Never goes backwards.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clock; the default everywhere.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose steady count starts now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}
