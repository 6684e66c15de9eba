//! Junk by the thousand, beside honest traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tower_resource_server::RemoteKeys;
use tower_resource_server::testing::TestIssuer;

use super::{COOL_DOWN, HOUR, REFRESH, SECOND, Service, long_token, patient, until};
use crate::server::{Reply, Server};
use crate::support::API;

const FLOOD: usize = 20_000;
const SOURCES: usize = 4;

struct World {
    server: Server,
    idp: TestIssuer,
    service: Service,
    /// What no `kid` has been before.
    junk: Arc<AtomicUsize>,
}

impl World {
    fn new(cool_down: Duration) -> Self {
        let server = Server::start();
        let idp = TestIssuer::new(server.url(""), API);
        server.serve("/jwks", Reply::json(idp.jwks()));
        let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
        let service = Service::new(&idp, keys.cool_down(cool_down));
        Self {
            server,
            idp,
            service,
            junk: Arc::default(),
        }
    }

    /// A task that sends junk, so much or until it is stopped. The clock is turned by this after each hundred.
    fn flood(&self, most: usize, pace: Duration, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (service, idp, junk) = (self.service.clone(), self.idp.clone(), Arc::clone(&self.junk));
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            for sent in 0..most {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let kid = json!(format!("junk-{}", junk.fetch_add(1, Ordering::Relaxed)));
                let token = idp.token().header("kid", kid).expires_in(HOUR * 24).sign();
                assert_eq!(service.reason(&token).await, "signing_key_unknown");
                if sent % 100 == 0 {
                    idp.clock().advance(pace);
                    tokio::task::yield_now().await;
                }
            }
        })
    }

    /// A task that sends what is good, known and new, until it is stopped. How long each took.
    fn honest(&self, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
        let (service, idp, stop) = (self.service.clone(), self.idp.clone(), Arc::clone(stop));
        let known = long_token(&idp);
        tokio::spawn(async move {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                for token in [&known, &long_token(&idp)] {
                    let start = tokio::time::Instant::now();
                    assert_eq!(service.reason(token).await, "ok");
                    took.push(start.elapsed());
                }
                tokio::task::yield_now().await;
            }
            took
        })
    }
}

/// The middle, and what one in a hundred exceeds.
fn told(mut took: Vec<Duration>) -> String {
    took.sort();
    let (count, at) = (took.len(), |hundredth: usize| took[took.len() * hundredth / 100]);
    format!("p50 {:?}, p99 {:?} of {count}", at(50), at(99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_is_worth_one_fetch_in_a_cool_down() {
    let world = World::new(COOL_DOWN);
    assert_eq!(world.service.reason(&long_token(&world.idp)).await, "ok");
    let stop = Arc::default();
    let quiet = world.honest(&stop);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let quiet = told(quiet.await.unwrap());

    let stop = Arc::default();
    let honest = world.honest(&stop);
    let sources: Vec<_> = (0..SOURCES)
        .map(|_| world.flood(FLOOD / SOURCES, SECOND / 2, &stop))
        .collect();
    for source in sources {
        source.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let honest = told(honest.await.unwrap());
    let passed = SECOND / 2 * u32::try_from(FLOOD / 100).unwrap();
    let fetches = world.server.hits("/jwks") - 1;
    let most = 1 + usize::try_from(passed.as_secs() / COOL_DOWN.as_secs()).unwrap();
    assert!((2..=most).contains(&fetches), "{fetches} of {most}");
    // Shown, and judged elsewhere: this is a debug build beside other tests.
    println!("honest requests when it is quiet: {quiet}; in the flood: {honest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_in_the_middle_of_a_flood_is_picked_up_by_the_schedule() {
    // The budget for unknown keys is gone with the first junk, for longer than the drill.
    let world = World::new(HOUR * 24);
    let before = long_token(&world.idp);
    assert_eq!(world.service.reason(&before).await, "ok");
    let stop = Arc::default();
    let sources: Vec<_> = (0..SOURCES)
        .map(|_| world.flood(usize::MAX, Duration::ZERO, &stop))
        .collect();
    until("the flood", async || world.junk.load(Ordering::Relaxed) > 1000).await;
    assert_eq!(world.server.hits("/jwks"), 2);
    world.idp.rotate();
    world.server.serve("/jwks", Reply::json(world.idp.jwks()));
    let after = long_token(&world.idp);
    assert_eq!(world.service.reason(&after).await, "signing_key_unknown");
    assert_eq!(world.service.reason(&before).await, "ok");
    world.idp.clock().advance(REFRESH);
    until("the new key", async || world.service.reason(&after).await == "ok").await;
    assert_eq!(world.service.reason(&before).await, "signing_key_unknown");
    stop.store(true, Ordering::Relaxed);
    for source in sources {
        source.await.unwrap();
    }
    assert_eq!(world.server.hits("/jwks"), 3);
}
