//! Counting in this process, by `governor`: this is the one file that names it.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::KeyedStateStore;

use super::table::Table;
use super::{Quota, Taken};
use crate::clock::Clock;

/// A limiter for each quota, over one table of callers.
#[derive(Debug)]
pub(super) struct Local {
    table: Arc<Table>,
    time: Ticks,
    quotas: Box<[(Quota, Limiter)]>,
}

type Limiter = RateLimiter<Asked, Callers, Ticks, NoOpMiddleware<Nanos>>;

impl Local {
    /// `name` is what metrics call it.
    pub(super) fn new(
        name: &'static str,
        quotas: impl IntoIterator<Item = Quota>,
        most: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let quotas: Vec<Quota> = quotas.into_iter().collect();
        let table = Arc::new(Table::new(name, most, quotas.len()));
        let time = Ticks {
            clock,
            origin: Arc::default(),
        };
        let limiter = |quota: Quota| {
            let callers = Callers(Arc::clone(&table));
            (quota, RateLimiter::new(rate(quota), callers, time.clone()))
        };
        let quotas = quotas.into_iter().map(limiter).collect();
        time.start();
        Self { table, time, quotas }
    }

    /// Counts one request of this caller at the quota in this place.
    pub(super) fn take(&self, place: usize, caller: &impl Hash) -> Taken {
        let Some((quota, limiter)) = self.quotas.get(place) else {
            return Taken::refused(Duration::ZERO);
        };
        let asked = Asked {
            key: self.table.key(&(place, caller)),
            now: self.time.now().as_u64(),
            place,
            arrival: Cell::new(0),
        };
        let checked = limiter.check_key(&asked);
        // The limiter has read the clock after us, so what is told is of a time after that: else the debt of a first request were more
        // than one interval.
        let now = self.time.now();
        match checked {
            Ok(()) => {
                let debt = asked.arrival.get().saturating_sub(now.as_u64());
                Taken::granted(*quota, Duration::from_nanos(debt))
            }
            Err(refused) => Taken::refused(refused.wait_time_from(now)),
        }
    }

    /// A request that was counted is not to count.
    pub(super) fn give_back(&self, place: usize, caller: &impl Hash) {
        let Some((quota, _)) = self.quotas.get(place) else {
            return;
        };
        let (key, now) = (self.table.key(&(place, caller)), self.time.now().as_u64());
        let interval = nanos(quota.interval());
        let _: Result<(), ()> = self.table.update((place, key), now, |arrival| {
            Ok(((), arrival.saturating_sub(interval)))
        });
    }

    /// How many callers are held.
    pub(super) fn callers(&self) -> usize {
        self.table.len()
    }
}

fn rate(quota: Quota) -> governor::Quota {
    let at_once = NonZeroU32::new(quota.most()).unwrap_or(NonZeroU32::MIN);
    governor::Quota::with_period(quota.interval().max(Duration::from_nanos(1)))
        .unwrap_or(governor::Quota::per_second(NonZeroU32::MIN))
        .allow_burst(at_once)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A caller's key on its way through the limiter, which keeps the time that the limiter makes of it to itself.
#[derive(Debug, Clone)]
struct Asked {
    key: u64,
    now: u64,
    place: usize,
    arrival: Cell<u64>,
}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// The table, as governor wants to have it.
#[derive(Debug)]
struct Callers(Arc<Table>);

impl StateStore for Callers {
    type Key = Asked;

    fn measure_and_replace<T, F, E>(&self, asked: &Asked, next: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.update((asked.place, asked.key), asked.now, |arrival| {
            // To governor, who was not seen is one whose time is now, and to GCRA one whose time has passed is no different.
            let (told, arrival) = next(Some(Nanos::from(arrival)))?;
            asked.arrival.set(arrival.as_u64());
            Ok((told, arrival.as_u64()))
        })
    }
}

impl KeyedStateStore<Asked> for Callers {}

/// Our clock, as governor wants to have it: it stands at zero until all limiters are made, so that they count from one moment.
#[derive(Debug, Clone)]
struct Ticks {
    clock: Arc<dyn Clock>,
    origin: Arc<OnceLock<Duration>>,
}

impl Ticks {
    fn start(&self) {
        self.origin.get_or_init(|| self.clock.monotonic());
    }
}

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let passed = self.origin.get().map_or(Duration::ZERO, |origin| {
            self.clock.monotonic().saturating_sub(*origin)
        });
        Nanos::from(
            u64::try_from(passed.as_nanos())
                .unwrap_or(u64::MAX / 4)
                .min(u64::MAX / 4),
        )
    }
}
