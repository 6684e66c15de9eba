//! Requests of somebody who has a good token, or saw one, and wants more than it gives. The good token is known to the layer,
//! so that whatever is close to it could be taken for it.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::HeaderValue;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Algorithm, ApiKeyLayer, FixedKeys, JwtLayer, MemoryRevocations, Revocation};

use crate::support::{KEY, bearer, call, idp, request, store, whoami};

/// A route for tokens and keys, and a token that it knows.
async fn guarded(idp: &TestIssuer) -> (Router, String) {
    let issuer = idp.issuer_builder().keys(FixedKeys::jwks(&idp.jwks()).unwrap());
    let jwt = JwtLayer::new(issuer.build().unwrap());
    let app = whoami().layer(jwt.or(ApiKeyLayer::new(store())));
    let token = idp.token().algorithm(Algorithm::Es256).token_id("t-1").sign();
    for _ in 0..2 {
        assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
    }
    (app, token)
}

async fn reason_of(app: &Router, headers: &[(&str, &str)]) -> &'static str {
    call(app, request(headers)).await.reason()
}

#[tokio::test]
async fn what_is_close_to_a_known_token_is_not_it() {
    let idp = idp();
    let (app, token) = guarded(&idp).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    // The last character of 64 bytes carries four bits that must be zero.
    let (start, last) = signature.split_at(signature.len() - 1);
    let loose = char::from(last.as_bytes()[0] + 1);
    for (name, close, expected) in [
        ("padded", format!("{token}="), "token_malformed"),
        ("padded twice", format!("{token}=="), "token_malformed"),
        (
            "with loose bits",
            format!("{input}.{start}{loose}"),
            "token_malformed",
        ),
        (
            "with another signature",
            format!("{input}.{swapped}{}", &signature[1..]),
            "signature_invalid",
        ),
        (
            "without its end",
            token[..token.len() - 2].to_owned(),
            "signature_invalid",
        ),
        ("with a fourth part", format!("{token}.x"), "api_key_unknown"),
        (
            "with an empty fourth part",
            format!("{token}."),
            "api_key_unknown",
        ),
        ("without a signature", format!("{input}."), "token_malformed"),
        (
            "without a header",
            format!(".{}", token.split_once('.').unwrap().1),
            "token_malformed",
        ),
        ("its claims alone", input.to_owned(), "api_key_unknown"),
    ] {
        assert_eq!(call(&app, bearer(&close)).await.reason(), expected, "{name}");
    }
    assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
}

#[tokio::test]
async fn a_known_token_in_another_place_or_twice_is_what_it_is_there() {
    let idp = idp();
    let (app, token) = guarded(&idp).await;
    let (as_bearer, as_key) = (format!("Bearer {token}"), format!("ApiKey {token}"));
    for (headers, expected) in [
        (&[("x-api-key", &*token)][..], "api_key_unknown"),
        (&[("authorization", &as_key)], "api_key_unknown"),
        (
            &[("authorization", &as_bearer), ("x-api-key", KEY)],
            "credential_repeated",
        ),
        (
            &[("authorization", &as_bearer), ("authorization", &as_bearer)],
            "credential_repeated",
        ),
        (
            &[("authorization", &as_bearer), ("authorization", &as_key)],
            "credential_repeated",
        ),
        (
            &[("authorization", &as_bearer), ("x-api-key", "")],
            "credential_empty",
        ),
        (
            &[("authorization", "bEARER  "), ("x-api-key", KEY)],
            "credential_empty",
        ),
        (&[("authorization", "Basic dTpw"), ("x-api-key", KEY)], "ok"),
    ] {
        assert_eq!(reason_of(&app, headers).await, expected, "{headers:?}");
    }
    let spelled = format!("bEARER   {token}");
    assert_eq!(reason_of(&app, &[("authorization", &spelled)]).await, "ok");
}

#[tokio::test]
async fn bytes_that_are_no_ascii_are_no_credential() {
    let idp = idp();
    let (app, token) = guarded(&idp).await;
    for name in ["authorization", "x-api-key"] {
        for bytes in [&b"\xff"[..], b"\xc3\xa9", b"\t"] {
            let mut value = b"Bearer ".to_vec();
            value.extend_from_slice(token.as_bytes());
            value.extend_from_slice(bytes);
            value.push(b'x');
            let value = HeaderValue::from_bytes(&value).unwrap();
            let request = Request::get("/").header(name, value).body(Body::empty()).unwrap();
            assert_eq!(call(&app, request).await.reason(), "header_unreadable", "{name}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_withdrawn_while_it_is_known_is_refused_on_each_route_that_asks() {
    let idp = idp();
    let revocations = MemoryRevocations::new();
    let jwt = JwtLayer::new(idp.issuer());
    // Clones of a layer share what they know; only one of these asks.
    let careless = whoami().layer(jwt.clone());
    let careful = whoami().layer(jwt.revocations(revocations.clone()));
    let token = idp.token().token_id("t-1");
    let expires = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let token = token.sign();
    for app in [&careless, &careful, &careless] {
        assert_eq!(call(app, bearer(&token)).await.reason(), "ok");
    }
    revocations.revoke(&Revocation::token(idp.name(), "t-1", expires));
    assert_eq!(call(&careful, bearer(&token)).await.reason(), "token_revoked");
    assert_eq!(call(&careless, bearer(&token)).await.reason(), "ok");
    assert_eq!(call(&careful, bearer(&token)).await.reason(), "token_revoked");
}
