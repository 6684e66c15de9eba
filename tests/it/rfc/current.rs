//! N. What the security practice of OAuth (RFC 9700), token exchange (RFC 8693) and rich authorization requests (RFC 9396)
//! ask of a resource server.

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{ApiKeyLayer, Issuer, JwtLayer, Principal, RemoteKeys, ScopeLayer, ScopeSource};

use super::claims::{expect, principal};
use crate::support::{API, KEY, READ, WRITE, bearer, call, idp, request, store, whoami};
use crate::telemetry::logged;

#[tokio::test]
async fn n01_every_request_is_checked_to_be_for_this_audience() {
    let idp = idp();
    let here = whoami().layer(JwtLayer::new(idp.issuer()));
    let elsewhere = whoami().layer(JwtLayer::new(idp.issuer().with_audience("https://other.test")));
    let token = idp.token().sign();
    // Also for a token that was accepted before, here or at the neighbour's.
    for _ in 0..3 {
        assert_eq!(call(&here, bearer(&token)).await.reason(), "ok");
        assert_eq!(
            call(&elsewhere, bearer(&token)).await.reason(),
            "audience_mismatch"
        );
    }
}

#[tokio::test]
async fn n02_every_request_is_checked_against_what_its_route_asks() {
    let idp = idp();
    let write = get(|| async {}).layer(ScopeLayer::all([WRITE]));
    let read = get(|| async {}).layer(ScopeLayer::all([READ]));
    let app = Router::new().route("/read", read).route("/write", write);
    let app = app.layer(JwtLayer::new(idp.issuer()));
    let reader = idp.token().scopes([READ]).sign();
    let writer = idp.token().scopes([READ, WRITE]).sign();
    let at = |path: &str, token: &str| -> Request {
        let mut request = bearer(token);
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    for _ in 0..2 {
        for (path, token, expected) in [
            ("/read", &reader, "ok"),
            ("/write", &reader, "scope_missing"),
            ("/read", &writer, "ok"),
            ("/write", &writer, "ok"),
        ] {
            assert_eq!(call(&app, at(path, token)).await.reason(), expected, "{path}");
        }
    }
}

#[test]
fn n04_a_token_is_written_nowhere() {
    let idp = idp();
    let layer = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store()));
    let echo = get(|request: Request| async move { format!("{request:?}") });
    let app = Router::new().route("/", echo).layer(layer.clone());
    let (good, bad) = (idp.token().sign(), idp.token().audience("x").sign());
    for (secret, request, expected) in [
        (&*good, bearer(&good), "ok"),
        (&*bad, bearer(&bad), "audience_mismatch"),
        (KEY, request(&[("x-api-key", KEY)]), "ok"),
    ] {
        let (answer, log) = logged(call(&app, request));
        assert_eq!(answer.reason(), expected);
        let said = format!("{answer:?} {log} {layer:?} {:?}", store());
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!said.contains(signature), "{said}");
    }
}

#[tokio::test]
async fn n05_a_client_that_acts_for_itself_is_told_from_a_user_of_the_same_name() {
    let idp = idp();
    let caller = async |client: &str| {
        let token = idp.token().subject("alice").client(client);
        principal(idp.issuer(), &token.sign()).await
    };
    let (user, client) = (caller("app").await, caller("alice").await);
    assert_eq!((user.is_user(), client.is_user()), (true, false));
    assert_eq!(user.subject(), client.subject());
    assert_ne!(user.identity(), client.identity());
}

#[tokio::test]
async fn n06_forwarded_headers_are_believed_nowhere_and_issuers_are_https() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let token = format!("Bearer {}", idp.token().sign());
    let forwarded = [
        ("x-forwarded-user", "admin"),
        ("x-forwarded-access-token", &token),
        ("x-user", "admin"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "proto=http;host=evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("x-client-cert", "MIIB"),
    ];
    let alone = call(&app, request(&forwarded)).await;
    assert_eq!(alone.reason(), "credential_missing");
    let with_token: Vec<_> = forwarded
        .into_iter()
        .chain([("authorization", &*token)])
        .collect();
    let both = call(&app, request(&with_token)).await;
    let without = call(&app, request(&[("authorization", &token)])).await;
    assert_eq!((both.reason(), &both.body), ("ok", &without.body));
    for (url, accepted) in [("https://login.test", true), ("http://login.test", false)] {
        let issuer = Issuer::builder(url).audience(API);
        assert_eq!(issuer.keys(RemoteKeys::discover(url)).build().is_ok(), accepted);
    }
}

#[tokio::test]
async fn n07_only_the_outermost_actor_counts() {
    let idp = idp();
    let act = json!({"sub": "gateway", "client_id": "gw", "act": {"sub": "frontend", "act": {"sub": "x"}}});
    let caller = principal(idp.issuer(), &idp.token().claim("act", act).sign()).await;
    let actor = caller.actor().unwrap();
    assert_eq!(
        (actor.subject.as_deref(), actor.client.as_deref()),
        (Some("gateway"), Some("gw"))
    );
    assert!(!format!("{caller:?}{actor:?}").contains("frontend"));
    let history = json!({"act": {"sub": "frontend"}});
    let caller = principal(idp.issuer(), &idp.token().claim("act", history).sign()).await;
    assert_eq!(caller.actor().unwrap().subject, None);
    let odd = idp.token().claim("act", "gateway").sign();
    expect(&idp.issuer(), [("text", odd, "payload_malformed")]).await;
}

#[tokio::test]
async fn n08_who_may_act_is_granted_nothing() {
    let idp = idp();
    let may_act = json!({"sub": "admin", "scope": "orders:write"});
    let token = idp.token().scopes([READ]).claim("may_act", may_act);
    let caller = principal(idp.issuer(), &token.sign()).await;
    assert!(caller.actor().is_none());
    assert_eq!(caller.scopes().as_str(), "orders:read");
    assert_eq!(caller.subject(), Some("test-subject"));
}

#[tokio::test]
async fn n09_scope_is_words_between_spaces_and_arrays_are_read_where_they_are_named() {
    let idp = idp();
    let scopes = async |issuer: &Issuer, token: TokenBuilder| -> String {
        let caller: Principal = principal(issuer.clone(), &token.sign()).await;
        caller.scopes().as_str().to_owned()
    };
    let from = |source| idp.issuer_builder().scopes_from([source]).build().unwrap();
    let array = ["orders:read", "orders:write"];
    let words = "orders:read orders:write";
    assert_eq!(
        scopes(&idp.issuer(), idp.token().claim("scope", words)).await,
        words
    );
    assert_eq!(scopes(&idp.issuer(), idp.token().claim("scp", array)).await, "");
    let refused = idp.token().claim("scope", array).sign();
    expect(&idp.issuer(), [("array", refused, "payload_malformed")]).await;
    for (name, source) in [
        ("scp", ScopeSource::scp()),
        ("permissions", ScopeSource::permissions()),
        ("scope", ScopeSource::path(["scope"])),
        ("scopes", ScopeSource::path(["scopes"])),
    ] {
        let issuer = from(source);
        assert_eq!(
            scopes(&issuer, idp.token().claim(name, array)).await,
            words,
            "{name}"
        );
        let odd = idp.token().claim(name, json!({"a": 1})).sign();
        expect(&issuer, [(name, odd, "payload_malformed")]).await;
    }
}

#[tokio::test]
async fn n10_authorization_details_can_be_read_by_their_type() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Payment {
        amount: u32,
    }
    let idp = idp();
    let details = json!([
        {"type": "payment", "amount": 7, "actions": ["read"]},
        {"type": "account", "amount": "all"},
    ]);
    let token = idp.token().claim("authorization_details", details);
    let caller = principal(idp.issuer(), &token.sign()).await;
    let [payment, account] = caller.authorization_details() else {
        panic!("{caller:?}")
    };
    assert_eq!((payment.kind(), account.kind()), ("payment", "account"));
    assert_eq!(payment.decode(), Ok(Payment { amount: 7 }));
    assert!(account.decode::<Payment>().is_err());
    let plain = principal(idp.issuer(), &idp.token().sign()).await;
    assert!(plain.authorization_details().is_empty());
    for odd in [
        json!({"type": "payment"}),
        json!([{"amount": 7}]),
        json!([{"type": null}]),
    ] {
        let token = idp.token().claim("authorization_details", &odd).sign();
        expect(&idp.issuer(), [(odd.to_string(), token, "payload_malformed")]).await;
    }
}
