//! A store that fails, hangs or panics, and a flood of junk.

use std::time::Duration;

use http::StatusCode;
use tower_resource_server::{ApiKeyLayer, KeyDigest, KeyStore, StoreState};

use super::{FRESH, INSTANT, Next, SECOND, STALE, Store, World, just_under, record, settle};
use crate::support::{KEY, call, request, whoami};
use crate::telemetry::logged;

#[tokio::test(start_paused = true)]
async fn known_keys_work_on_within_the_stale_time() {
    for store in [Store::new(), Store::telling()] {
        let world = World::new(store);
        world.warm().await;
        world.store.then(Next::Fail);
        world.clock.advance(FRESH);
        for _ in 0..60 {
            assert_eq!(world.find(KEY).await, "found");
            settle().await;
            world.clock.advance(STALE / 60);
        }
        assert_eq!(world.find(KEY).await, "failed");
        world.store.then(Next::Answer);
        world.clock.advance(SECOND);
        assert_eq!(world.find(KEY).await, "found");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_request_the_deadline_and_the_next_ones_nothing() {
    let world = World::new(Store::new());
    world.warm().await;
    world.clock.advance(FRESH);
    let _never = world.store.hold();
    let start = tokio::time::Instant::now();
    assert_eq!(world.find(KEY).await, "found");
    let waited = start.elapsed();
    assert!(waited >= SECOND && waited < SECOND + SECOND / 10, "{waited:?}");
    settle().await;

    let start = tokio::time::Instant::now();
    assert_eq!(world.now(KEY), Some("found"));
    assert_eq!(world.find("new").await, "late");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_fails_at_the_deadline() {
    let world = World::of(Store::new(), |cache| cache.deadline(SECOND / 4));
    let _never = world.store.hold();
    let start = tokio::time::Instant::now();
    assert_eq!(world.find(KEY).await, "late");
    assert!(start.elapsed() < SECOND / 3, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_is_remembered() {
    let world = World::new(Store::new());
    let gate = world.store.hold();
    assert_eq!(world.find(KEY).await, "late");
    gate.open();
    settle().await;
    assert_eq!(world.now(KEY), Some("found"));
    assert!(matches!(world.cache.status().store, StoreState::Answering { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_never_ends_is_given_up() {
    let world = World::new(Store::new());
    let _never = world.store.hold();
    assert_eq!(world.find(KEY).await, "late");
    settle().await;
    assert_eq!(world.store.running(), 1);
    tokio::time::advance(SECOND * 4 + INSTANT * 10).await;
    settle().await;
    assert_eq!(world.store.running(), 0);
    world.store.let_go();
    world.clock.advance(SECOND);
    assert_eq!(world.find(KEY).await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_asked_once_a_second() {
    let world = World::new(Store::new());
    world.warm().await;
    world.store.then(Next::Fail);
    world.clock.advance(FRESH);
    assert_eq!(world.find("first").await, "failed");
    let before = world.store.loads();
    for second in 1..=10 {
        for number in 0..50 {
            assert_eq!(world.now(KEY), Some("found"));
            assert_eq!(world.find(&format!("junk-{second}-{number}")).await, "failed");
            settle().await;
        }
        assert_eq!(world.store.loads(), before + second - 1);
        world.clock.advance(SECOND);
    }
}

/// One request's look-up fails while others are answered: a row that cannot be read, say.
#[tokio::test(start_paused = true)]
async fn a_failure_while_others_are_answered_is_not_held_against_the_store() {
    let world = World::new(Store::new());
    world.store.then(Next::Fail);
    let gate = world.store.hold();
    let failing = world.spawn("odd");
    world.store.was_asked(1).await;
    world.store.then(Next::Answer);
    world.store.let_go();
    assert_eq!(world.find(KEY).await, "found");
    gate.open();
    assert_eq!(failing.await.unwrap(), "failed");
    assert_eq!(world.find("new").await, "unknown");
}

/// However often it is asked for, and though nobody else asks meanwhile.
#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_says_nothing_about_the_store() {
    let world = World::new(Store::new());
    world.warm().await;
    for _ in 0..10 {
        world.store.then(Next::Spoilt);
        assert_eq!(world.find("odd").await, "unreadable");
        assert!(matches!(world.cache.status().store, StoreState::Answering { .. }));
        world.store.then(Next::Answer);
        assert_eq!(world.find("new").await, "unknown");
        world.store.revoke(KEY);
        world.clock.advance(FRESH);
        assert_eq!(world.find(KEY).await, "revoked", "it is not taken from memory");
    }
}

/// Nobody knows whether it was revoked; and the store does not fail.
#[tokio::test(start_paused = true)]
async fn a_known_key_whose_row_cannot_be_read_any_more_is_let_in_no_longer_than_a_revoked_one() {
    for store in [Store::new(), Store::telling()] {
        let world = World::new(store);
        world.warm().await;
        world.store.then(Next::Spoilt);
        world.clock.advance(FRESH * 4 / 5);
        assert_eq!(world.now(KEY), Some("found"));
        settle().await;
        assert_eq!(world.now(KEY), None, "what was asked in the background counts");
        assert_eq!(world.find(KEY).await, "unreadable");
        world.store.then(Next::Answer);
        assert_eq!(world.find(KEY).await, "found", "as soon as it was put right");
        if world.store.following() == 0 {
            world.store.then(Next::Spoilt);
            world.clock.advance(FRESH);
            assert_eq!(world.find(KEY).await, "unreadable");
        }
    }
}

/// It may have lasted a moment, and the key may have been revoked since.
#[tokio::test(start_paused = true)]
async fn a_failure_of_long_ago_lets_nobody_in() {
    let world = World::new(Store::new());
    world.warm().await;
    world.clock.advance(FRESH);
    world.store.then(Next::Fail);
    assert_eq!(world.find("new").await, "failed");
    world.store.then(Next::Answer);
    world.store.revoke(KEY);
    world.clock.advance(just_under(FRESH));
    let gate = world.store.hold();
    assert_eq!(world.now(KEY), Some("found"), "the store is taken to be down");
    world.clock.advance(INSTANT);
    assert_eq!(world.now(KEY), None);
    gate.open();
    assert_eq!(world.find(KEY).await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_ends_with_the_next_answer() {
    let world = World::new(Store::new());
    world.store.then(Next::Panic);
    let waiting: Vec<_> = (0..10).map(|_| world.spawn(KEY)).collect();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), "panicked");
    }
    assert_eq!(world.store.loads(), 1);
    world.store.then(Next::Answer);
    world.clock.advance(SECOND);
    assert_eq!(world.find(KEY).await, "found");
    world.store.then(Next::Panic);
    world.clock.advance(FRESH);
    assert_eq!(world.find(KEY).await, "found");
}

#[test]
fn the_state_is_shown_and_each_change_of_it_is_one_event() {
    let ((), log) = logged(async {
        let world = World::new(Store::telling());
        assert_eq!(world.cache.status().store, StoreState::Unasked);
        world.warm().await;
        assert!(world.cache.status().is_usable());
        world.store.then(Next::Fail);
        world.clock.advance(FRESH);
        for number in 0..5 {
            world.find(&format!("junk-{number}")).await;
            world.clock.advance(SECOND);
        }
        assert!(!world.cache.status().is_usable());
        world.store.then(Next::Answer);
        world.find("junk").await;
        assert!(world.cache.status().is_usable());
        world.store.news_then(Next::Fail);
        world.store.cut().await;
    });
    let said: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once("telemetry: "))
        .map(|(_, said)| said)
        .collect();
    assert_eq!(
        said,
        [
            "key changes heard",
            "key store failed error=the key store failed error.sources=[the database is down]",
            "key store answers again",
            "key changes not heard error=the key store failed error.sources=[the database is down]",
        ],
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_answers_503_for_unknown_keys_and_never_401_while_the_store_is_down() {
    let world = World::new(Store::new());
    let expires_at = tower_resource_server::Clock::now(&world.clock) + FRESH * 5;
    world
        .store
        .put(record("ending").to_builder().expires_at(expires_at).build());
    let layer = ApiKeyLayer::new(std::sync::Arc::clone(&world.cache)).clock(world.clock.clone());
    let app = whoami().layer(layer);
    let status = async |key: &str| {
        let answer = call(&app, request(&[("x-api-key", key)])).await;
        (answer.status, answer.reason())
    };
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    assert_eq!(status(KEY).await, (StatusCode::OK, "ok"));
    assert_eq!(status("ending").await, (StatusCode::OK, "ok"));
    assert_eq!(status("new").await, (StatusCode::UNAUTHORIZED, "api_key_unknown"));

    world.store.then(Next::Fail);
    world.clock.advance(FRESH);
    assert_eq!(status(KEY).await, (StatusCode::OK, "ok"));
    for _ in 0..3 {
        assert_eq!(status("new").await, unavailable);
        assert_eq!(status("other").await, unavailable);
    }
    // The end of a key is judged by the clock, whatever its store does.
    assert_eq!(status("ending").await, (StatusCode::OK, "ok"));
    world.clock.advance(FRESH * 4);
    assert_eq!(
        status("ending").await,
        (StatusCode::UNAUTHORIZED, "api_key_expired")
    );
    world.clock.advance(just_under(STALE.saturating_sub(FRESH * 4)));
    assert_eq!(status(KEY).await, (StatusCode::OK, "ok"));
    world.clock.advance(INSTANT);
    assert_eq!(status(KEY).await, unavailable);
}

#[tokio::test(start_paused = true)]
async fn no_more_unknown_keys_are_looked_up_at_a_time_than_there_is_room_for() {
    let world = World::of(Store::new(), |cache| cache.most_loads(4));
    world.warm().await;
    world.clock.advance(FRESH);
    let gate = world.store.hold();
    let waiting: Vec<_> = (0..4 * 16)
        .map(|number| world.spawn(&format!("junk-{number}")))
        .collect();
    world.store.was_asked(5).await;
    settle().await;
    assert_eq!(world.store.running(), 4, "the others wait");
    assert_eq!(world.find("one-more").await, "busy");
    // A key that was known is asked for all the same.
    let known = world.spawn(KEY);
    world.store.was_asked(6).await;
    gate.open();
    assert_eq!(known.await.unwrap(), "found");
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), "unknown");
    }
    assert_eq!(world.find("one-more").await, "unknown");
}

#[tokio::test(start_paused = true)]
async fn known_keys_beyond_the_room_wait_for_it() {
    let world = World::of(Store::new(), |cache| cache.most_loads(2));
    let keys: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        world.store.put(record(key));
        assert_eq!(world.find(key).await, "found");
    }
    world.clock.advance(FRESH);
    let gate = world.store.hold();
    let waiting: Vec<_> = keys.iter().map(|key| world.spawn(key)).collect();
    world.store.was_asked(22).await;
    settle().await;
    assert_eq!(world.store.running(), 2);
    for key in &keys {
        world.store.revoke(key);
    }
    gate.open();
    let answers = futures_util::future::join_all(waiting).await;
    let revoked = answers
        .iter()
        .filter(|answer| *answer.as_ref().unwrap() == "revoked")
        .count();
    assert_eq!((answers.len(), revoked), (20, 18));
}

/// Junk comes in waves of a thousand, and the store takes its time for each key. Honest keys are used between the waves.
#[tokio::test(start_paused = true)]
async fn a_flood_of_random_keys_is_bounded_and_touches_no_known_key() {
    const WAVES: usize = 100;
    let world = World::new(Store::new());
    let honest: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
    for key in &honest {
        world.store.put(record(key));
        assert_eq!(world.find(key).await, "found");
    }
    for wave in 0..WAVES {
        let gate = world.store.hold();
        let junk = (0..1_000).map(|number| {
            let digest = KeyDigest::of(format!("junk-{wave}-{number}"));
            let cache = &world.cache;
            async move { super::name(&cache.find(&digest).await) }
        });
        let junk = futures_util::future::join_all(junk);
        let honest_ones = async {
            settle().await;
            for key in &honest {
                assert_eq!(world.now(key), Some("found"), "in wave {wave}");
            }
            gate.open();
        };
        let (answers, ()) = futures_util::future::join(junk, honest_ones).await;
        let busy = answers.iter().filter(|answer| **answer == "busy").count();
        // Those that were being looked up when two hundred had been found to be nobody's.
        assert!((800 - 64..=800).contains(&busy), "{busy}");
        settle().await;
        world.clock.advance(SECOND);
    }
    let junk = world.store.loads() - honest.iter().map(|key| world.store.loads_of(key)).sum::<usize>();
    assert!((WAVES * 200..=WAVES * 264).contains(&junk), "{junk}");
    for key in &honest {
        // Renewed ahead: about every 8 s of the 100 s.
        assert!(world.store.loads_of(key) <= 14, "{}", world.store.loads_of(key));
    }
}

/// The store answers at once, so the room for look-ups at a time bounds nothing.
#[tokio::test(start_paused = true)]
async fn of_a_hundred_thousand_invented_keys_two_hundred_a_second_are_looked_up() {
    const SECONDS: usize = 10;
    let world = World::new(Store::new());
    world.warm().await;
    for second in 0..SECONDS {
        let mut answers = [0, 0];
        for number in 0..10_000 {
            match world.find(&format!("junk-{second}-{number}")).await {
                "unknown" => answers[0] += 1,
                "busy" => answers[1] += 1,
                other => panic!("{other}"),
            }
            if number % 100 == 0 {
                assert_eq!(world.now(KEY), Some("found"));
            }
        }
        assert_eq!(answers, [200, 9_800]);
        settle().await;
        world.clock.advance(SECOND);
    }
    let junk = world.store.loads() - world.store.loads_of(KEY);
    assert_eq!(junk, SECONDS * 200);
}

#[tokio::test(start_paused = true)]
async fn keys_that_exist_are_learnt_as_fast_as_they_come() {
    let world = World::of(Store::new(), |cache| cache.most_unknown(3));
    for number in 0..1_000 {
        let key = format!("key-{number}");
        world.store.put(record(&key));
        assert_eq!(world.find(&key).await, "found");
    }
    for answer in ["unknown", "unknown", "unknown", "busy"] {
        assert_eq!(
            world
                .find(&format!("junk-{answer}-{}", world.store.loads()))
                .await,
            answer
        );
    }
    // A key that was found missing before is remembered so, and one that is known is asked for.
    world.clock.advance(FRESH);
    assert_eq!(world.find(KEY).await, "found");
    for number in 0..4 {
        world.find(&format!("more-junk-{number}")).await;
    }
    world.store.put(record("late"));
    assert_eq!(
        world.find("late").await,
        "busy",
        "which says nothing about the key"
    );
    assert_eq!(
        world.find("key-1").await,
        "found",
        "a known key is renewed all the same"
    );
    world.clock.advance(SECOND);
    assert_eq!(world.find("late").await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_under_load_refuses_nobody() {
    let world = World::new(Store::new());
    for number in 0..1_000 {
        world.store.put(record(&format!("key-{number}")));
    }
    let gate = world.store.hold();
    let callers: Vec<_> = (0..1_000)
        .map(|number| world.spawn(&format!("key-{number}")))
        .collect();
    settle().await;
    assert_eq!(world.store.running(), 64);
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "found");
    }
}
