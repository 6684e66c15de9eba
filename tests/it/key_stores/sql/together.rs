//! Many who change, use and look up keys at once, on two nodes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteJournalMode, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;
use tower_resource_server::{
    ApiKeyFormat, Committed, KeyChange, KeyRegistry, KeyStore, KeyUses, NewKey, SqlKeyStore,
};

use super::{Database, LONG, add, record, sqlite_file, time};
use crate::support::{READ, WRITE};

const TASKS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_revoked_is_found_live() {
    let mut all = Database::each().await;
    all.push(Database::sqlite_with(SqliteJournalMode::Delete).await);
    for database in all {
        let store = database.migrated().await;
        let nodes = Arc::new([store.clone(), database.store()]);
        add(&store, record("hot").build()).await;
        add(&store, record("warm").build()).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| tokio::spawn(one_life(Arc::clone(&nodes), number)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let [hot, warm] = [store.get("hot").await, store.get("warm").await].map(|got| got.unwrap().unwrap());
        assert_eq!(hot.revision(), TASKS, "each acknowledged change is there");
        assert_eq!((hot.uses(), warm.uses()), (TASKS, 2 * TASKS));
        assert_eq!(hot.last_used_at(), Some(time(TASKS - 1)));
        let left = store
            .list_all(tower_resource_server::KeyQuery::default())
            .await
            .unwrap();
        assert_eq!(left.len() as u64, 2 + 2 * TASKS, "two keys of each task");
    }
}

/// A key is minted, used, rotated and revoked, while all others do the same and change one key together.
async fn one_life(nodes: Arc<[SqlKeyStore; 2]>, number: u64) {
    let [here, there] = &*nodes;
    let format = ApiKeyFormat::new("sk", "live").unwrap();
    let first = here
        .mint(&format, NewKey::of("robot").scopes([READ]))
        .await
        .unwrap();
    here.set_scopes("hot", [READ, WRITE]).await.unwrap();
    // Of two nodes that write down uses of the same keys, each has them in another order.
    let mut uses = [
        KeyUses::new("hot", 1, time(number)),
        KeyUses::new("warm", 2, time(number)),
    ];
    if number.is_multiple_of(2) {
        uses.reverse();
    }
    there.add_uses(&uses).await.unwrap();
    let second = there
        .rotate(first.record().id(), &format, Duration::ZERO)
        .await
        .unwrap();
    let found = here.find(second.key().digest()).await.unwrap().unwrap();
    assert!(found.is_live(here.now()), "a new key works at once");
    let ended = here.find(first.key().digest()).await.unwrap().unwrap();
    assert!(!ended.is_live(here.now()), "a rotated key without grace is dead");
    here.revoke(second.record().id()).await.unwrap();
    for node in &*nodes {
        let found = node.find(second.key().digest()).await.unwrap().unwrap();
        assert!(found.is_revoked(), "a revocation that was acknowledged is seen");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_default_isolation_changes_nothing() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database
        .run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$")
        .await;
    let Database::Postgres(pool, _server) = &database else {
        unreachable!("it was asked for");
    };
    let anew = sqlx::PgPool::connect_with((*pool.connect_options()).clone())
        .await
        .unwrap();
    let level: String = sqlx::query_scalar("SHOW default_transaction_isolation")
        .fetch_one(&anew)
        .await
        .unwrap();
    assert_eq!(level, "serializable");
    let store = SqlKeyStore::postgres(anew).admin_deadline(LONG).deadline(LONG);
    store.migrate().await.unwrap();
    add(&store, record("hot").build()).await;
    let changes = (0..20).map(|_| store.set_scopes("hot", [WRITE]));
    for changed in futures_util::future::join_all(changes).await {
        changed.unwrap();
    }
    assert_eq!(store.get("hot").await.unwrap().unwrap().revision(), 20);
    assert!(
        store
            .find(record("hot").build().digest())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sqlite_a_change_waits_for_another_programs_even_if_the_pool_does_not() {
    let (options, _folder) = sqlite_file();
    let pool = SqlitePoolOptions::new()
        .connect_with(options.clone().busy_timeout(Duration::ZERO))
        .await
        .unwrap();
    let store = SqlKeyStore::sqlite(pool).admin_deadline(LONG).deadline(LONG);
    store.migrate().await.unwrap();
    let mut other = options.connect().await.unwrap();
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let change = KeyChange::add(record("key_1").build());
    let mut commit = std::pin::pin!(store.commit(&change));
    let early = timeout(Duration::from_millis(100), &mut commit).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(store.get("key_1").await.unwrap(), None, "look-ups do not wait");
    writing.rollback().await.unwrap();
    assert_eq!(commit.await.unwrap(), Committed::Done);
}
