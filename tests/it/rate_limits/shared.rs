//! Counting together with other machines: what happens to requests while the place where all count answers, fails, hangs, and
//! is back. Time that passes without the clock is tokio's, which stands still too: it goes on when everybody waits.

use std::collections::HashMap;
use std::future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use http::StatusCode;
use tokio::time::Instant;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{Quota, RateLimits, RateLimitsBuilder, Share, SharedRateLimits, Taken};

use super::{behind_keys, key, keys, passed};
use crate::support::{Answer, KEY, call, store};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Answers,
    Fails,
    Hangs,
}

/// A place that never gives anything back.
#[derive(Debug)]
struct Place {
    mode: Mutex<Mode>,
    used: Mutex<HashMap<String, u32>>,
    asked: AtomicUsize,
}

#[derive(Debug, thiserror::Error)]
#[error("the place is down")]
struct IsDown;

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            mode: Mutex::new(Mode::Answers),
            used: Mutex::default(),
            asked: AtomicUsize::new(0),
        })
    }

    fn becomes(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn answer(&self, caller: &str, quota: Quota) -> Taken {
        let mut used = self.used.lock().unwrap();
        let used = used.entry(caller.to_owned()).or_default();
        if *used == quota.most() {
            return Taken::refused(quota.interval());
        }
        *used += 1;
        Taken::granted(quota, quota.interval() * *used)
    }
}

impl SharedRateLimits for Place {
    type Error = IsDown;

    async fn take(&self, caller: &str, quota: Quota) -> Result<Taken, IsDown> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mode = *self.mode.lock().unwrap();
        match mode {
            Mode::Answers => Ok(self.answer(caller, quota)),
            Mode::Fails => Err(IsDown),
            Mode::Hangs => future::pending().await,
        }
    }
}

/// Forty an hour; a machine alone lets ten through.
fn forty(clock: &TestClock, place: &Arc<Place>) -> RateLimits {
    let limits = RateLimits::builder("free", Quota::per_hour(40));
    built(limits, clock, place)
}

fn built(limits: RateLimitsBuilder, clock: &TestClock, place: &Arc<Place>) -> RateLimits {
    let limits = limits.shared(Arc::clone(place), Share::one_in(4));
    limits.clock(clock.clone()).build().unwrap()
}

/// The answer, and how long it took.
async fn timed(app: &Router) -> (Answer, Duration) {
    let start = Instant::now();
    let answer = call(app, key(KEY)).await;
    (answer, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn machines_that_count_together_share_one_quota() {
    let (clock, place) = (TestClock::new(), Place::new());
    let here = behind_keys(store(), forty(&clock, &place));
    let there = behind_keys(store(), forty(&clock, &place));
    assert_eq!(
        passed(&here, 30, || key(KEY)).await,
        30,
        "more than a machine alone lets through"
    );
    assert_eq!(passed(&there, 30, || key(KEY)).await, 10);
    assert_eq!(passed(&here, 30, || key(KEY)).await, 0);
    let answer = call(&there, key(KEY)).await;
    assert_eq!(answer.header("ratelimit"), Some("\"free\";r=0;t=90"));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"free\";q=40;w=3600"));
}

#[tokio::test(start_paused = true)]
async fn callers_and_plans_have_names_of_their_own_at_the_place() {
    let (clock, place) = (TestClock::new(), Place::new());
    let records = keys(&[
        ("a", "a", ""),
        ("b", "b", ""),
        ("g", "a", "gold"),
        ("q", "\",\"", ""),
    ]);
    let limits = RateLimits::builder("free", Quota::per_hour(1)).plan("gold", Quota::per_hour(2));
    let app = behind_keys(records, built(limits, &clock, &place));
    for (name, expected) in [("a", 1), ("b", 1), ("g", 2), ("q", 1)] {
        assert_eq!(passed(&app, 5, || key(name)).await, expected, "{name}");
    }
    let used = place.used.lock().unwrap();
    let mut names: Vec<&str> = used.keys().map(|name| &**name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            r#"["free","principal","api_key",false,null,"\",\"",null]"#,
            r#"["free","principal","api_key",false,null,"a",null]"#,
            r#"["free","principal","api_key",false,null,"b",null]"#,
            r#"["gold","principal","api_key",false,null,"a",null]"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_fifty_milliseconds() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Hangs);
    let app = behind_keys(store(), forty(&clock, &place));
    for _ in 0..3 {
        let (answer, time) = timed(&app).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(
            time >= Duration::from_millis(50) && time < Duration::from_millis(60),
            "{time:?}"
        );
    }
    assert_eq!(place.asked(), 3);
    for _ in 0..50 {
        let (_, time) = timed(&app).await;
        assert_eq!(time, Duration::ZERO, "who is out of reach is not waited for");
    }
    assert_eq!(place.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_machine_alone_lets_its_share_through() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Fails);
    let limits = forty(&clock, &place);
    let app = behind_keys(store(), limits.clone());
    assert_eq!(passed(&app, 100, || key(KEY)).await, 10);
    let answer = call(&app, key(KEY)).await;
    assert_eq!(answer.header("ratelimit"), Some("\"free\";r=0;t=360"));
    assert_eq!(answer.header("retry-after"), Some("360"));
    assert_eq!(limits.status().counted_alone, 101);
    assert_eq!(limits.status().shared, Some(false));
    clock.advance(Duration::from_secs(360));
    assert_eq!(
        passed(&app, 10, || key(KEY)).await,
        1,
        "one each 360 seconds, a fourth of one each 90"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_gives_nobody_a_new_quota() {
    let (clock, place) = (TestClock::new(), Place::new());
    let app = behind_keys(store(), forty(&clock, &place));
    assert_eq!(passed(&app, 6, || key(KEY)).await, 6);
    place.becomes(Mode::Fails);
    assert_eq!(passed(&app, 100, || key(KEY)).await, 4, "of its share of ten");
    place.becomes(Mode::Answers);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        passed(&app, 100, || key(KEY)).await,
        34,
        "what the place knows of: six of forty are used"
    );
    place.becomes(Mode::Fails);
    assert_eq!(passed(&app, 100, || key(KEY)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_failure_is_no_outage() {
    let (clock, place) = (TestClock::new(), Place::new());
    let limits = forty(&clock, &place);
    let app = behind_keys(store(), limits.clone());
    for _ in 0..3 {
        place.becomes(Mode::Fails);
        assert_eq!(passed(&app, 2, || key(KEY)).await, 2);
        assert_eq!(limits.status().shared, Some(true));
        place.becomes(Mode::Answers);
        assert_eq!(passed(&app, 1, || key(KEY)).await, 1);
    }
    assert_eq!(place.asked(), 9, "the place is asked every time");
}

#[tokio::test(start_paused = true)]
async fn who_is_out_of_reach_is_asked_by_one_request_a_second() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Hangs);
    let limits = forty(&clock, &place);
    let app = behind_keys(store(), limits.clone());
    passed(&app, 3, || key(KEY)).await;
    place.asked();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(1));
        let asking = (0..20).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { timed(&app).await.1 })
        });
        let mut waited = 0;
        for task in asking.collect::<Vec<_>>() {
            waited += usize::from(!task.await.unwrap().is_zero());
        }
        assert_eq!((place.asked(), waited), (1, 1));
        assert_eq!(limits.status().shared, Some(false));
    }
    place.becomes(Mode::Answers);
    clock.advance(Duration::from_secs(1));
    passed(&app, 1, || key(KEY)).await;
    assert_eq!(limits.status().shared, Some(true));
    place.asked();
    passed(&app, 5, || key(KEY)).await;
    assert_eq!(place.asked(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_while_it_asks_leaves_the_place_in_reach_of_others() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Hangs);
    let app = behind_keys(store(), forty(&clock, &place));
    passed(&app, 3, || key(KEY)).await;
    clock.advance(Duration::from_secs(1));
    {
        let cancelled = call(&app, key(KEY));
        assert!(
            tokio::time::timeout(Duration::from_millis(1), cancelled)
                .await
                .is_err()
        );
    }
    place.becomes(Mode::Answers);
    place.asked();
    clock.advance(Duration::from_secs(1));
    passed(&app, 2, || key(KEY)).await;
    assert_eq!(place.asked(), 2);
}

#[test]
fn a_share_of_nothing_is_a_problem_of_the_settings() {
    let limits = RateLimits::builder("free", Quota::per_hour(40)).shared(Place::new(), Share::one_in(0));
    let error = limits.build().unwrap_err();
    assert_eq!(error.problems()[0].setter, "shared");
    // Nor one that takes centuries.
    let yearly = RateLimits::builder("free", Quota::new(1, Duration::from_secs(366 * 24 * 60 * 60)));
    let error = yearly
        .shared(Place::new(), Share::one_in(600))
        .build()
        .unwrap_err();
    assert_eq!(error.problems()[0].setter, "shared");
}

/// Whoever has a deadline of his own, shorter than ours, sees as well that nothing comes.
#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_early_show_that_the_place_hangs() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Hangs);
    let limits = forty(&clock, &place);
    let app = behind_keys(store(), limits.clone());
    for _ in 0..3 {
        assert_eq!(limits.status().shared, Some(true));
        let given_up = tokio::time::timeout(Duration::from_millis(30), call(&app, key(KEY)));
        let meanwhile = async { clock.advance(Duration::from_millis(30)) };
        assert!(tokio::join!(given_up, meanwhile).0.is_err());
    }
    assert_eq!(limits.status().shared, Some(false));
    assert_eq!(timed(&app).await.1, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_small_quota_alone_still_lets_one_through() {
    let (clock, place) = (TestClock::new(), Place::new());
    place.becomes(Mode::Fails);
    let limits = RateLimits::builder("free", Quota::per_hour(2));
    let app = behind_keys(store(), built(limits, &clock, &place));
    assert_eq!(passed(&app, 10, || key(KEY)).await, 1);
    clock.advance(Duration::from_secs(2 * 60 * 60 - 1));
    assert_eq!(passed(&app, 10, || key(KEY)).await, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(passed(&app, 10, || key(KEY)).await, 1);
}

#[test]
fn without_a_tokio_runtime_a_machine_counts_alone() {
    let (clock, place) = (TestClock::new(), Place::new());
    let limits = forty(&clock, &place);
    let app = behind_keys(store(), limits.clone());
    let passed = passed(&app, 20, || key(KEY)).now_or_never().unwrap();
    assert_eq!(passed, 10);
    assert_eq!(place.asked(), 0);
    assert_eq!(limits.status().shared, Some(false));
}
