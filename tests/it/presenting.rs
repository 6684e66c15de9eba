//! How a credential is read out of a request, and what is none.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops where it stands"
)]

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{ApiKeyLayer, JwtLayer};

use crate::support::{Answer, KEY, Slow, bearer, call, idp, record, request, store, whoami};

/// A request with header values that no `&str` can hold.
fn raw(headers: &[(&str, &[u8])]) -> Request {
    let mut request = request(&[]);
    for (name, value) in headers {
        request.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    request
}

fn tokens(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()))
}

fn keys() -> Router {
    whoami().layer(ApiKeyLayer::new(store()))
}

fn either(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())))
}

/// Every kind of layer, demanding and optional.
fn all_layers(idp: &TestIssuer) -> [Router; 6] {
    let jwt = JwtLayer::new(idp.issuer());
    let key = ApiKeyLayer::new(store());
    [
        tokens(idp),
        keys(),
        either(idp),
        whoami().layer(jwt.clone().optional()),
        whoami().layer(key.clone().optional()),
        whoami().layer(key.or(jwt).optional()),
    ]
}

async fn assert_refused_everywhere(value: &[u8], reason: &str) {
    let idp = idp();
    for (index, app) in all_layers(&idp).iter().enumerate() {
        let answer = call(app, raw(&[("authorization", value)])).await;
        let text = String::from_utf8_lossy(value);
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::BAD_REQUEST, reason),
            "layer {index}, {text:?}"
        );
    }
}

fn assert_key_accepted(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["method"], "api_key");
    assert_eq!(answer.json()["subject"], "robot");
}

fn assert_token_accepted(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["method"], "jwt");
}

fn assert_refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (status, reason),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_bearer_scheme_is_read_in_any_case() {
    let idp = idp();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let value = format!("{scheme} {}", idp.token().sign());
        assert_token_accepted(&call(&tokens(&idp), request(&[("authorization", &value)])).await);
        let value = format!("{scheme} {KEY}");
        assert_key_accepted(&call(&keys(), request(&[("authorization", &value)])).await);
    }
}

#[tokio::test]
async fn the_api_key_scheme_is_read_in_any_case() {
    for scheme in ["ApiKey", "apikey", "APIKEY", "aPiKeY"] {
        let value = format!("{scheme} {KEY}");
        assert_key_accepted(&call(&keys(), request(&[("authorization", &value)])).await);
    }
}

#[tokio::test]
async fn one_or_more_spaces_part_scheme_and_token() {
    let idp = idp();
    for spaces in [" ", "  ", "                 "] {
        let value = format!("Bearer{spaces}{}", idp.token().sign());
        assert_token_accepted(&call(&tokens(&idp), request(&[("authorization", &value)])).await);
        let value = format!("ApiKey{spaces}{KEY}");
        assert_key_accepted(&call(&keys(), request(&[("authorization", &value)])).await);
    }
}

#[tokio::test]
async fn a_tab_parts_nothing() {
    for value in [
        "Bearer\tabc",
        "Bearer \tabc",
        "Bearer\t abc",
        "Bearer abc\t",
        "Basic\tabc",
    ] {
        assert_refused_everywhere(value.as_bytes(), "header_unreadable").await;
    }
}

#[tokio::test]
async fn every_character_of_token68_is_read() {
    let letters: String = ('!'..='~')
        .filter(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(*c))
        .collect();
    let key = format!("{letters}==");
    let store = store();
    store.insert(record(&key).build());
    let app = whoami().layer(ApiKeyLayer::new(store));
    assert_key_accepted(&call(&app, bearer(&key)).await);
}

#[tokio::test]
async fn no_other_character_is_read() {
    let others = ('!'..='~').filter(|c| !c.is_ascii_alphanumeric() && !"-._~+/=".contains(*c));
    for character in others {
        let value = format!("Bearer a{character}b");
        assert_refused_everywhere(value.as_bytes(), "header_unreadable").await;
    }
}

#[tokio::test]
async fn one_bad_byte_is_seen_wherever_it_stands_in_a_long_value() {
    let app = keys();
    for bad in ('!'..='~')
        .filter(|c| !c.is_ascii_alphanumeric() && !"-._~+/=".contains(*c))
        .map(|c| c as u8)
        .chain(0x80..=0xff)
    {
        for place in [0, 1, 15, 16, 17, 31, 32, 63, 64, 98, 99] {
            let mut value = b"Bearer ".to_vec();
            value.extend([b'a'; 100]);
            value[7 + place] = bad;
            let request = http::Request::get("/").header("authorization", value.as_slice());
            let answer = call(&app, request.body(axum::body::Body::empty()).unwrap()).await;
            assert_eq!(answer.reason(), "header_unreadable", "{bad:#x} at {place}");
        }
    }
}

#[tokio::test]
async fn padding_stands_at_the_end_and_not_alone() {
    for value in [
        "Bearer =",
        "Bearer ===",
        "Bearer =abc",
        "Bearer a=b",
        "Bearer a=b=",
    ] {
        assert_refused_everywhere(value.as_bytes(), "header_unreadable").await;
    }
}

#[tokio::test]
async fn an_empty_credential_is_not_an_absent_one() {
    for value in ["", "Bearer", "bearer", "Bearer ", "Bearer   "] {
        assert_refused_everywhere(value.as_bytes(), "credential_empty").await;
    }
    for value in ["ApiKey", "ApiKey  "] {
        let answer = call(&keys(), request(&[("authorization", value)])).await;
        assert_refused(&answer, 400, "credential_empty");
    }
}

#[tokio::test]
async fn a_value_without_a_readable_scheme_is_unreadable() {
    let values: [&[u8]; 8] = [
        b" Bearer abc",
        b"\"Bearer\" abc",
        b"=abc",
        b"Bearer:abc",
        b"Bearer=abc",
        b"Basic,abc",
        b"\xff\xfe",
        b"Be\xc3\xa4rer abc",
    ];
    for value in values {
        assert_refused_everywhere(value, "header_unreadable").await;
    }
}

#[tokio::test]
async fn bytes_that_are_not_ascii_are_unreadable() {
    let values: [&[u8]; 4] = [
        b"Bearer \xff",
        b"Bearer t\xc3\xb6ken",
        b"Bearer abc\x80",
        b"Bearer\xa0abc",
    ];
    for value in values {
        assert_refused_everywhere(value, "header_unreadable").await;
    }
}

#[tokio::test]
async fn something_behind_the_token_is_unreadable() {
    for value in [
        "Bearer abc ",
        "Bearer abc def",
        "Bearer abc realm=\"x\"",
        "Bearer token=\"abc\"",
    ] {
        assert_refused_everywhere(value.as_bytes(), "header_unreadable").await;
    }
}

#[tokio::test]
async fn a_list_is_not_taken_apart() {
    let idp = idp();
    let token = idp.token().sign();
    for value in [
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token},Basic abc"),
        format!("Bearer {token},"),
    ] {
        assert_refused_everywhere(value.as_bytes(), "header_unreadable").await;
    }
    let value = format!("Basic abc, Bearer {token}");
    let answer = call(&tokens(&idp), request(&[("authorization", &value)])).await;
    assert_refused(&answer, 401, "credential_missing");
}

#[tokio::test]
async fn two_authorization_lines_are_refused_whatever_they_say() {
    let idp = idp();
    let good = format!("Bearer {}", idp.token().sign());
    let key = format!("ApiKey {KEY}");
    for (first, second) in [
        (good.as_str(), good.as_str()),
        (good.as_str(), "Basic abc"),
        ("Basic abc", good.as_str()),
        ("Basic abc", "Basic abc"),
        ("", good.as_str()),
        (key.as_str(), good.as_str()),
    ] {
        for app in all_layers(&idp) {
            let answer = call(
                &app,
                request(&[("authorization", first), ("authorization", second)]),
            )
            .await;
            assert_refused(&answer, 400, "credential_repeated");
        }
    }
}

#[tokio::test]
async fn a_scheme_that_nobody_knows_is_no_credential() {
    let idp = idp();
    let token = idp.token().sign();
    for scheme in ["Basic", "Digest", "DPoP", "Bearerx", "Bear", "Token", "Negotiate"] {
        let value = format!("{scheme} {token}");
        for app in [tokens(&idp), keys(), either(&idp)] {
            let answer = call(&app, request(&[("authorization", &value)])).await;
            assert_refused(&answer, 401, "credential_missing");
        }
        let optional = whoami().layer(JwtLayer::new(idp.issuer()).optional());
        let answer = call(&optional, request(&[("authorization", &value)])).await;
        assert_eq!(answer.json(), json!({ "method": "anonymous" }), "{value}");
    }
}

#[tokio::test]
async fn a_token_without_its_scheme_is_no_credential() {
    let idp = idp();
    let answer = call(&tokens(&idp), request(&[("authorization", &idp.token().sign())])).await;
    assert_refused(&answer, 401, "credential_missing");
}

#[tokio::test]
async fn the_api_key_scheme_carries_no_token() {
    let idp = idp();
    let value = format!("ApiKey {}", idp.token().sign());
    let answer = call(&tokens(&idp), request(&[("authorization", &value)])).await;
    assert_refused(&answer, 401, "credential_missing");
    let answer = call(&either(&idp), request(&[("authorization", &value)])).await;
    assert_refused(&answer, 401, "api_key_unknown");
}

#[tokio::test]
async fn nothing_is_read_from_query_form_or_cookie() {
    let idp = idp();
    let token = idp.token().sign();
    for query in [
        format!("access_token={token}"),
        format!("token={token}"),
        format!("api_key={KEY}"),
        format!("apikey={KEY}"),
        format!("key={KEY}"),
        format!("x-api-key={KEY}"),
    ] {
        let mut in_query = request(&[]);
        *in_query.uri_mut() = format!("/?{query}").parse().unwrap();
        let in_cookie = request(&[("cookie", &query)]);
        let in_form = Request::get("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(query.clone().into())
            .unwrap();
        for request in [in_query, in_cookie, in_form] {
            let answer = call(&either(&idp), request).await;
            assert_refused(&answer, 401, "credential_missing");
        }
    }
}

#[tokio::test]
async fn a_key_is_read_in_each_of_its_places() {
    let values = [
        ("x-api-key", KEY.to_owned()),
        ("authorization", format!("Bearer {KEY}")),
        ("authorization", format!("ApiKey {KEY}")),
    ];
    for (name, value) in values {
        assert_key_accepted(&call(&keys(), request(&[(name, &value)])).await);
    }
}

#[tokio::test]
async fn a_bare_key_is_one_word_of_visible_ascii() {
    let idp = idp();
    let values: [(&[u8], &str); 7] = [
        (b"", "credential_empty"),
        (b" ", "header_unreadable"),
        (b"two words", "header_unreadable"),
        (b"key ", "header_unreadable"),
        (b"a\tb", "header_unreadable"),
        (b"k\xe9y", "header_unreadable"),
        (b"\xf0\x9f\x94\x91", "header_unreadable"),
    ];
    for (value, reason) in values {
        for app in [
            keys(),
            either(&idp),
            whoami().layer(ApiKeyLayer::new(store()).optional()),
        ] {
            let answer = call(&app, raw(&[("x-api-key", value)])).await;
            assert_refused(&answer, 400, reason);
        }
    }
}

#[tokio::test]
async fn a_key_header_that_is_repeated_is_refused() {
    for second in [KEY, "another", ""] {
        let answer = call(&keys(), request(&[("x-api-key", KEY), ("x-api-key", second)])).await;
        assert_refused(&answer, 400, "credential_repeated");
    }
}

#[tokio::test]
async fn a_key_in_two_places_is_refused_even_if_it_is_the_same() {
    for value in [
        format!("Bearer {KEY}"),
        format!("ApiKey {KEY}"),
        "Bearer another".to_owned(),
    ] {
        let answer = call(&keys(), request(&[("x-api-key", KEY), ("authorization", &value)])).await;
        assert_refused(&answer, 400, "credential_repeated");
    }
}

#[tokio::test]
async fn a_good_key_does_not_excuse_an_unreadable_authorization() {
    for (value, reason) in [
        ("Bearer", "credential_empty"),
        ("Bearer a b", "header_unreadable"),
    ] {
        let answer = call(&keys(), request(&[("x-api-key", KEY), ("authorization", value)])).await;
        assert_refused(&answer, 400, reason);
    }
}

#[tokio::test]
async fn an_unreadable_key_is_not_excused_by_a_good_token() {
    let idp = idp();
    let value = format!("Bearer {}", idp.token().sign());
    for layer in [
        JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())),
        ApiKeyLayer::new(store()).or(JwtLayer::new(idp.issuer())),
    ] {
        let app = whoami().layer(layer);
        let answer = call(&app, request(&[("x-api-key", "a b"), ("authorization", &value)])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    }
}

#[tokio::test]
async fn a_key_beside_basic_authorization_is_accepted() {
    let idp = idp();
    for app in [keys(), either(&idp)] {
        let answer = call(
            &app,
            request(&[("x-api-key", KEY), ("authorization", "Basic YTpi")]),
        )
        .await;
        assert_key_accepted(&answer);
    }
}

#[tokio::test]
async fn where_only_tokens_count_a_key_is_neither_a_credential_nor_a_second_one() {
    let idp = idp();
    let answer = call(&tokens(&idp), request(&[("x-api-key", KEY)])).await;
    assert_refused(&answer, 401, "credential_missing");
    let value = format!("Bearer {}", idp.token().sign());
    let both = request(&[("x-api-key", KEY), ("authorization", &value)]);
    assert_token_accepted(&call(&tokens(&idp), both).await);
}

#[tokio::test]
async fn a_key_header_of_ones_own_takes_the_place_of_the_usual_one() {
    let layer = ApiKeyLayer::new(store()).header(HeaderName::from_static("x-token"));
    let app = whoami().layer(layer);
    assert_key_accepted(&call(&app, request(&[("x-token", KEY)])).await);
    assert_key_accepted(&call(&app, bearer(KEY)).await);
    let usual = call(&app, request(&[("x-api-key", KEY)])).await;
    assert_refused(&usual, 401, "credential_missing");
    let both = call(
        &app,
        request(&[("x-token", KEY), ("authorization", &format!("ApiKey {KEY}"))]),
    )
    .await;
    assert_refused(&both, 400, "credential_repeated");
}

#[tokio::test]
async fn authorization_as_the_key_header_means_its_schemes() {
    let app = whoami().layer(ApiKeyLayer::new(store()).header(http::header::AUTHORIZATION));
    assert_key_accepted(&call(&app, bearer(KEY)).await);
    let bare = call(&app, request(&[("authorization", KEY)])).await;
    assert_refused(&bare, 401, "credential_missing");
}

fn moved_tokens(idp: &TestIssuer) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).header(HeaderName::from_static("x-moved")))
}

#[tokio::test]
async fn a_moved_token_stands_bare_or_behind_bearer() {
    let idp = idp();
    let token = idp.token().sign();
    for value in [
        token.clone(),
        format!("Bearer {token}"),
        format!("bearer   {token}"),
    ] {
        assert_token_accepted(&call(&moved_tokens(&idp), request(&[("x-moved", &value)])).await);
    }
}

#[tokio::test]
async fn with_a_moved_token_authorization_is_not_looked_at() {
    let idp = idp();
    let token = idp.token().sign();
    let app = moved_tokens(&idp);
    assert_refused(&call(&app, bearer(&token)).await, 401, "credential_missing");
    for other in ["Basic abc", "Bearer", "Bearer other"] {
        let answer = call(&app, request(&[("x-moved", &token), ("authorization", other)])).await;
        assert_token_accepted(&answer);
    }
}

#[tokio::test]
async fn a_moved_token_that_cannot_be_read_is_refused() {
    let idp = idp();
    let token = idp.token().sign();
    for (value, reason) in [
        (String::new(), "credential_empty"),
        ("Bearer".to_owned(), "credential_empty"),
        ("Bearer ".to_owned(), "credential_empty"),
        (format!("Basic {token}"), "header_unreadable"),
        (format!("{token} {token}"), "header_unreadable"),
        (format!("{token},{token}"), "header_unreadable"),
    ] {
        let answer = call(&moved_tokens(&idp), request(&[("x-moved", &value)])).await;
        assert_refused(&answer, 400, reason);
    }
    let twice = call(
        &moved_tokens(&idp),
        request(&[("x-moved", &token), ("x-moved", &token)]),
    )
    .await;
    assert_refused(&twice, 400, "credential_repeated");
}

#[tokio::test]
async fn token_and_key_may_share_a_header_of_ones_own() {
    let idp = idp();
    let name = HeaderName::from_static("x-credential");
    let jwt = JwtLayer::new(idp.issuer()).header(name.clone());
    let app = whoami().layer(jwt.or(ApiKeyLayer::new(store()).header(name)));
    assert_token_accepted(&call(&app, request(&[("x-credential", &idp.token().sign())])).await);
    assert_key_accepted(&call(&app, request(&[("x-credential", KEY)])).await);
}

#[tokio::test]
async fn a_token_longer_than_the_layer_allows_is_refused_as_invalid() {
    let idp = idp();
    let token = idp.token().sign();
    let of = |length| whoami().layer(JwtLayer::new(idp.issuer()).longest_token(length));
    assert_token_accepted(&call(&of(token.len()), bearer(&token)).await);
    assert_refused(
        &call(&of(token.len() - 1), bearer(&token)).await,
        401,
        "token_too_long",
    );
}

/// Says of each header of the request whether it is marked as sensitive.
fn marks() -> Router {
    Router::new().route(
        "/",
        get(|headers: HeaderMap| async move {
            let marks: Value = headers
                .iter()
                .map(|(name, value)| (name.to_string(), Value::from(value.is_sensitive())))
                .collect::<serde_json::Map<_, _>>()
                .into();
            marks.to_string()
        }),
    )
}

#[tokio::test]
async fn the_handler_sees_the_credential_marked_as_sensitive() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer());
    let token = format!("Bearer {}", idp.token().sign());
    let moved = jwt.clone().header(HeaderName::from_static("x-moved"));
    for (app, name, value) in [
        (marks().layer(jwt.clone()), "authorization", token.as_str()),
        (marks().layer(jwt.clone().optional()), "authorization", &token),
        (marks().layer(moved), "x-moved", &token),
        (marks().layer(ApiKeyLayer::new(store())), "x-api-key", KEY),
        (marks().layer(ApiKeyLayer::new(Slow(store()))), "x-api-key", KEY),
        (marks().layer(jwt.or(ApiKeyLayer::new(store()))), "x-api-key", KEY),
    ] {
        let answer = call(&app, request(&[(name, value), ("x-other", "1")])).await;
        assert_eq!(answer.json(), json!({ name: true, "x-other": false }));
    }
}

#[tokio::test]
async fn a_stripped_credential_does_not_reach_the_handler_and_the_rest_does() {
    let idp = idp();
    let jwt = JwtLayer::new(idp.issuer());
    let key = ApiKeyLayer::new(store());
    let token = format!("Bearer {}", idp.token().sign());
    let stripping = jwt.clone().strip_credential();
    for (app, name, value) in [
        (marks().layer(stripping.clone()), "authorization", token.as_str()),
        (
            marks().layer(stripping.clone().optional()),
            "authorization",
            &token,
        ),
        (marks().layer(key.clone().strip_credential()), "x-api-key", KEY),
        (
            marks().layer(ApiKeyLayer::new(Slow(store())).strip_credential()),
            "x-api-key",
            KEY,
        ),
        (marks().layer(stripping.or(key.clone())), "x-api-key", KEY),
        (
            marks().layer(key.clone().or(jwt.clone().strip_credential())),
            "x-api-key",
            KEY,
        ),
        (
            marks().layer(jwt.or(key).strip_credential()),
            "authorization",
            &token,
        ),
    ] {
        let answer = call(&app, request(&[(name, value), ("x-other", "1")])).await;
        assert_eq!(answer.json(), json!({ "x-other": false }));
    }
}

#[tokio::test]
async fn only_the_credential_is_stripped() {
    let app = marks().layer(ApiKeyLayer::new(store()).strip_credential());
    let answer = call(
        &app,
        request(&[("x-api-key", KEY), ("authorization", "Basic YTpi")]),
    )
    .await;
    assert_eq!(answer.json(), json!({ "authorization": false }));
}
