//! Loads and runtimes: who waits for what, and what ends when.

use std::sync::Arc;

use allocation_counter::measure;
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tower_resource_server::{CachedKeyStore, KeyDigest, KeyStore, MemoryKeyStore, NewsState, StoreState};

use super::{FRESH, Store, World, record, settle};
use crate::server::PATIENT;
use crate::support::KEY;

fn threads(number: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(number)
        .enable_all()
        .build()
        .unwrap()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn patient(store: Store) -> World {
    World::of(store, |cache| cache.deadline(PATIENT))
}

#[test]
fn ten_thousand_requests_for_one_key_are_one_load() {
    for runtime in [one_thread(), threads(4)] {
        let world = patient(Store::new());
        runtime.block_on(async {
            let gate = world.store.hold();
            let waiting: Vec<_> = (0..10_000).map(|_| world.spawn(KEY)).collect();
            world.store.was_asked(1).await;
            settle().await;
            gate.open();
            for waiting in waiting {
                assert_eq!(waiting.await.unwrap(), "found");
            }
        });
        assert_eq!(world.store.loads(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_stops_neither_the_load_nor_the_others() {
    let world = World::new(Store::new());
    let gate = world.store.hold();
    let (cancelled, other) = (world.spawn(KEY), world.spawn(KEY));
    world.store.was_asked(1).await;
    settle().await;
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(other.await.unwrap(), "found");

    world.clock.advance(FRESH);
    let gate = world.store.hold();
    let only = world.spawn(KEY);
    world.store.was_asked(2).await;
    only.abort();
    settle().await;
    gate.open();
    settle().await;
    assert_eq!(world.now(KEY), Some("found"));
    assert_eq!(world.store.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_dropped_ends_its_tasks() {
    let store = Store::telling();
    let world = World::new(store.clone());
    world.warm().await;
    world.clock.advance(FRESH);
    let _never = store.hold();
    assert_eq!(world.now(KEY), Some("found"));
    settle().await;
    assert_eq!((store.running(), store.following()), (1, 1));
    drop(world);
    settle().await;
    assert_eq!((store.running(), store.following()), (0, 0));
    // Nothing holds the store any more.
    assert_eq!(Arc::strong_count(&store.0), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_dropped_follows_no_more() {
    let store = Store::telling();
    store.news_then(super::Next::Fail);
    let world = World::new(store.clone());
    world.find(KEY).await;
    settle().await;
    drop(world);
    let before = store.followed();
    tokio::time::advance(PATIENT * 10).await;
    settle().await;
    assert_eq!(store.followed(), before);
    assert_eq!(Arc::strong_count(&store.0), 1);
}

#[test]
fn who_waits_gets_an_answer_though_the_runtime_of_the_load_goes() {
    for going in [one_thread(), threads(1)] {
        let staying = threads(1);
        let world = patient(Store::new());
        let never = world.store.hold();
        going.block_on(async {
            drop(world.spawn(KEY));
            world.store.was_asked(1).await;
        });
        let waiting = {
            let world = world.clone();
            staying.spawn(async move { world.find(KEY).await })
        };
        staying.block_on(settle());
        assert_eq!(world.store.loads(), 1);
        world.store.let_go();
        drop(going);
        assert_eq!(staying.block_on(waiting).unwrap(), "found");
        assert_eq!(world.store.loads(), 2);
        // It was not the store's fault.
        assert!(matches!(world.cache.status().store, StoreState::Answering { .. }));
        drop(never);
    }
}

#[test]
fn the_news_are_heard_again_when_their_runtime_has_gone() {
    for going in [one_thread(), threads(1)] {
        let world = patient(Store::telling());
        going.block_on(world.warm());
        drop(going);
        assert_eq!(world.store.following(), 0);
        assert!(matches!(world.cache.status().news, NewsState::Unheard { .. }));
        world.clock.advance(FRESH);
        assert_eq!(world.now(KEY), None);

        let next = one_thread();
        next.block_on(async {
            world.store.revoke(KEY);
            assert_eq!(world.find(KEY).await, "revoked");
            settle().await;
            assert!(matches!(world.cache.status().news, NewsState::Heard { .. }));
            assert_eq!((world.store.following(), world.store.followed()), (1, 2));
        });
    }
}

#[test]
fn building_one_needs_no_runtime_and_asking_without_one_is_an_error() {
    let world = World::new(Store::telling());
    assert_eq!(world.now(KEY), None);
    let answer = world.cache.find(&KeyDigest::of(KEY)).now_or_never().unwrap();
    assert_eq!(super::name(&answer), "no runtime");
    assert_eq!((world.store.loads(), world.store.followed()), (0, 0));
    one_thread().block_on(world.warm());
}

/// Now and then the cache does its housekeeping, of which a request notices a few allocations in a thousand hits.
#[test]
fn a_hit_allocates_nothing() {
    let cached = CachedKeyStore::new(MemoryKeyStore::from_iter([record(KEY)]));
    let digest = KeyDigest::of(KEY);
    one_thread().block_on(async {
        cached.find(&digest).await.unwrap();
        settle().await;
        let hit = || measure(|| drop(cached.find_now(&digest).unwrap())).count_total;
        let hits: Vec<u64> = (0..1_000).map(|_| hit()).collect();
        let without = hits.iter().filter(|count| **count == 0).count();
        println!(
            "{without} of 1,000 hits allocate nothing, the others {} times in all",
            hits.iter().sum::<u64>()
        );
        assert!(without >= 970, "{without} of 1,000");
    });
}
