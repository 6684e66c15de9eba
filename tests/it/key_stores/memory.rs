//! The store in memory.

use tower_resource_server::testing::conformance;
use tower_resource_server::{KeyDigest, KeyRegistry, KeyStore, MemoryKeyStore};

use crate::support::record;

#[tokio::test]
async fn it_is_a_key_store_and_a_key_registry() {
    conformance::key_store(async |records| MemoryKeyStore::from_iter(records)).await;
    conformance::key_registry(async |clock| MemoryKeyStore::new().clock(clock)).await;
}

#[tokio::test]
async fn it_is_both_behind_an_arc_too() {
    conformance::key_registry(async |clock| std::sync::Arc::new(MemoryKeyStore::new().clock(clock))).await;
}

#[tokio::test]
async fn what_is_removed_is_gone_by_id_and_by_digest() {
    let store = MemoryKeyStore::from_iter([record("one").build()]);
    assert!(store.get("key_1").await.unwrap().is_some());
    assert_eq!(store.remove(&KeyDigest::of("one")).unwrap().id(), "key_1");
    assert!(store.remove(&KeyDigest::of("one")).is_none() && store.is_empty());
    assert_eq!(store.get("key_1").await.unwrap(), None);
    assert_eq!(store.find(&KeyDigest::of("one")).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_that_replaces_another_of_the_same_digest_takes_its_id_away() {
    let store = MemoryKeyStore::from_iter([record("one").build()]);
    let other = tower_resource_server::ApiKeyRecord::builder("key_2", "robot", KeyDigest::of("one"));
    store.insert(other.build());
    assert_eq!(store.get("key_1").await.unwrap(), None);
    assert_eq!(store.get("key_2").await.unwrap().unwrap().id(), "key_2");
    assert_eq!(store.len(), 1);
}
