//! Keys that come and go while valid tokens are presented all the time: none is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{KeyState, RemoteKeys};

use super::{COOL_DOWN, REFRESH, Service, long_token, patient, together, until};
use crate::server::{PATIENT, Reply, Server};
use crate::support::API;

/// Those whose tokens are valid now.
type Signers = Arc<RwLock<Vec<TestIssuer>>>;

/// Requests without a pause, each with a new token and with one that is known, from every signer.
struct Load {
    signers: Signers,
    passed: watch::Receiver<usize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(service: &Service, signers: Vec<TestIssuer>) -> Self {
        let (passed, seen) = watch::channel(0);
        let (stop, signers) = (Arc::default(), Arc::new(RwLock::new(signers)));
        let passed = Arc::new(passed);
        let tasks = (0..4).map(|_| {
            let (service, signers) = (service.clone(), Arc::clone(&signers));
            let (passed, stop) = (Arc::clone(&passed), Arc::clone(&stop));
            tokio::spawn(present(service, signers, passed, stop))
        });
        Self {
            tasks: tasks.collect(),
            passed: seen,
            signers,
            stop,
        }
    }

    /// The issuer does this between two requests, and from then on signs with these keys.
    async fn now_signed_by(&self, signers: Vec<TestIssuer>, change: impl FnOnce()) {
        let mut now = self.signers.write().await;
        change();
        *now = signers;
    }

    /// Until many more have passed.
    async fn goes_on(&self) {
        let mut passed = self.passed.clone();
        let enough = *passed.borrow() + 200;
        let waited = tokio::time::timeout(PATIENT, passed.wait_for(|passed| *passed >= enough)).await;
        waited.expect("requests hang").expect("a valid token was refused");
    }

    async fn ends(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn present(
    service: Service,
    signers: Signers,
    passed: Arc<watch::Sender<usize>>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let signers = signers.read().await;
        for signer in signers.iter() {
            let token = long_token(signer);
            for _ in 0..2 {
                assert_eq!(service.reason(&token).await, "ok");
                passed.send_modify(|passed| *passed += 1);
            }
        }
        drop(signers);
        tokio::task::yield_now().await;
    }
}

struct World {
    server: Server,
    service: Service,
    clock: tower_resource_server::testing::TestClock,
}

impl World {
    fn publish(&self, keys: &[TestIssuer]) {
        let documents: Vec<String> = keys.iter().map(TestIssuer::jwks).collect();
        self.server.serve("/jwks", Reply::json(together(&documents)));
    }

    fn fetches(&self) -> usize {
        self.server.hits("/jwks")
    }

    /// Lets time pass until the keys are renewed by the schedule.
    async fn renewed(&self) {
        let before = self.fetches();
        self.clock.advance(REFRESH);
        self.server.was_asked("/jwks", before + 1).await;
        until("the new set", async || {
            self.service.issuer.key_status().fetch == tower_resource_server::FetchState::Idle
        })
        .await;
        assert_eq!(self.service.issuer.key_status().keys, KeyState::Fresh);
    }
}

/// Issuers of one name, with a key and a `kid` each.
fn keys_of(name: &str) -> [TestIssuer; 4] {
    std::array::from_fn(|number| {
        let one = TestIssuer::new(name, API);
        (0..number).for_each(|_| one.rotate());
        one
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_added_replaced_published_ahead_and_dropped_refuse_nobody() {
    let server = Server::start();
    let [one, two, three, four] = keys_of(&server.url(""));
    let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
    let world = World {
        service: Service::new(&one, keys),
        clock: one.clock().clone(),
        server,
    };
    world.publish(std::slice::from_ref(&one));
    let load = Load::start(&world.service, vec![one.clone()]);
    load.goes_on().await;
    assert_eq!(world.fetches(), 1);

    // Added, and used at once.
    let both = [one.clone(), two.clone()];
    load.now_signed_by(both.to_vec(), || world.publish(&both)).await;
    load.goes_on().await;
    assert_eq!(world.fetches(), 2);

    // Replaced from one moment to the next.
    world.clock.advance(COOL_DOWN);
    load.now_signed_by(vec![three.clone()], || {
        world.publish(std::slice::from_ref(&three));
    })
    .await;
    load.goes_on().await;
    assert_eq!(world.fetches(), 3);

    // Published ahead of its use: when it is used, nobody has to wait.
    world.publish(&[three.clone(), four.clone()]);
    world.renewed().await;
    let fetches = world.fetches();
    load.now_signed_by(vec![four.clone()], || ()).await;
    load.goes_on().await;
    assert_eq!(world.fetches(), fetches);

    // Dropped. A token that is known is still good until the set without its key is there, and not after.
    let dropped = long_token(&three);
    for _ in 0..3 {
        assert_eq!(world.service.reason(&dropped).await, "ok");
    }
    world.publish(std::slice::from_ref(&four));
    assert_eq!(world.service.reason(&dropped).await, "ok");
    load.goes_on().await;
    world.renewed().await;
    assert_eq!(world.service.reason(&dropped).await, "signing_key_unknown");
    load.goes_on().await;
    load.ends().await;
}
