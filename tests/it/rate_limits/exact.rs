//! The number that is let through is the plan's: against a model, under many clients at once, and with a table that is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{ApiKeyLayer, Clock, Quota, RateLimitLayer, RateLimits};

use super::{behind_keys, key, keys, passed};
use crate::support::{call, whoami};

/// What GCRA says, in whole nanoseconds, of one caller.
struct Model {
    interval: u128,
    at_once: u128,
    arrival: u128,
}

impl Model {
    fn new(requests: u32, window: Duration, at_once: u32) -> Self {
        Self {
            interval: window.as_nanos().div_ceil(u128::from(requests)),
            at_once: u128::from(at_once),
            arrival: 0,
        }
    }

    /// Whether a request passes now; how many more would; and how long it is until one more would.
    fn ask(&mut self, now: u128) -> (bool, u128, u128) {
        let next = self.arrival.max(now) + self.interval;
        let whole = self.at_once * self.interval;
        if next > now + whole {
            return (false, 0, next - whole - now);
        }
        self.arrival = next;
        let credit = now + whole - next;
        (
            true,
            credit / self.interval,
            self.interval - credit % self.interval,
        )
    }
}

fn ceil_seconds(nanos: u128) -> u128 {
    nanos.div_ceil(1_000_000_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decisions_and_fields_are_those_of_the_model(
        requests in 1_u32..50,
        window in 1_u64..5_000_000_000,
        at_once in 1_u32..60,
        // A caller, and the time before it asks, in parts of a thousand of the window.
        asked in vec((0_usize..3, prop_oneof![Just(0_u64), 0..20_u64, 0..2_000_u64]), 1..150),
    ) {
        let window = Duration::from_nanos(window);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = TestClock::new();
            let limits = RateLimits::builder("free", Quota::new(requests, window).at_once(at_once));
            let names = ["a", "b", "c"];
            let store = keys(&names.map(|name| (name, name, "")));
            let app = behind_keys(store, limits.clock(clock.clone()).build().unwrap());
            let mut models = names.map(|_| Model::new(requests, window, at_once));
            let mut now = 0;
            for (caller, pause) in asked {
                let pause = window * u32::try_from(pause).unwrap() / 1000;
                clock.advance(pause);
                now += pause.as_nanos();
                let answer = call(&app, key(names[caller])).await;
                let (passes, remaining, next) = models[caller].ask(now);
                prop_assert_eq!(answer.status.as_u16(), if passes { 200 } else { 429 });
                let told = format!("\"free\";r={remaining};t={}", ceil_seconds(next));
                prop_assert_eq!(answer.header("ratelimit"), Some(&*told));
                let retry = ceil_seconds(next).to_string();
                prop_assert_eq!(answer.header("retry-after"), (!passes).then_some(&*retry));
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixteen_clients_at_once_get_the_plans_number_and_not_one_more() {
    const EACH: usize = 500;
    let clock = TestClock::new();
    for (turn, quota) in [1_u32, 7, 100, 4_000].into_iter().enumerate() {
        let limits = RateLimits::builder("free", Quota::per_hour(quota)).clock(clock.clone());
        let name = format!("caller-{turn}");
        let app = behind_keys(keys(&[(&name, &name, "")]), limits.build().unwrap());
        let let_through = Arc::new(AtomicUsize::new(0));
        let clients = (0..16).map(|_| {
            let (app, name, let_through) = (app.clone(), name.clone(), Arc::clone(&let_through));
            tokio::spawn(async move {
                let passed = passed(&app, EACH, || key(&name)).await;
                let_through.fetch_add(passed, Ordering::Relaxed);
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        assert_eq!(let_through.load(Ordering::Relaxed), quota as usize);
    }
}

/// Callers come and go while the clock turns, so that entries are taken out and put in all the time: none is lost with a request
/// in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn nobody_gets_more_while_the_table_is_cleared() {
    const OTHERS: usize = 2_000;
    let clock = TestClock::new();
    let limits = RateLimits::builder("free", Quota::per_second(1).at_once(5)).clock(clock.clone());
    let limits = limits.build().unwrap();
    let names: Vec<String> = (0..OTHERS).map(|other| format!("other-{other}")).collect();
    let mut known: Vec<_> = names.iter().map(|name| (&**name, &**name, "")).collect();
    known.push(("k", "k", ""));
    let app = behind_keys(keys(&known), limits.clone());
    for _ in 0..20 {
        clock.advance(Duration::from_secs(10));
        let of_others = names.chunks(OTHERS / 4).map(|names| {
            let (app, names) = (app.clone(), names.to_vec());
            tokio::spawn(async move {
                for name in names {
                    call(&app, key(&name)).await;
                }
                0
            })
        });
        let of_one = (0..8).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { passed(&app, 50, || key("k")).await })
        });
        let mut let_through = 0;
        for task in of_others.chain(of_one).collect::<Vec<_>>() {
            let_through += task.await.unwrap();
        }
        assert_eq!(let_through, 5);
    }
    assert!(limits.status().callers <= OTHERS + 1);
}

#[tokio::test]
async fn who_has_paid_back_makes_room() {
    let clock = TestClock::new();
    let limits = RateLimits::builder("free", Quota::per_second(1)).clock(clock.clone());
    let limits = limits.most_callers(100).build().unwrap();
    let names: Vec<String> = (0..2_000).map(|caller| format!("caller-{caller}")).collect();
    let known: Vec<_> = names.iter().map(|name| (&**name, &**name, "")).collect();
    let app = behind_keys(keys(&known), limits.clone());
    for names in names.chunks(20) {
        for name in names {
            assert_eq!(
                passed(&app, 2, || key(name)).await,
                1,
                "{name} after {:?}",
                limits.status()
            );
        }
        clock.advance(Duration::from_secs(1));
    }
    assert!(limits.status().callers <= 100);
}

#[tokio::test]
async fn a_full_table_gives_strangers_less_and_never_more() {
    let clock = TestClock::new();
    let limits = RateLimits::builder("free", Quota::per_hour(2)).clock(clock.clone());
    let limits = limits.most_callers(10).build().unwrap();
    let names: Vec<String> = (0..5_000).map(|caller| format!("caller-{caller}")).collect();
    let known: Vec<_> = names.iter().map(|name| (&**name, &**name, "")).collect();
    let app = behind_keys(keys(&known), limits.clone());
    let mut of_strangers = 0;
    for (place, name) in names.iter().enumerate() {
        let passed = passed(&app, 3, || key(name)).await;
        assert!(passed <= 2);
        if place < 10 {
            assert_eq!(passed, 2, "there was room");
        } else {
            of_strangers += passed;
        }
    }
    assert_eq!(limits.status().callers, 10);
    assert!(of_strangers <= 2 * 1024, "{of_strangers} passed");
    assert!(of_strangers > 1024, "{of_strangers} passed");
    clock.advance(Duration::from_secs(2 * 60 * 60));
    assert_eq!(
        passed(&app, 3, || key("caller-4999")).await,
        2,
        "there is room again"
    );
}

#[tokio::test]
async fn an_honest_client_that_waits_as_it_is_told_is_never_refused_again() {
    for quota in [
        Quota::per_second(3),
        Quota::per_minute(7),
        Quota::new(13, Duration::from_millis(970)).at_once(2),
        Quota::per_day(1),
    ] {
        let clock = TestClock::new();
        let limits = RateLimits::builder("free", quota).clock(clock.clone());
        let app = whoami()
            .layer(RateLimitLayer::new(limits.build().unwrap()))
            .layer(ApiKeyLayer::new(keys(&[("k", "k", "")])));
        let mut was_refused = false;
        for _ in 0..500 {
            let answer = call(&app, key("k")).await;
            let refused = answer.status.as_u16() == 429;
            assert!(!(refused && was_refused), "{quota:?}");
            was_refused = refused;
            if let Some(seconds) = answer.header("retry-after") {
                clock.advance(Duration::from_secs(seconds.parse().unwrap()));
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_keeps_to_the_fields_is_never_refused() {
    let clock = TestClock::new();
    let limits = RateLimits::builder("free", Quota::per_minute(7).at_once(3)).clock(clock.clone());
    let app = behind_keys(keys(&[("k", "k", "")]), limits.build().unwrap());
    for _ in 0..500 {
        let answer = call(&app, key("k")).await;
        assert_eq!(answer.status.as_u16(), 200);
        let told = answer.header("ratelimit").unwrap();
        let number = |name: &str| -> u64 {
            let (_, rest) = told.split_once(name).unwrap();
            rest.split(';').next().unwrap().parse().unwrap()
        };
        if number("r=") == 0 {
            clock.advance(Duration::from_secs(number("t=")));
        }
    }
}

/// A real clock is later at each look.
#[derive(Debug, Default)]
struct Moving(AtomicU64);

impl Clock for Moving {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.fetch_add(137, Ordering::Relaxed))
    }
}

#[tokio::test]
async fn what_remains_is_told_right_by_a_clock_that_moves() {
    let limits = RateLimits::builder("free", Quota::per_minute(60)).clock(Moving::default());
    let app = behind_keys(keys(&[("k", "k", "")]), limits.build().unwrap());
    for remaining in (0..60).rev() {
        let answer = call(&app, key("k")).await;
        assert_eq!(
            answer.header("ratelimit"),
            Some(&*format!("\"free\";r={remaining};t=1"))
        );
    }
    assert_eq!(call(&app, key("k")).await.status.as_u16(), 429);
}

#[tokio::test]
async fn in_a_full_table_a_debt_of_a_day_takes_nobody_else_longer_than_his_own_plan() {
    let clock = TestClock::new();
    let limits = RateLimits::builder("daily", Quota::per_day(2)).plan("quick", Quota::per_second(2));
    let limits = limits.most_callers(1).clock(clock.clone()).build().unwrap();
    let names: Vec<String> = (0..8_000).map(|caller| format!("caller-{caller}")).collect();
    let mut known: Vec<_> = names.iter().map(|name| (&**name, &**name, "")).collect();
    known.push(("q", "q", "quick"));
    let app = behind_keys(keys(&known), limits);
    for name in &names {
        passed(&app, 2, || key(name)).await;
    }
    for _ in 0..3 {
        assert_eq!(passed(&app, 5, || key("q")).await, 2);
        clock.advance(Duration::from_secs(1));
    }
}
