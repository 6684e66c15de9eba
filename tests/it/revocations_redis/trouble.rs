//! What happens to the engine, or to the way to it, and what nodes then do.

use std::time::Duration;

use http::StatusCode;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{Hearing, JwtLayer, RedisRevocations, RevocationCheckLayer};

use super::{answer, on_each_engine, order, token_of, until, until_refused, warm};
use crate::gate::Gate;
use crate::redis_server::RedisServer;
use crate::support::{bearer, call, idp, whoami};

const SECOND: Duration = Duration::from_secs(1);

async fn warm_through(gate: &Gate) -> RedisRevocations {
    let node = RedisRevocations::new(client(gate));
    node.warm_up().await.unwrap();
    node
}

pub(super) fn client(gate: &Gate) -> redis::Client {
    redis::Client::open(format!("redis://{}/", gate.address())).unwrap()
}

pub(super) async fn until_it_hears(node: &RedisRevocations) {
    until("the node hears", async || node.status().hearing == Hearing::Now).await;
}

pub(super) async fn until_it_is_deaf(node: &RedisRevocations) {
    until("the node is deaf", async || {
        matches!(node.status().hearing, Hearing::NotSince(_))
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_comes_back_empty_is_told_again_by_those_who_know() {
    on_each_engine(async |mut server: RedisServer| {
        let idp = idp();
        let (one, other) = (warm(&server).await, warm(&server).await);
        one.revoke(&order("t-1")).await.unwrap();
        until_refused(&idp, &other, "t-1").await;
        // Whoever was told has gone: whoever only heard of it is enough.
        drop(one);
        server.kill9();
        until_it_is_deaf(&other).await;
        assert_eq!(answer(&idp, &other, "t-1").await, "token_revoked");
        assert!(other.revoke(&order("t-2")).await.is_err());
        server.restart();
        until_refused(&idp, &warm(&server).await, "t-1").await;
        until_it_hears(&other).await;
        other.revoke(&order("t-2")).await.unwrap();
        assert_eq!(answer(&idp, &warm(&server).await, "t-2").await, "token_revoked");
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_emptied_while_nodes_listen_is_told_again() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let node = warm(&server).await;
        for number in 0..1_200 {
            node.revoke(&order(&number.to_string())).await.unwrap();
        }
        let _: String = server.ask(&["FLUSHALL"]).await;
        until("all was put back", async || {
            server.ask::<i64>(&["HLEN", "{trs}:revoked"]).await == 1_200
        })
        .await;
        let new = warm(&server).await;
        assert_eq!(answer(&idp, &new, "1199").await, "token_revoked");
        node.revoke(&order("more")).await.unwrap();
        until_refused(&idp, &new, "more").await;
    })
    .await;
}

#[tokio::test]
async fn while_the_engine_hangs_a_node_goes_on_for_as_long_as_it_may() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let clock = TestClock::new();
        let builder = || RedisRevocations::builder(server.client()).clock(clock.clone());
        let (patient, strict) = (builder().build(), builder().refuse_when_deaf().build());
        patient.warm_up().await.unwrap();
        strict.warm_up().await.unwrap();
        patient.revoke(&order("t-1")).await.unwrap();
        until_refused(&idp, &strict, "t-1").await;
        assert_eq!(answer(&idp, &strict, "t-2").await, "ok");
        server.hang();
        until_it_is_deaf(&patient).await;
        until_it_is_deaf(&strict).await;
        assert_eq!(answer(&idp, &strict, "t-2").await, "revocations_unheard");
        clock.advance(29 * SECOND);
        assert_eq!(answer(&idp, &patient, "t-2").await, "ok");
        clock.advance(SECOND);
        assert_eq!(answer(&idp, &patient, "t-2").await, "revocations_unheard");
        // What is known to be revoked is not merely in doubt.
        assert_eq!(answer(&idp, &patient, "t-1").await, "token_revoked");
        let check = RevocationCheckLayer::new(patient.clone());
        let asking = whoami().layer(check).layer(JwtLayer::new(idp.issuer()));
        let refused = call(&asking, bearer(&token_of(&idp, "t-2").sign())).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.reason(), "revocations_unavailable");
        assert!(patient.revoke(&order("t-3")).await.is_err());
        server.go_on();
        until_it_hears(&patient).await;
        until_it_hears(&strict).await;
        assert_eq!(answer(&idp, &patient, "t-2").await, "ok");
        warm(&server).await.revoke(&order("t-4")).await.unwrap();
        until_refused(&idp, &patient, "t-4").await;
        until_refused(&idp, &strict, "t-4").await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_cut_off_catches_up_with_all_that_it_missed() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let clock = TestClock::new();
        let gate = Gate::to(server.address()).await;
        let far = RedisRevocations::builder(client(&gate))
            .clock(clock.clone())
            .deaf_for(10 * SECOND)
            .build();
        far.warm_up().await.unwrap();
        let near = warm(&server).await;
        near.revoke(&order("before")).await.unwrap();
        until_refused(&idp, &far, "before").await;
        // The second time, it can only go by what it loads.
        for (round, trimmed) in [("a", false), ("b", true)] {
            gate.cut();
            until_it_is_deaf(&far).await;
            for number in 0..1_500 {
                near.revoke(&order(&format!("{round}{number}"))).await.unwrap();
            }
            let last = format!("{round}1499");
            assert_eq!(answer(&idp, &far, &last).await, "ok");
            clock.advance(Duration::from_millis(9_999));
            assert_eq!(answer(&idp, &far, &last).await, "ok");
            clock.advance(Duration::from_millis(1));
            assert_eq!(answer(&idp, &far, &last).await, "revocations_unheard");
            if trimmed {
                let _: i64 = server.ask(&["XTRIM", "{trs}:news", "MAXLEN", "1"]).await;
            }
            gate.lead_to(server.address());
            until("all that it missed is known", async || {
                far.status().entries == near.status().entries
            })
            .await;
            until_it_hears(&far).await;
            for number in [0, 700, 1_499] {
                let id = format!("{round}{number}");
                assert_eq!(answer(&idp, &far, &id).await, "token_revoked");
            }
        }
    })
    .await;
}

/// A replica that has what this one has by now, and hears no more of it.
pub(super) async fn copy_of(primary: &RedisServer) -> RedisServer {
    let replica = primary.another();
    let port = primary.port().to_string();
    let held = primary.ask::<i64>(&["XLEN", "{trs}:news"]).await;
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
    until("the replica has it", async || {
        replica.ask::<i64>(&["XLEN", "{trs}:news"]).await == held
    })
    .await;
    let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    replica
}

#[tokio::test]
async fn a_replica_that_lagged_behind_is_told_what_it_missed() {
    on_each_engine(async |mut primary: RedisServer| {
        let idp = idp();
        let gate = Gate::to(primary.address()).await;
        let (one, other) = (warm_through(&gate).await, warm_through(&gate).await);
        one.revoke(&order("t-1")).await.unwrap();
        until_refused(&idp, &other, "t-1").await;
        let replica = copy_of(&primary).await;
        one.revoke(&order("t-2")).await.unwrap();
        until_refused(&idp, &other, "t-2").await;
        drop(one);
        primary.kill9();
        gate.lead_to(replica.address());
        until_refused(&idp, &warm(&replica).await, "t-2").await;
        assert_eq!(answer(&idp, &warm(&replica).await, "t-1").await, "token_revoked");
    })
    .await;
}

/// The only one who knows is the node that was told, and it need not have heard its own news yet, or anything.
#[tokio::test]
async fn what_was_acknowledged_a_moment_before_the_engine_was_lost_is_told_to_its_replica() {
    on_each_engine(async |primary: RedisServer| {
        let idp = idp();
        warm(&primary).await.revoke(&order("before")).await.unwrap();
        let mut primary = primary;
        for round in 0..6 {
            let replica = copy_of(&primary).await;
            let gate = Gate::to(primary.address()).await;
            let node = RedisRevocations::new(client(&gate));
            if round % 2 == 0 {
                node.warm_up().await.unwrap();
            }
            let id = format!("t-{round}");
            node.revoke(&order(&id)).await.unwrap();
            gate.lead_to(replica.address());
            primary.kill9();
            let new = warm(&replica).await;
            until_refused(&idp, &new, &id).await;
            assert_eq!(answer(&idp, &new, "before").await, "token_revoked");
            primary = replica;
        }
    })
    .await;
}
