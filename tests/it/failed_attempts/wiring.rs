use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use http::Version;
use tower::ServiceExt;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, AuditLayer, CallerAddress, FailedAttempts, Fault, JwtLayer, Quota, ScopeLayer,
};

use super::{Asked, CALLER, Limit, assert_limited, from, reason, with_key};
use crate::audit::{Audited, told};
use crate::support::{KEY, READ, bearer, call, idp, request, whoami};

fn keys(asked: &Asked) -> ApiKeyLayer {
    ApiKeyLayer::new(asked.clone())
}

#[tokio::test]
async fn behind_an_authentication_it_is_a_wiring_mistake() {
    let (idp, limit, asked) = (idp(), Limit::of(1), Asked::new());
    let token = bearer(&idp.token().sign());
    let jwt = JwtLayer::new(idp.issuer());
    for (app, request) in [
        (whoami().layer(limit.layer()).layer(jwt.clone()), token),
        (
            whoami().layer(limit.layer()).layer(jwt.clone().optional()),
            request(&[]),
        ),
        // Another authentication further inside does not mend it.
        (
            whoami()
                .layer(keys(&asked))
                .layer(limit.layer())
                .layer(jwt.optional()),
            with_key(KEY),
        ),
    ] {
        let answer = call(&app, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (500, "already_authenticated"),
            "{answer:?}"
        );
        assert_eq!(answer.rejection.as_ref().unwrap().fault(), Fault::Server);
    }
    assert_eq!(asked.times(), 0);
}

#[tokio::test]
async fn it_needs_no_authentication_to_let_requests_pass() {
    let limit = Limit::of(1);
    let app = Router::new().route("/", get("open")).layer(limit.layer());
    for _ in 0..3 {
        let answer = call(&app, with_key("guess")).await;
        assert_eq!(answer.body, "open");
        assert!(answer.header("cache-control").is_none());
    }
    // And is none.
    let app = whoami().layer(ScopeLayer::all([READ])).layer(limit.layer());
    assert_eq!(reason(&app, with_key(KEY)).await, "not_authenticated");
}

#[tokio::test]
async fn of_two_the_inner_one_counts() {
    let (outer, inner, asked) = (Limit::of(1), Limit::of(2), Asked::new());
    let app = whoami()
        .layer(keys(&asked))
        .layer(inner.layer())
        .layer(outer.layer());
    for _ in 0..2 {
        assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
    }
    assert_limited(&call(&app, with_key("guess")).await, "30");
    assert_eq!(outer.attempts.status().addresses, 0);
}

/// What each authentication refuses counts, wherever it stands.
#[tokio::test]
async fn authentications_within_each_other_count_each_for_itself() {
    let (idp, limit, asked) = (idp(), Limit::of(2), Asked::new());
    let jwt = JwtLayer::new(idp.issuer()).header(http::HeaderName::from_static("x-token"));
    let app = whoami()
        .layer(keys(&asked))
        .layer(jwt.optional())
        .layer(limit.layer());
    let good = idp.token().sign();
    let both = |token: &str, key: &str| from(CALLER, request(&[("x-token", token), ("x-api-key", key)]));
    assert_eq!(reason(&app, both(&good, KEY)).await, "ok");
    assert_eq!(reason(&app, both("a.b.c", KEY)).await, "token_malformed");
    assert_eq!(reason(&app, both(&good, "guess")).await, "api_key_unknown");
    assert_limited(&call(&app, both(&good, KEY)).await, "30");
}

#[tokio::test]
async fn what_it_refuses_is_in_the_audit() {
    let (limit, asked, mut audited) = (Limit::of(1), Asked::new(), Audited::new());
    let layer: AuditLayer = audited.layer();
    let app = whoami().layer(keys(&asked)).layer(limit.layer()).layer(layer);
    for expected in [
        "refused api_key_unknown answered 401 - - -",
        "refused too_many_failed_attempts answered 429 - - -",
    ] {
        call(&app, with_key("guess")).await;
        assert_eq!(told(&audited.one().await), expected);
    }
    let idp = idp();
    let behind = whoami()
        .layer(limit.layer())
        .layer(JwtLayer::new(idp.issuer()).optional());
    call(&behind.layer(audited.layer()), request(&[])).await;
    assert_eq!(
        told(&audited.one().await),
        "refused already_authenticated answered 500 - - -"
    );
}

async fn grpc(app: &Router, key: &str) -> http::HeaderMap {
    let mut request: Request = with_key(key);
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = Version::HTTP_2;
    let content_type = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", content_type);
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers().clone()
}

#[tokio::test]
async fn to_grpc_it_is_resource_exhausted() {
    let (limit, asked) = (Limit::of(1), Asked::new());
    let app = whoami().layer(keys(&asked)).layer(limit.layer());
    assert_eq!(grpc(&app, "guess").await["grpc-status"], "16");
    let limited = grpc(&app, "guess").await;
    assert_eq!(limited["grpc-status"], "8");
    assert!(!limited.contains_key("www-authenticate"), "{limited:?}");
    let behind = whoami().layer(limit.layer()).layer(keys(&asked).optional());
    let other = Limit::of(1);
    assert_eq!(other.attempts.status().addresses, 0);
    let good = grpc(&behind.layer(other.layer()), KEY).await;
    assert_eq!(good["grpc-status"], "13");
}

#[tokio::test]
async fn warming_up_and_explaining_are_not_limited() {
    let (idp, limit) = (idp(), Limit::of(1));
    let issuer = idp.issuer();
    let app = whoami().layer(JwtLayer::new(issuer.clone())).layer(limit.layer());
    for _ in 0..2 {
        assert_eq!(
            reason(&app, from(CALLER, bearer("a.b.c"))).await,
            "token_malformed"
        );
    }
    issuer.warm_up().await.unwrap();
    let token = TestIssuer::new("https://stranger.test", "x").token().sign();
    assert!(issuer.explain(&token).await.verdict().is_err());
    assert!(issuer.explain(&idp.token().sign()).await.verdict().is_ok());
}

#[test]
fn every_mistake_in_the_settings_is_told() {
    let error = FailedAttempts::builder(CallerAddress::of_forwarded(0))
        .quota(Quota::per_minute(0))
        .most_addresses(0)
        .build()
        .unwrap_err();
    let setters: Vec<_> = error.problems().iter().map(|problem| problem.setter).collect();
    assert_eq!(setters, ["address", "quota", "most_addresses"]);
}

#[test]
fn what_is_shown_of_it_names_no_caller() {
    let limit = Limit::of(1);
    let shown = format!("{:?}", limit.layer());
    assert_eq!(
        shown,
        "FailedAttemptLayer { attempts: FailedAttempts { address: CallerAddress::of_x_forwarded_for(1), \
         addresses: 0, .. } }"
    );
}
