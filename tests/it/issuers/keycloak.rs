//! Keycloak: "Server Administration Guide" in its documentation, and tokens that its users show in its issues.

use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Algorithm, Issuer, IssuerBuilder, ScopeSource, Secret, WithAudience};

use super::{app, caller, reason, token};
use crate::support::{bearer, call};

const REALM: &str = "https://keycloak.example.com/realms/shop";

/// The guide's recipe: the roles of the client `orders`, which is the API.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(REALM)
        .audience("orders")
        .client_claim("azp")
        .scopes_from([ScopeSource::path(["resource_access", "orders", "roles"])])
}

fn access_token() -> TokenBuilder {
    let claims = json!({
        "jti": "b9d14d28-8594-4f69-891b-24b08ec42577",
        "iss": REALM,
        "aud": ["orders", "account"],
        "sub": "09a3ceb7-fb2e-4983-9f19-cd6b236e050e",
        "typ": "Bearer",
        "azp": "web-app",
        "sid": "fd0d6f25-e7ca-4640-bc23-0d7df8ab1f9e",
        "acr": "1",
        "allowed-origins": ["https://shop.example.com"],
        "realm_access": { "roles": ["default-roles-shop", "offline_access", "uma_authorization"] },
        "resource_access": {
            "orders": { "roles": ["orders:read"] },
            "account": { "roles": ["manage-account", "view-profile"] },
        },
        "scope": "openid email profile",
        "email_verified": false,
        "preferred_username": "alice",
    });
    token(Some("JWT"), claims)
}

/// What the same realm signs beside access tokens.
fn other(kind: &str, audience: &[&str]) -> TokenBuilder {
    let claims = json!({
        "jti": "20cda5b8-8b46-4046-976d-0a477d66e919",
        "iss": REALM,
        "aud": audience,
        "sub": "09a3ceb7-fb2e-4983-9f19-cd6b236e050e",
        "typ": kind,
        "azp": "web-app",
        "sid": "fd0d6f25-e7ca-4640-bc23-0d7df8ab1f9e",
    });
    token(Some("JWT"), claims)
}

#[tokio::test]
async fn an_access_token_names_a_user_and_its_client_and_the_roles_at_this_api() {
    let expected = json!({
        "issuer": REALM,
        "subject": "09a3ceb7-fb2e-4983-9f19-cd6b236e050e",
        "client": "web-app",
        "scopes": ["orders:read"],
        "user": true,
        "id": "b9d14d28-8594-4f69-891b-24b08ec42577",
    });
    assert_eq!(caller(&app(recipe()), access_token()).await, expected);
}

#[tokio::test]
async fn roles_of_the_realm_count_where_the_configuration_says_so() {
    let app = app(recipe().scopes_from([ScopeSource::path(["realm_access", "roles"])]));
    assert_eq!(
        caller(&app, access_token()).await["scopes"],
        json!(["default-roles-shop", "offline_access", "uma_authorization"])
    );
}

#[tokio::test]
async fn the_account_of_a_client_is_no_user() {
    let app = app(recipe());
    let machine = || {
        access_token()
            .claim("azp", "Crawler")
            .claim("clientId", "Crawler")
            .claim("preferred_username", "service-account-crawler")
    };
    assert_eq!(caller(&app, machine()).await["user"], json!(false));
    let of_another = machine().claim("azp", "web-app");
    assert_eq!(caller(&app, of_another).await["user"], json!(true));
}

#[tokio::test]
async fn a_token_that_does_not_name_the_api_is_refused() {
    let app = app(recipe());
    for (token, expected) in [
        (access_token().audience("account"), "audience_mismatch"),
        (access_token().without("aud"), "claim_missing"),
        (
            access_token().claim("iss", "https://keycloak.example.com/realms/other"),
            "issuer_unknown",
        ),
        (access_token().claim("iss", format!("{REALM}/")), "issuer_unknown"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn tokens_of_another_kind_are_refused_also_when_they_name_the_api() {
    let app = app(recipe());
    let logout = || {
        other("Logout", &["orders"]).claim(
            "events",
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
        )
    };
    let bound = access_token().claim("typ", "DPoP").claim(
        "cnf",
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
    );
    for (token, expected) in [
        (other("ID", &["orders"]), "kind_not_accepted"),
        (other("Refresh", &["orders", REALM]), "kind_not_accepted"),
        (other("Offline", &["orders", REALM]), "kind_not_accepted"),
        (logout(), "kind_not_accepted"),
        (logout().header("typ", "logout+jwt"), "type_not_accepted"),
        (bound, "proof_missing"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
    // Refresh tokens are in fact signed with a secret of the realm's.
    let secret = Secret::new("a secret of 64 bytes that only the realm itself knows, of course");
    let refresh = other("Refresh", &[REALM])
        .algorithm(Algorithm::Hs512)
        .sign_with_secret(&secret);
    assert_eq!(
        call(&app, bearer(&refresh)).await.reason(),
        "algorithm_not_accepted"
    );
}
