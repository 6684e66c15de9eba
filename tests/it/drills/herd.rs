//! Everybody at once.

use std::sync::Arc;

use tokio::sync::Barrier;
use tower_resource_server::RemoteKeys;
use tower_resource_server::testing::TestIssuer;

use super::{Service, long_token, patient};
use crate::server::{Gate, Reply, Server};
use crate::support::API;

const HERD: usize = 1000;

/// As many tasks, each with a token of its own, that start together. What each got.
async fn stampede(service: &Service, idp: &TestIssuer) -> Vec<tokio::task::JoinHandle<&'static str>> {
    let start = Arc::new(Barrier::new(HERD + 1));
    let requests = (0..HERD).map(|_| {
        let (service, token, start) = (service.clone(), long_token(idp), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            service.reason(&token).await
        })
    });
    let requests = requests.collect();
    start.wait().await;
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_first_requests_and_a_thousand_with_a_new_key_fetch_once_each() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
    let service = Service::new(&idp, keys);
    for fetches in 1..=2 {
        let gate = Gate::closed();
        server.serve("/jwks", Reply::json(idp.jwks()).held_by(&gate));
        let requests = stampede(&service, &idp).await;
        server.was_asked("/jwks", fetches).await;
        gate.open();
        for request in requests {
            assert_eq!(request.await.unwrap(), "ok");
        }
        assert_eq!(server.hits("/jwks"), fetches);
        idp.rotate();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_to_an_issuer_that_fails_fetch_once() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    let gate = Gate::closed();
    server.serve("/jwks", Reply::status(500).held_by(&gate));
    let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
    let service = Service::new(&idp, keys);
    let requests = stampede(&service, &idp).await;
    server.was_asked("/jwks", 1).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), "keys_unavailable");
    }
    assert_eq!(server.hits("/jwks"), 1);
}
