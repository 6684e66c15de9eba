//! The connection: made when it is needed, kept while it is good, gone with the last who has it.

use std::time::Duration;

use tokio::time::Instant;
use tower_resource_server::{RedisRateLimits, RedisRateLimitsError, SharedRateLimits};

use super::{MILLI, SLOW, counts, granted, in_time, limits};
use crate::redis_server::{RedisServer, engines, on_each_engine, until};

/// The ids of connections on which requests were counted last.
async fn connections(server: &RedisServer) -> Vec<String> {
    let told: String = server.ask(&["CLIENT", "LIST"]).await;
    let counting = told.lines().filter(|line| line.contains("cmd=eval"));
    let ids = counting.filter_map(|line| Some(line.split_once(' ')?.0.to_owned()));
    ids.collect()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn nothing_is_connected_before_it_is_used_and_another_runtime_counts_again() {
    for program in engines() {
        let server = RedisServer::start(&program);
        let limits = limits(&server);
        for _ in 0..3 {
            runtime().block_on(async { assert!(granted(&limits, "alice", SLOW).await) });
        }
        // One that is kept, and does nothing any more, is as good as gone.
        let kept = runtime();
        kept.block_on(async { assert!(granted(&limits, "alice", SLOW).await) });
        runtime().block_on(until("it counts", async || counts(&limits, "alice").await));
    }
}

#[test]
fn an_attempt_whose_runtime_has_ended_stands_in_nobodys_way() {
    for program in engines() {
        let server = RedisServer::start(&program);
        let limits = limits(&server);
        server.hang();
        assert!(runtime().block_on(in_time(&limits, "alice")).is_none());
        server.go_on();
        runtime().block_on(until("it counts", async || counts(&limits, "alice").await));
    }
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let client = redis::Client::open("redis://:sesame@127.0.0.1:1/").unwrap();
    let limits = RedisRateLimits::new(client);
    assert!(!format!("{limits:?}").contains("sesame"), "{limits:?}");
    let taken = futures_util::FutureExt::now_or_never(limits.take("alice", SLOW)).unwrap();
    assert!(matches!(taken, Err(RedisRateLimitsError::NoRuntime)), "{taken:?}");
}

#[tokio::test]
async fn all_clones_share_one_connection_which_ends_with_the_last() {
    on_each_engine(async |server| {
        let one = limits(&server);
        let other = one.clone().prefix("other");
        for _ in 0..5 {
            assert!(granted(&one, "alice", SLOW).await && granted(&other, "alice", SLOW).await);
        }
        assert_eq!(connections(&server).await.len(), 1);
        drop(one);
        assert!(granted(&other, "alice", SLOW).await);
        drop(other);
        until("nobody is connected", async || {
            connections(&server).await.is_empty()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn those_who_come_together_connect_once() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let requests = (0..50).map(|_| granted(&limits, "alice", SLOW));
        let granted = futures_util::future::join_all(requests).await;
        assert!(granted.iter().all(|granted| *granted));
        assert_eq!(connections(&server).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_slow_answer_costs_no_connection() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        assert!(granted(&limits, "alice", SLOW).await);
        let before = connections(&server).await;
        for _ in 0..3 {
            let since = Instant::now();
            server.hang();
            let late = in_time(&limits, "alice").await;
            server.go_on();
            assert!(late.is_none(), "{late:?}");
            assert!(granted(&limits, "alice", SLOW).await);
            if since.elapsed() > 400 * MILLI {
                println!("this machine has other things to do: skipped");
                return;
            }
        }
        assert_eq!(connections(&server).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_request_may_be_dropped_at_any_time() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let mut random = fastrand::Rng::with_seed(3);
        let (mut passed, mut dropped) = (0, 0);
        for _ in 0..60 {
            let taking = granted(&limits, "alice", SLOW);
            let patience = Duration::from_micros(random.u64(0..400));
            match tokio::time::timeout(patience, taking).await {
                Ok(granted) => passed += u32::from(granted),
                Err(_) => dropped += 1,
            }
        }
        println!("{dropped} dropped");
        let left = limits.take("alice", SLOW).await.unwrap().remaining;
        let counted = 100 - left - 1;
        assert!(
            counted >= passed && counted <= passed + dropped,
            "{counted} {passed}"
        );
        assert_eq!(connections(&server).await.len(), 1);
        assert!(
            tokio::time::timeout(500 * MILLI, limits.take("bob", SLOW))
                .await
                .is_ok()
        );
    })
    .await;
}
