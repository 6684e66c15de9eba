//! What happens to the engine, or to the way to it, and what requests then meet.

use std::time::Duration;

use tokio::time::Instant;
use tower_resource_server::{RedisRateLimits, RedisRateLimitsError, SharedRateLimits};

use super::{MILLI, SLOW, asked, counts, granted, in_time, limits};
use crate::gate::Gate;
use crate::redis_server::{RedisServer, on_each_engine, until};

fn through(gate: &Gate) -> RedisRateLimits {
    RedisRateLimits::new(redis::Client::open(format!("redis://{}/", gate.address())).unwrap())
}

/// Most of it is another pause, or an answer that stays out; the rest is for a machine that has other things to do.
async fn until_it_counts(limits: &RedisRateLimits) {
    let since = Instant::now();
    until("it counts again", async || counts(limits, "new").await).await;
    println!("it counts again after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test]
async fn an_engine_that_forgets_the_script_is_told_again() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        for _ in 0..3 {
            assert!(granted(&limits, "alice", SLOW).await);
            let _: String = server.ask(&["SCRIPT", "FLUSH"]).await;
        }
        let taken = limits.take("alice", SLOW).await.unwrap();
        assert_eq!(taken.remaining, 96);
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_was_restarted_meanwhile_is_not_noticed() {
    on_each_engine(async |mut server| {
        let limits = limits(&server);
        for _ in 0..3 {
            assert!(granted(&limits, "alice", SLOW).await);
            server.kill9();
            server.restart();
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_gone_is_an_error_at_once_until_it_is_back() {
    on_each_engine(async |mut server: RedisServer| {
        let limits = limits(&server);
        assert!(granted(&limits, "alice", SLOW).await);
        server.kill9();
        for _ in 0..20 {
            let since = Instant::now();
            let error = limits.take("alice", SLOW).await.unwrap_err();
            assert!(matches!(error, RedisRateLimitsError::Engine(_)), "{error:?}");
            assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        }
        server.restart();
        until_it_counts(&limits).await;
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_never_was_there_is_an_error_and_left_alone_between() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever connects is sent away.
    let attempts = tokio::spawn(async move {
        let mut attempts = 0;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), listener.accept()).await {
            attempts += 1;
        }
        attempts
    });
    let limits = RedisRateLimits::new(redis::Client::open(format!("redis://{address}/")).unwrap());
    let since = Instant::now();
    while since.elapsed() < 500 * MILLI {
        assert!(limits.take("alice", SLOW).await.is_err());
        tokio::task::yield_now().await;
    }
    assert!((1..=3).contains(&attempts.await.unwrap()));
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_and_counts_when_it_goes_on() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        assert!(granted(&limits, "alice", SLOW).await);
        server.hang();
        assert!(in_time(&limits, "alice").await.is_none());
        // Nobody waits for an answer, and yet it is noticed that none comes; nor can it be connected to.
        until("it is an error", async || {
            matches!(
                in_time(&limits, "alice").await,
                Some(Err(RedisRateLimitsError::DeadlinePassed { .. }))
            )
        })
        .await;
        server.go_on();
        until_it_counts(&limits).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_for_an_engine_that_hangs_is_told_in_the_end() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        assert!(granted(&limits, "alice", SLOW).await);
        server.hang();
        for _ in 0..2 {
            let since = Instant::now();
            let error = limits.take("alice", SLOW).await.unwrap_err();
            assert!(
                matches!(error, RedisRateLimitsError::DeadlinePassed { .. }),
                "{error:?}"
            );
            assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        }
        server.go_on();
        until_it_counts(&limits).await;
    })
    .await;
}

/// Nothing is closed: what is sent on it is swallowed.
#[tokio::test]
async fn a_connection_that_was_cut_in_silence_is_replaced() {
    on_each_engine(async |server| {
        let other = server.another();
        let gate = Gate::to(server.address()).await;
        let limits = through(&gate);
        assert!(granted(&limits, "alice", SLOW).await);
        gate.lead_new_ones_to(other.address());
        server.hang();
        assert!(in_time(&limits, "alice").await.is_none());
        until_it_counts(&limits).await;
        server.go_on();
    })
    .await;
}

#[tokio::test]
async fn a_way_that_is_closed_for_a_moment_costs_a_moment() {
    on_each_engine(async |server| {
        let gate = Gate::to(server.address()).await;
        let limits = through(&gate);
        for _ in 0..2 {
            assert!(granted(&limits, "alice", SLOW).await);
            gate.cut();
            until("it is an error", async || {
                matches!(in_time(&limits, "alice").await, Some(Err(_)))
            })
            .await;
            gate.lead_to(server.address());
            until_it_counts(&limits).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_replica_is_no_place_to_count() {
    on_each_engine(async |server| {
        let once = SLOW.at_once(1);
        let replica = server.another();
        let limits = limits(&replica);
        assert!(granted(&limits, "before", SLOW).await);
        let port = server.port().to_string();
        let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        assert!(granted(&super::limits(&server), "alice", once).await);
        until("the replica has it", async || {
            replica.ask::<i64>(&["EXISTS", "trs:limit:alice"]).await == 1
        })
        .await;
        // To refuse it would have to write nothing, and its word would count no more.
        for caller in ["alice", "bob"] {
            let error = limits.take(caller, once).await.unwrap_err();
            assert!(matches!(error, RedisRateLimitsError::NotPrimary), "{error:?}");
        }
        let hellos = asked(&replica).await["evalsha"];
        for _ in 0..100 {
            let error = limits.take("alice", once).await.unwrap_err();
            assert!(matches!(error, RedisRateLimitsError::NotPrimary), "{error:?}");
        }
        let more = asked(&replica).await["evalsha"] - hellos;
        assert!(more < 10, "it is asked now and then: {more}");
        let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        until_it_counts(&limits).await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_leads_to_another_primary_by_now_is_asked_again() {
    on_each_engine(async |old: RedisServer| {
        let gate = Gate::to(old.address()).await;
        let limits = through(&gate);
        assert!(granted(&limits, "alice", SLOW).await);
        let new = old.another();
        gate.lead_new_ones_to(new.address());
        let port = new.port().to_string();
        let _: String = old.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        // The first request already.
        assert!(granted(&limits, "alice", SLOW).await);
        assert_eq!(new.ask::<i64>(&["EXISTS", "trs:limit:alice"]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_full_is_an_error_and_keeps_its_connection() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        assert!(granted(&limits, "alice", SLOW).await);
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
        let error = limits.take("alice", SLOW).await.unwrap_err();
        assert!(matches!(error, RedisRateLimitsError::Engine(_)), "{error:?}");
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
        assert!(granted(&limits, "alice", SLOW).await);
    })
    .await;
}
