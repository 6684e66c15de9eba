//! What is revoked at one node is refused by all of them, over a real Redis and a real Valkey, whatever happens to either.

mod bounds;
mod replaced;
mod trouble;

use std::time::{Duration, SystemTime};

use axum::Router;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{
    ApiKeyLayer, Clock, Hearing, JwtLayer, MemoryRevocations, RedisRevocations, RedisRevocationsError,
    Revocation, RevocationCheckLayer,
};

use crate::redis_server::{RedisServer, engines, on_each_engine, until};
use crate::support::{ISSUER, KEY, bearer, call, idp, record, request, store, whoami};

const MINUTE: Duration = Duration::from_secs(60);

fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

fn token_of(idp: &TestIssuer, id: &str) -> TokenBuilder {
    idp.token().subject("alice").client("web").token_id(id)
}

fn order(id: &str) -> Revocation {
    Revocation::token(ISSUER, id, later())
}

fn guarded(idp: &TestIssuer, node: &RedisRevocations) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).revocations(node.clone()))
}

/// What this node answers to a token of this id.
async fn answer(idp: &TestIssuer, node: &RedisRevocations, id: &str) -> &'static str {
    let token = token_of(idp, id).sign();
    call(&guarded(idp, node), bearer(&token)).await.reason()
}

async fn warm(server: &RedisServer) -> RedisRevocations {
    let node = RedisRevocations::new(server.client());
    node.warm_up().await.unwrap();
    node
}

/// An engine that has been in use for some time, for routes that ask it.
async fn in_use(server: &RedisServer) {
    let _: redis::Value = server.ask(&["SET", "{trs}:generation", "first", "NX"]).await;
}

async fn until_refused(idp: &TestIssuer, node: &RedisRevocations, id: &str) {
    until("the other node refuses", async || {
        answer(idp, node, id).await == "token_revoked"
    })
    .await;
}

#[tokio::test]
async fn what_one_node_revokes_every_node_refuses() {
    on_each_engine(async |server| {
        let idp = idp();
        let now = idp.clock().now();
        let orders = [
            order("t-1"),
            Revocation::subject(ISSUER, "alice", now, later()),
            Revocation::version(ISSUER, "alice", 3, later()),
            Revocation::client(ISSUER, "web", now, later()),
            Revocation::issuer(ISSUER, now, later()),
        ];
        for (number, order) in orders.iter().enumerate() {
            let prefix = number.to_string();
            let node = || RedisRevocations::builder(server.client()).prefix(&prefix).build();
            let (one, other) = (node(), node());
            other.warm_up().await.unwrap();
            assert_eq!(answer(&idp, &other, "t-1").await, "ok");
            one.revoke(order).await.unwrap();
            // Where it was revoked, the first request notices, even if this node has not loaded yet.
            assert_eq!(answer(&idp, &one, "t-1").await, "token_revoked");
            until_refused(&idp, &other, "t-1").await;
            let bobs = idp.token().subject("bob").client("app").token_id("t-2").sign();
            let expected = if number == 4 { "token_revoked" } else { "ok" };
            let answer = call(&guarded(&idp, &other), bearer(&bobs)).await;
            assert_eq!(answer.reason(), expected, "{order:?}");
            until("its status says so", async || {
                let status = other.status();
                (status.hearing, status.entries) == (Hearing::Now, 1) && status.last_id.is_some()
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_by_every_node() {
    on_each_engine(async |server| {
        let (one, other) = (warm(&server).await, warm(&server).await);
        let app = whoami().layer(ApiKeyLayer::new(store()).revocations(other));
        let with_key = || request(&[("x-api-key", KEY)]);
        assert_eq!(call(&app, with_key()).await.reason(), "ok");
        let id = record(KEY).build().id().to_owned();
        one.revoke(&Revocation::api_key(id, later())).await.unwrap();
        until("the key is refused", async || {
            call(&app, with_key()).await.reason() == "api_key_revoked"
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_starts_knows_what_was_revoked_before() {
    on_each_engine(async |server| {
        let idp = idp();
        let one = warm(&server).await;
        for number in 0..2_500 {
            one.revoke(&order(&number.to_string())).await.unwrap();
        }
        // The news are not what it learns from.
        let _: i64 = server.ask(&["XTRIM", "{trs}:news", "MAXLEN", "0"]).await;
        let new = RedisRevocations::new(server.client());
        assert_eq!(new.status().hearing, Hearing::NotYet);
        assert_eq!(answer(&idp, &new, "no").await, "revocations_unheard");
        new.warm_up().await.unwrap();
        assert_eq!(new.status().entries, 2_500);
        for id in ["0", "1234", "2499"] {
            assert_eq!(answer(&idp, &new, id).await, "token_revoked");
        }
        assert_eq!(answer(&idp, &new, "no").await, "ok");
    })
    .await;
}

#[tokio::test]
async fn several_orders_about_one_subject_amount_to_all_of_them() {
    on_each_engine(async |server| {
        let idp = idp();
        let now = idp.clock().now();
        let (one, other) = (warm(&server).await, warm(&server).await);
        let version = |minimum| Revocation::version(ISSUER, "alice", minimum, later());
        // Numbers of which a float cannot tell one from the other.
        one.revoke(&version(u64::MAX - 1)).await.unwrap();
        other.revoke(&version(u64::MAX)).await.unwrap();
        one.revoke(&version(2)).await.unwrap();
        other
            .revoke(&Revocation::subject(ISSUER, "alice", now, now + MINUTE))
            .await
            .unwrap();
        let held: String = server
            .ask(&[
                "HGET",
                "{trs}:revoked",
                r#"["subject","https://idp.test","alice"]"#,
            ])
            .await;
        let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let version = format!("version:{}:{}", u64::MAX, nanos(later()));
        let issued = format!("issued:{}:{}", nanos(now), nanos(now + MINUTE));
        assert_eq!(held, format!("{version} {issued}"));
        let news: i64 = server.ask(&["XLEN", "{trs}:news"]).await;
        assert_eq!(
            news,
            1 + 3,
            "the first is about nobody; what adds nothing is no news"
        );
    })
    .await;
}

/// However they are spread over nodes, whatever was ordered before, and however a node learns of them.
#[tokio::test]
async fn nodes_and_the_engine_make_of_orders_what_one_list_in_memory_does() {
    on_each_engine(async |server| {
        let idp = idp();
        let clock = idp.clock().clone();
        let start = clock.now();
        let at = |minutes: u64| start + MINUTE * u32::try_from(minutes).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..60 {
            let prefix = round.to_string();
            let node = || {
                let builder = RedisRevocations::builder(server.client()).prefix(&prefix);
                builder.clock(clock.clone()).deaf_for(60 * MINUTE).build()
            };
            let generation = format!("{{{prefix}}}:generation");
            let _: redis::Value = server.ask(&["SET", &generation, "first"]).await;
            let nodes = [node(), node()];
            let list = MemoryRevocations::with_clock(clock.clone());
            for _ in 0..random.u32(1..7) {
                let (value, until) = (random.u64(0..6), at(random.u64(1..6)));
                let order = match random.u32(0..5) {
                    0 => Revocation::token(ISSUER, format!("t-{value}"), until),
                    1 => Revocation::subject(ISSUER, "alice", at(value), until),
                    2 => Revocation::version(ISSUER, "alice", value, until),
                    3 => Revocation::client(ISSUER, "web", at(value), until),
                    _ => Revocation::issuer(ISSUER, at(value), until),
                };
                list.revoke(&order);
                random.choice(&nodes).unwrap().revoke(&order).await.unwrap();
            }
            let (new, asking) = (node(), node());
            new.warm_up().await.unwrap();
            clock.advance(MINUTE * 5);
            for waited in 5..11 {
                let now = at(waited);
                for issued in [0, 2, 4] {
                    let token = token_of(&idp, &format!("t-{issued}"))
                        .claim(
                            "iat",
                            at(issued)
                                .duration_since(SystemTime::UNIX_EPOCH)
                                .unwrap()
                                .as_secs(),
                        )
                        .claim("token_version", issued)
                        .expires_in(MINUTE)
                        .sign();
                    let reason = async |app: Router| call(&app, bearer(&token)).await.reason();
                    let expected = {
                        let layer = JwtLayer::new(idp.issuer()).revocations(list.clone());
                        reason(whoami().layer(layer)).await
                    };
                    assert_eq!(
                        reason(guarded(&idp, &new)).await,
                        expected,
                        "{round} {now:?} {issued}"
                    );
                    let check = RevocationCheckLayer::new(asking.clone());
                    let app = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
                    assert_eq!(reason(app).await, expected, "{round} {now:?} {issued}");
                }
                clock.advance(MINUTE);
            }
            clock.set_date(start);
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_of_the_engine_who_may_do_no_more_than_the_guide_says_is_enough() {
    let guide = include_str!("../../src/guide/revocation.md");
    let user = guide
        .lines()
        .find(|line| line.starts_with("ACL SETUSER"))
        .unwrap();
    let user: Vec<_> = user.split(' ').collect();
    on_each_engine(async |server| {
        let _: String = server.ask(&user).await;
        let node = |user: &str| {
            let address = format!("redis://{user}@{}/", server.address());
            RedisRevocations::builder(redis::Client::open(address).unwrap())
        };
        in_use(&server).await;
        let idp = idp();
        let (one, other) = (
            node("api:password").replicas(1).build(),
            node("api:password").build(),
        );
        other.warm_up().await.unwrap();
        let waited = one.revoke(&order("t-1")).await;
        assert!(
            matches!(waited, Err(RedisRevocationsError::TooFewReplicas { .. })),
            "{waited:?}"
        );
        until_refused(&idp, &other, "t-1").await;
        let check = RevocationCheckLayer::new(node("api:password").build());
        let asking = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
        let token = token_of(&idp, "t-1").sign();
        assert_eq!(call(&asking, bearer(&token)).await.reason(), "token_revoked");
        let error = node("api:sesame").build().warm_up().await.unwrap_err();
        assert!(matches!(error, RedisRevocationsError::Engine(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn entries_vanish_some_time_after_what_they_withdraw_has_expired() {
    on_each_engine(async |server| {
        let now = idp().clock().now();
        let node = warm(&server).await;
        let held = async || -> i64 { server.ask(&["HLEN", "{trs}:revoked"]).await };
        for number in 0..30 {
            let old = Revocation::token(ISSUER, number.to_string(), now - 30 * MINUTE);
            node.revoke(&old).await.unwrap();
        }
        node.revoke(&Revocation::token(ISSUER, "of late", now - MINUTE))
            .await
            .unwrap();
        node.revoke(&order("new")).await.unwrap();
        assert_eq!(held().await, 2);
        let times: i64 = server.ask(&["ZCARD", "{trs}:until"]).await;
        assert_eq!(times, 2);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_waits_for_as_many_replicas_as_are_wanted() {
    on_each_engine(async |server| {
        let idp = idp();
        let node = RedisRevocations::builder(server.client()).replicas(1).build();
        node.warm_up().await.unwrap();
        for _ in 0..2 {
            let refused = node.revoke(&order("t-1")).await;
            let (wanted, had) = match refused {
                Err(RedisRevocationsError::TooFewReplicas { wanted, had }) => (wanted, had),
                other => panic!("{other:?}"),
            };
            assert_eq!((wanted, had), (1, 0));
        }
        // It stands all the same.
        assert_eq!(answer(&idp, &node, "t-1").await, "token_revoked");
        let replica = server.another();
        let port = server.port().to_string();
        let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        until("the replica has it", async || {
            node.revoke(&order("t-1")).await.is_ok()
        })
        .await;
        // Valkey's replicas say that they have it a moment before it is seen in them.
        until("it is seen there", async || {
            replica.ask::<i64>(&["HLEN", "{trs}:revoked"]).await == 1
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_route_that_asks_the_engine_needs_to_have_heard_nothing() {
    on_each_engine(async |mut server| {
        let idp = idp();
        let asking = RedisRevocations::new(server.client());
        let check = RevocationCheckLayer::new(asking.clone());
        let app = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
        let reason = async |id: &str| {
            let answer = call(&app, bearer(&token_of(&idp, id).sign())).await;
            (answer.status.as_u16(), answer.reason())
        };
        assert_eq!(reason("t-1").await, (503, "revocations_unavailable"), "it is new");
        in_use(&server).await;
        assert_eq!(reason("t-1").await, (200, "ok"));
        warm(&server).await.revoke(&order("t-1")).await.unwrap();
        assert_eq!(reason("t-1").await, (401, "token_revoked"));
        assert_eq!(reason("t-2").await, (200, "ok"));
        // What it cannot read may withdraw the token.
        let name = r#"["token","https://idp.test","t-2"]"#;
        let _: i64 = server
            .ask(&["HSET", "{trs}:revoked", name, "all:0:1 new:words"])
            .await;
        assert_eq!(reason("t-2").await, (503, "revocations_unavailable"));
        server.kill9();
        assert_eq!(reason("t-3").await, (503, "revocations_unavailable"));
        server.restart();
        // It is believed when those who know what it held had the time to come back.
        until("it is asked again", async || reason("t-3").await == (200, "ok")).await;
    })
    .await;
}

#[test]
fn nothing_is_connected_before_it_is_used_and_another_runtime_hears_again() {
    for program in engines() {
        let server = RedisServer::start(&program);
        let idp = idp();
        let node = RedisRevocations::new(server.client());
        for round in ["a", "b"] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                node.warm_up().await.unwrap();
                warm(&server).await.revoke(&order(round)).await.unwrap();
                until_refused(&idp, &node, round).await;
                node.revoke(&order("own")).await.unwrap();
            });
            drop(runtime);
            assert!(matches!(node.status().hearing, Hearing::NotSince(_)));
        }
    }
}
