//! What holds whatever the engine does: nobody hears by being connected, nobody waits for ever, and nothing is told to the wrong
//! people.

use std::time::Duration;

use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    Clock, JwtLayer, RedisRevocations, RedisRevocationsError, Revocation, RevocationCheckLayer, SystemClock,
};

use super::trouble::{client, until_it_is_deaf};
use super::{
    MINUTE, answer, guarded, in_use, later, on_each_engine, order, token_of, until, until_refused, warm,
};
use crate::gate::Gate;
use crate::redis_server::RedisServer;
use crate::support::{ISSUER, bearer, call, idp, whoami};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn who_is_connected_and_cannot_read_the_news_hears_nothing() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let clock = TestClock::new();
        let far = RedisRevocations::builder(server.client())
            .clock(clock.clone())
            .build();
        let strict = RedisRevocations::builder(server.client())
            .refuse_when_deaf()
            .build();
        far.warm_up().await.unwrap();
        strict.warm_up().await.unwrap();
        let near = warm(&server).await;
        let _: String = server.ask(&["ACL", "SETUSER", "default", "-xread"]).await;
        until_it_is_deaf(&far).await;
        until_it_is_deaf(&strict).await;
        clock.advance(30 * SECOND);
        near.revoke(&order("t-1")).await.unwrap();
        let real = SystemClock::new();
        let begun = real.monotonic();
        while real.monotonic() < begun + 2 * SECOND {
            assert_eq!(answer(&idp, &far, "t-1").await, "revocations_unheard");
            assert_eq!(answer(&idp, &strict, "t-1").await, "revocations_unheard");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_catches_up_before_it_lets_anybody_in() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let clock = TestClock::new();
        let gate = Gate::to(server.address()).await;
        let far = RedisRevocations::builder(client(&gate))
            .clock(clock.clone())
            .build();
        far.warm_up().await.unwrap();
        warm(&server).await.revoke(&order("before")).await.unwrap();
        until_refused(&idp, &far, "before").await;
        gate.cut();
        until_it_is_deaf(&far).await;
        clock.advance(30 * SECOND);
        let fill = "for i = 1, 20000 do local n = '[\"token\",\"https://idp.test\",\"n' .. i .. '\"]' \
                    local e = 'all:0:4000000000000000000' redis.call('HSET', KEYS[1], n, e) \
                    redis.call('XADD', KEYS[2], '*', 'name', n, 'entry', e) end return 1";
        let keys = ["{trs}:revoked", "{trs}:news"];
        let _: i64 = server.ask(&["EVAL", fill, "2", keys[0], keys[1]]).await;
        let app = guarded(&idp, &far);
        let token = token_of(&idp, "n20000").sign();
        gate.lead_to(server.address());
        until("the last of it is heard", async || {
            let reason = call(&app, bearer(&token)).await.reason();
            assert_ne!(reason, "ok");
            reason == "token_revoked"
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_route_that_asks_judges_tokens_without_a_name_as_any_other_does() {
    on_each_engine(async |server: RedisServer| {
        in_use(&server).await;
        let idp = idp();
        let list = warm(&server).await;
        let reason = async |list: RedisRevocations, without: &str| {
            let token = token_of(&idp, "t-1").without(without).sign();
            let check = RevocationCheckLayer::new(list);
            let app = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
            call(&app, bearer(&token)).await.reason()
        };
        assert_eq!(reason(list.clone(), "sub").await, "ok");
        assert_eq!(reason(list.clone(), "client_id").await, "ok");
        let (now, end) = (idp.clock().now(), later());
        list.revoke(&Revocation::subject(ISSUER, "bob", now, end))
            .await
            .unwrap();
        assert_eq!(reason(list.clone(), "sub").await, "claim_missing");
        list.revoke(&Revocation::client(ISSUER, "app", now, end))
            .await
            .unwrap();
        assert_eq!(reason(list.clone(), "client_id").await, "claim_missing");
        // Who has heard nothing cannot tell, and does not guess.
        let new = || RedisRevocations::builder(server.client());
        assert_eq!(reason(new().build(), "sub").await, "revocations_unheard");
        let relaxed = new().accept_tokens_without_subject().build();
        assert_eq!(reason(relaxed, "sub").await, "ok");
    })
    .await;
}

#[tokio::test]
async fn a_full_engine_is_read_and_cleared_of_what_is_over() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let node = warm(&server).await;
        node.revoke(&order("t-1")).await.unwrap();
        let fill = "for i = 1, 20 do redis.call('HSET', '{trs}:revoked', 'n' .. i, string.rep('x', 1000000)) \
                    redis.call('ZADD', '{trs}:until', 1, 'n' .. i) end return 1";
        let _: i64 = server.ask(&["EVAL", fill, "0"]).await;
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "12mb"]).await;
        assert_eq!(answer(&idp, &warm(&server).await, "t-1").await, "token_revoked");
        until("there is room again", async || {
            node.revoke(&order("t-2")).await.is_ok()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_replicas_does_not_wait_for_others_who_do() {
    on_each_engine(async |server: RedisServer| {
        let node = RedisRevocations::builder(server.client()).replicas(1).build();
        node.warm_up().await.unwrap();
        let all = (0..16).map(|number| {
            let node = node.clone();
            tokio::spawn(async move { node.revoke(&order(&number.to_string())).await })
        });
        for one in all.collect::<Vec<_>>() {
            let told = one.await.unwrap();
            let missing = RedisRevocationsError::TooFewReplicas { wanted: 1, had: 0 };
            assert_eq!(told.unwrap_err().to_string(), missing.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_waits_for_an_engine_that_hangs_no_longer_than_is_written() {
    on_each_engine(async |server: RedisServer| {
        in_use(&server).await;
        let idp = idp();
        let check = RevocationCheckLayer::new(warm(&server).await);
        let app = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
        let token = token_of(&idp, "t-1").sign();
        assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
        server.hang();
        let mut asked = Vec::new();
        for _ in 0..12 {
            let (app, token) = (app.clone(), token.clone());
            asked.push(tokio::spawn(async move {
                let clock = SystemClock::new();
                let begun = clock.monotonic();
                let reason = call(&app, bearer(&token)).await.reason();
                (reason, clock.monotonic().saturating_sub(begun))
            }));
            tokio::time::sleep(SECOND / 5).await;
        }
        for one in asked {
            let (reason, waited) = one.await.unwrap();
            assert_eq!(reason, "revocations_unavailable");
            // 4 seconds, and some for a machine that is busy.
            assert!(waited < 5 * SECOND, "{waited:?}");
        }
        server.go_on();
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_right_brings_back_what_seemed_to_be_over() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let clock = idp.clock().clone();
        let start = clock.now();
        let soon = Revocation::token(ISSUER, "t-1", start + 10 * MINUTE);
        warm(&server).await.revoke(&soon).await.unwrap();
        clock.set_date(start + 60 * MINUTE);
        let node = RedisRevocations::builder(server.client())
            .clock(clock.clone())
            .build();
        node.warm_up().await.unwrap();
        assert_eq!(node.status().entries, 0);
        clock.set_date(start);
        until_refused(&idp, &node, "t-1").await;
    })
    .await;
}

#[tokio::test]
async fn the_third_protocol_and_another_database_will_do() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let address = format!("redis://{}/3?protocol=resp3", server.address());
        let node = || RedisRevocations::new(redis::Client::open(&*address).unwrap());
        let (one, other) = (node(), node());
        other.warm_up().await.unwrap();
        one.revoke(&order("t-1")).await.unwrap();
        until_refused(&idp, &other, "t-1").await;
        let check = RevocationCheckLayer::new(other);
        let app = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
        until("the engine is asked", async || {
            let asked = call(&app, bearer(&token_of(&idp, "t-2").sign())).await;
            asked.reason() == "ok"
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn nobody_who_was_withdrawn_and_no_password_is_printed() {
    on_each_engine(async |server: RedisServer| {
        let address = format!("redis://:s3cret@{}/", server.address());
        let _: String = server.ask(&["CONFIG", "SET", "requirepass", "s3cret"]).await;
        let node = RedisRevocations::new(redis::Client::open(&*address).unwrap());
        let alices = Revocation::version(ISSUER, "alice@example.org", 1, later());
        node.revoke(&alices).await.unwrap();
        let builder = RedisRevocations::builder(redis::Client::open(&*address).unwrap());
        let printed = format!(
            "{builder:?} {node:?} {:?}",
            RevocationCheckLayer::new(node.clone())
        );
        assert!(printed.contains("entries: 1"), "{printed}");
        let wrong = RedisRevocations::new(redis::Client::open(address.replace("s3c", "s3c-")).unwrap());
        let error = wrong.warm_up().await.unwrap_err();
        for text in [printed, format!("{error:?} {error}")] {
            assert!(!text.contains("s3c") && !text.contains("alice"), "{text}");
        }
    })
    .await;
}
