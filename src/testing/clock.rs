use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, SystemClock};

/// A clock that stands still until it is turned. Clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<Time>>);

#[derive(Debug, Clone, Copy)]
struct Time {
    date: SystemTime,
    passed: Duration,
}

impl TestClock {
    /// A clock that shows the moment at which it was made.
    pub fn new() -> Self {
        Self::starting_at(SystemClock::new().now())
    }

    /// A clock that shows this moment.
    pub fn starting_at(date: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(Time {
            date,
            passed: Duration::ZERO,
        })))
    }

    /// Lets this much time pass.
    pub fn advance(&self, time: Duration) {
        self.change(|shown| {
            shown.date += time;
            shown.passed += time;
        });
    }

    /// Sets the date, forwards or backwards, as an operator or NTP would: no time passes.
    pub fn set_date(&self, date: SystemTime) {
        self.change(|shown| shown.date = date);
    }

    fn change(&self, change: impl FnOnce(&mut Time)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn time(&self) -> Time {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.time().date
    }

    fn monotonic(&self) -> Duration {
        self.time().passed
    }
}
