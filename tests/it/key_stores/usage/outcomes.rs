//! What became of the requests that present a key: accepted, limited, refused.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::task::JoinHandle;
use tower_resource_server::Principal;
use tower_resource_server::testing::PrincipalBuilder;

use super::*;
use crate::metrics::{samples, scraped};
use crate::support::{bearer, idp};

/// A limit of the user's own, behind the layer that lets callers in. It turns away whoever says `x-too-many`.
fn limited_app(layer: ApiKeyLayer, usage: &UsageRecorder) -> Router {
    let usage_of_limit = usage.clone();
    let limit = from_fn(move |request: Request, next: Next| {
        let usage = usage_of_limit.clone();
        async move { limit(&usage, request, next).await }
    });
    whoami().layer(limit).layer(layer.usage(usage.clone()))
}

async fn limit(usage: &UsageRecorder, request: Request, next: Next) -> Response {
    if request.headers().contains_key("x-too-many") {
        usage.limited(request.extensions().get::<Principal>().unwrap());
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    next.run(request).await
}

async fn too_many(app: &Router, key: &str) -> u16 {
    let request = request(&[("x-api-key", key), ("x-too-many", "yes")]);
    call(app, request).await.status.as_u16()
}

/// Accepted, limited, refused, as the store has it.
async fn counts<S: KeyRegistry>(keys: &S, key: &str) -> (u64, u64, u64) {
    let record = keys.get(key).await.unwrap().unwrap();
    (record.uses(), record.limited(), record.refused())
}

fn caller(key: &str) -> Principal {
    PrincipalBuilder::api_key(key, "robot").build()
}

/// Keys in every state, presented to a layer over this store, which is empty.
pub(crate) async fn each_request_counts_by_its_outcome<S: KeyRegistry>(keys: Arc<S>) {
    let (start, clock) = (START + 100 * INTERVAL, TestClock::starting_at(START));
    clock.advance(100 * INTERVAL);
    let records = [
        record("good"),
        record("revoked").to_builder().revoked_at(start).build(),
        record("expired").to_builder().expires_at(start).build(),
        record("early")
            .to_builder()
            .not_before(start + 5 * INTERVAL)
            .build(),
    ];
    for record in records {
        let added = keys.commit(&KeyChange::add(record)).await.unwrap();
        assert_eq!(added, Committed::Done);
    }
    let usage = UsageRecorder::new(Arc::clone(&keys));
    let layer = ApiKeyLayer::new(Arc::clone(&keys)).clock(clock.clone());
    let app = limited_app(layer, &usage);
    for (key, status) in [
        ("good", 200),
        ("revoked", 401),
        ("expired", 401),
        ("early", 401),
        ("early", 401),
        ("unknown", 401),
        ("good", 200),
    ] {
        assert_eq!(use_key(&app, key).await, status, "{key}");
    }
    assert_eq!(too_many(&app, "good").await, 429);
    assert_eq!(
        too_many(&app, "revoked").await,
        401,
        "who is not let in meets no limit"
    );
    clock.advance(5 * INTERVAL);
    assert_eq!(use_key(&app, "early").await, 200, "its time has come");
    usage.flush().await.unwrap();
    for (key, expected) in [
        ("good", (3, 1, 0)),
        ("revoked", (0, 0, 2)),
        ("expired", (0, 0, 1)),
        ("early", (1, 0, 2)),
    ] {
        assert_eq!(counts(&*keys, key).await, expected, "{key}");
    }
    let last_used = async |key| keys.get(key).await.unwrap().unwrap().last_used_at();
    assert_eq!(last_used("good").await, Some(start));
    assert_eq!(last_used("revoked").await, None, "to be refused is no use");
    assert_eq!(keys.list(&KeyQuery::default()).await.unwrap().len(), 4);

    clock.advance(INTERVAL);
    keys.revoke("good").await.unwrap();
    assert_eq!(use_key(&app, "good").await, 401);
    usage.flush().await.unwrap();
    assert_eq!(counts(&*keys, "good").await, (3, 1, 1));
    assert_eq!(
        last_used("good").await,
        Some(start),
        "nor does it move the last use"
    );
}

#[tokio::test]
async fn in_memory_each_request_counts_by_its_outcome() {
    each_request_counts_by_its_outcome(Arc::new(MemoryKeyStore::new())).await;
}

#[tokio::test]
async fn a_key_that_nobody_knows_counts_nowhere() {
    let desk = Desk::with(["good"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    let too_long = "k".repeat(513);
    for key in ["unknown", &too_long] {
        assert_eq!(use_key(&app, key).await, 401);
    }
    usage.flush().await.unwrap();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 0, "there is nothing to write");
    // Nor is anything written to a record that happens to have no id.
    desk.keys.insert(record(""));
    use_key(&app, "unknown").await;
    use_key(&app, "good").await;
    usage.flush().await.unwrap();
    assert_eq!(desk.writes(), [1]);
    assert_eq!(counts(&desk.keys, "").await, (0, 0, 0));
}

#[tokio::test]
async fn a_limit_of_callers_without_an_api_key_counts_nowhere() {
    let desk = Desk::with(["good"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let idp = idp();
    let either = tower_resource_server::JwtLayer::new(idp.issuer())
        .or(ApiKeyLayer::new(Arc::clone(&desk)).usage(usage.clone()));
    let (of_limit, seen) = (usage.clone(), Arc::new(AtomicUsize::new(0)));
    let seen_there = Arc::clone(&seen);
    let limit = from_fn(move |request: Request, _: Next| {
        of_limit.limited(request.extensions().get::<Principal>().unwrap());
        seen_there.fetch_add(1, Ordering::SeqCst);
        async { StatusCode::TOO_MANY_REQUESTS }
    });
    let app = whoami().layer(limit).layer(either);
    // The token's id is that of a key.
    let token = idp.token().subject("alice").token_id("good").sign();
    assert_eq!(call(&app, bearer(&token)).await.status.as_u16(), 429);
    usage.flush().await.unwrap();
    assert_eq!(
        (seen.load(Ordering::SeqCst), desk.asked.load(Ordering::SeqCst)),
        (1, 0)
    );
    assert_eq!(use_key(&app, "good").await, 429);
    usage.flush().await.unwrap();
    assert_eq!(counts(&desk.keys, "good").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_every_outcome_is_kept() {
    let desk = Desk::with(["good"]);
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = limited_app(ApiKeyLayer::new(Arc::clone(&desk)), &usage);
    for mood in [Mood::Down, Mood::Panics, Mood::Down] {
        desk.is(mood);
        use_key(&app, "good").await;
        use_key(&app, "bad").await;
        assert_eq!(too_many(&app, "good").await, 429);
        tokio::time::sleep(INTERVAL).await;
    }
    assert_eq!(counts(&desk.keys, "good").await, (0, 0, 0));
    desk.is(Mood::Good);
    tokio::time::sleep(2 * INTERVAL).await;
    assert_eq!(desk.writes(), [2], "all of it in one statement");
    assert_eq!(counts(&desk.keys, "good").await, (6, 3, 0));
    assert_eq!(counts(&desk.keys, "bad").await, (0, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_is_enough_to_have_counts_written() {
    let desk = Desk::with([]);
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    use_key(&app, "bad").await;
    tokio::time::sleep(2 * INTERVAL).await;
    assert_eq!(counts(&desk.keys, "bad").await, (0, 0, 1));
}

#[tokio::test]
async fn of_more_keys_than_are_kept_counts_of_any_outcome_are_dropped_and_said_so() {
    let desk = Desk::with(["one", "two"]);
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let usage = UsageRecorder::new(Arc::clone(&desk)).most_keys(1);
    let app = app(&desk, &usage);
    use_key(&app, "bad").await;
    use_key(&app, "one").await;
    usage.limited(&caller("two"));
    use_key(&app, "bad").await;
    assert_eq!(usage.lost(), 2);
    usage.flush().await.unwrap();
    // What is written down makes room, whatever it was.
    usage.limited(&caller("two"));
    usage.flush().await.unwrap();
    use_key(&app, "one").await;
    usage.flush().await.unwrap();
    assert_eq!(usage.lost(), 2);
    assert_eq!(counts(&desk.keys, "bad").await, (0, 0, 2));
    assert_eq!(counts(&desk.keys, "two").await, (0, 1, 0));
    assert_eq!(counts(&desk.keys, "one").await, (1, 0, 0));
}

/// What 16 who count at once count, each: uses of two keys, refusals of a third, and limits of the first.
const TURNS: u64 = 600;
const LIMITS_A_TURN: u64 = 20;

async fn present_keys(app: Router, usage: UsageRecorder) {
    let limited = caller("one");
    for turn in 0..TURNS {
        let key = match turn % 3 {
            0 => "one",
            1 => "two",
            _ => "bad",
        };
        let expected = if key == "bad" { 401 } else { 200 };
        assert_eq!(use_key(&app, key).await, expected);
        for _ in 0..LIMITS_A_TURN {
            usage.limited(&limited);
        }
        if turn % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_counted_twice_while_16_count_and_others_write() {
    let desk = Desk::with(["one", "two"]);
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let usage = UsageRecorder::new(Arc::clone(&desk)).interval(Duration::from_millis(1));
    let app = app(&desk, &usage);
    let users: Vec<_> = (0..16)
        .map(|_| tokio::spawn(present_keys(app.clone(), usage.clone())))
        .collect();
    let mut turn = 0;
    while !users.iter().all(JoinHandle::is_finished) {
        desk.is(if turn % 5 == 0 { Mood::Down } else { Mood::Good });
        let _ = usage.flush().await;
        turn += 1;
    }
    for user in users {
        user.await.unwrap();
    }
    desk.is(Mood::Good);
    usage.flush().await.unwrap();
    let each = 16 * TURNS / 3;
    assert_eq!(
        counts(&desk.keys, "one").await,
        (each, 16 * TURNS * LIMITS_A_TURN, 0)
    );
    assert_eq!(counts(&desk.keys, "two").await, (each, 0, 0));
    assert_eq!(counts(&desk.keys, "bad").await, (0, 0, each));
    assert!(
        desk.writes().len() > 10,
        "counters were taken while they were counting"
    );
}

#[tokio::test]
async fn counting_a_limit_or_a_refusal_allocates_nothing() {
    let keys = MemoryKeyStore::from_iter([record("one").to_builder().revoked().build()]);
    let (keys, limited) = (Arc::new(keys), caller("one"));
    let usage = UsageRecorder::new(Arc::clone(&keys));
    usage.limited(&limited); // the first makes a counter and starts the task
    let info = allocation_counter::measure(|| usage.limited(&limited));
    assert_eq!(info.count_total, 0);
    let refused = |app: Router| {
        let request = request(&[("x-api-key", "one")]);
        let mut response = None;
        let info = allocation_counter::measure(|| {
            response = tower::ServiceExt::oneshot(app, request).now_or_never();
        });
        assert_eq!(response.unwrap().unwrap().status(), 401);
        info.count_total
    };
    let layer = ApiKeyLayer::new(Arc::clone(&keys));
    refused(whoami().layer(layer.clone())); // what a thread allocates once
    let without = refused(whoami().layer(layer.clone()));
    let with = refused(whoami().layer(layer.usage(usage.clone())));
    assert_eq!(with, without);
    usage.flush().await.unwrap();
    assert_eq!(counts(&*keys, "one").await, (0, 2, 1));
}

/// Of the metric by key: the key, the outcome, the count.
fn by_key(scraped: &str) -> BTreeMap<(String, String), f64> {
    let samples = samples(scraped).into_iter();
    let samples = samples.filter(|(name, ..)| *name == "resource_server_api_key_requests_total");
    let rows = samples.map(|(_, labels, value)| {
        assert_eq!(labels.len(), 2, "{labels:?}");
        ((labels["key_id"].to_owned(), labels["outcome"].to_owned()), value)
    });
    rows.collect()
}

async fn presented_and_written(desk: Arc<Desk>, usage: UsageRecorder) {
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let app = app(&desk, &usage);
    for key in ["good", "bad", "unknown", "good"] {
        use_key(&app, key).await;
    }
    usage.limited(&caller("good"));
    desk.is(Mood::Down);
    usage.flush().await.unwrap_err();
    desk.is(Mood::Good);
    use_key(&app, "good").await;
    usage.flush().await.unwrap();
    usage.flush().await.unwrap();
}

#[test]
fn no_metric_names_a_key_unless_that_was_asked_for() {
    let desk = Desk::with(["good"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let text = scraped(presented_and_written(Arc::clone(&desk), usage));
    assert_eq!(by_key(&text), BTreeMap::new());
    assert!(!text.contains("key_id") && !text.contains("\"good\""), "{text}");
    assert_eq!(desk.writes(), [2], "counts were written all the same");
}

#[test]
fn metrics_by_key_tell_once_what_was_written() {
    let desk = Desk::with(["good"]);
    let usage = UsageRecorder::new(Arc::clone(&desk)).metrics_by_key();
    let text = scraped(presented_and_written(desk, usage));
    let row = |key: &str, outcome: &str, count| ((key.to_owned(), outcome.to_owned()), count);
    let expected = [
        row("good", "accepted", 3.0),
        row("good", "limited", 1.0),
        row("bad", "refused", 1.0),
    ];
    assert_eq!(by_key(&text), BTreeMap::from(expected));
}

#[test]
fn metrics_by_key_tell_nothing_before_it_is_written() {
    let text = scraped(async {
        let desk = Desk::with(["good"]);
        let usage = UsageRecorder::new(Arc::clone(&desk)).metrics_by_key();
        use_key(&app(&desk, &usage), "good").await;
        desk.is(Mood::Down);
        usage.flush().await.unwrap_err();
        assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
    });
    assert_eq!(by_key(&text), BTreeMap::new());
}
