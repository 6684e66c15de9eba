//! Requests, fetches, drops and the ends of runtimes on many threads: what `src/jwks/published.rs` argues, shaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{CachedKeys, KeySet, KeySource, RemoteKeys};

use super::{COOL_DOWN, LIFE, Service, long_token, patient};
use crate::server::{Gate, Reply, Server};
use crate::support::{API, idp};

fn threads(number: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(number)
        .enable_all()
        .build()
        .unwrap()
}

/// Gives the issuer's keys of now after a few turns; counts how many loads run at once.
#[derive(Clone)]
struct Source {
    idp: TestIssuer,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Source {
    fn of(idp: &TestIssuer) -> Self {
        Self {
            idp: idp.clone(),
            running: Arc::default(),
            most: Arc::default(),
        }
    }

    fn service(&self) -> Service {
        Service::new(&self.idp, patient(CachedKeys::new(self.clone())))
    }
}

struct Running<'r>(&'r AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl KeySource for Source {
    type Error = tower_resource_server::KeySetError;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        let others = self.running.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(others + 1, Ordering::SeqCst);
        let _running = Running(&self.running);
        let jwks = self.idp.jwks();
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        KeySet::from_jwks(&jwks)
    }
}

/// Whoever waits for a new key on one runtime while another one, which happens to fetch it, goes.
#[test]
fn who_waits_for_a_new_key_gets_it_though_the_runtime_of_the_fetch_goes() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    server.serve("/jwks", Reply::json(idp.jwks()));
    let service = Service::new(&idp, patient(RemoteKeys::jwks_uri(server.url("/jwks"))));
    let (going, staying) = (threads(1), threads(1));
    assert_eq!(going.block_on(service.reason(&long_token(&idp))), "ok");
    idp.rotate();
    let never = Gate::closed();
    server.serve("/jwks", Reply::json(idp.jwks()).held_by(&never));
    let token = long_token(&idp);
    let waiting = staying.spawn({
        let service = service.clone();
        async move { service.reason(&token).await }
    });
    staying.block_on(server.was_asked("/jwks", 2));
    server.serve("/jwks", Reply::json(idp.jwks()));
    drop(going);
    assert_eq!(staying.block_on(waiting).unwrap(), "ok");
    assert_eq!(server.hits("/jwks"), 3);
}

/// One request of each kind, over and over: a known key, a new token, a key that nobody has.
async fn requests(service: Service, idp: TestIssuer, number: usize, times: usize) {
    let known = long_token(&idp);
    for round in 0..times {
        assert_eq!(service.reason(&known).await, "ok");
        assert_eq!(service.reason(&long_token(&idp)).await, "ok");
        let junk = idp.token().header("kid", format!("junk-{number}-{round}")).sign();
        assert_eq!(service.reason(&junk).await, "signing_key_unknown");
        // From time to time a refresh is due, and a budget is there.
        match round % 4 {
            0 => idp.clock().advance(COOL_DOWN),
            2 => idp.clock().advance(LIFE),
            _ => {}
        }
    }
}

/// The same without an end. What it is told does not matter: whoever is on a runtime that goes may be told 503.
async fn noise(service: Service, idp: TestIssuer, number: usize) {
    let known = long_token(&idp);
    for round in 0.. {
        service.reason(&known).await;
        let kid = format!("noise-{number}-{round}");
        service.reason(&idp.token().header("kid", kid).sign()).await;
        idp.clock().advance(COOL_DOWN);
        // A task that never pauses does not end with its runtime.
        tokio::task::yield_now().await;
    }
}

/// A fetch that ends with its runtime, before the task that waits for it or after, is no failure of the issuer: nobody is
/// told 401 or to come back later.
#[test]
fn runtimes_that_go_at_any_moment_disturb_no_request_on_another() {
    let staying = threads(2);
    for round in 0..24 {
        let idp = idp();
        let source = Source::of(&idp);
        let service = source.service();
        let going: Vec<_> = (0..2).map(|_| threads(2)).collect();
        for (number, runtime) in going.iter().enumerate() {
            for _ in 0..4 {
                runtime.spawn(noise(service.clone(), idp.clone(), number));
            }
        }
        let tasks: Vec<_> = (0..4)
            .map(|number| staying.spawn(requests(service.clone(), idp.clone(), number, 12)))
            .collect();
        for runtime in going {
            for _ in 0..round {
                std::thread::yield_now();
            }
            runtime.shutdown_background();
        }
        for task in tasks {
            staying.block_on(task).unwrap();
        }
        drop(service);
    }
}

#[test]
fn there_is_never_more_than_one_fetch_at_a_time() {
    let runtime = threads(4);
    let idp = idp();
    let source = Source::of(&idp);
    let service = source.service();
    let tasks: Vec<_> = (0..16)
        .map(|number| runtime.spawn(requests(service.clone(), idp.clone(), number, 40)))
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    assert_eq!(source.most.load(Ordering::SeqCst), 1);
}
