//! PostgreSQL killed, hung and restarted behind a service under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, CachedKeyStore, KeyQuery, KeyRegistry, NewKey, NewsState, SqlKeyStore,
    UsageRecorder,
};

use crate::postgres::Postgres;
use crate::support::{call, request, whoami};

/// What no request may take: the cache's deadline of 1 s, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(5);
const FRESH: Duration = Duration::from_secs(10);
const STALE: Duration = Duration::from_secs(600);

/// A service whose keys are in a PostgreSQL of its own.
struct Service {
    database: Postgres,
    keys: SqlKeyStore,
    usage: UsageRecorder,
    app: Router,
    cache: Arc<CachedKeyStore<SqlKeyStore>>,
    clock: TestClock,
    /// How many requests were let in before the drill.
    used: AtomicU64,
    /// Keys that were used on this node before.
    known: Vec<String>,
    /// Good keys that were not.
    unseen: Vec<String>,
}

impl Service {
    async fn start() -> Option<Self> {
        let database = Postgres::start()?;
        let keys = SqlKeyStore::postgres(PgPool::connect(&database.url()).await.unwrap());
        keys.migrate().await.unwrap();
        let format = ApiKeyFormat::new("sk", "test").unwrap();
        let mut minted = Vec::new();
        for _ in 0..20 {
            let key = keys.mint(&format, NewKey::of("robot")).await.unwrap();
            minted.push(key.key().expose().to_owned());
        }
        let (clock, usage) = (TestClock::new(), UsageRecorder::new(keys.clone()));
        let cache = Arc::new(CachedKeyStore::new(keys.clone()).clock(clock.clone()));
        let layer = ApiKeyLayer::new(Arc::clone(&cache))
            .clock(clock.clone())
            .minted_only(format)
            .usage(usage.clone());
        let unseen = minted.split_off(10);
        let service = Self {
            database,
            keys,
            usage,
            app: whoami().layer(layer),
            cache,
            used: AtomicU64::new(0),
            clock,
            known: minted,
            unseen,
        };
        // What is being read when the news begin is not remembered.
        let mut first = 0;
        while !matches!(service.cache.status().news, NewsState::Heard { .. }) {
            assert_eq!(service.status(&service.known[0]).await, 200);
            first += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for key in &service.known {
            assert_eq!(service.status(key).await, 200);
        }
        service.used.store(first + 10, Ordering::SeqCst);
        Some(service)
    }

    async fn status(&self, key: &str) -> u16 {
        status(&self.app, key).await
    }

    /// Until a key that was never seen is let in again. The clock goes on, since the store is not asked all the time.
    async fn is_back(&self, key: &str) {
        for _ in 0..100 {
            self.clock.advance(Duration::from_secs(2));
            if self.status(key).await == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the service does not come back");
    }

    /// How often keys were used, as the database has it.
    async fn uses(&self) -> u64 {
        self.usage.flush().await.unwrap();
        let all = self.keys.list_all(KeyQuery::default()).await.unwrap();
        all.iter().map(tower_resource_server::ApiKeyRecord::uses).sum()
    }
}

/// A request's status; it may not hang.
async fn status(app: &Router, key: &str) -> u16 {
    let begun = Instant::now();
    let answer = call(app, request(&[("x-api-key", key)])).await;
    assert!(
        begun.elapsed() < PATIENCE,
        "{:?} for {}",
        begun.elapsed(),
        answer.status
    );
    if answer.status == 503 {
        assert_eq!(
            (answer.reason(), answer.header("retry-after")),
            ("store_unavailable", Some("1"))
        );
    }
    answer.status.as_u16()
}

/// Callers who use known keys all the time, and count.
struct Load {
    stop: Arc<AtomicBool>,
    let_in: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(service: &Service) -> Self {
        let (stop, let_in) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..4).map(|_| {
            let (app, keys) = (service.app.clone(), service.known.clone());
            let (stop, let_in) = (Arc::clone(&stop), Arc::clone(&let_in));
            tokio::spawn(async move {
                for key in keys.iter().cycle() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    assert_eq!(status(&app, key).await, 200, "a known key works all the time");
                    let_in.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        Self {
            callers: callers.collect(),
            stop,
            let_in,
        }
    }

    /// Waits until every caller has come again, so that what happened meanwhile was seen.
    async fn goes_on(&self) {
        let before = self.let_in.load(Ordering::SeqCst);
        while self.let_in.load(Ordering::SeqCst) < before + 100 {
            assert!(
                !self.callers.iter().all(JoinHandle::is_finished),
                "somebody was refused"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many requests were let in.
    async fn ends(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.let_in.load(Ordering::SeqCst)
    }
}

/// An outage from its beginning to its end, and what callers see of it.
async fn outage(break_it: fn(&Postgres), mend_it: fn(&Postgres)) {
    let Some(service) = Service::start().await else {
        return;
    };
    let load = Load::on(&service);
    load.goes_on().await;
    break_it(&service.database);
    load.goes_on().await;
    assert_eq!(
        service.status(&service.unseen[0]).await,
        503,
        "the key may be good"
    );
    service.clock.advance(FRESH);
    load.goes_on().await;
    for key in &service.unseen[1..4] {
        assert_eq!(service.status(key).await, 503);
    }
    let invented = format!("sk_test_{}", "0".repeat(49));
    assert_eq!(
        service.status(&invented).await,
        401,
        "what is no key needs no store"
    );
    service.clock.advance(Duration::from_secs(580));
    load.goes_on().await;
    mend_it(&service.database);
    service.is_back(&service.unseen[0]).await;
    let mut let_in = service.used.load(Ordering::SeqCst) + 1;
    for key in &service.unseen[1..4] {
        assert_eq!(service.status(key).await, 200, "no refusal was remembered");
        let_in += 1;
    }
    load.goes_on().await;
    let_in += load.ends().await;
    assert_eq!(
        service.uses().await,
        let_in,
        "no use was lost, and none counted twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_refuses_nobody_who_is_known_and_loses_no_use() {
    outage(Postgres::kill9, Postgres::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_database_refuses_nobody_who_is_known_and_loses_no_use() {
    outage(Postgres::hang, Postgres::go_on).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_again_and_again_refuses_nobody_who_is_known() {
    let Some(service) = Service::start().await else {
        return;
    };
    let load = Load::on(&service);
    for key in &service.unseen[..3] {
        service.database.kill9();
        service.clock.advance(FRESH);
        load.goes_on().await;
        service.database.restart();
        service.is_back(key).await;
    }
    let let_in = load.ends().await + service.used.load(Ordering::SeqCst) + 3;
    assert_eq!(service.uses().await, let_in);
}

#[tokio::test]
async fn known_keys_work_until_their_bound_and_not_a_moment_longer() {
    let Some(service) = Service::start().await else {
        return;
    };
    service.database.kill9();
    // Read when the service began, and maybe once more since: so the bound is counted from now.
    assert_eq!(service.status(&service.known[0]).await, 200);
    service.clock.advance(FRESH + STALE);
    for key in &service.known {
        assert_eq!(
            service.status(key).await,
            503,
            "a key that may be revoked for so long is not let in"
        );
    }
    service.database.restart();
    service.is_back(&service.known[0]).await;
}
