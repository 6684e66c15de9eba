//! What can be set for issuers that do not follow RFC 9068 to the letter.

use axum::Router;
use serde_json::json;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{
    FixedKeys, Issuer, IssuerBuilder, JwtLayer, NoAudience, Profile, ScopeSource, WithAudience,
};

use crate::support::{API, bearer, call, whoami};

fn app(issuer: IssuerBuilder<WithAudience>) -> Router {
    whoami().layer(JwtLayer::new(issuer.build().unwrap()))
}

/// An issuer of this name over the keys of `idp`.
fn named(name: &str, idp: &TestIssuer) -> IssuerBuilder<NoAudience> {
    Issuer::builder(name).keys(FixedKeys::jwks(&idp.jwks()).unwrap())
}

async fn reason(app: &Router, token: TokenBuilder) -> &'static str {
    call(app, bearer(&token.sign())).await.reason()
}

#[test]
fn settings_that_accept_nobody_or_contradict_each_other_do_not_build() {
    let idp = TestIssuer::new("https://idp.test", API);
    let template = "https://login.test/{tenantid}/";
    let nobody: [&str; 0] = [];
    for (issuer, setter) in [
        (named(template, &idp).audience(API), "tenants"),
        (named(template, &idp).audience(API).tenants(nobody), "tenants"),
        (
            named("https://login.test/", &idp).audience(API).tenants(["a"]),
            "tenants",
        ),
        (
            named("https://{tenantid}/{tenantid}", &idp)
                .audience(API)
                .tenants(["a"]),
            "issuer",
        ),
        (Issuer::builder(template).audience(API).tenants(["a"]), "keys"),
        (
            named("https://a.test", &idp)
                .audience(API)
                .clients_instead_of_audience(["b"]),
            "clients_instead_of_audience",
        ),
        (
            named("https://a.test", &idp).clients_instead_of_audience(nobody),
            "clients_instead_of_audience",
        ),
        (
            named("https://a.test", &idp).audience(API).scopes_from([]),
            "scopes_from",
        ),
        (
            named("https://a.test", &idp).audience(API).subjects(nobody),
            "subjects",
        ),
        (
            named("https://a.test", &idp).audience(API).client_claim(""),
            "client_claim",
        ),
    ] {
        let error = issuer.build().unwrap_err();
        assert!(
            error.problems().iter().any(|problem| problem.setter == setter),
            "{setter}: {error}"
        );
    }
}

#[tokio::test]
async fn scopes_are_read_from_the_first_named_place_that_is_there() {
    let idp = TestIssuer::new("https://idp.test", API);
    let sources = [
        ScopeSource::scope(),
        ScopeSource::scp(),
        ScopeSource::path(["realm_access", "roles"]),
    ];
    let app = app(idp.issuer_builder().scopes_from(sources));
    let token = || idp.token();
    for (token, scopes) in [
        (
            token().claim("scope", "a b").claim("scp", ["c"]),
            json!(["a", "b"]),
        ),
        (token().claim("scope", "").claim("scp", ["c"]), json!([])),
        (token().claim("scp", ["c", "d e", "f"]), json!(["c", "f"])),
        (token().claim("scp", "c d"), json!(["c", "d"])),
        (
            token().claim("realm_access", json!({ "roles": ["admin"] })),
            json!(["admin"]),
        ),
        (token(), json!([])),
    ] {
        let answer = call(&app, bearer(&token.sign())).await;
        assert_eq!(answer.json()["scopes"], scopes);
    }
    assert_eq!(reason(&app, token().claim("scp", 7)).await, "payload_malformed");
    assert_eq!(
        reason(&app, token().claim("scope", ["a"])).await,
        "payload_malformed"
    );
    assert_eq!(
        reason(&app, token().claim("realm_access", "x")).await,
        "payload_malformed"
    );
}

#[tokio::test]
async fn scopes_are_read_from_scope_alone_unless_more_is_named() {
    let idp = TestIssuer::new("https://idp.test", API);
    let app = app(idp.issuer_builder());
    let token = idp
        .token()
        .claim("scp", ["admin"])
        .claim("permissions", ["admin"]);
    assert_eq!(
        call(&app, bearer(&token.sign())).await.json()["scopes"],
        json!([])
    );
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let idp = TestIssuer::new("https://idp.test", API);
    let app = app(idp.issuer_builder());
    for (cnf, expected) in [
        (json!({ "jkt": "x" }), "proof_missing"),
        (json!({ "x5t#S256": "x" }), "proof_missing"),
        (json!({ "jkt": null }), "proof_missing"),
        (json!({ "kid": "x" }), "ok"),
        (json!({}), "ok"),
        (json!("jkt"), "payload_malformed"),
        (json!(null), "payload_malformed"),
    ] {
        assert_eq!(
            reason(&app, idp.token().claim("cnf", &cnf)).await,
            expected,
            "{cnf}"
        );
    }
}

#[tokio::test]
async fn words_for_another_kind_of_token_are_heeded() {
    let idp = TestIssuer::new("https://idp.test", API);
    let default = app(idp.issuer_builder());
    let id_tokens = app(idp
        .issuer_builder()
        .profile(Profile::default().dangerous_accept_id_tokens()));
    for (claim, value, by_default, relaxed) in [
        ("typ", json!("ID"), "kind_not_accepted", "ok"),
        ("typ", json!("Refresh"), "kind_not_accepted", "kind_not_accepted"),
        ("typ", json!("Offline"), "kind_not_accepted", "kind_not_accepted"),
        ("typ", json!("Logout"), "kind_not_accepted", "kind_not_accepted"),
        ("typ", json!("Bearer"), "ok", "ok"),
        ("typ", json!(7), "ok", "ok"),
        ("token_use", json!("id"), "kind_not_accepted", "ok"),
        ("token_use", json!("access"), "ok", "ok"),
        ("token_use", json!(null), "kind_not_accepted", "kind_not_accepted"),
        ("at_hash", json!("x"), "kind_not_accepted", "ok"),
        ("events", json!({}), "kind_not_accepted", "kind_not_accepted"),
    ] {
        assert_eq!(
            reason(&default, idp.token().claim(claim, &value)).await,
            by_default,
            "{claim} {value}"
        );
        assert_eq!(
            reason(&id_tokens, idp.token().claim(claim, &value)).await,
            relaxed,
            "{claim} {value}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_leaves_typ_out_can_follow_rfc_9068_in_all_else() {
    let idp = TestIssuer::new("https://idp.test", API);
    let app = app(idp
        .issuer_builder()
        .profile(Profile::rfc9068().accept_missing_type()));
    let token = || idp.token().without_header("typ");
    assert_eq!(reason(&app, token()).await, "ok");
    assert_eq!(reason(&app, token().without("jti")).await, "claim_missing");
    assert_eq!(
        reason(&app, idp.token().header("typ", "JWT")).await,
        "type_not_accepted"
    );
}

#[tokio::test]
async fn only_the_named_subjects_are_accepted() {
    let idp = TestIssuer::new("https://idp.test", API);
    let listed = app(idp.issuer_builder().subjects(["alice", "bob"]));
    let judged = app(idp.issuer_builder().subjects_where(|subject| subject.len() < 6));
    for app in [listed, judged] {
        for (subject, expected) in [
            ("alice", "ok"),
            ("bob", "ok"),
            ("mallory", "subject_not_accepted"),
        ] {
            assert_eq!(reason(&app, idp.token().subject(subject)).await, expected);
        }
        assert_eq!(reason(&app, idp.token().without("sub")).await, "claim_missing");
    }
    let listed = app(idp.issuer_builder().subjects(["alice"]));
    for other in ["Alice", "alice ", "", "alic\u{e9}"] {
        assert_eq!(
            reason(&listed, idp.token().subject(other)).await,
            "subject_not_accepted"
        );
    }
}

#[tokio::test]
async fn the_named_claim_is_the_client_and_must_be_there() {
    let idp = TestIssuer::new("https://idp.test", API);
    let app = app(idp.issuer_builder().client_claim("cid"));
    let token = || idp.token().subject("alice");
    let answer = call(&app, bearer(&token().claim("cid", "app").sign())).await;
    assert_eq!(answer.json()["client"], json!("app"));
    assert_eq!(reason(&app, token()).await, "claim_missing");
    for wrong in [json!(null), json!(7), json!(["app"]), json!({})] {
        assert_eq!(
            reason(&app, token().claim("cid", wrong)).await,
            "payload_malformed"
        );
    }
}
