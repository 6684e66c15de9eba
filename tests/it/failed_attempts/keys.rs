use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, CachedKeyStore, MemoryRevocations, Revocation};

use super::{Asked, CALLER, Limit, MINUTE, NEIGHBOUR, assert_limited, from, reason, with_key};
use crate::support::{KEY, call, record, request, store, whoami};

const SECOND: Duration = Duration::from_secs(1);

fn app(limit: &Limit, asked: &Asked) -> Router {
    whoami()
        .layer(ApiKeyLayer::new(asked.clone()))
        .layer(limit.layer())
}

/// Fails with so many keys that nobody knows.
async fn guess(app: &Router, times: usize) {
    for number in 0..times {
        let guess = with_key(&format!("guess {number}").replace(' ', "-"));
        assert_eq!(reason(app, guess).await, "api_key_unknown", "{number}");
    }
}

#[tokio::test]
async fn over_the_limit_no_store_is_asked_about_an_unknown_key() {
    let (limit, asked) = (Limit::of(3), Asked::new());
    let app = app(&limit, &asked);
    guess(&app, 3).await;
    assert_eq!(asked.times(), 3);
    for _ in 0..5 {
        assert_limited(&call(&app, with_key("guess")).await, "20");
    }
    assert_eq!(asked.times(), 3);
}

#[tokio::test]
async fn after_the_time_that_was_told_the_next_one_is_asked_about() {
    let (limit, asked) = (Limit::of(3), Asked::new());
    let app = app(&limit, &asked);
    guess(&app, 3).await;
    limit.clock.advance(SECOND * 19);
    assert_limited(&call(&app, with_key("guess")).await, "1");
    limit.clock.advance(SECOND);
    assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    assert_limited(&call(&app, with_key("guess")).await, "20");
    assert_eq!(asked.times(), 4);
    limit.clock.advance(MINUTE);
    guess(&app, 3).await;
}

#[tokio::test]
async fn a_key_that_is_in_memory_is_let_in_whatever_its_neighbours_do() {
    for layer in [
        ApiKeyLayer::new(store()),
        ApiKeyLayer::new(CachedKeyStore::new(Asked::new())),
    ] {
        let limit = Limit::of(1);
        let app = whoami().layer(layer).layer(limit.layer());
        assert_eq!(reason(&app, with_key(KEY)).await, "ok");
        for _ in 0..3 {
            call(&app, with_key("guess")).await;
        }
        for _ in 0..3 {
            assert_eq!(reason(&app, with_key(KEY)).await, "ok");
        }
    }
}

#[tokio::test]
async fn a_key_that_a_cache_must_ask_about_again_is_no_guess() {
    let (limit, asked) = (Limit::of(1), Asked::new());
    let cached = CachedKeyStore::new(asked.clone()).clock(limit.clock.clone());
    let app = whoami().layer(ApiKeyLayer::new(cached)).layer(limit.layer());
    assert_eq!(reason(&app, with_key(KEY)).await, "ok");
    // So old that it is not used any more without asking, and the quota is used up anew.
    limit.clock.advance(SECOND * 59);
    assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    let before = asked.times();
    assert_eq!(
        reason(&app, with_key("another")).await,
        "too_many_failed_attempts"
    );
    assert_eq!(asked.times(), before);
    assert_eq!(reason(&app, with_key(KEY)).await, "ok");
    assert_eq!(asked.times(), before + 1);
}

#[tokio::test]
async fn what_is_known_to_be_bad_is_told_so_as_ever_and_counts() {
    let (limit, asked) = (Limit::of(3), Asked::new());
    let keys = ApiKeyLayer::new(CachedKeyStore::new(asked.clone()));
    let form = ApiKeyFormat::new("sk", "live").unwrap();
    let app = whoami().layer(keys).layer(limit.layer());
    let minted = whoami()
        .layer(ApiKeyLayer::new(asked.clone()).minted_only(form))
        .layer(limit.layer());
    // The store is asked about the first, and it remembers that; nobody is ever asked about the third.
    assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    assert_eq!(reason(&minted, with_key("sk_live_x")).await, "api_key_malformed");
    assert_eq!(asked.times(), 1);
    assert_limited(&call(&app, with_key("another")).await, "20");
    assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    assert_eq!(reason(&minted, with_key("sk_live_x")).await, "api_key_malformed");
    // What is answered over the limit takes nothing.
    limit.clock.advance(SECOND * 20);
    assert_eq!(reason(&app, with_key("another")).await, "api_key_unknown");
}

#[tokio::test]
async fn keys_that_were_withdrawn_count() {
    let limit = Limit::of(2);
    let (asked, revocations) = (Asked::new(), MemoryRevocations::new());
    asked.known.insert(record("old").revoked().build());
    let end = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    revocations.revoke(&Revocation::api_key("key_1", end));
    let keys = ApiKeyLayer::new(asked.clone()).revocations(revocations);
    let app = whoami().layer(keys).layer(limit.layer());
    // By an order that this node has heard, and by its record.
    for (key, expected) in [
        (KEY, "api_key_revoked"),
        ("old", "api_key_revoked"),
        (KEY, "too_many_failed_attempts"),
    ] {
        assert_eq!(reason(&app, with_key(key)).await, expected);
    }
}

#[tokio::test]
async fn good_keys_and_those_that_could_not_be_judged_count_for_nothing() {
    let (limit, asked) = (Limit::of(2), Asked::new());
    let app = app(&limit, &asked);
    for _ in 0..5 {
        assert_eq!(reason(&app, with_key(KEY)).await, "ok");
        assert_eq!(reason(&app, with_key("down")).await, "store_unavailable");
    }
    guess(&app, 2).await;
    assert_limited(&call(&app, with_key(KEY)).await, "30");
    assert_eq!(asked.times(), 12);
}

#[tokio::test]
async fn nothing_presented_and_what_cannot_be_read_is_no_attempt() {
    let (limit, asked) = (Limit::of(1), Asked::new());
    let app = app(&limit, &asked);
    let twice = [("x-api-key", "a"), ("authorization", "Bearer b")];
    for _ in 0..3 {
        let nothing = from(CALLER, request(&[]));
        assert_eq!(reason(&app, nothing).await, "credential_missing");
        assert_eq!(reason(&app, with_key("")).await, "credential_empty");
        assert_eq!(reason(&app, with_key("a b")).await, "header_unreadable");
        let twice = from(CALLER, request(&twice));
        assert_eq!(reason(&app, twice).await, "credential_repeated");
    }
    assert_eq!(limit.attempts.status().addresses, 0);
    guess(&app, 1).await;
    assert_eq!(limit.attempts.status().addresses, 1);
}

#[tokio::test]
async fn a_request_that_is_cancelled_has_failed() {
    let (limit, asked) = (Limit::of(1), Asked::held());
    let app = app(&limit, &asked);
    assert!(call(&app, with_key("guess")).now_or_never().is_none());
    assert_eq!(asked.times(), 1);
    asked.gate.open();
    assert_limited(&call(&app, with_key(KEY)).await, "60");
    limit.clock.advance(MINUTE);
    assert_eq!(reason(&app, with_key(KEY)).await, "ok");
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_asked_about_than_may_fail() {
    let (limit, asked) = (Limit::of(5), Asked::held());
    let app = app(&limit, &asked);
    let guesses: Vec<String> = (0..64).map(|number: u32| format!("guess-{number}")).collect();
    let mut all = pin!(join_all(guesses.iter().map(|key| reason(&app, with_key(key)))));
    assert!(all.as_mut().now_or_never().is_none());
    assert_eq!(asked.times(), 5);
    asked.gate.open();
    let told = all.await;
    let count = |reason| told.iter().filter(|told| **told == reason).count();
    assert_eq!(count("api_key_unknown"), 5);
    assert_eq!(count("too_many_failed_attempts"), 59);
    assert_eq!(asked.times(), 5);
}

/// What was taken for them is there again when they are done.
#[tokio::test]
async fn of_many_good_keys_that_are_new_as_many_are_asked_about_at_once() {
    let (limit, asked) = (Limit::of(5), Asked::held());
    let app = app(&limit, &asked);
    let many = || (0..8).map(|_| reason(&app, with_key(KEY)));
    let mut all = pin!(join_all(many()));
    assert!(all.as_mut().now_or_never().is_none());
    asked.gate.open();
    let told = all.await;
    assert_eq!(told.iter().filter(|told| **told == "ok").count(), 5);
    for again in many() {
        assert_eq!(again.await, "ok");
    }
}

#[tokio::test]
async fn a_caller_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
    let cases = [
        (CALLER, CALLER, true),
        (CALLER, "192.0.2.1:4711", true),
        (CALLER, "::ffff:192.0.2.1", true),
        (CALLER, NEIGHBOUR, false),
        (CALLER, "unknown", false),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("2001:db8::1", "2001:db9::1", false),
        ("::1", CALLER, false),
        ("::c000:201", CALLER, false),
        // Of whom no address is known is one caller.
        ("unknown", "_hidden", true),
        ("unknown", "::", false),
    ];
    for (first, second, same) in cases {
        let limit = Limit::of(1);
        let app = app(&limit, &Asked::new());
        let of = |address| from(address, request(&[("x-api-key", "guess")]));
        assert_eq!(reason(&app, of(first)).await, "api_key_unknown");
        assert_eq!(reason(&app, of(first)).await, "too_many_failed_attempts");
        let expected = if same {
            "too_many_failed_attempts"
        } else {
            "api_key_unknown"
        };
        assert_eq!(reason(&app, of(second)).await, expected, "{first} {second}");
    }
}

#[tokio::test]
async fn routes_that_share_a_count_count_together() {
    let (limit, other, asked) = (Limit::of(2), Limit::of(2), Asked::new());
    let (first, second) = (app(&limit, &asked), app(&limit, &asked));
    let apart = app(&other, &asked);
    guess(&first, 1).await;
    guess(&second, 1).await;
    assert_limited(&call(&first, with_key("guess")).await, "30");
    assert_limited(&call(&second, with_key("guess")).await, "30");
    guess(&apart, 1).await;
}
