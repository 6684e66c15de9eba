//! Requests are counted together over a real Redis and a real Valkey, whatever happens to either.

mod connection;
mod held;
mod model;
mod outage;
mod processes;
mod trouble;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tower_resource_server::{Quota, RedisRateLimits, RedisRateLimitsError, SharedRateLimits, Taken};

use crate::redis_server::{RedisServer, on_each_engine};

const MILLI: Duration = Duration::from_millis(1);
/// Of which nothing comes back while a test runs.
const SLOW: Quota = Quota::per_day(100);

type Answer = Result<Taken, RedisRateLimitsError>;

fn limits(server: &RedisServer) -> RedisRateLimits {
    RedisRateLimits::new(server.client())
}

/// As requests ask: nobody waits for longer. `None`: it was too late.
async fn in_time(limits: &RedisRateLimits, caller: &str) -> Option<Answer> {
    let taking = limits.take(caller, SLOW);
    tokio::time::timeout(50 * MILLI, taking).await.ok()
}

async fn counts(limits: &RedisRateLimits, caller: &str) -> bool {
    matches!(in_time(limits, caller).await, Some(Ok(_)))
}

async fn granted(limits: &RedisRateLimits, caller: &str, quota: Quota) -> bool {
    limits.take(caller, quota).await.unwrap().granted
}

/// How often the engine was asked what, since it started.
async fn asked(server: &RedisServer) -> HashMap<String, u64> {
    let told: String = server.ask(&["INFO", "commandstats"]).await;
    let lines = told.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = rest.split_once(',')?;
        Some((name.to_owned(), calls.parse().ok()?))
    });
    lines.collect()
}

#[tokio::test]
async fn as_many_as_may_come_at_once_pass_and_not_one_more() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let quota = Quota::per_hour(3).at_once(5);
        for remaining in (0..5).rev() {
            let taken = limits.take("alice", quota).await.unwrap();
            assert_eq!((taken.granted, taken.remaining), (true, remaining));
            assert!(taken.next <= quota.interval(), "{taken:?}");
        }
        let refused = limits.take("alice", quota).await.unwrap();
        assert_eq!((refused.granted, refused.remaining), (false, 0));
        assert!(refused.next <= quota.interval(), "{refused:?}");
        assert!(refused.next + 60_000 * MILLI > quota.interval(), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn what_remains_is_told_exactly_of_intervals_that_are_no_whole_microseconds() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        for (requests, window) in [(3, 864_000), (7, 86_400), (499, 86_400), (1_000_003, 86_400_000)] {
            let quota = Quota::new(requests, Duration::from_secs(window)).at_once(3);
            for remaining in [2, 1, 0] {
                let taken = limits.take(&requests.to_string(), quota).await.unwrap();
                assert_eq!((taken.granted, taken.remaining), (true, remaining), "{quota:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_as_long_as_told_passes_and_nobody_else() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let quota = Quota::new(1, 200 * MILLI);
        // When the last that passed was asked: another may be granted 200 ms later, at the soonest.
        let mut passed = Instant::now() - 200 * MILLI;
        for _ in 0..8 {
            let asked = Instant::now();
            let taken = limits.take("alice", quota).await.unwrap();
            if taken.granted {
                assert!(passed.elapsed() >= 200 * MILLI);
                passed = asked;
                continue;
            }
            assert!(taken.next <= 200 * MILLI, "{taken:?}");
            tokio::time::sleep(taken.next).await;
            let asked = Instant::now();
            assert!(granted(&limits, "alice", quota).await, "{taken:?}");
            assert!(passed.elapsed() >= 200 * MILLI);
            passed = asked;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_several_machines_get_no_more_than_one_would() {
    on_each_engine(async |server| {
        let machines: Vec<_> = (0..4).map(|_| limits(&server)).collect();
        let tasks: Vec<_> = (0..16)
            .map(|number| {
                let limits = machines[number % 4].clone();
                tokio::spawn(async move {
                    let mut passed = 0;
                    for _ in 0..20 {
                        passed += u32::from(granted(&limits, "alice", SLOW).await);
                    }
                    passed
                })
            })
            .collect();
        let mut passed = 0;
        for task in tasks {
            passed += task.await.unwrap();
        }
        assert_eq!(passed, 100);
    })
    .await;
}

#[tokio::test]
async fn callers_quotas_and_prefixes_do_not_touch_each_other() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let once = SLOW.at_once(1);
        let long = "ü".repeat(150);
        let names = [
            "",
            "alice",
            "alice ",
            "Alice",
            "free:alice",
            "gold:alice",
            r#"a"b'c\d"#,
            "a b\r\nc\0d",
            "{a}b",
            "{b}a",
            "日本語 👍",
            &long,
            &long[..298],
        ];
        for turn in [true, false] {
            for name in names {
                assert_eq!(granted(&limits, name, once).await, turn, "{name:?}");
            }
        }
        let others = limits.clone().prefix("others");
        assert!(granted(&others, "alice", once).await);
        assert!(!granted(&others, "alice", once).await);
        let keys: Vec<String> = server.ask(&["KEYS", "*:limit:*"]).await;
        assert_eq!(keys.len(), names.len() + 1, "{keys:?}");
        assert!(
            keys.contains(&"others:limit:alice".to_owned()) && keys.contains(&"trs:limit:alice".to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_is_one_question() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        for _ in 0..200 {
            let _ = granted(&limits, "alice", SLOW).await;
        }
        let asked = asked(&server).await;
        // Once the engine was told the script. If it is each time, the digest is not the script's any more.
        let script = include_str!("../../src/store/redis/limits/take.lua");
        let digest: String = server.ask(&["SCRIPT", "LOAD", script]).await;
        assert_eq!((asked["evalsha"], asked["eval"]), (200, 1), "it is {digest}");
    })
    .await;
}

#[tokio::test]
async fn a_user_of_the_engine_who_may_do_no_more_than_the_documentation_says_is_enough() {
    let documentation = include_str!("../../src/store/redis/limits/rate_limits.rs");
    let mut lines = documentation.lines();
    let user = lines.find_map(|line| {
        line.strip_prefix("/// ")
            .filter(|line| line.starts_with("ACL SETUSER"))
    });
    let user: Vec<_> = user.unwrap().split(' ').collect();
    on_each_engine(async |server| {
        let _: String = server.ask(&user).await;
        let limits = |user: &str| {
            let address = format!("redis://{user}@{}/", server.address());
            RedisRateLimits::new(redis::Client::open(address).unwrap())
        };
        let once = SLOW.at_once(1);
        let api = limits("limits:password");
        assert!(granted(&api, "alice", once).await);
        assert!(!granted(&api, "alice", once).await);
        let _: i64 = server.ask(&["LPUSH", "trs:limit:bob", "x"]).await;
        assert!(!granted(&api, "bob", once).await);
        let elsewhere = api.prefix("other").take("alice", once).await.unwrap_err();
        assert!(
            matches!(elsewhere, RedisRateLimitsError::Engine(_)),
            "{elsewhere:?}"
        );
        let stranger = limits("limits:sesame");
        let error = stranger.take("alice", once).await.unwrap_err();
        assert!(matches!(error, RedisRateLimitsError::Engine(_)), "{error:?}");
        let cause = std::error::Error::source(&error).unwrap();
        let told = format!("{stranger:?} {error:?} {error} {cause:?} {cause}");
        assert!(!told.contains("sesame"), "{told}");
    })
    .await;
}
