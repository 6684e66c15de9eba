//! Changes made through the cache: what was acknowledged is seen by every request that comes after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower_resource_server::{ApiKeyFormat, KeyDigest, KeyRegistry, KeyStore, NewKey, RegistryError};

use super::{FRESH, Next, Store, World, record, settle};
use crate::support::KEY;

#[tokio::test(start_paused = true)]
async fn a_key_that_was_revoked_here_is_refused_by_the_next_request() {
    for store in [Store::new(), Store::telling()] {
        let world = World::new(store);
        world.warm().await;
        world.cache.revoke(KEY).await.unwrap();
        assert_eq!(world.find(KEY).await, "revoked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_made_here_is_known_to_the_next_request() {
    let world = World::new(Store::new());
    assert_eq!(world.find("imported").await, "unknown");
    let digest = KeyDigest::of("imported");
    world.cache.import(digest, NewKey::of("robot")).await.unwrap();
    assert_eq!(world.find("imported").await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen_on_both_keys() {
    let world = World::new(Store::new());
    world.warm().await;
    let format = ApiKeyFormat::new("sk", "test").unwrap();
    let grace = FRESH * 100;
    let issued = world.cache.rotate(KEY, &format, grace).await.unwrap();
    let old = world.cache.find(&KeyDigest::of(KEY)).await.unwrap().unwrap();
    assert_eq!(old.rotated_to(), Some(issued.record().id()));
    assert_eq!(world.find(issued.key().expose()).await, "found");
}

/// The load has read the old record when the key is revoked, and ends afterwards.
#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_revocation_brings_nothing_back() {
    for store in [Store::new(), Store::telling()] {
        let world = World::new(store);
        world.find("warming").await;
        settle().await;
        let before = world.store.loads();
        let gate = world.store.hold();
        let early = world.spawn(KEY);
        world.store.was_asked(before + 1).await;
        world.cache.revoke(KEY).await.unwrap();

        // Who comes after the acknowledgement does not wait for that load, nor get its answer.
        world.store.let_go();
        assert_eq!(world.find(KEY).await, "revoked");
        gate.open();
        // Who came before it is told what was true then.
        assert_eq!(early.await.unwrap(), "found");
        assert_eq!(world.now(KEY), Some("revoked"));
        assert_eq!(world.store.loads(), before + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_when_nobody_asks_until_the_load_has_ended() {
    let world = World::new(Store::new());
    let gate = world.store.hold();
    let early = world.spawn(KEY);
    world.store.was_asked(1).await;
    world.cache.revoke(KEY).await.unwrap();
    world.store.let_go();
    gate.open();
    assert_eq!(early.await.unwrap(), "found");
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "revoked");
}

/// The load that counts no more ends while the one that took its place is under way.
#[tokio::test(start_paused = true)]
async fn a_load_that_counts_no_more_does_not_pass_for_the_one_that_does() {
    let world = World::new(Store::new());
    let first_gate = world.store.hold();
    let early = world.spawn(KEY);
    world.store.was_asked(1).await;
    world.cache.revoke(KEY).await.unwrap();
    let second_gate = world.store.hold();
    let late = world.spawn(KEY);
    world.store.was_asked(2).await;
    first_gate.open();
    assert_eq!(early.await.unwrap(), "found");
    assert_eq!(world.now(KEY), None);
    let later = world.spawn(KEY);
    settle().await;
    second_gate.open();
    assert_eq!(
        (late.await.unwrap(), later.await.unwrap()),
        ("revoked", "revoked")
    );
    assert_eq!(world.store.loads(), 2);
}

/// The same for a load in the background.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_began_before_a_revocation_brings_nothing_back() {
    let world = World::new(Store::new());
    world.warm().await;
    world.clock.advance(FRESH * 4 / 5);
    let gate = world.store.hold();
    assert_eq!(world.now(KEY), Some("found"));
    world.store.was_asked(2).await;
    world.cache.revoke(KEY).await.unwrap();
    assert_eq!(world.now(KEY), None);
    world.store.let_go();
    gate.open();
    settle().await;
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "revoked");
}

/// The load of an unknown key has read that there is none when the key is made.
#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_key_was_made_hides_it_from_nobody() {
    let world = World::new(Store::new());
    let gate = world.store.hold();
    let early = world.spawn("imported");
    world.store.was_asked(1).await;
    let digest = KeyDigest::of("imported");
    world.cache.import(digest, NewKey::of("robot")).await.unwrap();
    world.store.let_go();
    gate.open();
    assert_eq!(early.await.unwrap(), "unknown");
    assert_eq!(world.find("imported").await, "found");
}

/// A request waits for the store; meanwhile the key is revoked, and then the store fails.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_dropped_is_not_used_instead_of_an_answer() {
    let world = World::new(Store::new());
    world.warm().await;
    world.clock.advance(FRESH);
    let gate = world.store.hold();
    world.store.then(Next::Fail);
    let waiting = world.spawn(KEY);
    world.store.was_asked(2).await;
    world.store.then(Next::Answer);
    world.cache.revoke(KEY).await.unwrap();
    gate.open();
    assert_eq!(waiting.await.unwrap(), "failed");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_may_have_been_carried_out_is_looked_up() {
    for next in [Next::Fail, Next::Panic] {
        let world = World::new(Store::new());
        world.warm().await;
        world.store.then(next);
        let revoking = tokio::spawn({
            let cache = Arc::clone(&world.cache);
            async move { cache.revoke(KEY).await }
        });
        let ended = revoking.await;
        assert!(
            matches!(ended, Err(_) | Ok(Err(RegistryError::Store(_)))),
            "{ended:?}"
        );
        world.store.then(Next::Answer);
        assert_eq!(world.find(KEY).await, "revoked");
    }
}

/// Many keys, each asked for on four tasks all the time, and revoked at some time.
#[test]
fn no_key_is_found_after_its_revocation_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    for store in [Store::new(), Store::telling()] {
        let world = World::of(store, |cache| cache.deadline(crate::server::PATIENT));
        let found = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let mut all = Vec::new();
            for number in 0..200 {
                let key = format!("key-{number}");
                world.store.put(record(&key));
                let revoked = Arc::new(AtomicUsize::new(0));
                for _ in 0..4 {
                    let (world, key) = (world.clone(), key.clone());
                    let (revoked, found) = (Arc::clone(&revoked), Arc::clone(&found));
                    all.push(tokio::spawn(async move {
                        loop {
                            let acknowledged = revoked.load(Ordering::SeqCst) == 1;
                            let answer = world.find(&key).await;
                            if acknowledged {
                                assert_eq!(answer, "revoked");
                                return;
                            }
                            found.fetch_add(usize::from(answer == "found"), Ordering::SeqCst);
                            // Entries age, so that loads run all the time.
                            world.clock.advance(FRESH / 50);
                            tokio::task::yield_now().await;
                        }
                    }));
                }
                let world = world.clone();
                all.push(tokio::spawn(async move {
                    for _ in 0..number % 17 {
                        tokio::task::yield_now().await;
                    }
                    world.cache.revoke(&key).await.unwrap();
                    world.store.tell_if_heard(&key);
                    revoked.store(1, Ordering::SeqCst);
                }));
            }
            for task in all {
                task.await.unwrap();
            }
        });
        assert!(found.load(Ordering::SeqCst) > 0);
    }
}

impl Store {
    fn tell_if_heard(&self, key: &str) {
        if self.following() > 0 {
            self.tell_changed(key);
        }
    }
}
