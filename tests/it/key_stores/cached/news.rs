//! Changes made elsewhere, of which the store tells.

use tower_resource_server::{KeyNews, NewsState};

use super::{FRESH, INSTANT, Next, SECOND, STALE, Store, World, just_under, record, settle};
use crate::support::KEY;

#[tokio::test(start_paused = true)]
async fn while_changes_are_heard_an_aged_entry_answers_at_once_and_is_renewed() {
    let world = World::new(Store::telling());
    world.warm().await;
    let before = world.store.loads();
    world.clock.advance(just_under(FRESH + STALE));
    let gate = world.store.hold();
    for _ in 0..10 {
        assert_eq!(world.now(KEY), Some("found"));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.store.loads(), before + 1);
    gate.open();
    settle().await;
    world.clock.advance(SECOND * 7);
    assert_eq!((world.now(KEY), world.store.loads()), (Some("found"), before + 1));
}

#[tokio::test(start_paused = true)]
async fn an_entry_beyond_the_stale_time_is_asked_for_also_when_changes_are_heard() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.clock.advance(FRESH + STALE);
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_heard_is_seen_by_the_next_request() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.revoke(KEY);
    assert_eq!(world.now(KEY), Some("found"));
    world.store.tell_changed(KEY);
    assert_eq!(world.find(KEY).await, "revoked");

    assert_eq!(world.find("new").await, "unknown");
    world.store.put(record("new"));
    assert_eq!(world.now("new"), Some("unknown"));
    world.store.tell_changed("new");
    assert_eq!(world.find("new").await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_key_says_nothing_about_another() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.tell_changed("another");
    assert_eq!(world.now(KEY), Some("found"));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_change_was_heard_brings_nothing_back() {
    let world = World::new(Store::telling());
    world.find("warming").await;
    settle().await;
    let before = world.store.loads();
    let gate = world.store.hold();
    let early = world.spawn(KEY);
    world.store.was_asked(before + 1).await;
    world.store.revoke(KEY);
    world.store.tell_changed(KEY);
    world.store.let_go();
    gate.open();
    early.await.unwrap();
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "revoked");
}

/// A change may have come between the load's reading and the first news.
#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_the_news_were_heard_is_asked_again() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.cut().await;
    world.clock.advance(FRESH);
    let before = world.store.loads();
    let gate = world.store.hold();
    let early = world.spawn(KEY);
    world.store.was_asked(before + 1).await;
    world.store.revoke(KEY);
    world.store.let_go();
    world.store.was_followed(2).await;
    settle().await;
    // Who comes now does not get that load's answer either.
    assert_eq!(world.find(KEY).await, "revoked");
    gate.open();
    early.await.unwrap();
    assert_eq!(world.now(KEY), Some("revoked"));
}

#[tokio::test(start_paused = true)]
async fn while_the_connection_is_lost_the_fresh_time_bounds_the_delay() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.news_then(Next::Fail);
    world.store.cut().await;
    world.store.revoke(KEY);
    world.clock.advance(just_under(FRESH));
    // Renewed ahead, unless that comes first.
    world.store.then(Next::Fail);
    assert_eq!(world.now(KEY), Some("found"));
    settle().await;
    world.store.then(Next::Answer);
    world.clock.advance(SECOND);
    assert_eq!(world.now(KEY), Some("found"), "the store is taken to be down");
    settle().await;
    assert_eq!(world.find(KEY).await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn when_the_connection_is_lost_an_aged_entry_waits_for_the_store() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.clock.advance(FRESH);
    world.store.news_then(Next::Fail);
    world.store.cut().await;
    world.store.revoke(KEY);
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_news_came_back_is_asked_for_again() {
    let world = World::new(Store::telling());
    world.warm().await;
    assert_eq!(world.find("new").await, "unknown");
    world.store.cut().await;
    world.store.revoke(KEY);
    world.store.put(record("new"));
    assert_eq!(
        (world.now(KEY), world.now("new")),
        (Some("found"), Some("unknown"))
    );
    world.store.was_followed(2).await;
    settle().await;
    // No time has passed, and yet.
    assert_eq!((world.now(KEY), world.now("new")), (None, None));
    assert_eq!(
        (world.find(KEY).await, world.find("new").await),
        ("revoked", "found")
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_news_came_back_is_used_if_the_store_fails() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.cut().await;
    world.store.was_followed(2).await;
    settle().await;
    world.store.then(Next::Fail);
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "found");
    world.clock.advance(FRESH + STALE);
    assert_eq!(world.find(KEY).await, "failed");
}

/// A database that was restarted: the news are back, and nobody has looked up a key since it failed.
#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_news_came_back_is_asked_for_again_though_the_store_had_failed() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.then(Next::Fail);
    assert_eq!(world.find("new").await, "failed");
    world.store.cut().await;
    world.store.revoke(KEY);
    world.store.then(Next::Answer);
    world.store.was_followed(2).await;
    settle().await;
    world.clock.advance(SECOND);
    assert_eq!(world.now(KEY), None);
    assert_eq!(world.find(KEY).await, "revoked");
}

/// A store that reconnects by itself says again that it listens.
#[tokio::test(start_paused = true)]
async fn a_gap_that_the_store_itself_closes_counts_as_one() {
    let world = World::new(Store::telling());
    world.warm().await;
    world.store.revoke(KEY);
    world.store.tell(KeyNews::Listening);
    assert_eq!(world.find(KEY).await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_over_cannot_say_that_it_listens() {
    let world = World::new(Store::telling());
    world.warm().await;
    let old = world.store.0.listener.lock().unwrap().clone().unwrap();
    world.store.news_then(Next::Fail);
    world.store.cut().await;
    old.tell(KeyNews::Listening);
    assert!(matches!(world.cache.status().news, NewsState::Unheard { .. }));
    world.clock.advance(FRESH);
    assert_eq!(world.now(KEY), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_news_is_asked_for_them_once() {
    let world = World::new(Store::new());
    world.warm().await;
    assert_eq!(world.cache.status().news, NewsState::None);
    for _ in 0..100 {
        tokio::time::advance(SECOND * 10).await;
        world.find(KEY).await;
    }
    assert_eq!(world.store.followed(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_news_are_asked_for_again_at_growing_distances() {
    for next in [Next::Fail, Next::Panic] {
        let store = Store::telling();
        store.news_then(next);
        let world = World::new(store);
        assert_eq!(world.find(KEY).await, "found");
        let start = tokio::time::Instant::now();
        let mut last = start;
        for attempt in 2..12 {
            world.store.was_followed(attempt).await;
            let pause = last.elapsed();
            last = tokio::time::Instant::now();
            let most = (SECOND * 2_u32.pow(u32::try_from(attempt).unwrap() - 2)).min(SECOND * 60);
            assert!(
                pause >= most / 2 && pause <= most + INSTANT * 2,
                "{pause:?} of {most:?}"
            );
        }
        // The pauses are short again after the next success.
        world.store.news_then(Next::Answer);
        world.store.was_followed(12).await;
        settle().await;
        assert!(matches!(world.cache.status().news, NewsState::Heard { .. }));
        world.store.cut().await;
        let cut = tokio::time::Instant::now();
        world.store.was_followed(13).await;
        assert!(cut.elapsed() <= SECOND + INSTANT * 2);
    }
}
