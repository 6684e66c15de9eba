//! Several mechanisms on one route, optional ones, and layers within layers.

use axum::Router;
use axum::routing::{get, options};
use http::{Method, StatusCode};
use serde_json::json;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    AnyOfLayer, ApiKeyLayer, ApiKeyRecord, JwtLayer, KeyDigest, MemoryKeyStore, Principal, Realm, ScopeLayer,
};

use crate::support::{
    Answer, KEY, READ, Slow, WRITE, bearer, call, describe, idp, record, request, store, whoami,
};

fn both_orders(idp: &TestIssuer) -> [AnyOfLayer; 4] {
    let jwt = JwtLayer::new(idp.issuer());
    let key = ApiKeyLayer::new(store());
    let slow = ApiKeyLayer::new(Slow(store()));
    [
        jwt.clone().or(key.clone()),
        key.or(jwt.clone()),
        jwt.clone().or(slow.clone()),
        slow.or(jwt),
    ]
}

fn assert_refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (status, reason),
        "{answer:?}"
    );
}

#[tokio::test]
async fn either_credential_opens_the_route_in_whatever_order_the_layers_are_named() {
    let idp = idp();
    for layer in both_orders(&idp) {
        let app = whoami().layer(layer);
        let token = idp.token().subject("alice").sign();
        assert_eq!(call(&app, bearer(&token)).await.json()["subject"], "alice");
        for key in [request(&[("x-api-key", KEY)]), bearer(KEY)] {
            assert_eq!(call(&app, key).await.json()["subject"], "robot");
        }
    }
}

#[tokio::test]
async fn nothing_presented_is_told_both_ways_in() {
    let idp = idp();
    for layer in both_orders(&idp) {
        let answer = call(&whoami().layer(layer), request(&[])).await;
        assert_refused(&answer, 401, "credential_missing");
        assert_eq!(
            answer.challenges(),
            [r#"Bearer realm="api""#, r#"ApiKey realm="api""#]
        );
    }
}

#[tokio::test]
async fn two_credentials_are_refused_whatever_they_are_worth() {
    let idp = idp();
    let good = idp.token().sign();
    for layer in both_orders(&idp) {
        let app = whoami().layer(layer);
        for token in [good.as_str(), "a.b.c", KEY, "nonsense"] {
            for key in [KEY, "wrong"] {
                let value = format!("Bearer {token}");
                let answer = call(&app, request(&[("authorization", &value), ("x-api-key", key)])).await;
                assert_refused(&answer, 400, "credential_repeated");
            }
        }
    }
}

#[tokio::test]
async fn a_moved_token_beside_a_key_is_two_credentials() {
    let idp = idp();
    let token = idp.token().sign();
    let jwt = JwtLayer::new(idp.issuer()).header(http::HeaderName::from_static("x-moved"));
    let key = ApiKeyLayer::new(store());
    for layer in [jwt.clone().or(key.clone()), key.or(jwt)] {
        let app = whoami().layer(layer);
        let bearer_key = format!("Bearer {KEY}");
        for other in [("x-api-key", KEY), ("authorization", bearer_key.as_str())] {
            let answer = call(&app, request(&[("x-moved", &token), other])).await;
            assert_refused(&answer, 400, "credential_repeated");
            assert_eq!(call(&app, request(&[other])).await.json()["subject"], "robot");
        }
        let answer = call(&app, request(&[("x-moved", &token)])).await;
        assert_eq!(answer.json()["method"], "jwt");
    }
}

#[tokio::test]
async fn a_bearer_value_with_exactly_two_dots_is_a_token_and_any_other_a_key() {
    let idp = idp();
    for layer in both_orders(&idp) {
        let app = whoami().layer(layer);
        for (value, reason) in [
            ("nodots", "api_key_unknown"),
            ("one.dot", "api_key_unknown"),
            ("two.dots.", "token_malformed"),
            ("..", "token_malformed"),
            ("a.b.c", "token_malformed"),
            ("three.d.o.ts", "api_key_unknown"),
            ("a.b.c.d.e", "api_key_unknown"),
        ] {
            assert_refused(&call(&app, bearer(value)).await, 401, reason);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_nobody_else_is_asked() {
    let idp = idp();
    let key = "looks.like.jwt";
    let store = MemoryKeyStore::from_iter([record(key).build()]);
    let layer = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store));
    let app = whoami().layer(layer);
    assert_refused(&call(&app, bearer(key)).await, 401, "token_malformed");
    // In a place where it can only be a key, its shape says nothing.
    for headers in [
        [("x-api-key", key.to_owned())],
        [("authorization", format!("ApiKey {key}"))],
    ] {
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = call(&app, request(&headers)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
}

#[tokio::test]
async fn optional_lets_in_who_presents_nothing_and_marks_them_anonymous() {
    let idp = idp();
    let apps = [
        whoami().layer(JwtLayer::new(idp.issuer()).optional()),
        whoami().layer(ApiKeyLayer::new(store()).optional()),
        whoami().layer(both_orders(&idp)[0].clone().optional()),
    ];
    for app in apps {
        let answer = call(&app, request(&[])).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({ "method": "anonymous" }));
    }
}

#[tokio::test]
async fn optional_never_turns_a_bad_credential_into_an_anonymous_caller() {
    let idp = idp();
    let mut inner = 0;
    for layer in both_orders(&idp) {
        let app = whoami().layer(layer.optional());
        for (request, status, reason) in [
            (bearer("a.b.c"), 401, "token_malformed"),
            (
                bearer(&idp.token().audience("other").sign()),
                401,
                "audience_mismatch",
            ),
            (bearer("wrong"), 401, "api_key_unknown"),
            (request(&[("x-api-key", "wrong")]), 401, "api_key_unknown"),
            (request(&[("x-api-key", "")]), 400, "credential_empty"),
            (request(&[("authorization", "Bearer")]), 400, "credential_empty"),
            (
                request(&[("authorization", "Bearer a b")]),
                400,
                "header_unreadable",
            ),
            (
                request(&[("authorization", "Bearer a"), ("x-api-key", KEY)]),
                400,
                "credential_repeated",
            ),
        ] {
            assert_refused(&call(&app, request).await, status, reason);
            inner += 1;
        }
    }
    assert_eq!(inner, 4 * 8);
}

#[tokio::test]
async fn an_extractor_that_demands_a_caller_answers_an_anonymous_one_with_the_outer_challenges() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer()).realm(Realm::from_static("outer"));
    let app = Router::new()
        .route("/", get(|_: Principal| async {}))
        .layer(jwt.or(ApiKeyLayer::new(store())).optional());
    let answer = call(&app, request(&[])).await;
    assert_refused(&answer, 401, "credential_missing");
    assert_eq!(
        answer.challenges(),
        [r#"Bearer realm="outer""#, r#"ApiKey realm="api""#]
    );
}

#[tokio::test]
async fn a_scope_demanded_of_an_anonymous_caller_is_401_with_the_outer_challenges() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer()).realm(Realm::from_static("outer"));
    let app = whoami()
        .layer(ScopeLayer::all([READ]))
        .layer(jwt.or(ApiKeyLayer::new(store())).optional());
    let answer = call(&app, request(&[])).await;
    assert_refused(&answer, 401, "credential_missing");
    assert_eq!(
        answer.challenges(),
        [r#"Bearer realm="outer""#, r#"ApiKey realm="api""#]
    );
}

#[tokio::test]
async fn a_scope_demanded_without_authentication_is_500_whatever_is_presented() {
    let idp = idp();
    let app = whoami().layer(ScopeLayer::all([READ]));
    let token = idp.token().scopes([READ]).sign();
    for request in [request(&[]), bearer(&token), request(&[("x-api-key", KEY)])] {
        let answer = call(&app, request).await;
        assert_refused(&answer, 500, "not_authenticated");
        assert!(!answer.body.contains("subject"));
    }
}

#[tokio::test]
async fn a_scope_layer_outside_the_authentication_stays_shut() {
    let idp = idp();
    let app = whoami()
        .layer(JwtLayer::new(idp.issuer()))
        .layer(ScopeLayer::all([READ]));
    let answer = call(&app, bearer(&idp.token().scopes([READ]).sign())).await;
    assert_refused(&answer, 500, "not_authenticated");
}

#[tokio::test]
async fn of_two_layers_the_inner_one_decides() {
    let idp = idp();
    let app = whoami()
        .layer(ApiKeyLayer::new(store()))
        .layer(JwtLayer::new(idp.issuer()).optional());
    let answer = call(&app, request(&[("x-api-key", KEY)])).await;
    assert_eq!(answer.json()["subject"], "robot");
    // The outer layer accepts the token; the inner one takes it for a key.
    let answer = call(&app, bearer(&idp.token().sign())).await;
    assert_refused(&answer, 401, "api_key_unknown");
    assert_eq!(answer.challenges().len(), 2);
}

#[tokio::test]
async fn behind_an_inner_optional_layer_that_found_nothing_the_outer_principal_is_not_seen() {
    let idp = idp();
    let moved = http::HeaderName::from_static("x-moved");
    let inner = JwtLayer::new(idp.issuer())
        .header(moved)
        .realm(Realm::from_static("inner"));
    let app = Router::new()
        .route(
            "/",
            get(|caller: Option<Principal>| async move { describe(caller.as_ref()).to_string() }),
        )
        .route("/scoped", get(|| async {}).layer(ScopeLayer::all([READ])))
        .layer(inner.optional())
        .layer(JwtLayer::new(idp.issuer()));
    let token = idp.token().scopes([READ]).sign();
    assert_eq!(
        call(&app, bearer(&token)).await.json(),
        json!({ "method": "anonymous" })
    );
    let mut scoped = bearer(&token);
    *scoped.uri_mut() = "/scoped".parse().unwrap();
    let answer = call(&app, scoped).await;
    assert_refused(&answer, 401, "credential_missing");
    assert_eq!(answer.challenges(), [r#"Bearer realm="inner""#]);
}

#[tokio::test]
async fn an_inner_layer_replaces_the_anonymous_mark_of_an_outer_one() {
    let idp = idp();
    let app = whoami()
        .layer(ScopeLayer::all([READ]))
        .layer(ApiKeyLayer::new(store()))
        .layer(JwtLayer::new(idp.issuer()).optional());
    let answer = call(&app, request(&[("x-api-key", KEY)])).await;
    assert_eq!(answer.json()["subject"], "robot");
}

#[tokio::test]
async fn a_principal_that_somebody_put_there_does_not_get_past_an_authentication_layer() {
    let idp = idp();
    let forged = tower_resource_server::testing::PrincipalBuilder::token("https://evil.test", "root").build();
    let demanding = whoami().layer(JwtLayer::new(idp.issuer()));
    let optional = whoami().layer(JwtLayer::new(idp.issuer()).optional());
    let with_forged = || {
        let mut request = request(&[]);
        request.extensions_mut().insert(forged.clone());
        request
    };
    assert_refused(&call(&demanding, with_forged()).await, 401, "credential_missing");
    let answer = call(&optional, with_forged()).await;
    assert_eq!(answer.json(), json!({ "method": "anonymous" }));
}

#[tokio::test]
async fn no_method_is_let_through_unasked() {
    let idp = idp();
    let app = Router::new()
        .route(
            "/",
            get(|| async { "secret" }).merge(options(|| async { "secret" })),
        )
        .layer(JwtLayer::new(idp.issuer()));
    for method in [
        Method::OPTIONS,
        Method::HEAD,
        Method::GET,
        Method::POST,
        Method::TRACE,
    ] {
        let mut request = request(&[
            ("origin", "https://app.test"),
            ("access-control-request-method", "GET"),
        ]);
        *request.method_mut() = method.clone();
        let answer = call(&app, request).await;
        assert_refused(&answer, 401, "credential_missing");
        assert!(!answer.body.contains("secret"), "{method}");
    }
}

#[tokio::test]
async fn a_refused_head_has_the_headers_of_a_refused_get() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let mut head = request(&[]);
    *head.method_mut() = Method::HEAD;
    let (head, get) = (call(&app, head).await, call(&app, request(&[])).await);
    assert_eq!(head.challenges(), get.challenges());
    assert_eq!(head.header("content-type"), get.header("content-type"));
}

#[tokio::test]
async fn the_same_name_is_another_identity_with_another_method_or_issuer() {
    let (one, two) = (idp(), TestIssuer::new("https://two.test", crate::support::API));
    let issuers = [&one, &two].map(|idp| idp.issuer_builder().accept_any_scope().build().unwrap());
    let jwt = JwtLayer::new(tower_resource_server::TrustedIssuers::new(issuers).unwrap());
    let key = ApiKeyRecord::builder("k", "alice", KeyDigest::of("alices-key")).build();
    let app = Router::new()
        .route(
            "/",
            get(|caller: Principal| async move { format!("{:?}", caller.identity()) }),
        )
        .layer(jwt.or(ApiKeyLayer::new(MemoryKeyStore::from_iter([key]))));
    let mut identities = std::collections::BTreeSet::new();
    for credential in [
        one.token().subject("alice").sign(),
        two.token().subject("alice").sign(),
        "alices-key".to_owned(),
    ] {
        identities.insert(call(&app, bearer(&credential)).await.body);
    }
    assert_eq!(identities.len(), 3, "{identities:?}");
}

#[tokio::test]
async fn a_slow_store_answers_as_a_fast_one_does() {
    for key in [KEY, "wrong"] {
        let mut answers = Vec::new();
        for layer in [ApiKeyLayer::new(store()), ApiKeyLayer::new(Slow(store()))] {
            let app = whoami().layer(ScopeLayer::all([WRITE])).layer(layer);
            let answer = call(&app, request(&[("x-api-key", key)])).await;
            answers.push((answer.status, answer.headers, answer.body));
        }
        assert_eq!(answers[0], answers[1]);
    }
}
