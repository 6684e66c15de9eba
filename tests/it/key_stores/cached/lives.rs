//! How long what the store answered is used.

use tower_resource_server::{CachedKeyStore, MemoryKeyStore};

use super::{FRESH, INSTANT, Next, SECOND, STALE, Store, World, just_under, record, settle};
use crate::support::KEY;

#[tokio::test(start_paused = true)]
async fn a_key_is_looked_up_once_while_it_is_fresh() {
    let world = World::new(Store::new());
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "found");
    for _ in 0..8 {
        assert_eq!(world.now(KEY), Some("found"));
        world.clock.advance(just_under(SECOND));
    }
    settle().await;
    assert_eq!(world.store.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_all_the_time_is_renewed_ahead_and_never_waited_for() {
    let world = World::new(Store::new());
    world.warm().await;
    for _ in 0..80 {
        world.clock.advance(SECOND);
        for _ in 0..10 {
            assert_eq!(world.now(KEY), Some("found"));
        }
        settle().await;
    }
    assert_eq!(world.store.loads(), 11);
}

#[tokio::test(start_paused = true)]
async fn one_refresh_runs_ahead_however_many_requests_come() {
    let world = World::new(Store::new());
    world.warm().await;
    world.clock.advance(FRESH * 4 / 5);
    let gate = world.store.hold();
    for _ in 0..100 {
        assert_eq!(world.now(KEY), Some("found"));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.store.loads(), 2);
    gate.open();
    settle().await;
    assert_eq!((world.now(KEY), world.store.loads()), (Some("found"), 2));
}

#[tokio::test(start_paused = true)]
async fn without_news_the_fresh_time_bounds_how_long_a_revoked_key_lives() {
    let world = World::new(Store::new());
    world.warm().await;
    world.store.revoke(KEY);
    world.clock.advance(just_under(FRESH));
    assert_eq!(world.now(KEY), Some("found"));
    world.clock.advance(INSTANT);
    assert_eq!(world.find(KEY).await, "revoked");
}

/// The age counts from when the store was asked, not from when it answered.
#[tokio::test(start_paused = true)]
async fn an_answer_that_took_long_is_not_taken_for_new() {
    let world = World::new(Store::new());
    let gate = world.store.hold();
    let waiting = world.spawn(KEY);
    world.store.was_asked(1).await;
    world.store.revoke(KEY);
    world.clock.advance(FRESH);
    gate.open();
    assert_eq!(waiting.await.unwrap(), "found");
    assert_eq!(world.find(KEY).await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_such_key_is_remembered_for_a_short_time() {
    let world = World::new(Store::new());
    assert_eq!(world.find("new").await, "unknown");
    world.store.put(record("new"));
    world.clock.advance(just_under(SECOND * 5));
    assert_eq!(world.now("new"), Some("unknown"));
    world.clock.advance(INSTANT);
    assert_eq!(world.find("new").await, "found");
    assert_eq!(world.store.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_is_unknown_as_soon_as_the_store_says_so() {
    let world = World::new(Store::new());
    world.warm().await;
    world.store.remove(KEY);
    world.clock.advance(FRESH * 4 / 5);
    assert_eq!(world.now(KEY), Some("found"));
    settle().await;
    assert_eq!(world.now(KEY), Some("unknown"));
    // And it is not used again when the store fails.
    world.store.then(Next::Fail);
    world.clock.advance(FRESH);
    assert_eq!(world.find(KEY).await, "failed");
}

#[tokio::test(start_paused = true)]
async fn each_time_can_be_set() {
    let world = World::of(Store::new(), |cache| {
        cache.fresh(SECOND).stale_for(SECOND * 2).unknown_for(SECOND * 3)
    });
    world.warm().await;
    assert_eq!(world.find("new").await, "unknown");
    world.store.then(Next::Fail);
    world.clock.advance(SECOND);
    assert_eq!((world.now(KEY), world.now("new")), (None, Some("unknown")));
    assert_eq!(world.find(KEY).await, "found");
    world.clock.advance(just_under(SECOND * 2));
    assert_eq!(
        (world.find(KEY).await, world.now("new")),
        ("found", Some("unknown"))
    );
    world.clock.advance(INSTANT);
    assert_eq!(
        (world.find(KEY).await, world.find("new").await),
        ("failed", "failed")
    );
}

#[tokio::test(start_paused = true)]
async fn zeroes_say_that_nothing_is_remembered() {
    let zero = std::time::Duration::ZERO;
    let world = World::of(Store::new(), |cache| {
        cache.fresh(zero).stale_for(zero).unknown_for(zero)
    });
    for key in [KEY, KEY, "new", "new"] {
        world.find(key).await;
    }
    assert_eq!(world.store.loads(), 4);
    world.store.then(Next::Fail);
    assert_eq!(world.find(KEY).await, "failed");
}

#[tokio::test(start_paused = true)]
async fn endless_times_are_no_mistake() {
    let endless = std::time::Duration::MAX;
    let world = World::of(Store::new(), |cache| {
        cache
            .fresh(endless)
            .stale_for(endless)
            .unknown_for(endless)
            .deadline(endless)
            .most_loads(usize::MAX)
    });
    world.warm().await;
    assert_eq!(world.find("new").await, "unknown");
    world.clock.advance(STALE * 1_000);
    assert_eq!(
        (world.now(KEY), world.now("new")),
        (Some("found"), Some("unknown"))
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_remembered_than_there_is_room_for() {
    let world = World::of(Store::new(), |cache| cache.capacity(100));
    let keys: Vec<String> = (0..2_000).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        world.store.put(record(key));
        assert_eq!(world.find(key).await, "found");
    }
    let remembered = keys.iter().filter(|key| world.now(key).is_some()).count();
    // What is too much is let go of from time to time.
    assert!(remembered > 0 && remembered < 1_000, "{remembered} keys");
}

#[tokio::test(start_paused = true)]
async fn a_registry_answers_what_its_store_does() {
    use tower_resource_server::{KeyQuery, KeyRegistry, KeyUses};

    let world = World::new(Store::new());
    world.warm().await;
    let used_at = world.cache.now();
    world
        .cache
        .add_uses(&[KeyUses::new(KEY, 3, used_at)])
        .await
        .unwrap();
    let record = world.cache.get(KEY).await.unwrap().unwrap();
    assert_eq!(record.uses(), 3);
    assert_eq!(world.cache.list(&KeyQuery::default()).await.unwrap(), [record]);
    assert_eq!(world.cache.store().loads(), 1);
}

#[tokio::test]
async fn it_is_a_key_store_and_a_key_registry() {
    use tower_resource_server::testing::conformance;

    conformance::key_store(async |records| CachedKeyStore::new(MemoryKeyStore::from_iter(records))).await;
    conformance::key_registry(async |clock| {
        CachedKeyStore::new(MemoryKeyStore::new().clock(clock.clone())).clock(clock)
    })
    .await;
}
