//! Counting together with other machines, and alone while they are out of reach.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{Quota, Taken};
use crate::authenticator::BoxFuture;
use crate::clock::Clock;
use crate::error::{Told, chain};
use crate::telemetry;

/// For an answer. Whoever limits must not be what is slow.
const DEADLINE: Duration = Duration::from_millis(50);
/// Who has waited so long and is dropped says as much as one that has waited to the end.
const LONG: Duration = Duration::from_millis(20);
/// One failure is a packet that was lost. After so many in a row the place is out of reach.
const FAILURES: u32 = 3;
/// Then it is asked once in this time, by one request; nobody else waits for it.
const REST: Duration = Duration::from_secs(1);

/// A place where the requests of all machines are counted together.
///
/// One method, and the whole decision in it: to read, to judge and to write must be one step there, or two machines let the same
/// request's place be used twice.
///
/// A place that lies lets callers have more than their plan, or locks them out. One that is slow or fails does neither: after
/// 50 ms, and at once when it fails, the machine counts for itself. The future is dropped then.
pub trait SharedRateLimits: fmt::Debug + Send + Sync + 'static {
    /// Why it could not be asked.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Counts one request of `caller`, which names a plan and who is counted under it, against this quota. A refused request
    /// takes nothing.
    fn take(&self, caller: &str, quota: Quota) -> impl Future<Output = Result<Taken, Self::Error>> + Send;
}

impl<P: SharedRateLimits> SharedRateLimits for Arc<P> {
    type Error = P::Error;

    fn take(&self, caller: &str, quota: Quota) -> impl Future<Output = Result<Taken, Self::Error>> + Send {
        P::take(self, caller, quota)
    }
}

/// What part of each quota a machine lets through alone, while the place where all count together is out of reach.
///
/// With one in as many as there are machines, all of them together let through what the plan allows if requests come to them
/// evenly, and less if they do not. A machine always lets one request through at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub(super) parts: u32,
}

impl Share {
    /// One part in so many. Zero is refused by whoever is built with it.
    #[must_use]
    pub const fn one_in(parts: u32) -> Self {
        Self { parts }
    }

    pub(super) fn parts(self) -> NonZeroU32 {
        NonZeroU32::new(self.parts).unwrap_or(NonZeroU32::MIN)
    }
}

/// A place of any type.
pub(super) trait Place: fmt::Debug + Send + Sync {
    fn take(self: Arc<Self>, caller: Arc<str>, quota: Quota) -> BoxFuture<Result<Taken, Told>>;
}

impl<P: SharedRateLimits> Place for P {
    fn take(self: Arc<Self>, caller: Arc<str>, quota: Quota) -> BoxFuture<Result<Taken, Told>> {
        Box::pin(async move {
            let taken = SharedRateLimits::take(&*self, &caller, quota).await;
            taken.map_err(|error| Told(chain(&error).into()))
        })
    }
}

/// The place, and whether it is worth asking.
#[derive(Debug)]
pub(super) struct Together {
    place: Arc<dyn Place>,
    clock: Arc<dyn Clock>,
    failures: AtomicU32,
    /// Nobody asks before, in milliseconds of the steady clock. Means something after some failures only.
    rests_until: AtomicU64,
    answered: AtomicBool,
}

impl Together {
    pub(super) fn new(place: Arc<dyn Place>, clock: Arc<dyn Clock>) -> Self {
        Self {
            place,
            clock,
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
            answered: AtomicBool::new(false),
        }
    }

    /// `None`: it could not be asked, or not in time.
    pub(super) async fn take(&self, caller: &Arc<str>, quota: Quota) -> Option<Taken> {
        if self.rests() {
            return None;
        }
        // A deadline needs tokio's timer, and would panic without.
        if Handle::try_current().is_err() {
            return self.failed(&Told("there is no tokio runtime".into()));
        }
        let asking = Arc::clone(&self.place).take(Arc::clone(caller), quota);
        let waiting = Waiting::of(self);
        let answer = timeout(DEADLINE, asking).await;
        waiting.has_ended();
        match answer {
            Ok(Ok(taken)) => {
                self.succeeded();
                Some(taken)
            }
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.failed(&Told("no answer within 50 ms".into())),
        }
    }

    pub(super) fn is_out_of_reach(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES
    }

    /// Whether somebody else asks. Once in a while it is this request.
    fn rests(&self) -> bool {
        if !self.is_out_of_reach() {
            return false;
        }
        let (now, until) = (self.now(), self.rests_until.load(Ordering::Relaxed));
        now < until || !self.takes_its_turn(until, now)
    }

    fn takes_its_turn(&self, until: u64, now: u64) -> bool {
        let next = now.saturating_add(millis(REST));
        let turn = self
            .rests_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        turn.is_ok()
    }

    fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            let again = self.failures.swap(0, Ordering::Relaxed) >= FAILURES;
            if again {
                telemetry::rate_limits_shared(true);
            }
        }
        if !self.answered.load(Ordering::Relaxed) && !self.answered.swap(true, Ordering::Relaxed) {
            telemetry::rate_limits_shared(false);
        }
    }

    fn failed(&self, error: &Told) -> Option<Taken> {
        self.rests_until
            .store(self.now().saturating_add(millis(REST)), Ordering::Relaxed);
        let one_more = |failures: u32| Some(failures.saturating_add(1));
        let before = self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if before == Ok(FAILURES - 1) {
            telemetry::rate_limits_alone(error);
        }
        None
    }

    fn now(&self) -> u64 {
        millis(self.clock.monotonic())
    }
}

/// A request that waits for the place. If it is dropped, by who waits for it no longer than we do, it has seen that nothing comes.
struct Waiting<'t> {
    together: &'t Together,
    since: Duration,
    ended: bool,
}

impl<'t> Waiting<'t> {
    fn of(together: &'t Together) -> Self {
        Self {
            together,
            since: together.clock.monotonic(),
            ended: false,
        }
    }

    fn has_ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = || self.together.clock.monotonic().saturating_sub(self.since);
        if !self.ended && waited() >= LONG {
            self.together
                .failed(&Told("no answer before the request was given up".into()));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
