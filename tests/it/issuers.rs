//! Tokens as particular issuers write them, with keys of our own.

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

#[tokio::test]
async fn cognito_access_tokens_are_told_by_client_and_use_instead_of_audience() {
    let name = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_pool";
    let idp = TestIssuer::new(name, "unused");
    let app = app(named(name, &idp).clients_instead_of_audience(["web-app"]));
    let token = || {
        idp.token()
            .without("aud")
            .without_header("typ")
            .client("web-app")
            .claim("token_use", "access")
    };
    assert_eq!(reason(&app, token()).await, "ok");
    assert_eq!(
        reason(&app, token().client("other-app")).await,
        "audience_mismatch"
    );
    assert_eq!(
        reason(&app, token().claim("token_use", "id")).await,
        "kind_not_accepted"
    );
    assert_eq!(reason(&app, token().without("token_use")).await, "claim_missing");
    assert_eq!(reason(&app, token().without("client_id")).await, "claim_missing");
    assert_eq!(
        reason(&app, token().audience("web-app")).await,
        "audience_mismatch"
    );
}

#[tokio::test]
async fn entra_tokens_are_accepted_from_the_listed_tenants_only() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let of = |tenant: &str| template.replace("{tenantid}", tenant);
    let idp = TestIssuer::new(of("1111-aaaa"), API);
    let listed = named(template, &idp)
        .audience(API)
        .tenants(["1111-aaaa"])
        .scopes_from([ScopeSource::scp()]);
    let judged = named(template, &idp)
        .audience(API)
        .tenants_where(|tenant| tenant == "1111-aaaa");
    for app in [app(listed), app(judged)] {
        let token = || {
            idp.token()
                .claim("tid", "1111-aaaa")
                .claim("scp", "Orders.Read Orders.Write")
        };
        let answer = call(&app, bearer(&token().sign())).await;
        assert_eq!(
            answer.json()["issuer"],
            json!(of("1111-aaaa")),
            "the tenant's own name: {answer:?}"
        );
        assert_eq!(
            reason(&app, token().claim("tid", "2222-bbbb")).await,
            "issuer_unknown"
        );
        assert_eq!(reason(&app, token().without("tid")).await, "claim_missing");
        for other in [
            of("2222-bbbb"),
            of("{tenantid}"),
            of(""),
            of("1111-aaaa/x"),
            template.to_owned(),
        ] {
            assert_eq!(
                reason(&app, token().claim("iss", &other)).await,
                "issuer_unknown",
                "{other}"
            );
        }
    }
}

#[test]
fn a_template_and_its_tenants_belong_together() {
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
