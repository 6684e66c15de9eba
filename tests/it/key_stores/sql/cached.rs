//! A cache in front of each database.

use std::time::Duration;

use tower_resource_server::{CachedKeyStore, KeyDigest, KeyRegistry, KeyStore, NewsState, SqlKeyStore};

use super::{Database, LONG, add, passes_the_suites_through, record};

fn cached(store: SqlKeyStore) -> CachedKeyStore<SqlKeyStore> {
    CachedKeyStore::new(store).deadline(LONG)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_sqlite_it_is_a_key_store_and_a_key_registry() {
    passes_the_suites_through(async || Some(Database::sqlite().await), cached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_postgres_it_is_a_key_store_and_a_key_registry() {
    passes_the_suites_through(Database::postgres, cached).await;
}

/// Two nodes with a cache each. Neither entry ages while the test runs, so what is seen was heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_revokes_the_other_hears_of() {
    const HOUR: Duration = Duration::from_secs(3600);
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    add(&store, record("key_1").build()).await;
    let (one, other) = (cached(store).fresh(HOUR), cached(database.store()).fresh(HOUR));
    let key = KeyDigest::of("key_1");
    until(async || {
        let found = other.find(&key).await.unwrap().unwrap();
        assert!(!found.is_revoked());
        matches!(other.status().news, NewsState::Heard { .. })
    })
    .await;
    // Read once more, if it was read before the news were heard; from now on it is in memory.
    other.find(&key).await.unwrap();
    assert!(other.find_now(&key).is_some());

    one.revoke("key_1").await.unwrap();
    assert!(one.find(&key).await.unwrap().unwrap().is_revoked());
    until(async || other.find(&key).await.unwrap().unwrap().is_revoked()).await;
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it never comes");
}
