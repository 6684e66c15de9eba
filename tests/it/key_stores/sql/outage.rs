//! A database that is killed, hangs, or is cut off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower_resource_server::{KeyDigest, KeyRegistry, KeyStore, SqlKeyStore, SqlKeyStoreError};

use super::{LONG, add, record, sqlite_file};
use crate::postgres::Postgres;

const SHORT: Duration = Duration::from_millis(200);

fn is_late(error: &SqlKeyStoreError) -> bool {
    matches!(error, SqlKeyStoreError::DeadlinePassed { .. })
}

/// A store that knows `key_1`, on a server of its own.
async fn started() -> Option<(Postgres, PgPool)> {
    let server = Postgres::start()?;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&server.url())
        .await
        .unwrap();
    let store = SqlKeyStore::postgres(pool.clone()).admin_deadline(LONG);
    store.migrate().await.unwrap();
    add(&store, record("key_1").build()).await;
    Some((server, pool))
}

async fn finds(store: &SqlKeyStore) {
    let patient = store.clone().deadline(LONG);
    let found = patient.find(&KeyDigest::of("key_1")).await.unwrap();
    assert!(found.is_some());
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_when_the_deadline_passes_and_takes_no_connection_with_it() {
    let Some((server, pool)) = started().await else {
        return;
    };
    let store = SqlKeyStore::postgres(pool).deadline(SHORT).admin_deadline(SHORT);
    finds(&store).await;
    server.hang();
    let digest = KeyDigest::of("key_1");
    let all = timeout(LONG, join_all((0..10).map(|_| store.find(&digest)))).await;
    for found in all.expect("none hangs") {
        assert!(is_late(&found.unwrap_err()));
    }
    let changed = timeout(LONG, store.revoke("key_1"))
        .await
        .expect("nor does a change");
    assert!(changed.is_err());
    server.go_on();
    finds(&store).await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_an_error_until_it_is_back() {
    let Some((server, pool)) = started().await else {
        return;
    };
    let store = SqlKeyStore::postgres(pool).deadline(Duration::from_secs(2));
    server.kill9();
    for _ in 0..3 {
        let found = timeout(LONG, store.find(&KeyDigest::of("key_1"))).await;
        found.expect("it does not hang").expect_err("nobody is there");
    }
    server.restart();
    finds(&store).await;
}

/// Between a pool and its server: passes everything on, until it is told to swallow what comes on the connections that
/// there are. New ones work.
struct Line {
    port: u16,
    alive: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Line {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let alive = Arc::new(Mutex::new(Arc::new(AtomicBool::new(true))));
        let current = Arc::clone(&alive);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let alive = Arc::clone(&current.lock().unwrap());
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pass_on(near_in, far_out, Arc::clone(&alive)));
                tokio::spawn(pass_on(far_in, near_out, alive));
            }
        });
        Self { port, alive }
    }

    /// From now on the connections that there are lead nowhere, and nobody says so.
    fn swallow(&self) {
        let before = std::mem::replace(&mut *self.alive.lock().unwrap(), Arc::new(AtomicBool::new(true)));
        before.store(false, Ordering::SeqCst);
    }
}

async fn pass_on(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    alive: Arc<AtomicBool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if alive.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    if !alive.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn connections_that_lead_nowhere_are_given_up_and_new_ones_made() {
    let Some((server, pool)) = started().await else {
        return;
    };
    let line = Line::to(pool.connect_options().get_port()).await;
    let through: PgConnectOptions = (*pool.connect_options()).clone().port(line.port);
    // Connections are not tried before they are handed out, so that they are lost in the middle of a statement.
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .test_before_acquire(false)
        .connect_with(through)
        .await
        .unwrap();
    let store = SqlKeyStore::postgres(pool).deadline(SHORT).admin_deadline(LONG);
    let digest = KeyDigest::of("key_1");
    for found in join_all(
        (0..4)
            .map(|_| store.clone().deadline(LONG))
            .map(async |store| store.find(&digest).await),
    )
    .await
    {
        assert!(found.unwrap().is_some());
    }
    line.swallow();
    for found in join_all((0..2).map(|_| store.find(&digest))).await {
        assert!(is_late(&found.unwrap_err()), "what is there leads nowhere");
    }
    timeout(LONG, finds(&store))
        .await
        .expect("the pool has room for new connections");
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_program_keeps_is_an_error_when_the_deadline_passes() {
    let (options, _folder) = sqlite_file();
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let pool = sqlx::SqlitePool::connect_with(options.clone()).await.unwrap();
    let store = SqlKeyStore::sqlite(pool).deadline(SHORT).admin_deadline(LONG);
    store.migrate().await.unwrap();
    add(&store, record("key_1").build()).await;
    let mut other = options.connect().await.unwrap();
    let keeping = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let error = store.find(&KeyDigest::of("key_1")).await.unwrap_err();
    assert!(is_late(&error), "{error:?}");
    keeping.rollback().await.unwrap();
    finds(&store).await;
}

/// A connection has answered and is on its way back to the pool, which asks it for a sign of life.
#[tokio::test]
async fn a_connection_that_leads_nowhere_while_it_is_given_back_is_given_up() {
    let Some((server, pool)) = started().await else {
        return;
    };
    let line = Line::to(pool.connect_options().get_port()).await;
    let through: PgConnectOptions = (*pool.connect_options()).clone().port(line.port);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(LONG);
    let pool = pool.connect_with(through).await.unwrap();
    let store = SqlKeyStore::postgres(pool);
    finds(&store).await;
    line.swallow();
    finds(&store).await;
    drop(server);
}

/// As it is without a write-ahead log: who writes shuts out all others for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_waits_for_another_program_that_writes_even_if_the_pool_does_not() {
    let (options, _folder) = sqlite_file();
    let options = options
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete)
        .busy_timeout(Duration::ZERO);
    let pool = sqlx::SqlitePool::connect_with(options.clone()).await.unwrap();
    let store = SqlKeyStore::sqlite(pool).deadline(LONG).admin_deadline(LONG);
    store.migrate().await.unwrap();
    add(&store, record("key_1").build()).await;
    let mut other = options.connect().await.unwrap();
    let writing = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let key = KeyDigest::of("key_1");
    let mut look_up = std::pin::pin!(store.find(&key));
    let early = timeout(SHORT, &mut look_up).await;
    assert!(early.is_err(), "{early:?}");
    writing.rollback().await.unwrap();
    assert!(look_up.await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_in_memory_outlives_a_deadline() {
    let pool = sqlx::sqlite::SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let store = SqlKeyStore::sqlite(pool.clone()).admin_deadline(LONG);
    store.migrate().await.unwrap();
    add(&store, record("key_1").build()).await;
    sqlx::raw_sql(SLOWED_DOWN).execute(&pool).await.unwrap();
    let hasty = store.clone().deadline(Duration::from_millis(20));
    assert!(is_late(&hasty.find(&KeyDigest::of("key_1")).await.unwrap_err()));
    finds(&store).await;
}

/// Each look-up now counts for a while before it finds anything.
const SLOWED_DOWN: &str = "ALTER TABLE tower_resource_server_api_keys RENAME TO kept; \
    CREATE VIEW tower_resource_server_api_keys AS SELECT * FROM kept WHERE 0 < \
    (WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 2000000) SELECT count(*) FROM count)";
