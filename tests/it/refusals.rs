//! What a refused client is told: status, challenges, headers and body, to the letter.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it stands"
)]

use std::time::Duration;

use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, CachedKeys, Claims, Fault, JwtLayer, Principal, Realm, RejectionKind, Requirement,
    ScopeLayer,
};

use crate::support::{Answer, Broken, KEY, READ, WRITE, bearer, call, idp, record, request, store, whoami};

#[derive(Debug, Deserialize)]
struct Staff {
    #[allow(dead_code, reason = "only its presence matters")]
    staff_number: u32,
}

/// Status, every header but `content-length`, and body.
fn snapshot(answer: &Answer) -> String {
    let mut lines: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "content-length")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort_by_key(|line| line.split(':').next().map(str::to_owned));
    format!(
        "{}\n{}\n\n{}",
        answer.status.as_u16(),
        lines.join("\n"),
        answer.body
    )
}

fn either(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())))
}

fn without_keys(idp: &TestIssuer) -> JwtLayer {
    let issuer = idp.issuer_builder().keys(CachedKeys::new(Broken)).build();
    JwtLayer::new(issuer.unwrap())
}

#[tokio::test]
async fn nothing_presented_is_401_without_an_error_code() {
    let idp = idp();
    let jwt = whoami().layer(JwtLayer::new(idp.issuer()));
    assert_eq!(
        snapshot(&call(&jwt, request(&[])).await),
        r#"401
content-type: application/problem+json
www-authenticate: Bearer realm="api"

{"type":"about:blank","title":"Unauthorized","status":401,"detail":"this resource asks for a credential"}"#
    );
}

#[tokio::test]
async fn nothing_presented_to_a_route_for_keys_names_both_schemes() {
    let keys = whoami().layer(ApiKeyLayer::new(store()));
    assert_eq!(
        snapshot(&call(&keys, request(&[])).await),
        r#"401
cache-control: private
content-type: application/problem+json
www-authenticate: Bearer realm="api"
www-authenticate: ApiKey realm="api"

{"type":"about:blank","title":"Unauthorized","status":401,"detail":"this resource asks for a credential"}"#
    );
}

#[tokio::test]
async fn an_unreadable_header_is_400_invalid_request() {
    let idp = idp();
    let jwt = whoami().layer(JwtLayer::new(idp.issuer()));
    assert_eq!(
        snapshot(&call(&jwt, request(&[("authorization", "Bearer a b")])).await),
        r#"400
content-type: application/problem+json
www-authenticate: Bearer realm="api", error="invalid_request", error_description="the header with the credential cannot be read"

{"type":"about:blank","title":"Bad Request","status":400,"detail":"the header with the credential cannot be read","error":"invalid_request"}"#
    );
}

#[tokio::test]
async fn an_empty_credential_is_400_invalid_request() {
    let idp = idp();
    let jwt = whoami().layer(JwtLayer::new(idp.issuer()));
    assert_eq!(
        snapshot(&call(&jwt, request(&[("authorization", "Bearer")])).await),
        r#"400
content-type: application/problem+json
www-authenticate: Bearer realm="api", error="invalid_request", error_description="the credential is empty"

{"type":"about:blank","title":"Bad Request","status":400,"detail":"the credential is empty","error":"invalid_request"}"#
    );
}

#[tokio::test]
async fn two_credentials_are_400_and_both_schemes_are_told() {
    let idp = idp();
    let value = format!("Bearer {}", idp.token().sign());
    let both = request(&[("authorization", &value), ("x-api-key", KEY)]);
    assert_eq!(
        snapshot(&call(&either(&idp), both).await),
        r#"400
cache-control: private
content-type: application/problem+json
www-authenticate: Bearer realm="api", error="invalid_request", error_description="more than one credential was presented"
www-authenticate: ApiKey realm="api", error="invalid_request", error_description="more than one credential was presented"

{"type":"about:blank","title":"Bad Request","status":400,"detail":"more than one credential was presented","error":"invalid_request"}"#
    );
}

#[tokio::test]
async fn a_bad_token_is_401_invalid_token_and_says_no_more() {
    let idp = idp();
    let jwt = whoami().layer(JwtLayer::new(idp.issuer()));
    let expected = r#"401
content-type: application/problem+json
www-authenticate: Bearer realm="api", error="invalid_token", error_description="the credential is not valid here"

{"type":"about:blank","title":"Unauthorized","status":401,"detail":"the credential is not valid here","error":"invalid_token"}"#;
    for token in [
        "opaque".to_owned(),
        "a.b.c".to_owned(),
        idp.token().audience("https://other.test").sign(),
        idp.token().claim("iss", "https://other.test").sign(),
        idp.token().without("exp").sign(),
    ] {
        assert_eq!(snapshot(&call(&jwt, bearer(&token)).await), expected);
    }
}

#[tokio::test]
async fn an_expired_token_is_told_so_that_the_client_refreshes() {
    let idp = idp();
    let jwt = whoami().layer(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    idp.clock().advance(Duration::from_secs(600));
    assert_eq!(
        snapshot(&call(&jwt, bearer(&token)).await),
        r#"401
content-type: application/problem+json
www-authenticate: Bearer realm="api", error="invalid_token", error_description="the token has expired"

{"type":"about:blank","title":"Unauthorized","status":401,"detail":"the token has expired","error":"invalid_token"}"#
    );
}

#[tokio::test]
async fn a_bad_key_is_told_on_the_scheme_that_it_came_with() {
    let keys = whoami().layer(ApiKeyLayer::new(store()));
    let body = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"the credential is not valid here","error":"invalid_token"}"#;
    let error = r#", error="invalid_token", error_description="the credential is not valid here""#;
    let private = "cache-control: private\n";
    for (name, value, private, on_bearer, on_api_key) in [
        ("x-api-key", "wrong", private, "", error),
        ("authorization", "ApiKey wrong", "", "", error),
        ("authorization", "Bearer wrong", "", error, ""),
    ] {
        let expected = format!(
            "401\n{private}content-type: application/problem+json\n\
             www-authenticate: Bearer realm=\"api\"{on_bearer}\n\
             www-authenticate: ApiKey realm=\"api\"{on_api_key}\n\n{body}"
        );
        assert_eq!(snapshot(&call(&keys, request(&[(name, value)])).await), expected);
    }
}

#[tokio::test]
async fn an_unreadable_credential_is_told_on_the_scheme_that_it_came_with() {
    let keys = whoami().layer(ApiKeyLayer::new(store()));
    for (name, value, tried) in [
        ("x-api-key", "a b", "ApiKey"),
        ("x-api-key", "", "ApiKey"),
        ("authorization", "ApiKey a b", "ApiKey"),
        ("authorization", "Bearer", "Bearer"),
        ("authorization", "Bearer\ta", "Bearer"),
    ] {
        let answer = call(&keys, request(&[(name, value)])).await;
        for challenge in answer.challenges() {
            assert_eq!(
                challenge.contains("error="),
                challenge.starts_with(tried),
                "{name}: {value:?} gives {challenge}"
            );
        }
    }
}

#[tokio::test]
async fn a_lacking_scope_is_403_with_the_challenge_of_the_callers_scheme() {
    let idp = idp();
    let layers = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store()));
    let app = whoami().layer(ScopeLayer::all([READ, WRITE])).layer(layers);
    for (request, scheme, private) in [
        (bearer(&idp.token().scopes([READ]).sign()), "Bearer", ""),
        (
            request(&[("x-api-key", KEY)]),
            "ApiKey",
            "cache-control: private\n",
        ),
    ] {
        let expected = format!(
            "403\n{private}content-type: application/problem+json\n\
             www-authenticate: {scheme} realm=\"api\", error=\"insufficient_scope\", \
             error_description=\"the credential does not cover this request\", \
             scope=\"orders:read orders:write\"\n\n\
             {{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\
             \"detail\":\"the credential does not cover this request\",\"error\":\"insufficient_scope\",\
             \"missing_scopes\":[\"orders:write\"]}}"
        );
        assert_eq!(snapshot(&call(&app, request).await), expected);
    }
}

#[tokio::test]
async fn a_caller_of_the_wrong_kind_is_403_without_a_challenge() {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Staff>().build().unwrap();
    let app = Router::new()
        .route("/", get(|_: Claims<Staff>| async {}))
        .layer(JwtLayer::new(issuer).or(ApiKeyLayer::new(store())));
    assert_eq!(
        snapshot(&call(&app, request(&[("x-api-key", KEY)])).await),
        r#"403
cache-control: private
content-type: application/problem+json

{"type":"about:blank","title":"Forbidden","status":403,"detail":"this resource is not for this kind of caller"}"#
    );
}

#[tokio::test]
async fn keys_out_of_reach_are_503_and_no_fault_of_the_token() {
    let idp = idp();
    let app = whoami().layer(without_keys(&idp));
    assert_eq!(
        snapshot(&call(&app, bearer(&idp.token().sign())).await),
        r#"503
content-type: application/problem+json
retry-after: 1

{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the credential cannot be checked for now"}"#
    );
}

#[tokio::test]
async fn the_time_to_wait_is_told_in_whole_seconds_rounded_up() {
    let idp = idp();
    let app = whoami().layer(without_keys(&idp));
    let token = idp.token().sign();
    let mut rounded = 0;
    for passed in [0, 1_000_000, 123_457, 300_001] {
        idp.clock().advance(Duration::from_micros(passed));
        let answer = call(&app, bearer(&token)).await;
        let exactly = answer.rejection.as_ref().unwrap().retry_after().unwrap();
        assert!(exactly >= Duration::from_secs(1), "{exactly:?}");
        let told: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        let more = Duration::from_secs(told).checked_sub(exactly).unwrap();
        assert!(more < Duration::from_secs(1), "{exactly:?} is told as {told} s");
        rounded += usize::from(!more.is_zero());
    }
    assert!(rounded > 1);
}

#[tokio::test]
async fn a_store_out_of_reach_is_503_and_no_fault_of_the_key() {
    let app = whoami().layer(ApiKeyLayer::new(Broken));
    assert_eq!(
        snapshot(&call(&app, request(&[("x-api-key", KEY)])).await),
        r#"503
cache-control: private
content-type: application/problem+json
retry-after: 1

{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the credential cannot be checked for now"}"#
    );
}

#[tokio::test]
async fn a_wiring_mistake_is_500_without_internals() {
    let expected = r#"500
content-type: application/problem+json

{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the service is misconfigured"}"#;
    let scopes = whoami().layer(ScopeLayer::all([READ]));
    assert_eq!(snapshot(&call(&scopes, request(&[])).await), expected);
    let extractor = Router::new().route("/", get(|_: Principal| async {}));
    assert_eq!(snapshot(&call(&extractor, request(&[])).await), expected);
}

#[tokio::test]
async fn the_realm_is_what_the_setter_says() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer()).realm(Realm::from_static("orders of tomorrow"));
    let key = ApiKeyLayer::new(store()).realm(Realm::new("machines").unwrap());
    let answer = call(&whoami().layer(jwt.clone()), request(&[])).await;
    assert_eq!(answer.challenges(), [r#"Bearer realm="orders of tomorrow""#]);
    let answer = call(&whoami().layer(key.clone()), request(&[])).await;
    assert_eq!(
        answer.challenges(),
        [r#"Bearer realm="machines""#, r#"ApiKey realm="machines""#]
    );
    let answer = call(&whoami().layer(jwt.or(key)), request(&[])).await;
    assert_eq!(
        answer.challenges(),
        [
            r#"Bearer realm="orders of tomorrow""#,
            r#"ApiKey realm="machines""#
        ]
    );
}

#[test]
fn a_realm_that_would_break_out_of_its_quotes_is_refused() {
    for text in [
        "a\"b",
        "a\\b",
        "a\r\nSet-Cookie: x",
        "a\tb",
        "caf\u{e9}",
        "\u{7f}",
    ] {
        assert!(Realm::new(text).is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn bearer_is_the_first_challenge_in_whatever_order_the_layers_are_named() {
    let idp = idp();
    let (jwt, key) = (JwtLayer::new(idp.issuer()), ApiKeyLayer::new(store()));
    for layer in [jwt.clone().or(key.clone()), key.or(jwt)] {
        let answer = call(&whoami().layer(layer), request(&[])).await;
        assert_eq!(
            answer.challenges(),
            [r#"Bearer realm="api""#, r#"ApiKey realm="api""#]
        );
    }
}

/// One refusal of each sort, as the client sees it, with the kind that it should be of.
async fn gallery() -> Vec<(RejectionKind, Answer)> {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Staff>().build().unwrap();
    let staff = |_: Claims<Staff>| async {};
    let app = Router::new()
        .route("/", get(staff))
        .layer(ScopeLayer::any([READ, WRITE]))
        .layer(JwtLayer::new(issuer).or(ApiKeyLayer::new(store())));
    let token = idp.token().claim("staff_number", 7);
    let unknown = request(&[("x-api-key", "wrong")]);
    let expired = idp.token().expires_in(Duration::ZERO).sign();
    idp.clock().advance(Duration::from_secs(60));
    let down = whoami().layer(without_keys(&idp));
    let broken = whoami().layer(ApiKeyLayer::new(Broken));
    let bare = Router::new().route("/", get(|| async {}));
    let extracted = Router::new().route("/", get(|_: Principal| async {}));
    let demanded = Router::new()
        .route(
            "/",
            get(|caller: Principal| async move { caller.require(&Requirement::all([WRITE])) }),
        )
        .layer(ApiKeyLayer::new(store()));
    let key = || request(&[("x-api-key", KEY)]);
    let plain = request(&[]);
    let repeated = request(&[("x-api-key", KEY), ("x-api-key", KEY)]);
    vec![
        (RejectionKind::CredentialMissing, call(&app, plain).await),
        (RejectionKind::InvalidRequest, call(&app, bearer("a b")).await),
        (RejectionKind::InvalidRequest, call(&app, bearer("")).await),
        (RejectionKind::InvalidRequest, call(&app, repeated).await),
        (RejectionKind::InvalidCredential, call(&app, unknown).await),
        (
            RejectionKind::InvalidCredential,
            call(&app, bearer("a.b.c")).await,
        ),
        (
            RejectionKind::InvalidCredential,
            call(&app, bearer(&expired)).await,
        ),
        (
            RejectionKind::InvalidCredential,
            call(&app, bearer(&idp.token().sign())).await,
        ),
        (
            RejectionKind::InsufficientScope,
            call(&app, bearer(&token.sign())).await,
        ),
        (RejectionKind::InsufficientScope, call(&demanded, key()).await),
        (RejectionKind::Forbidden, call(&app, key()).await),
        (
            RejectionKind::Unavailable,
            call(&down, bearer(&idp.token().sign())).await,
        ),
        (RejectionKind::Unavailable, call(&broken, key()).await),
        (
            RejectionKind::Misconfigured,
            call(&bare.layer(ScopeLayer::all([READ])), key()).await,
        ),
        (RejectionKind::Misconfigured, call(&extracted, key()).await),
    ]
}

#[tokio::test]
async fn every_refusal_carries_its_rejection_for_outer_layers() {
    for (kind, answer) in gallery().await {
        let rejection = answer.rejection.as_ref().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(rejection.kind(), kind, "{answer:?}");
        assert_eq!(rejection.status(), answer.status);
        let challenges: Vec<_> = answer.headers.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
        assert_eq!(rejection.challenges(), challenges);
        assert_eq!(answer.json()["detail"], rejection.detail());
    }
}

#[tokio::test]
async fn every_kind_has_its_status_and_names_who_is_at_fault() {
    for (kind, answer) in gallery().await {
        let (status, fault) = match kind {
            RejectionKind::InvalidRequest => (400, Fault::Client),
            RejectionKind::CredentialMissing | RejectionKind::InvalidCredential => (401, Fault::Client),
            RejectionKind::InsufficientScope | RejectionKind::Forbidden => (403, Fault::Client),
            RejectionKind::Unavailable => (503, Fault::Upstream),
            RejectionKind::Misconfigured => (500, Fault::Server),
            other => panic!("{other:?} has no row here"),
        };
        assert_eq!(answer.status.as_u16(), status, "{kind:?}");
        assert_eq!(answer.rejection.unwrap().fault(), fault, "{kind:?}");
    }
}

#[tokio::test]
async fn every_body_is_a_problem_whose_status_is_the_real_one() {
    for (kind, answer) in gallery().await {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let body = answer.json();
        assert_eq!(body["type"], "about:blank", "{kind:?}");
        assert_eq!(body["status"], answer.status.as_u16(), "{kind:?}");
        assert_eq!(
            body["title"],
            answer.status.canonical_reason().unwrap(),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn only_503_says_when_to_come_back() {
    for (kind, answer) in gallery().await {
        let seconds = answer
            .header("retry-after")
            .map(|text| text.parse::<u64>().unwrap());
        assert_eq!(seconds.is_some(), kind == RejectionKind::Unavailable, "{kind:?}");
        assert_ne!(seconds, Some(0));
    }
}

type Challenge = (String, Vec<(String, String)>);

/// `scheme SP name="value" *( ", " name="value" )`, and nothing else: stricter than RFC 9110 section 11.6.1, as strict as
/// RFC 6750 section 3.
fn parse_challenge(text: &str) -> Result<Challenge, String> {
    let (scheme, mut rest) = text.split_once(' ').ok_or("no parameter")?;
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").ok_or("no quoted value")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(format!("{name:?} is no name"));
        }
        let (value, behind) = quoted.split_once('"').ok_or("an open quote")?;
        if !value
            .bytes()
            .all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        {
            return Err(format!("{value:?} may not be quoted as it is"));
        }
        if parameters.iter().any(|(other, _)| other == name) {
            return Err(format!("{name} comes twice"));
        }
        parameters.push((name.to_owned(), value.to_owned()));
        match behind.strip_prefix(", ") {
            Some(more) => rest = more,
            None if behind.is_empty() => return Ok((scheme.to_owned(), parameters)),
            None => return Err(format!("{behind:?} behind a value")),
        }
    }
}

#[test]
fn the_strict_parser_is_strict() {
    for text in [
        "Bearer",
        "Bearer ",
        "Bearer realm=api",
        "Bearer realm=\"a\" scope=\"b\"",
        "Bearer realm=\"a\",scope=\"b\"",
        "Bearer realm=\"a\", realm=\"b\"",
        "Bearer realm=\"a\\\"b\"",
        "Bearer realm=\"a\",",
        "Bearer realm=\"a",
    ] {
        assert!(parse_challenge(text).is_err(), "{text}");
    }
    assert!(parse_challenge("Bearer realm=\"a\", scope=\"b c\"").is_ok());
}

#[tokio::test]
async fn every_challenge_keeps_to_the_grammar() {
    for (kind, answer) in gallery().await {
        let mut schemes = Vec::new();
        for text in answer.challenges() {
            let (scheme, parameters) = parse_challenge(text).unwrap_or_else(|flaw| panic!("{text}: {flaw}"));
            assert_eq!(parameters[0].0, "realm", "{text}");
            for (name, value) in parameters {
                match name.as_str() {
                    "realm" | "error_description" => {}
                    "error" => assert_eq!(
                        Some(value.as_str()),
                        answer.rejection.as_ref().unwrap().kind().error_code()
                    ),
                    "scope" => {
                        assert_eq!(kind, RejectionKind::InsufficientScope);
                        assert!(value.split(' ').all(|word| !word.is_empty()), "{text}");
                    }
                    other => panic!("{other} in {text}"),
                }
            }
            schemes.push(scheme);
        }
        let unique: std::collections::BTreeSet<_> = schemes.iter().collect();
        assert_eq!(unique.len(), schemes.len(), "{schemes:?}");
    }
}

#[tokio::test]
async fn a_401_has_a_challenge_and_a_fault_that_is_not_the_clients_has_none() {
    for (kind, answer) in gallery().await {
        let challenges = answer.challenges();
        match answer.status {
            StatusCode::UNAUTHORIZED => assert!(!challenges.is_empty(), "{kind:?}"),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => {
                assert!(challenges.is_empty(), "{kind:?}: {challenges:?}");
            }
            _ => {}
        }
        if kind == RejectionKind::CredentialMissing {
            assert!(challenges.iter().all(|text| !text.contains("error")));
        }
    }
}

#[tokio::test]
async fn nothing_of_the_request_comes_back_in_a_header() {
    let idp = idp();
    let hostile = "zzINJECTEDzz";
    let app = whoami()
        .layer(ScopeLayer::all([READ]))
        .layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())));
    let granted = idp.token().claim("scope", format!("{hostile} a\"b c\r\nX: y"));
    for headers in [
        [("authorization", format!("Bearer {hostile}"))],
        [("authorization", format!("Bearer {hostile}\"\\"))],
        [("authorization", format!("{hostile} abc"))],
        [("x-api-key", hostile.to_owned())],
        [("x-api-key", format!("{hostile} x"))],
        [(
            "authorization",
            format!("Bearer {}", idp.token().header("kid", hostile).sign()),
        )],
        [(
            "authorization",
            format!("Bearer {}", idp.token().claim("iss", hostile).sign()),
        )],
        [("authorization", format!("Bearer {}", granted.sign()))],
    ] {
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = call(&app, request(&headers)).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(
            !format!("{:?}{}", answer.headers, answer.body).contains(hostile),
            "{answer:?}"
        );
    }
}

async fn cache_control(app: &Router, request: Request) -> Option<String> {
    call(app, request)
        .await
        .header("cache-control")
        .map(str::to_owned)
}

#[tokio::test]
async fn on_routes_for_keys_every_answer_is_private_unless_the_credential_stood_in_authorization() {
    let idp = idp();
    let moved = JwtLayer::new(idp.issuer()).header(HeaderName::from_static("x-moved"));
    let key = ApiKeyLayer::new(store());
    let (with_key, with_nothing) = (|| request(&[("x-api-key", KEY)]), || request(&[]));
    let with_moved = request(&[("x-moved", &idp.token().sign())]);
    for (app, request) in [
        (whoami().layer(key.clone()), with_key()),
        (whoami().layer(key.clone()), with_nothing()),
        (whoami().layer(key.clone()), request(&[("x-api-key", "wrong")])),
        (whoami().layer(key.clone().optional()), with_nothing()),
        (whoami().layer(ApiKeyLayer::new(Broken)), with_key()),
        (whoami().layer(moved.clone()), with_moved),
        (whoami().layer(moved), with_nothing()),
    ] {
        assert_eq!(cache_control(&app, request).await.as_deref(), Some("private"));
    }
}

#[tokio::test]
async fn the_handlers_own_cache_control_is_kept() {
    for value in ["no-store", "public, max-age=60"] {
        let handler =
            move || async move { [(CACHE_CONTROL, HeaderValue::from_static(value))].into_response() };
        let app = Router::new()
            .route("/", get(handler))
            .layer(ApiKeyLayer::new(store()));
        let answer = cache_control(&app, request(&[("x-api-key", KEY)])).await;
        assert_eq!(answer.as_deref(), Some(value));
    }
}

#[tokio::test]
async fn where_the_credential_stood_in_authorization_caches_know_what_to_do() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer());
    let either = whoami().layer(jwt.clone().or(ApiKeyLayer::new(store())));
    let app = whoami().layer(jwt);
    for request in [bearer(&idp.token().sign()), bearer("bad"), request(&[])] {
        assert_eq!(cache_control(&app, request).await, None);
    }
    for request in [bearer(&idp.token().sign()), bearer("bad"), bearer(KEY)] {
        assert_eq!(cache_control(&either, request).await, None);
    }
}

#[tokio::test]
async fn an_outer_layer_can_write_another_body_from_the_rejection() {
    let app = whoami()
        .layer(ApiKeyLayer::new(store()))
        .layer(tower::util::MapResponseLayer::new(
            |response: axum::response::Response| match response
                .extensions()
                .get::<tower_resource_server::Rejection>()
            {
                Some(rejection) => (rejection.status(), rejection.reason()).into_response(),
                None => response,
            },
        ));
    let answer = call(&app, request(&[("x-api-key", "wrong")])).await;
    assert_eq!(answer.body, "api_key_unknown");
}

#[tokio::test]
async fn a_handlers_own_answer_is_not_touched() {
    let handler = || async { (StatusCode::UNAUTHORIZED, "mine") };
    let store = store();
    store.insert(record("other").build());
    let app = Router::new()
        .route("/", get(handler))
        .layer(Extension(()))
        .layer(ApiKeyLayer::new(store));
    let answer = call(&app, request(&[("x-api-key", KEY)])).await;
    assert_eq!((answer.body.as_str(), answer.challenges().len()), ("mine", 0));
    assert!(answer.rejection.is_none());
}
