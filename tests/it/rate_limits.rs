//! How often a caller may ask: plans, whose requests count together, what answers tell, and what is refused.

mod exact;
mod fields;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use futures_util::FutureExt;
use http::{StatusCode, Version};
use tower::Service;
use tower_layer::Layer;
use tower_resource_server::testing::{PrincipalBuilder, TestClock, TestIssuer};
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, CallerAddress, Fault, JwtLayer, KeyDigest, KeyRegistry, MemoryKeyStore, Quota,
    RateLimitLayer, RateLimits, RateLimitsBuilder, RejectionKind, Scope, ScopeLayer, UsageRecorder,
};

use crate::support::{Answer, ISSUER, KEY, bearer, call, idp, request, store, whoami};

/// Three at once, then one in 20 seconds.
const FEW: Quota = Quota::per_minute(3);
const GOLD: Quota = Quota::per_minute(6);

fn few(clock: &TestClock) -> RateLimitsBuilder {
    RateLimits::builder("free", FEW).clock(clock.clone())
}

/// Keys of owners, each on a plan or on none: `(key, owner, plan)`.
fn keys(of: &[(&str, &str, &str)]) -> MemoryKeyStore {
    let record = |(key, owner, plan): &(&str, &str, &str)| {
        let record = ApiKeyRecord::builder(format!("id-of-{key}"), *owner, KeyDigest::of(key));
        match *plan {
            "" => record.build(),
            plan => record.plan(plan).build(),
        }
    };
    of.iter().map(record).collect()
}

pub(crate) fn behind_keys(store: MemoryKeyStore, limits: RateLimits) -> Router {
    whoami()
        .layer(RateLimitLayer::new(limits))
        .layer(ApiKeyLayer::new(store))
}

pub(crate) fn key(key: &str) -> Request {
    request(&[("x-api-key", key)])
}

fn token(idp: &TestIssuer, subject: &str, client: &str) -> Request {
    bearer(&idp.token().subject(subject).claim("client_id", client).sign())
}

/// How many of so many requests pass.
async fn passed(app: &Router, tries: usize, request: impl Fn() -> Request) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        passed += usize::from(call(app, request()).await.status == StatusCode::OK);
    }
    passed
}

async fn refused(app: &Router, request: Request) -> Answer {
    let answer = call(app, request).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_caller_gets_its_quota_and_no_more_until_it_comes_back() {
    let clock = TestClock::new();
    let app = behind_keys(store(), few(&clock).build().unwrap());
    assert_eq!(passed(&app, 10, || key(KEY)).await, 3);
    clock.advance(Duration::from_secs(20) - Duration::from_nanos(1));
    assert_eq!(passed(&app, 2, || key(KEY)).await, 0);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(passed(&app, 2, || key(KEY)).await, 1);
    clock.advance(Duration::from_secs(60 * 60));
    assert_eq!(
        passed(&app, 10, || key(KEY)).await,
        3,
        "a pause gives no more than the quota"
    );
}

#[tokio::test]
async fn beyond_the_limit_the_answer_is_429_with_a_time_and_without_a_challenge() {
    let clock = TestClock::new();
    let app = behind_keys(store(), few(&clock).build().unwrap());
    passed(&app, 3, || key(KEY)).await;
    clock.advance(Duration::from_millis(500));
    let answer = refused(&app, key(KEY)).await;
    assert_eq!(answer.header("retry-after"), Some("20"));
    assert!(answer.challenges().is_empty());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "too many requests for now",
            "violated-policies": ["free"],
        })
    );
    let rejection = answer.rejection.unwrap();
    assert_eq!(rejection.kind(), RejectionKind::TooManyRequests);
    assert_eq!(rejection.reason(), "rate_limited");
    assert_eq!(rejection.fault(), Fault::Client);
    assert_eq!(rejection.retry_after(), Some(Duration::from_millis(19_500)));
    assert_eq!(rejection.quota_policy(), Some("free"));
    assert_eq!(rejection.requirement(), Some("\"free\";q=3;w=60"));
}

#[tokio::test]
async fn grpc_callers_are_told_resource_exhausted() {
    let clock = TestClock::new();
    let app = behind_keys(store(), few(&clock).build().unwrap());
    let ask = || {
        let mut request = request(&[("x-api-key", KEY), ("content-type", "application/grpc")]);
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = Version::HTTP_2;
        request
    };
    for _ in 0..3 {
        call(&app, ask()).await;
    }
    let answer = call(&app, ask()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("grpc-status"), Some("8"));
    assert_eq!(answer.header("grpc-message"), Some("too many requests for now"));
    assert_eq!(answer.header("retry-after"), Some("20"));
    assert_eq!(answer.header("ratelimit"), Some("\"free\";r=0;t=20"));
}

#[tokio::test]
async fn each_owner_is_counted_by_itself_however_many_keys_it_has() {
    let clock = TestClock::new();
    let store = keys(&[("a1", "a", ""), ("a2", "a", ""), ("b1", "b", "")]);
    let app = behind_keys(store, few(&clock).build().unwrap());
    assert_eq!(passed(&app, 2, || key("a1")).await, 2);
    assert_eq!(passed(&app, 2, || key("a2")).await, 1, "the same owner");
    assert_eq!(passed(&app, 5, || key("b1")).await, 3);
}

#[tokio::test]
async fn each_key_is_counted_by_itself_where_that_is_asked_for() {
    let clock = TestClock::new();
    let store = keys(&[("a1", "a", ""), ("a2", "a", "")]);
    let app = behind_keys(store, few(&clock).per_key().build().unwrap());
    assert_eq!(passed(&app, 5, || key("a1")).await, 3);
    assert_eq!(passed(&app, 5, || key("a2")).await, 3);
}

#[tokio::test]
async fn identities_are_told_apart_by_method_issuer_and_subject() {
    let clock = TestClock::new();
    let idp = idp();
    let app = whoami()
        .layer(RateLimitLayer::new(few(&clock).build().unwrap()))
        .layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(keys(&[("k", "alice", "")]))));
    assert_eq!(passed(&app, 5, || token(&idp, "alice", "web")).await, 3);
    assert_eq!(
        passed(&app, 5, || token(&idp, "alice", "phone")).await,
        0,
        "another token is no other caller"
    );
    assert_eq!(passed(&app, 5, || token(&idp, "bob", "web")).await, 3);
    assert_eq!(
        passed(&app, 5, || key("k")).await,
        3,
        "an owner that is called like a subject"
    );
}

#[tokio::test]
async fn an_applications_users_share_where_clients_are_counted() {
    let clock = TestClock::new();
    let idp = idp();
    let app = whoami()
        .layer(RateLimitLayer::new(few(&clock).per_client().build().unwrap()))
        .layer(JwtLayer::new(idp.issuer()));
    assert_eq!(passed(&app, 2, || token(&idp, "alice", "web")).await, 2);
    assert_eq!(passed(&app, 2, || token(&idp, "bob", "web")).await, 1);
    assert_eq!(passed(&app, 5, || token(&idp, "alice", "phone")).await, 3);
    let without = || bearer(&idp.token().subject("carol").sign());
    assert_eq!(
        passed(&app, 5, without).await,
        3,
        "who names no client is counted by identity"
    );
}

#[tokio::test]
async fn callers_of_a_group_share() {
    let clock = TestClock::new();
    let idp = idp();
    let limits = few(&clock).per(|caller| (caller.subject()? != "root").then_some("tenants"));
    let app = whoami()
        .layer(RateLimitLayer::new(limits.build().unwrap()))
        .layer(JwtLayer::new(idp.issuer()));
    assert_eq!(passed(&app, 2, || token(&idp, "alice", "web")).await, 2);
    assert_eq!(passed(&app, 5, || token(&idp, "bob", "web")).await, 1);
    assert_eq!(
        passed(&app, 5, || token(&idp, "root", "web")).await,
        3,
        "no group, so by identity"
    );
}

#[tokio::test]
async fn nameless_tokens_of_two_clients_do_not_share() {
    let clock = TestClock::new();
    let idp = idp();
    let app = whoami()
        .layer(RateLimitLayer::new(few(&clock).build().unwrap()))
        .layer(JwtLayer::new(idp.issuer()));
    let of = |client: &str| bearer(&idp.token().without("sub").claim("client_id", client).sign());
    assert_eq!(passed(&app, 5, || of("a")).await, 3);
    assert_eq!(passed(&app, 5, || of("b")).await, 3);
}

#[tokio::test]
async fn the_keys_record_names_the_plan() {
    let clock = TestClock::new();
    let store = keys(&[("f", "f", ""), ("g", "g", "gold")]);
    let app = behind_keys(store, few(&clock).plan("gold", GOLD).build().unwrap());
    assert_eq!(passed(&app, 10, || key("f")).await, 3);
    assert_eq!(passed(&app, 10, || key("g")).await, 6);
    assert_eq!(
        refused(&app, key("g")).await.header("ratelimit-policy"),
        Some("\"gold\";q=6;w=60")
    );
}

#[tokio::test]
async fn a_function_of_the_principal_names_the_plan_and_comes_first() {
    const PARTNER: Scope = Scope::from_static("partner");
    let clock = TestClock::new();
    let idp = idp();
    let limits = few(&clock)
        .plan("gold", GOLD)
        .plan_of(|caller| caller.has(&PARTNER).then_some("gold"));
    let app = whoami()
        .layer(RateLimitLayer::new(limits.build().unwrap()))
        .layer(JwtLayer::new(idp.issuer()));
    let partner = || bearer(&idp.token().subject("p").scopes([PARTNER]).sign());
    assert_eq!(passed(&app, 10, partner).await, 6);
    assert_eq!(passed(&app, 10, || token(&idp, "alice", "web")).await, 3);
}

#[tokio::test]
async fn a_plan_that_is_not_there_is_the_first_plan_and_is_reported() {
    let clock = TestClock::new();
    let limits = few(&clock).plan("gold", GOLD).build().unwrap();
    let app = behind_keys(keys(&[("k", "k", "unlimited")]), limits.clone());
    assert_eq!(passed(&app, 10, || key("k")).await, 3);
    assert_eq!(limits.status().unknown_plans, 10);
}

#[tokio::test]
async fn who_changes_plans_does_not_take_debts_along() {
    let clock = TestClock::new();
    let records = Arc::new(keys(&[("k", "k", "")]));
    let limits = few(&clock).plan("gold", GOLD).build().unwrap();
    let app = whoami()
        .layer(RateLimitLayer::new(limits))
        .layer(ApiKeyLayer::new(Arc::clone(&records)));
    assert_eq!(passed(&app, 10, || key("k")).await, 3);
    records.insert(
        ApiKeyRecord::builder("id-of-k", "k", KeyDigest::of("k"))
            .plan("gold")
            .build(),
    );
    assert_eq!(passed(&app, 10, || key("k")).await, 6);
}

#[tokio::test]
async fn anonymous_callers_share_the_first_plan() {
    let clock = TestClock::new();
    let limits = few(&clock).plan("gold", GOLD).build().unwrap();
    let app = whoami()
        .layer(RateLimitLayer::new(limits))
        .layer(ApiKeyLayer::new(store()).optional());
    assert_eq!(passed(&app, 10, || request(&[])).await, 3);
    assert_eq!(refused(&app, request(&[])).await.reason(), "rate_limited");
    assert_eq!(passed(&app, 10, || key(KEY)).await, 3);
}

#[tokio::test]
async fn anonymous_callers_are_told_apart_by_address_where_that_is_asked_for() {
    let clock = TestClock::new();
    let limits = few(&clock).anonymous_by(CallerAddress::of_x_forwarded_for(1));
    let app = whoami()
        .layer(RateLimitLayer::new(limits.build().unwrap()))
        .layer(ApiKeyLayer::new(store()).optional());
    let from = |address: &'static str| move || request(&[("x-forwarded-for", address)]);
    assert_eq!(passed(&app, 5, from("192.0.2.1")).await, 3);
    assert_eq!(
        passed(&app, 5, from("192.0.2.2, 192.0.2.1")).await,
        0,
        "its own word"
    );
    assert_eq!(passed(&app, 5, from("192.0.2.2")).await, 3);
    assert_eq!(passed(&app, 2, from("2001:db8::1")).await, 2);
    assert_eq!(passed(&app, 2, from("2001:db8::2")).await, 1, "the same network");
    assert_eq!(passed(&app, 5, from("nonsense")).await, 3);
    assert_eq!(
        passed(&app, 5, || request(&[])).await,
        0,
        "unknown addresses are one"
    );
}

#[tokio::test]
async fn without_an_authentication_in_front_it_is_a_wiring_mistake() {
    let app = whoami().layer(RateLimitLayer::new(few(&TestClock::new()).build().unwrap()));
    let answer = call(&app, request(&[])).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.reason(), "not_authenticated");
    assert_eq!(answer.header("ratelimit"), None);
}

#[tokio::test]
async fn who_is_not_let_in_uses_nothing_up() {
    let clock = TestClock::new();
    let limits = few(&clock).build().unwrap();
    let app = behind_keys(store(), limits.clone());
    for _ in 0..10 {
        assert_eq!(call(&app, key("wrong")).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(limits.status().callers, 0);
    assert_eq!(passed(&app, 10, || key(KEY)).await, 3);
}

#[tokio::test]
async fn routes_share_a_quota_if_they_are_given_the_same_limits() {
    let clock = TestClock::new();
    let limits = few(&clock).build().unwrap();
    let route = |limits: RateLimits| whoami().layer(RateLimitLayer::new(limits));
    let app = Router::new()
        .nest("/a", route(limits.clone()))
        .nest("/b", route(limits))
        .nest("/c", route(few(&clock).build().unwrap()))
        .layer(ApiKeyLayer::new(store()));
    let to = |path: &'static str| {
        move || {
            let mut request = key(KEY);
            *request.uri_mut() = http::Uri::from_static(path);
            request
        }
    };
    assert_eq!(passed(&app, 2, to("/a")).await, 2);
    assert_eq!(passed(&app, 5, to("/b")).await, 1);
    assert_eq!(passed(&app, 5, to("/c")).await, 3);
}

#[tokio::test]
async fn what_a_later_layer_refuses_has_been_counted() {
    let clock = TestClock::new();
    let app = whoami()
        .layer(ScopeLayer::all([Scope::from_static("nobody")]))
        .layer(RateLimitLayer::new(few(&clock).build().unwrap()))
        .layer(ApiKeyLayer::new(store()));
    for _ in 0..3 {
        let answer = call(&app, key(KEY)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.header("ratelimit").is_some());
    }
    refused(&app, key(KEY)).await;
}

#[test]
fn every_problem_of_the_settings_is_told() {
    let limits = RateLimits::builder("", Quota::per_minute(0))
        .plan("a\"b", Quota::per_second(1).at_once(0))
        .plan("twice", Quota::new(1, Duration::ZERO))
        .plan("twice", Quota::per_day(1).at_once(400))
        .plan("x".repeat(65), FEW)
        .most_callers(0);
    let error = limits.build().unwrap_err();
    let told: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 9, "{told:#?}");
    for (problem, start) in told.iter().zip([
        "builder: \"\" is no name",
        "builder: a quota of no request",
        "plan: \"a\\\"b\" is no name",
        "plan: a quota of no request",
        "plan: a window of no time",
        "plan: ",
        "plan: there are two plans \"twice\"",
        "plan: \"xxx",
        "most_callers: there is no room",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
}

#[tokio::test]
async fn what_is_turned_away_is_written_down_with_the_uses_of_a_key() {
    let clock = TestClock::new();
    let records = Arc::new(keys(&[("k", "k", "")]));
    let usage = UsageRecorder::new(Arc::clone(&records));
    let app = whoami()
        .layer(RateLimitLayer::new(few(&clock).build().unwrap()).usage(usage.clone()))
        .layer(ApiKeyLayer::new(Arc::clone(&records)).usage(usage.clone()));
    assert_eq!(passed(&app, 10, || key("k")).await, 3);
    usage.flush().await.unwrap();
    let record = records.get("id-of-k").await.unwrap().unwrap();
    assert_eq!((record.uses(), record.limited(), record.refused()), (10, 7, 0));
}

/// `cargo test --test it a_million_callers -- --nocapture` prints what they take.
#[test]
fn a_million_callers_take_at_most_80_bytes_each() {
    const COUNT: usize = 1_000_000;
    let limits = RateLimits::builder("free", Quota::per_day(10)).build().unwrap();
    let mut service = RateLimitLayer::new(limits.clone()).layer(tower::service_fn(async |_: Request| {
        Ok::<_, std::convert::Infallible>(http::Response::new(()))
    }));
    let info = allocation_counter::measure(|| {
        for number in 0..COUNT {
            let mut request = request(&[]);
            let caller = PrincipalBuilder::token(ISSUER, format!("{number:036}")).build();
            request.extensions_mut().insert(caller);
            let answer = service.call(request).now_or_never().unwrap().unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
    });
    assert_eq!(limits.status().callers, COUNT);
    let each = info.bytes_current / i64::try_from(COUNT).unwrap();
    println!("{each} bytes for each of {COUNT} callers");
    assert!(each <= 80, "{each}");
}
