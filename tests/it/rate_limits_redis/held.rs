//! What the engine holds of callers, and what is made of it when it is not what it should be.

use std::time::Duration;

use tower_resource_server::{Quota, RedisRateLimits, SharedRateLimits};

use super::{MILLI, granted, limits};
use crate::redis_server::{RedisServer, on_each_engine, until};

const KEY: &str = "trs:limit:alice";
const FAST: Quota = Quota::new(3, Duration::from_millis(600));

async fn time_left(server: &RedisServer) -> Duration {
    let left: i64 = server.ask(&["PTTL", KEY]).await;
    Duration::from_millis(left.try_into().unwrap_or_default())
}

#[tokio::test]
async fn a_caller_vanishes_when_the_quota_is_whole_again() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        // As long as the time that the quota takes to be whole, and not as long as that of a spent one.
        let slow = Quota::per_minute(60);
        assert!(granted(&limits, "alice", slow).await);
        let after_one = time_left(&server).await;
        assert!(after_one <= slow.interval(), "{after_one:?}");
        for _ in 0..3 {
            let _ = granted(&limits, "bob", FAST).await;
        }
        let left: i64 = server.ask(&["PTTL", "trs:limit:bob"]).await;
        assert!(left <= 600 && left != -1, "{left}");
        until("the engine is empty", async || {
            server.ask::<i64>(&["DBSIZE"]).await == 0
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_changes_nothing() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let once = Quota::per_hour(1);
        assert!(granted(&limits, "alice", once).await);
        let held = async || {
            let told: String = server.ask(&["INFO", "persistence"]).await;
            let mut lines = told.lines();
            let changes = lines.find(|line| line.starts_with("rdb_changes_since_last_save:"));
            let value: String = server.ask(&["GET", KEY]).await;
            (value, changes.unwrap().to_owned())
        };
        let before = held().await;
        for _ in 0..20 {
            assert!(!granted(&limits, "alice", once).await);
        }
        assert_eq!(held().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_cannot_be_right_counts_as_a_spent_quota_and_locks_nobody_out() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let far = "9007199254740992";
        let values = [
            "hello", "", "nan", "-nan", "inf", "1e300", far, "2,5", "1 2", "\u{0}",
        ];
        for value in values {
            let _: String = server.ask(&["SET", KEY, value]).await;
            assert_comes_back(&server, &limits, value).await;
        }
        for command in [["LPUSH", KEY, "1"], ["SADD", KEY, "1"]] {
            let _: i64 = server.ask(&["DEL", KEY]).await;
            let _: i64 = server.ask(&command).await;
            assert_comes_back(&server, &limits, command[0]).await;
        }
    })
    .await;
}

async fn assert_comes_back(server: &RedisServer, limits: &RedisRateLimits, what: &str) {
    let refused = limits.take("alice", FAST).await.unwrap();
    assert!(
        !refused.granted && refused.next <= FAST.interval(),
        "{what}: {refused:?}"
    );
    assert!(time_left(server).await <= FAST.recovery(), "{what}");
    tokio::time::sleep(refused.next).await;
    assert!(granted(limits, "alice", FAST).await, "{what}");
}

#[tokio::test]
async fn what_was_whole_long_ago_is_whole() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        for value in ["0", "-1", "-inf", "-1e300", "12.5"] {
            let _: String = server.ask(&["SET", KEY, value]).await;
            let taken = limits.take("alice", Quota::per_hour(9)).await.unwrap();
            assert_eq!((taken.granted, taken.remaining), (true, 8), "{value}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_quota_that_was_lowered_is_waited_for_no_longer_than_its_own_time() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let (before, after) = (Quota::per_day(5), Quota::new(1, 100 * MILLI));
        while granted(&limits, "alice", before).await {}
        let refused = limits.take("alice", after).await.unwrap();
        assert!(
            !refused.granted && refused.next <= after.interval(),
            "{refused:?}"
        );
        tokio::time::sleep(refused.next).await;
        assert!(granted(&limits, "alice", after).await);
    })
    .await;
}
