//! Rows A and B: how a bearer token is presented (RFC 6750, RFC 9110 section 11), and what a refused client is told.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tower_http::cors::CorsLayer;
use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{
    ApiKeyLayer, CachedKeys, Issuer, JwtLayer, Quota, RateLimitLayer, RateLimits, Realm, Scope, ScopeLayer,
};

use crate::support::{Answer, Broken, KEY, READ, WRITE, bearer, call, idp, record, request, store, whoami};

const OK: (u16, &str) = (200, "ok");
const MISSING: (u16, &str) = (401, "credential_missing");
const EMPTY: (u16, &str) = (400, "credential_empty");
const REPEATED: (u16, &str) = (400, "credential_repeated");
const UNREADABLE: (u16, &str) = (400, "header_unreadable");

fn tokens(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()))
}

fn keys() -> Router {
    whoami().layer(ApiKeyLayer::new(store()))
}

fn either(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())))
}

/// Both sorts of credential, behind a demand that is more than a good one brings.
fn demanding(idp: &TestIssuer) -> Router {
    let layers = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store()));
    whoami().layer(ScopeLayer::all([READ, WRITE])).layer(layers)
}

/// `Authorization` with these bytes, which need not be text.
fn authorization(value: &[u8]) -> Request {
    let mut request = request(&[]);
    request
        .headers_mut()
        .append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    request
}

fn with_key(key: &str) -> Request {
    request(&[("x-api-key", key)])
}

async fn ask(app: &Router, request: Request) -> (u16, &'static str) {
    let answer = call(app, request).await;
    (answer.status.as_u16(), answer.reason())
}

/// The scheme of a challenge and its parameters, which must all be quoted and set apart by a comma and a space.
fn parse(challenge: &str) -> (&str, Vec<(&str, &str)>) {
    let (scheme, rest) = challenge.split_once(' ').expect("a parameter behind the scheme");
    let rest = rest.strip_suffix('"').expect("a closing quote at the end");
    let pairs = rest
        .split("\", ")
        .map(|pair| pair.split_once("=\"").expect("a quoted value"));
    (scheme, pairs.collect())
}

fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    parse(challenge)
        .1
        .into_iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

/// The `error` of each challenge, by scheme.
fn errors(answer: &Answer) -> Vec<(&str, Option<&str>)> {
    let of_challenge = |challenge| (parse(challenge).0, parameter(challenge, "error"));
    answer.challenges().into_iter().map(of_challenge).collect()
}

/// A refusal of each sort.
async fn refusals() -> Vec<Answer> {
    let idp = idp();
    let (token, app) = (idp.token().scopes([READ]).sign(), demanding(&idp));
    let both = request(&[("authorization", &format!("Bearer {token}")), ("x-api-key", KEY)]);
    let mut answers = Vec::new();
    for request in [
        request(&[]),
        authorization(b"Basic YTpi"),
        authorization(b"Bearer"),
        authorization(b"Bearer \xff"),
        both,
        bearer("a.b.c"),
        with_key("wrong"),
        with_key("a b"),
        bearer(&token),
        with_key(KEY),
    ] {
        answers.push(call(&app, request).await);
    }
    for app in [tokens(&idp), keys()] {
        answers.push(call(&app, request(&[])).await);
        answers.push(call(&app, bearer("wrong")).await);
    }
    answers.push(call(&whoami().layer(ApiKeyLayer::new(Broken)), with_key(KEY)).await);
    answers.push(call(&whoami().layer(ScopeLayer::all([READ])), request(&[])).await);
    answers
}

/// Every parameter of every challenge of [`refusals`].
async fn parameters() -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for answer in refusals().await {
        for challenge in answer.challenges() {
            parameters.extend(
                parse(challenge)
                    .1
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), v.to_owned())),
            );
        }
    }
    assert!(parameters.len() > 20);
    parameters
}

async fn assert_accepted_without_a_challenge() {
    let idp = idp();
    for request in [bearer(&idp.token().sign()), with_key(KEY)] {
        let answer = call(&either(&idp), request).await;
        assert_eq!(
            (answer.reason(), answer.challenges().len()),
            ("ok", 0),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a01_a_token_is_accepted_behind_bearer() {
    let idp = idp();
    let token = idp.token().sign();
    for (value, expected) in [
        (format!("Bearer {token}"), OK),
        (token.clone(), MISSING),
        (format!("Token {token}"), MISSING),
        (format!("Bearer {token}x"), (401, "token_malformed")),
        (format!("Bearer:{token}"), UNREADABLE),
    ] {
        assert_eq!(
            ask(&tokens(&idp), authorization(value.as_bytes())).await,
            expected,
            "{value}"
        );
    }
}

#[tokio::test]
async fn a02_the_scheme_is_compared_without_case() {
    let idp = idp();
    let token = idp.token().sign();
    for (scheme, expected) in [
        ("Bearer", OK),
        ("bearer", OK),
        ("BEARER", OK),
        ("bEaReR", OK),
        ("Bearers", MISSING),
        ("Beare", MISSING),
    ] {
        let value = format!("{scheme} {token}");
        assert_eq!(
            ask(&tokens(&idp), authorization(value.as_bytes())).await,
            expected,
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn a03_one_or_more_spaces_and_nothing_else_part_scheme_and_token() {
    let idp = idp();
    let token = idp.token().sign();
    for (between, expected) in [
        (" ", OK),
        ("  ", OK),
        ("         ", OK),
        ("\t", UNREADABLE),
        (" \t", UNREADABLE),
        (",", UNREADABLE),
    ] {
        let value = format!("Bearer{between}{token}");
        assert_eq!(
            ask(&tokens(&idp), authorization(value.as_bytes())).await,
            expected,
            "{between:?}"
        );
    }
}

#[tokio::test]
async fn a04_a_token_is_token68_with_its_padding_at_the_end() {
    let store = store();
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    for letter in (0..=u8::MAX).filter(|byte| of_alphabet(*byte)) {
        store.insert(record(&format!("a{}b", char::from(letter))).build());
    }
    for padded in ["ab=", "ab=="] {
        store.insert(record(padded).build());
    }
    let app = whoami().layer(ApiKeyLayer::new(store));
    let in_a_header = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    for byte in (0..=u8::MAX).filter(in_a_header) {
        let value = [b"Bearer a", &[byte][..], b"b"].concat();
        let expected = if of_alphabet(byte) { OK } else { UNREADABLE };
        assert_eq!(ask(&app, authorization(&value)).await, expected, "{byte:#x}");
    }
    for (token, expected) in [
        ("ab=", OK),
        ("ab==", OK),
        ("=ab", UNREADABLE),
        ("a=b=", UNREADABLE),
        ("=", UNREADABLE),
    ] {
        assert_eq!(ask(&app, bearer(token)).await, expected, "{token}");
    }
}

#[tokio::test]
async fn a05_a_credential_by_more_than_one_method_is_an_invalid_request() {
    let idp = idp();
    let token = format!("Bearer {}", idp.token().sign());
    let key = format!("ApiKey {KEY}");
    for (headers, expected) in [
        (&[("authorization", token.as_str())][..], OK),
        (&[("x-api-key", KEY)], OK),
        (&[("authorization", &token), ("x-api-key", KEY)], REPEATED),
        (&[("authorization", &key), ("x-api-key", KEY)], REPEATED),
        (&[("authorization", "Bearer wrong"), ("x-api-key", KEY)], REPEATED),
    ] {
        assert_eq!(
            ask(&either(&idp), request(headers)).await,
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a06_two_authorization_lines_are_refused_and_none_is_picked() {
    let idp = idp();
    let good = format!("Bearer {}", idp.token().sign());
    assert_eq!(ask(&tokens(&idp), authorization(good.as_bytes())).await, OK);
    for (first, second) in [
        (good.as_str(), good.as_str()),
        (&good, "Bearer wrong"),
        ("Bearer wrong", &good),
        ("Basic YTpi", &good),
        (&good, ""),
    ] {
        for app in [
            tokens(&idp),
            either(&idp),
            whoami().layer(JwtLayer::new(idp.issuer()).optional()),
        ] {
            let twice = request(&[("authorization", first), ("authorization", second)]);
            assert_eq!(ask(&app, twice).await, REPEATED, "{first:?}, {second:?}");
        }
    }
    let list = format!("{good}, {good}");
    assert_eq!(
        ask(&tokens(&idp), authorization(list.as_bytes())).await,
        UNREADABLE
    );
}

#[tokio::test]
async fn a07_a_form_body_is_not_read_and_reaches_the_handler_whole() {
    let idp = idp();
    let form = format!("access_token={}", idp.token().sign());
    let app = Router::new()
        .route(
            "/",
            get(|body: String| async { body }).post(|body: String| async { body }),
        )
        .layer(JwtLayer::new(idp.issuer()));
    for method in [Method::GET, Method::POST] {
        let posted = |header: Option<String>| {
            let mut request = Request::new(form.clone().into());
            *request.method_mut() = method.clone();
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert("content-type", kind);
            if let Some(value) = header {
                request
                    .headers_mut()
                    .insert(AUTHORIZATION, value.parse().unwrap());
            }
            request
        };
        assert_eq!(ask(&app, posted(None)).await, MISSING);
        let answer = call(&app, posted(Some(format!("Bearer {}", idp.token().sign())))).await;
        assert_eq!((answer.reason(), &answer.body), ("ok", &form));
    }
}

#[tokio::test]
async fn a08_a_token_in_the_query_is_ignored() {
    let idp = idp();
    let token = idp.token().sign();
    for query in [
        format!("access_token={token}"),
        format!("token={token}"),
        format!("api_key={KEY}"),
    ] {
        let to_query = |mut request: Request| {
            *request.uri_mut() = format!("/?{query}").parse().unwrap();
            request
        };
        assert_eq!(
            ask(&either(&idp), to_query(request(&[]))).await,
            MISSING,
            "{query}"
        );
        assert_eq!(ask(&either(&idp), to_query(bearer(&token))).await, OK, "{query}");
    }
}

#[tokio::test]
async fn a10_a_token_in_a_cookie_is_ignored() {
    let idp = idp();
    let token = idp.token().sign();
    let value = format!("Bearer {token}");
    for cookie in [
        format!("access_token={token}"),
        format!("authorization={token}"),
        format!("x-api-key={KEY}"),
    ] {
        assert_eq!(
            ask(&either(&idp), request(&[("cookie", &cookie)])).await,
            MISSING,
            "{cookie}"
        );
        let beside = request(&[("cookie", &cookie), ("authorization", &value)]);
        assert_eq!(ask(&either(&idp), beside).await, OK, "{cookie}");
    }
}

#[tokio::test]
async fn a11_issuers_are_https_and_an_accepted_credential_is_not_written_out() {
    for (url, accepted) in [
        ("https://login.test/", true),
        ("http://127.0.0.1:8080/", true),
        ("http://login.test/", false),
        ("http://10.0.0.1/", false),
    ] {
        assert_eq!(
            Issuer::builder(url).audience("https://api.test").build().is_ok(),
            accepted,
            "{url}"
        );
    }
    let idp = idp();
    let token = idp.token().sign();
    let shown = Router::new().route(
        "/",
        get(|headers: HeaderMap| async move { format!("{headers:?}") }),
    );
    let layer = JwtLayer::new(idp.issuer());
    for (app, kept) in [
        (shown.clone().layer(layer.clone()), true),
        (shown.layer(layer.strip_credential()), false),
    ] {
        let answer = call(&app, bearer(&token)).await;
        assert_eq!(answer.body.contains("Sensitive"), kept, "{answer:?}");
        assert!(!answer.body.contains(&token), "{answer:?}");
    }
}

#[tokio::test]
async fn a12_an_empty_credential_is_malformed_and_not_absent() {
    let idp = idp();
    let optional = whoami().layer(JwtLayer::new(idp.issuer()).optional());
    for value in ["", "Bearer", "bearer ", "Bearer    "] {
        for app in [&tokens(&idp), &keys(), &either(&idp), &optional] {
            assert_eq!(
                ask(app, authorization(value.as_bytes())).await,
                EMPTY,
                "{value:?}"
            );
        }
    }
    assert_eq!(ask(&keys(), with_key("")).await, EMPTY);
    assert_eq!(ask(&tokens(&idp), request(&[])).await, MISSING);
    assert_eq!(ask(&optional, request(&[])).await, OK);
}

#[tokio::test]
async fn b01_every_401_has_a_challenge() {
    assert_accepted_without_a_challenge().await;
    let idp = idp();
    for app in [tokens(&idp), keys(), either(&idp)] {
        for request in [request(&[]), bearer("wrong"), authorization(b"Basic YTpi")] {
            let answer = call(&app, request).await;
            assert_eq!(answer.status, 401);
            assert!(!answer.challenges().is_empty(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn b02_no_token_and_a_bad_one_are_answered_with_the_challenge_bearer() {
    let idp = idp();
    for app in [tokens(&idp), either(&idp)] {
        assert_eq!(ask(&app, bearer(&idp.token().sign())).await, OK);
        for request in [
            request(&[]),
            bearer("wrong"),
            bearer(&idp.token().audience("https://b.test").sign()),
        ] {
            let answer = call(&app, request).await;
            assert_eq!(parse(answer.challenges()[0]).0, "Bearer", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn b03_a_challenge_has_a_parameter_and_the_first_is_the_realm() {
    assert_accepted_without_a_challenge().await;
    for answer in refusals().await {
        for challenge in answer.challenges() {
            assert_eq!(parse(challenge).1[0], ("realm", "api"), "{challenge}");
        }
    }
}

#[tokio::test]
async fn b04_no_parameter_comes_twice_in_a_challenge() {
    assert_accepted_without_a_challenge().await;
    for answer in refusals().await {
        for challenge in answer.challenges() {
            let names: Vec<_> = parse(challenge).1.into_iter().map(|(name, _)| name).collect();
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "{challenge}"
            );
        }
    }
}

#[tokio::test]
async fn b05_a_scope_is_words_of_its_alphabet_with_single_spaces_between() {
    for byte in 0..=u8::MAX {
        let allowed = matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert_eq!(
            Scope::new(format!("a{}", char::from(byte))).is_ok(),
            allowed,
            "{byte:#x}"
        );
    }
    assert!(Scope::new("").is_err());
    let idp = idp();
    let needed = ScopeLayer::all([Scope::from_static("a:/!~"), WRITE]);
    let app = whoami().layer(needed).layer(JwtLayer::new(idp.issuer()));
    let answer = call(&app, bearer(&idp.token().sign())).await;
    let told = parameter(answer.challenges()[0], "scope").unwrap();
    assert_eq!(
        told.split(' ').collect::<BTreeSet<_>>(),
        BTreeSet::from(["a:/!~", "orders:write"])
    );
}

#[tokio::test]
async fn b06_every_value_keeps_to_what_may_be_quoted_as_it_is() {
    let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    for byte in 0..=u8::MAX {
        assert_eq!(
            Realm::new(format!("a{}b", char::from(byte))).is_ok(),
            allowed(byte),
            "{byte:#x}"
        );
    }
    for (name, value) in parameters().await {
        assert!(value.bytes().all(allowed), "{name}={value:?}");
    }
}

#[tokio::test]
async fn b07_the_parameters_are_those_of_the_rfc_and_no_error_uri_is_sent() {
    assert_accepted_without_a_challenge().await;
    let sent: BTreeSet<_> = parameters().await.into_iter().map(|(name, _)| name).collect();
    assert!(!sent.contains("error_uri"));
    assert_eq!(
        sent,
        ["error", "error_description", "realm", "scope"]
            .map(str::to_owned)
            .into()
    );
}

#[tokio::test]
async fn b08_no_credential_and_an_unknown_scheme_are_401_without_an_error() {
    let idp = idp();
    for app in [tokens(&idp), keys(), either(&idp)] {
        for request in [
            request(&[]),
            authorization(b"Basic YTpi"),
            authorization(b"Digest username=\"a\""),
        ] {
            let answer = call(&app, request).await;
            assert_eq!((answer.status.as_u16(), answer.reason()), MISSING);
            assert!(
                errors(&answer).iter().all(|(_, error)| error.is_none()),
                "{answer:?}"
            );
            assert!(answer.json().get("error").is_none(), "{answer:?}");
        }
    }
    let answer = call(&tokens(&idp), bearer("wrong")).await;
    assert_eq!(errors(&answer), [("Bearer", Some("invalid_token"))]);
}

#[tokio::test]
async fn b09_a_malformed_or_repeated_credential_is_400_invalid_request() {
    let idp = idp();
    let good = format!("Bearer {}", idp.token().sign());
    assert_eq!(ask(&tokens(&idp), authorization(good.as_bytes())).await, OK);
    for request in [
        authorization(b"Bearer"),
        authorization(b"Bearer a b"),
        authorization(b"Bearer \xff"),
        request(&[("authorization", &good), ("authorization", &good)]),
    ] {
        let answer = call(&tokens(&idp), request).await;
        assert_eq!(answer.status, 400);
        assert_eq!(errors(&answer), [("Bearer", Some("invalid_request"))]);
    }
}

#[tokio::test]
async fn b10_a_token_that_is_no_longer_or_not_here_valid_is_401_invalid_token() {
    let idp = idp();
    let app = tokens(&idp);
    let good = idp.token().expires_in(Duration::from_secs(7200)).sign();
    let expired = idp.token().expires_in(Duration::from_secs(60)).sign();
    assert_eq!(ask(&app, bearer(&expired)).await, OK);
    idp.clock().advance(Duration::from_secs(3600));
    assert_eq!(ask(&app, bearer(&good)).await, OK);
    for token in [
        expired,
        "opaque".to_owned(),
        "a.b.c".to_owned(),
        idp.token().audience("https://other.test").sign(),
        idp.token().claim("iss", "https://other.test").sign(),
    ] {
        let answer = call(&app, bearer(&token)).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(errors(&answer), [("Bearer", Some("invalid_token"))]);
    }
    let keys = store();
    keys.insert(record("revoked").revoked().build());
    let answer = call(&whoami().layer(ApiKeyLayer::new(keys)), bearer("revoked")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(errors(&answer)[0], ("Bearer", Some("invalid_token")));
}

#[tokio::test]
async fn b11_a_lacking_scope_is_403_insufficient_scope_and_names_what_is_needed() {
    let idp = idp();
    let app = demanding(&idp);
    assert_eq!(
        ask(&app, bearer(&idp.token().scopes([READ, WRITE]).sign())).await,
        OK
    );
    for token in [
        idp.token().scopes([READ]),
        idp.token().scopes([WRITE]),
        idp.token().without("scope"),
    ] {
        let answer = call(&app, bearer(&token.sign())).await;
        assert_eq!(answer.status, 403);
        assert_eq!(errors(&answer), [("Bearer", Some("insufficient_scope"))]);
        assert_eq!(
            parameter(answer.challenges()[0], "scope"),
            Some("orders:read orders:write")
        );
    }
}

#[tokio::test]
async fn b12_a_credential_that_was_sent_and_failed_has_an_error() {
    let idp = idp();
    for (request, error) in [
        (request(&[]), None),
        (bearer("a b"), Some("invalid_request")),
        (bearer("wrong"), Some("invalid_token")),
        (
            bearer(&idp.token().scopes([READ]).sign()),
            Some("insufficient_scope"),
        ),
        (with_key("wrong"), Some("invalid_token")),
    ] {
        let answer = call(&demanding(&idp), request).await;
        assert_eq!(
            errors(&answer).iter().find_map(|(_, error)| *error),
            error,
            "{answer:?}"
        );
        assert_eq!(answer.json().get("error").and_then(|error| error.as_str()), error);
    }
    assert_eq!(
        ask(
            &demanding(&idp),
            bearer(&idp.token().scopes([READ, WRITE]).sign())
        )
        .await,
        OK
    );
}

#[tokio::test]
async fn b13_names_of_parameters_are_unique_without_regard_to_case() {
    assert_accepted_without_a_challenge().await;
    for answer in refusals().await {
        for challenge in answer.challenges() {
            let names: Vec<_> = parse(challenge).1.into_iter().map(|(name, _)| name).collect();
            assert!(
                names
                    .iter()
                    .all(|name| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')))
            );
            let folded: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
            assert_eq!(folded.len(), names.len(), "{challenge}");
        }
    }
}

#[tokio::test]
async fn b14_each_scheme_has_its_challenge_and_the_one_that_was_tried_has_the_error() {
    let (idp, bad) = (idp(), Some("invalid_token"));
    let app = either(&idp);
    for (request, on_bearer, on_api_key) in [
        (request(&[]), None, None),
        (bearer("wrong"), bad, None),
        (with_key("wrong"), None, bad),
        (authorization(b"ApiKey wrong"), None, bad),
    ] {
        let answer = call(&app, request).await;
        assert_eq!(errors(&answer), [("Bearer", on_bearer), ("ApiKey", on_api_key)]);
    }
    assert_accepted_without_a_challenge().await;
}

#[tokio::test]
async fn b15_a_valid_credential_that_is_not_enough_is_403_and_an_invalid_one_401() {
    let idp = idp();
    for (request, status) in [
        (bearer(&idp.token().scopes([READ, WRITE]).sign()), 200),
        (bearer(&idp.token().scopes([READ]).sign()), 403),
        (with_key(KEY), 403),
        (bearer("wrong"), 401),
        (with_key("wrong"), 401),
    ] {
        let answer = call(&demanding(&idp), request).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn b16_keys_and_stores_out_of_reach_are_503_and_no_fault_of_the_credential() {
    let idp = idp();
    let token = idp.token().sign();
    let without_keys = idp
        .issuer_builder()
        .keys(CachedKeys::new(Broken))
        .build()
        .unwrap();
    for (app, request) in [
        (whoami().layer(JwtLayer::new(without_keys)), bearer(&token)),
        (whoami().layer(ApiKeyLayer::new(Broken)), with_key(KEY)),
    ] {
        let answer = call(&app, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.challenges().len()),
            (503, 0),
            "{answer:?}"
        );
        assert!(answer.json().get("error").is_none());
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    assert_eq!(ask(&tokens(&idp), bearer(&token)).await, OK);
    assert_eq!(ask(&keys(), with_key(KEY)).await, OK);
}

/// As `guide::cors` says: the CORS layer is the outermost.
fn with_cors(idp: &TestIssuer) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://app.test"))
        .allow_headers([AUTHORIZATION])
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER]);
    tokens(idp).layer(cors)
}

#[tokio::test]
async fn b17_a_page_can_read_the_challenge_where_the_cors_layer_exposes_it() {
    let idp = idp();
    let value = format!("Bearer {}", idp.token().sign());
    for (value, status) in [("Bearer wrong", 401), (value.as_str(), 200)] {
        let asked = request(&[("origin", "https://app.test"), ("authorization", value)]);
        let answer = call(&with_cors(&idp), asked).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.challenges().len(), usize::from(status == 401));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://app.test")
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("www-authenticate,retry-after")
        );
    }
}

#[tokio::test]
async fn b18_a_preflight_is_answered_without_a_credential_outside_of_the_layer_only() {
    let idp = idp();
    let preflight = || {
        let headers = [
            ("origin", "https://app.test"),
            ("access-control-request-method", "GET"),
        ];
        let mut request = request(&headers);
        *request.method_mut() = Method::OPTIONS;
        request
    };
    assert_eq!(ask(&with_cors(&idp), preflight()).await, OK);
    assert_eq!(ask(&tokens(&idp), preflight()).await, MISSING);
    assert_eq!(
        ask(&with_cors(&idp), request(&[("origin", "https://app.test")])).await,
        MISSING
    );
}

#[tokio::test]
async fn b19_shared_caches_keep_no_answer_to_a_credential() {
    let idp = idp();
    for request in [with_key(KEY), with_key("wrong"), request(&[])] {
        assert_eq!(
            call(&keys(), request).await.header("cache-control"),
            Some("private")
        );
    }
    // `Authorization` forbids it already, RFC 9111 section 3.5.
    assert_eq!(
        call(&tokens(&idp), bearer(&idp.token().sign()))
            .await
            .header("cache-control"),
        None
    );
    let own = Router::new().route("/", get(|| async { [(CACHE_CONTROL, "no-store")] }));
    let answer = call(&own.layer(ApiKeyLayer::new(store())), with_key(KEY)).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn b20_over_the_limit_is_429_with_retry_after() {
    let limits = RateLimits::builder("free", Quota::per_minute(1)).clock(TestClock::new());
    let app = whoami()
        .layer(RateLimitLayer::new(limits.build().unwrap()))
        .layer(ApiKeyLayer::new(store()));
    assert_eq!(call(&app, with_key(KEY)).await.status, StatusCode::OK);
    let answer = call(&app, with_key(KEY)).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn b21_a_refusal_has_a_problem_body_with_the_real_status_and_no_internals() {
    for answer in refusals().await {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let body = answer.json();
        assert_eq!(
            (&body["type"], &body["status"]),
            (&"about:blank".into(), &answer.status.as_u16().into())
        );
        for internal in ["database", "key_1", "robot", "wrong", "https://idp.test"] {
            assert!(!answer.body.contains(internal), "{answer:?}");
        }
    }
    let answer = call(&keys(), with_key(KEY)).await;
    assert_ne!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn b22_nothing_of_the_request_comes_back_in_a_challenge() {
    assert!(Realm::new("orders of tomorrow").is_ok());
    assert!(Realm::new("a\r\nX-Injected: b").is_err());
    let (idp, hostile) = (idp(), "zzINJECTEDzz");
    let scoped = idp
        .token()
        .claim("scope", format!("{hostile}\", error=\"x\r\nX-Injected: y"));
    for request in [
        bearer(hostile),
        authorization(format!("{hostile} abc").as_bytes()),
        authorization(format!("Bearer {hostile}\", realm=\"x").as_bytes()),
        with_key(hostile),
        with_key(&format!("{hostile} x")),
        bearer(&idp.token().header("kid", hostile).sign()),
        bearer(&idp.token().claim("iss", hostile).sign()),
        bearer(&scoped.sign()),
    ] {
        let answer = call(&demanding(&idp), request).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(
            !format!("{:?}{}", answer.headers, answer.body).contains(hostile),
            "{answer:?}"
        );
    }
    assert_eq!(
        ask(
            &demanding(&idp),
            bearer(&idp.token().scopes([READ, WRITE]).sign())
        )
        .await,
        OK
    );
}
