//! Scopes: what a route asks for, who may grant what, and what is said to those who lack some.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, FixedKeys, InvalidScope, Issuer, JwtLayer, MemoryKeyStore, Principal, Requirement, Scope,
    ScopeLayer, Secret, TrustedIssuers,
};

use crate::support::{API, Answer, KEY, READ, WRITE, bearer, call, idp, record, request, whoami};

const ADMIN: Scope = Scope::from_static("admin");
const AUDIT: Scope = Scope::from_static("audit");

/// The answer to a token with this `scope` on a route with this requirement.
async fn answer(requirement: Requirement, scope: &str) -> Answer {
    let idp = idp();
    let app = whoami()
        .layer(ScopeLayer::new(requirement))
        .layer(JwtLayer::new(idp.issuer()));
    call(&app, bearer(&idp.token().claim("scope", scope).sign())).await
}

#[tokio::test]
async fn a_requirement_is_met_by_the_scopes_that_it_names() {
    let either = || Requirement::all([READ, WRITE]).or_all([ADMIN]);
    for (requirement, scope, passes) in [
        (Requirement::all([READ]), "orders:read", true),
        (Requirement::all([READ]), "x orders:read y", true),
        (Requirement::all([READ]), "", false),
        (Requirement::all([READ]), "orders:write", false),
        (Requirement::all([READ, WRITE]), "orders:read", false),
        (Requirement::all([READ, WRITE]), "orders:write orders:read", true),
        (Requirement::any([READ, WRITE]), "orders:write", true),
        (Requirement::any([READ, WRITE]), "admin", false),
        (either(), "orders:read", false),
        (either(), "orders:read orders:write", true),
        (either(), "admin", true),
    ] {
        let status = answer(requirement.clone(), scope).await.status;
        let expected = if passes {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(status, expected, "{scope:?} for {requirement:?}");
    }
}

#[tokio::test]
async fn scopes_are_compared_to_the_letter() {
    for scope in [
        "Orders:Read",
        "ORDERS:READ",
        "orders:rea",
        "orders:reads",
        "orders",
        "*",
        "orders:*",
        "orders:read,orders:write",
        "orders:read\torders:write",
        "\"orders:read\"",
    ] {
        let answer = answer(Requirement::all([READ]), scope).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{scope:?}");
    }
}

#[tokio::test]
async fn surplus_spaces_grant_nothing_and_spoil_nothing() {
    let answer = answer(Requirement::all([READ, WRITE]), "  orders:read   orders:write ").await;
    assert_eq!(answer.json()["scopes"], json!(["orders:read", "orders:write"]));
}

#[tokio::test]
async fn the_body_names_what_is_missing_and_the_challenge_all_that_is_asked() {
    for (requirement, scope, missing, asked) in [
        (
            Requirement::all([READ, WRITE]),
            "orders:read",
            json!(["orders:write"]),
            "orders:read orders:write",
        ),
        (
            Requirement::all([READ, WRITE]),
            "",
            json!(["orders:read", "orders:write"]),
            "orders:read orders:write",
        ),
        (
            Requirement::any([READ, WRITE]),
            "admin",
            json!(["orders:read"]),
            "orders:read",
        ),
        (
            Requirement::all([READ, WRITE]).or_all([ADMIN]),
            "orders:write",
            json!(["orders:read"]),
            "orders:read orders:write",
        ),
    ] {
        let answer = answer(requirement, scope).await;
        assert_eq!(answer.json()["missing_scopes"], missing);
        assert_eq!(
            answer.challenges(),
            [format!(
                "Bearer realm=\"api\", error=\"insufficient_scope\", error_description=\"the credential does \
                 not cover this request\", scope=\"{asked}\""
            )]
        );
    }
}

#[tokio::test]
async fn a_check_in_the_handler_gives_the_answer_of_the_layer() {
    let requirement = || Requirement::all([READ, WRITE]).or_all([ADMIN]);
    let idp = idp();
    let handler = move |caller: Principal| async move { caller.require(&requirement()) };
    let layers = || JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(crate::support::store()));
    let inside = Router::new().route("/", get(handler)).layer(layers());
    let outside = whoami().layer(ScopeLayer::new(requirement())).layer(layers());
    let token = idp.token().scopes([READ]).sign();
    for request in [|_: &str| request(&[("x-api-key", KEY)]), bearer] {
        let (inside, outside) = (
            call(&inside, request(&token)).await,
            call(&outside, request(&token)).await,
        );
        assert_eq!(inside.status, StatusCode::FORBIDDEN);
        assert_eq!(
            (inside.status, &inside.headers, &inside.body, inside.reason()),
            (outside.status, &outside.headers, &outside.body, outside.reason())
        );
    }
}

#[tokio::test]
async fn scopes_of_a_key_count_as_those_of_a_token_do() {
    let store = MemoryKeyStore::from_iter([record(KEY).scopes([READ, WRITE]).build()]);
    let app = whoami()
        .layer(ScopeLayer::all([WRITE]))
        .layer(ApiKeyLayer::new(store));
    let answer = call(&app, request(&[("x-api-key", KEY)])).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn scope_layers_add_up() {
    let idp = idp();
    let app = whoami()
        .layer(ScopeLayer::all([READ]))
        .layer(ScopeLayer::all([WRITE]))
        .layer(JwtLayer::new(idp.issuer()));
    for (scopes, passes) in [
        ("orders:read", false),
        ("orders:write", false),
        ("orders:read orders:write", true),
    ] {
        let answer = call(&app, bearer(&idp.token().claim("scope", scopes).sign())).await;
        assert_eq!(answer.status.is_success(), passes, "{scopes}");
    }
}

#[test]
fn an_empty_requirement_made_at_run_time_is_an_error() {
    let empty: [Vec<Scope>; 0] = [];
    assert_eq!(
        Requirement::any_of_sets(empty),
        Err(InvalidScope::EmptyRequirement)
    );
    for sets in [vec![vec![]], vec![vec![READ], vec![]], vec![vec![], vec![READ]]] {
        assert_eq!(
            Requirement::any_of_sets(sets),
            Err(InvalidScope::EmptyRequirement)
        );
    }
    assert_eq!(
        Requirement::any_of_sets([vec![READ, WRITE], vec![ADMIN]]),
        Ok(Requirement::all([READ, WRITE]).or_all([ADMIN]))
    );
}

#[test]
fn a_scope_is_one_word_of_the_grammar() {
    for word in [
        "",
        " ",
        "a b",
        "a\"b",
        "a\\b",
        "a\tb",
        "a\nb",
        "caf\u{e9}",
        "\u{7f}",
    ] {
        assert!(Scope::new(word).is_err(), "{word:?}");
    }
    for word in ["!", "a", "https://api.test/orders.read", "a{b}[c]'#$%&~"] {
        assert!(Scope::new(word).is_ok(), "{word:?}");
    }
}

fn partner() -> TestIssuer {
    TestIssuer::new("https://partner.test", API)
}

#[tokio::test]
async fn a_partner_grants_only_the_scopes_that_are_named_for_it() {
    let (staff, partner) = (idp(), partner());
    let issuers = TrustedIssuers::new([
        staff.issuer_builder().accept_any_scope().build().unwrap(),
        partner
            .issuer_builder()
            .accepted_scopes([READ, AUDIT])
            .build()
            .unwrap(),
    ]);
    let app = whoami().layer(JwtLayer::new(issuers.unwrap()));
    let all = [READ, WRITE, ADMIN];
    let of_staff = call(&app, bearer(&staff.token().scopes(all.clone()).sign())).await;
    assert_eq!(
        of_staff.json()["scopes"],
        json!(["orders:read", "orders:write", "admin"])
    );
    let of_partner = call(&app, bearer(&partner.token().scopes(all).sign())).await;
    assert_eq!(of_partner.json()["scopes"], json!(["orders:read"]));
}

#[tokio::test]
async fn a_dropped_scope_opens_no_route() {
    let (staff, partner) = (idp(), partner());
    let issuers = TrustedIssuers::new([
        staff.issuer_builder().accept_any_scope().build().unwrap(),
        partner.issuer_builder().accepted_scopes([READ]).build().unwrap(),
    ]);
    let app = whoami()
        .layer(ScopeLayer::all([ADMIN]))
        .layer(JwtLayer::new(issuers.unwrap()));
    let answer = call(&app, bearer(&partner.token().scopes([ADMIN]).sign())).await;
    assert_eq!(answer.reason(), "scope_missing");
}

#[tokio::test]
async fn a_key_of_one_issuer_does_not_sign_for_another() {
    let (staff, partner) = (idp(), partner());
    let issuers = [&staff, &partner].map(|idp| idp.issuer_builder().accept_any_scope().build().unwrap());
    let app = whoami().layer(JwtLayer::new(TrustedIssuers::new(issuers).unwrap()));
    let forged = partner.token().claim("iss", crate::support::ISSUER).sign();
    let answer = call(&app, bearer(&forged)).await;
    assert_eq!(answer.reason(), "signature_invalid", "{answer:?}");
}

#[test]
fn several_issuers_must_each_name_their_scopes() {
    let error = TrustedIssuers::new([idp().issuer(), partner().issuer(), partner().issuer()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has 4 problems\n  \
         accepted_scopes: \"https://idp.test\" is one of several issuers and its scopes are not named\n  \
         accepted_scopes: \"https://partner.test\" is one of several issuers and its scopes are not named\n  \
         accepted_scopes: \"https://partner.test\" is one of several issuers and its scopes are not named\n  \
         issuers: \"https://partner.test\" is named twice"
    );
}

#[test]
fn one_issuer_alone_need_not_name_its_scopes() {
    assert!(TrustedIssuers::new([idp().issuer()]).is_ok());
}

#[test]
fn to_trust_nobody_is_a_mistake() {
    assert_eq!(
        TrustedIssuers::new([]).unwrap_err().to_string(),
        "issuers: none is trusted, so every token would be refused"
    );
}

#[test]
fn a_configuration_is_told_every_problem_at_once() {
    let error = Issuer::builder("http://idp.test")
        .audience(API)
        .audience("")
        .algorithms([])
        .leeway(Duration::from_secs(301))
        .accepted_scopes([])
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has 5 problems\n  \
         audience: an empty name is no resource server's\n  \
         leeway: 301s is more than 300s\n  \
         accepted_scopes: an empty list drops every scope\n  \
         algorithms: an empty list accepts no token\n  \
         issuer: \"http://idp.test\" is not https (plain http is accepted for loopback only)"
    );
    let setters: Vec<_> = error.problems().iter().map(|problem| problem.setter).collect();
    assert_eq!(
        setters,
        ["audience", "leeway", "accepted_scopes", "algorithms", "issuer"]
    );
}

#[test]
fn one_problem_is_told_in_one_line() {
    let error = Issuer::builder("https://idp.test")
        .audience(API)
        .keys(FixedKeys::secret(Secret::new([1; 31])))
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "keys: the secret has 31 bytes; HS256 needs 32 or more"
    );
}

#[test]
fn the_leeway_goes_up_to_five_minutes() {
    for (seconds, fits) in [(0, true), (300, true), (301, false)] {
        let built = idp()
            .issuer_builder()
            .leeway(Duration::from_secs(seconds))
            .build();
        assert_eq!(built.is_ok(), fits, "{seconds}");
    }
}
