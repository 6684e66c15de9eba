//! Layers and runtimes that come and go.

use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{CachedKeys, FetchState, KeySet, KeySource, KeyState, RemoteKeys};

use super::{REFRESH, Service, long_token, patient, together, until};
use crate::server::{Gate, PATIENT, Reply, Server};
use crate::support::{API, idp};

/// Gives the keys when the gate is open, says when it is asked, and can be seen to be gone.
struct Source {
    jwks: String,
    gate: Gate,
    asked: Arc<watch::Sender<bool>>,
}

impl KeySource for Source {
    type Error = tower_resource_server::KeySetError;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        self.asked.send_replace(true);
        self.gate.pass().await;
        KeySet::from_jwks(&self.jwks)
    }
}

/// A service, and what lives as long as its source.
fn service(idp: &TestIssuer, gate: &Gate) -> (Service, Weak<watch::Sender<bool>>, watch::Receiver<bool>) {
    let (asked, seen) = watch::channel(false);
    let asked = Arc::new(asked);
    let alive = Arc::downgrade(&asked);
    let source = Source {
        jwks: idp.jwks(),
        gate: gate.clone(),
        asked,
    };
    (Service::new(idp, patient(CachedKeys::new(source))), alive, seen)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Before the tasks would look whether they are still needed by themselves.
async fn nothing_is_left<T>(before: usize, sources: &[Weak<T>]) {
    let gone = until("no task is left", async || tasks() == before);
    tokio::time::timeout(PATIENT / 2, gone)
        .await
        .expect("tasks are left");
    assert!(sources.iter().all(|source| source.strong_count() == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_layers_that_were_used_and_dropped_leave_nothing() {
    let (idp, gate) = (idp(), Gate::closed());
    gate.open();
    let (before, token) = (tasks(), long_token(&idp));
    let mut sources = Vec::new();
    for _ in 0..1000 {
        let (service, source, _) = service(&idp, &gate);
        assert_eq!(service.reason(&token).await, "ok");
        assert!(tasks() > before && source.strong_count() > 0);
        sources.push(source);
    }
    nothing_is_left(before, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_layers_that_are_dropped_during_a_fetch_leave_nothing() {
    let (idp, never) = (idp(), Gate::closed());
    let (before, token) = (tasks(), long_token(&idp));
    let mut sources = Vec::new();
    for _ in 0..1000 {
        let (service, source, mut asked) = service(&idp, &never);
        let token = token.clone();
        let request = tokio::spawn(async move { service.reason(&token).await });
        let waited = tokio::time::timeout(PATIENT, asked.wait_for(|asked| *asked)).await;
        drop(waited.expect("it was not asked").unwrap());
        assert!(source.strong_count() > 0);
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        sources.push(source);
    }
    nothing_is_left(before, &sources).await;
}

#[tokio::test]
async fn the_task_lives_as_long_as_the_last_of_several_layers() {
    let (idp, gate) = (idp(), Gate::closed());
    gate.open();
    let (before, token) = (tasks(), long_token(&idp));
    let (first, source, _) = service(&idp, &gate);
    let second = first.clone();
    assert_eq!(first.reason(&token).await, "ok");
    drop(first);
    assert_eq!(second.reason(&token).await, "ok");
    assert_eq!(source.strong_count(), 1);
    assert!(tasks() > before);
    drop(second);
    nothing_is_left(before, &[source]).await;
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

struct World {
    server: Server,
    idp: TestIssuer,
    service: Service,
}

impl World {
    fn new() -> Self {
        let server = Server::start();
        let idp = TestIssuer::new(server.url(""), API);
        server.serve("/jwks", Reply::json(idp.jwks()));
        let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
        Self {
            service: Service::new(&idp, keys),
            idp,
            server,
        }
    }

    /// The issuer publishes another key beside its first, and the schedule brings the new key before anybody asks for it.
    async fn refreshes(&self) {
        let old = long_token(&self.idp);
        assert_eq!(self.service.reason(&old).await, "ok");
        let before = self.idp.jwks();
        self.idp.rotate();
        let both = together([&before, &self.idp.jwks()]);
        self.server.serve("/jwks", Reply::json(both));
        let fetches = self.server.hits("/jwks") + 1;
        self.idp.clock().advance(REFRESH);
        // Requests go on: the first may find the task of a runtime that is about to go.
        until("the scheduled fetch", async || {
            assert_eq!(self.service.reason(&old).await, "ok");
            self.server.hits("/jwks") == fetches
        })
        .await;
        until("the fetch is over", async || {
            self.service.issuer.key_status().fetch == FetchState::Idle
        })
        .await;
        assert_eq!(self.service.issuer.key_status().keys, KeyState::Fresh);
        assert_eq!(self.service.reason(&long_token(&self.idp)).await, "ok");
        assert_eq!(self.server.hits("/jwks"), fetches);
    }
}

#[test]
fn a_layer_in_a_static_outlives_several_runtimes_and_still_refreshes() {
    static WORLD: OnceLock<World> = OnceLock::new();
    for runtime in [one_thread, two_threads, one_thread, two_threads] {
        let runtime = runtime();
        runtime.block_on(async {
            let world = WORLD.get_or_init(World::new);
            for _ in 0..2 {
                world.refreshes().await;
            }
            // Two tasks here: the refresh, and the connection that reqwest keeps; none is left over from before.
            assert!(tasks() <= 3, "{}", tasks());
        });
        runtime.shutdown_background();
    }
}
