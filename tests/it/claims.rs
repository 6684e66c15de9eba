//! A token's claims as a type of the user's.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it stands"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tower_resource_server::testing::{PrincipalBuilder, TestIssuer};
use tower_resource_server::{ApiKeyLayer, Claims, JwtLayer, Principal, TrustedIssuers};

use crate::support::{API, KEY, bearer, call, idp, request, store};

#[derive(Debug, Deserialize)]
struct Staff {
    desk: u32,
}

#[derive(Debug, Deserialize)]
struct Partner {
    contract: String,
}

async fn desk(claims: Claims<Staff>) -> String {
    claims.desk.to_string()
}

async fn maybe_desk(claims: Option<Claims<Staff>>) -> String {
    claims.map_or("none".to_owned(), |claims| claims.desk.to_string())
}

/// `/` demands the claims of staff, `/maybe` does not.
fn routes() -> Router {
    Router::new()
        .route("/", get(desk))
        .route("/maybe", get(maybe_desk))
}

fn at(path: &'static str, mut request: axum::extract::Request) -> axum::extract::Request {
    *request.uri_mut() = path.parse().unwrap();
    request
}

fn of_staff(idp: &TestIssuer) -> JwtLayer {
    JwtLayer::new(idp.issuer_builder().claims::<Staff>().build().unwrap())
}

#[tokio::test]
async fn a_handler_reads_the_claims_as_the_declared_type() {
    let idp = idp();
    let app = routes().layer(of_staff(&idp));
    let token = idp.token().claim("desk", 7).sign();
    for path in ["/", "/maybe"] {
        assert_eq!(call(&app, at(path, bearer(&token))).await.body, "7");
    }
}

#[tokio::test]
async fn the_principal_gives_the_claims_as_the_declared_type_and_no_other() {
    let idp = idp();
    let handler = |caller: Principal| async move {
        let staff = caller.claims::<Staff>().map(|claims| claims.desk);
        format!("{staff:?} {:?}", caller.claims::<Partner>().is_some())
    };
    let app = Router::new().route("/", get(handler)).layer(of_staff(&idp));
    let token = idp.token().claim("desk", 7).sign();
    assert_eq!(call(&app, bearer(&token)).await.body, "Some(7) false");
}

#[tokio::test]
async fn a_key_beside_an_issuer_that_declares_the_type_is_403_or_none() {
    let idp = idp();
    let app = routes().layer(of_staff(&idp).or(ApiKeyLayer::new(store())));
    let key = || request(&[("x-api-key", KEY)]);
    let demanded = call(&app, at("/", key())).await;
    assert_eq!(
        (demanded.status, demanded.reason()),
        (StatusCode::FORBIDDEN, "claims_absent")
    );
    assert_eq!(call(&app, at("/maybe", key())).await.body, "none");
}

#[tokio::test]
async fn a_type_that_no_issuer_declared_is_500() {
    let idp = idp();
    let other = idp.issuer_builder().claims::<Partner>().build().unwrap();
    let token = idp.token().claim("desk", 7).claim("contract", "c").sign();
    for layer in [JwtLayer::new(idp.issuer()), JwtLayer::new(other)] {
        let app = routes().layer(layer);
        for path in ["/", "/maybe"] {
            let answer = call(&app, at(path, bearer(&token))).await;
            assert_eq!(
                (answer.status, answer.reason()),
                (StatusCode::INTERNAL_SERVER_ERROR, "claims_undeclared"),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn of_two_issuers_with_types_of_their_own_each_has_its_own() {
    let (staff, partner) = (idp(), TestIssuer::new("https://partner.test", API));
    let issuers = TrustedIssuers::new([
        staff
            .issuer_builder()
            .accept_any_scope()
            .claims::<Staff>()
            .build()
            .unwrap(),
        partner
            .issuer_builder()
            .accept_any_scope()
            .claims::<Partner>()
            .build()
            .unwrap(),
    ]);
    let app = routes()
        .route(
            "/partner",
            get(|claims: Claims<Partner>| async move { claims.contract.clone() }),
        )
        .layer(JwtLayer::new(issuers.unwrap()));
    let of_staff = staff.token().claim("desk", 7).sign();
    let of_partner = partner.token().claim("contract", "c-1").sign();
    assert_eq!(call(&app, at("/", bearer(&of_staff))).await.body, "7");
    assert_eq!(call(&app, at("/partner", bearer(&of_partner))).await.body, "c-1");
    for (path, token) in [("/", &of_partner), ("/partner", &of_staff)] {
        let answer = call(&app, at(path, bearer(token))).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::FORBIDDEN, "claims_absent")
        );
    }
    assert_eq!(call(&app, at("/maybe", bearer(&of_partner))).await.body, "none");
}

#[tokio::test]
async fn claims_that_do_not_decode_are_an_invalid_token_on_every_route() {
    let idp = idp();
    let app = routes()
        .route("/open", get(|| async {}))
        .layer(of_staff(&idp).optional());
    for token in [
        idp.token(),
        idp.token().claim("desk", "seven"),
        idp.token().claim("desk", -1),
        idp.token().claim("desk", Value::Null),
    ] {
        let token = token.sign();
        for path in ["/", "/maybe", "/open"] {
            let answer = call(&app, at(path, bearer(&token))).await;
            assert_eq!(
                (answer.status, answer.reason()),
                (StatusCode::UNAUTHORIZED, "claims_undecodable")
            );
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_not_decoded_first() {
    let idp = idp();
    let app = routes().layer(of_staff(&idp));
    let answer = call(&app, bearer(&idp.token().audience("other").sign())).await;
    assert_eq!(answer.reason(), "audience_mismatch");
}

#[tokio::test]
async fn an_anonymous_caller_has_no_claims() {
    let idp = idp();
    let app = routes().layer(of_staff(&idp).optional());
    let demanded = call(&app, at("/", request(&[]))).await;
    assert_eq!(
        (demanded.status, demanded.reason()),
        (StatusCode::UNAUTHORIZED, "credential_missing")
    );
    assert_eq!(demanded.challenges(), [r#"Bearer realm="api""#]);
    assert_eq!(call(&app, at("/maybe", request(&[]))).await.body, "none");
}

#[tokio::test]
async fn without_an_authentication_layer_every_extractor_is_500() {
    let app = routes()
        .route("/who", get(|_: Principal| async {}))
        .route("/maybe-who", get(|_: Option<Principal>| async {}));
    for path in ["/", "/maybe", "/who", "/maybe-who"] {
        let answer = call(&app, at(path, request(&[]))).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::INTERNAL_SERVER_ERROR, "not_authenticated"),
            "{path}"
        );
    }
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is made. One test alone uses it.
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        DECODED.fetch_add(1, Ordering::SeqCst);
        Ok(Self)
    }
}

#[tokio::test]
async fn claims_are_decoded_once_however_often_they_are_read() {
    let idp = idp();
    let handler = |one: Claims<Counted>, two: Option<Claims<Counted>>, caller: Principal| async move {
        let three = caller.claims::<Counted>().unwrap();
        let same =
            [two.as_deref(), Some(&*three)].map(|claims| std::ptr::eq(claims.unwrap(), &raw const *one));
        format!("{same:?}")
    };
    let issuer = idp.issuer_builder().claims::<Counted>().build().unwrap();
    let app = Router::new()
        .route("/", get(handler))
        .layer(JwtLayer::new(issuer));
    let token = idp.token().sign();
    for _ in 0..3 {
        assert_eq!(call(&app, bearer(&token)).await.body, "[true, true]");
    }
    assert_eq!(DECODED.load(Ordering::SeqCst), 1, "not once a request");
    idp.rotate();
    call(&app, bearer(&idp.token().sign())).await;
    assert_eq!(DECODED.load(Ordering::SeqCst), 2, "once for each fresh token");
}

#[tokio::test]
async fn a_principal_built_for_a_test_has_the_claims_it_was_given() {
    let alice = PrincipalBuilder::token("https://idp.test", "alice")
        .claims(Staff { desk: 3 })
        .build();
    let robot = PrincipalBuilder::api_key("key_1", "robot").build();
    for (caller, status, body) in [(alice, 200, "3"), (robot, 403, "")] {
        let mut request = request(&[]);
        request.extensions_mut().insert(caller);
        let answer = call(&routes(), request).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(answer.body.contains(body));
    }
}
