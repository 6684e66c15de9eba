//! The engine is replaced by another, which lacks something, and not everybody notices at once.

use std::time::Duration;

use axum::Router;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Hearing, JwtLayer, RedisRevocations, RevocationCheckLayer};

use super::trouble::{client, copy_of, until_it_hears, until_it_is_deaf};
use super::{answer, in_use, on_each_engine, order, token_of, until, until_refused, warm};
use crate::gate::Gate;
use crate::redis_server::RedisServer;
use crate::support::{bearer, call, idp, whoami};

/// A route that asks this list, and nothing else does.
fn asking(idp: &TestIssuer, list: RedisRevocations) -> Router {
    let check = RevocationCheckLayer::new(list);
    whoami().layer(check).layer(JwtLayer::new(idp.issuer()))
}

#[tokio::test]
async fn a_later_order_does_not_hide_that_an_earlier_one_was_lost() {
    on_each_engine(async |primary: RedisServer| {
        let idp = idp();
        let gate = Gate::to(primary.address()).await;
        let node = RedisRevocations::new(client(&gate));
        node.warm_up().await.unwrap();
        node.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        gate.cut();
        until_it_is_deaf(&node).await;
        // The longest pause between two attempts, so that who revokes is back before who listens.
        tokio::time::sleep(Duration::from_secs(5)).await;
        gate.lead_to(primary.address());
        node.revoke(&order("t-1")).await.unwrap();
        gate.lead_to(replica.address());
        node.revoke(&order("t-2")).await.unwrap();
        until_it_hears(&node).await;
        let new = warm(&replica).await;
        for id in ["t-0", "t-1", "t-2"] {
            until_refused(&idp, &new, id).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_former_primary_acknowledged_is_put_into_its_successor() {
    on_each_engine(async |primary: RedisServer| {
        let idp = idp();
        let gate = Gate::to(primary.address()).await;
        let node = RedisRevocations::new(client(&gate));
        node.warm_up().await.unwrap();
        node.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        gate.lead_new_ones_to(replica.address());
        // Only who listens goes on to the successor.
        let ear = |line: &&str| line.contains("cmd=xread") || line.contains("cmd=role");
        let clients: String = primary.ask(&["CLIENT", "LIST"]).await;
        let ear = clients.lines().find(ear).unwrap();
        let id = ear.split(' ').next().unwrap().trim_start_matches("id=");
        let _: i64 = primary.ask(&["CLIENT", "KILL", "ID", id]).await;
        let near = warm(&replica).await;
        node.revoke(&order("t-1")).await.unwrap();
        near.revoke(&order("t-2")).await.unwrap();
        for node in [&node, &near] {
            for id in ["t-0", "t-1", "t-2"] {
                until_refused(&idp, node, id).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_revokes_finds_the_new_primary() {
    on_each_engine(async |primary: RedisServer| {
        let gate = Gate::to(primary.address()).await;
        let node = RedisRevocations::new(client(&gate));
        node.warm_up().await.unwrap();
        node.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        gate.lead_new_ones_to(replica.address());
        let port = replica.port().to_string();
        let _: String = primary.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        node.revoke(&order("t-1")).await.unwrap();
        let idp = idp();
        until_refused(&idp, &warm(&replica).await, "t-1").await;
        warm(&replica).await.revoke(&order("t-2")).await.unwrap();
        until_refused(&idp, &node, "t-2").await;
    })
    .await;
}

#[tokio::test]
async fn who_asks_does_not_believe_a_replica() {
    on_each_engine(async |primary: RedisServer| {
        in_use(&primary).await;
        let idp = idp();
        warm(&primary).await.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        let gate = Gate::to(primary.address()).await;
        let app = asking(&idp, RedisRevocations::new(client(&gate)));
        let reason = async |id: &str| call(&app, bearer(&token_of(&idp, id).sign())).await.reason();
        assert_eq!(reason("t-0").await, "token_revoked");
        gate.lead_new_ones_to(replica.address());
        // It follows somebody who is not there, and so hears nothing.
        let _: String = primary.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
        warm(&replica).await.revoke(&order("t-1")).await.unwrap();
        until("the successor is asked", async || match reason("t-1").await {
            "token_revoked" => true,
            other => {
                assert_eq!(other, "revocations_unavailable");
                false
            }
        })
        .await;
    })
    .await;
}

/// The line of who asks comes to it while it still counts as the primary's address.
#[tokio::test]
async fn who_asks_finds_the_new_primary_whenever_the_address_moves() {
    on_each_engine(async |primary: RedisServer| {
        in_use(&primary).await;
        let idp = idp();
        warm(&primary).await.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        let gate = Gate::to(primary.address()).await;
        let app = asking(&idp, RedisRevocations::new(client(&gate)));
        let reason = async |id: &str| call(&app, bearer(&token_of(&idp, id).sign())).await.reason();
        assert_eq!(reason("t-0").await, "token_revoked");
        let _: String = primary.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
        until("a replica is not believed", async || {
            reason("good").await == "revocations_unavailable"
        })
        .await;
        gate.lead_new_ones_to(replica.address());
        until("the successor is asked", async || reason("good").await == "ok").await;
        for _ in 0..20 {
            assert_eq!(reason("good").await, "ok");
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_tell_an_engine_what_it_lacks_hears_all_the_same() {
    on_each_engine(async |primary: RedisServer| {
        let idp = idp();
        let gate = Gate::to(primary.address()).await;
        let node = RedisRevocations::builder(client(&gate))
            .refuse_when_deaf()
            .build();
        node.warm_up().await.unwrap();
        node.revoke(&order("t-0")).await.unwrap();
        let replica = copy_of(&primary).await;
        node.revoke(&order("t-1")).await.unwrap();
        let least = |replicas| ["CONFIG", "SET", "min-replicas-to-write", replicas];
        let _: String = replica.ask(&least("1")).await;
        gate.cut();
        until_it_is_deaf(&node).await;
        gate.lead_to(replica.address());
        until_it_hears(&node).await;
        until("it is owed", async || node.status().owed > 0).await;
        for _ in 0..200 {
            assert_eq!(answer(&idp, &node, "good").await, "ok");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _: String = replica.ask(&least("0")).await;
        until_refused(&idp, &warm(&replica).await, "t-1").await;
        until("nothing is owed", async || node.status().owed == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_new_engine_is_believed_after_a_while_however_much_is_revoked() {
    on_each_engine(async |server: RedisServer| {
        let nodes = [warm(&server).await, warm(&server).await];
        let mut count = 0;
        until("it is believed", async || {
            count += 1;
            for node in &nodes {
                node.revoke(&order(&count.to_string())).await.unwrap();
            }
            server.ask::<bool>(&["EXISTS", "{trs}:generation"]).await
        })
        .await;
        assert!(count > 10);
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_was_emptied_is_not_believed_by_who_asks_before_it_was_told_again() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        let near = warm(&server).await;
        near.revoke(&order("t-1")).await.unwrap();
        for _ in 0..5 {
            let _: String = server.ask(&["FLUSHALL"]).await;
            let app = asking(&idp, RedisRevocations::new(server.client()));
            let token = token_of(&idp, "t-1").sign();
            until("it was told again", async || {
                let reason = call(&app, bearer(&token)).await.reason();
                assert_ne!(reason, "ok");
                reason == "token_revoked"
            })
            .await;
        }
    })
    .await;
}

/// 60,000 entries, which the stream of 100,000 holds; with more a node may have to load twice.
#[tokio::test]
async fn a_fleet_hears_while_it_puts_back_what_its_engine_lost() {
    on_each_engine(async |server: RedisServer| {
        let idp = idp();
        drop(warm(&server).await);
        let fill = "for i = 1, 60000 do redis.call('HSET', KEYS[1], '[\"token\",\"https://idp.test\",\"n' .. i .. '\"]', \
                    'all:0:4000000000000000000') end return 1";
        let _: i64 = server.ask(&["EVAL", fill, "1", "{trs}:revoked"]).await;
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let node = RedisRevocations::builder(server.client()).refuse_when_deaf().build();
            node.warm_up().await.unwrap();
            assert_eq!(node.status().entries, 60_000);
            nodes.push(node);
        }
        let _: String = server.ask(&["FLUSHALL", "ASYNC"]).await;
        nodes[1].revoke(&order("new")).await.unwrap();
        until("all was put back, and the new one was heard", async || {
            assert_eq!(answer(&idp, &nodes[0], "good").await, "ok");
            answer(&idp, &nodes[0], "new").await == "token_revoked"
                && server.ask::<i64>(&["HLEN", "{trs}:revoked"]).await == 60_001
        })
        .await;
        assert!(nodes.iter().all(|node| node.status().hearing == Hearing::Now));
    })
    .await;
}
