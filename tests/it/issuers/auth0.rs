//! Auth0: "Access Token Profiles" and "Get Access Tokens" in its documentation.

use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Algorithm, Issuer, IssuerBuilder, Profile, ScopeSource, Secret, WithAudience};

use super::{app, caller, reason, token};
use crate::support::{bearer, call};

const TENANT: &str = "https://shop.eu.auth0.com/";
const API: &str = "https://api.example.com";

/// The guide's recipe for Auth0's own profile, which is the default there.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(TENANT).audience(API).client_claim("azp")
}

/// The guide's recipe for the profile that follows RFC 9068.
fn recipe_rfc9068() -> IssuerBuilder<WithAudience> {
    Issuer::builder(TENANT).audience(API).profile(Profile::rfc9068())
}

fn access_token() -> TokenBuilder {
    let claims = json!({
        "iss": TENANT,
        "sub": "auth0|123456",
        "aud": [API, "https://shop.eu.auth0.com/userinfo"],
        "azp": "my_client_id",
        "scope": "openid profile read:orders",
        "permissions": ["read:orders", "write:orders"],
    });
    token(Some("JWT"), claims)
}

fn rfc9068_token() -> TokenBuilder {
    let claims = json!({
        "iss": TENANT,
        "sub": "auth0|123456",
        "aud": [API, "https://shop.eu.auth0.com/userinfo"],
        "client_id": "my_client_id",
        "jti": "73WakrfVbNJBaAmhQtEeDv",
        "scope": "openid profile read:orders",
    });
    token(Some("at+jwt"), claims)
}

fn id_token() -> TokenBuilder {
    let claims = json!({
        "iss": TENANT,
        "sub": "auth0|123456",
        "aud": "my_client_id",
        "nonce": "n",
        "sid": "s",
        "email": "alice@example.com",
    });
    token(Some("JWT"), claims)
}

#[tokio::test]
async fn an_access_token_names_a_user_and_its_client() {
    let expected = json!({
        "issuer": TENANT,
        "subject": "auth0|123456",
        "client": "my_client_id",
        "scopes": ["openid", "profile", "read:orders"],
        "user": true,
        "id": null,
    });
    assert_eq!(caller(&app(recipe()), access_token()).await, expected);
}

#[tokio::test]
async fn permissions_count_as_scopes_where_the_configuration_says_so() {
    let app = app(recipe().scopes_from([ScopeSource::permissions()]));
    assert_eq!(
        caller(&app, access_token()).await["scopes"],
        json!(["read:orders", "write:orders"])
    );
    assert_eq!(
        caller(&app, access_token().without("permissions")).await["scopes"],
        json!([])
    );
}

#[tokio::test]
async fn the_rfc_9068_profile_is_accepted_as_such_and_the_default_one_is_not() {
    let app = app(recipe_rfc9068());
    let caller = caller(&app, rfc9068_token()).await;
    assert_eq!(
        (&caller["client"], &caller["id"], &caller["user"]),
        (
            &json!("my_client_id"),
            &json!("73WakrfVbNJBaAmhQtEeDv"),
            &json!(true)
        )
    );
    assert_eq!(reason(&app, access_token()).await, "type_not_accepted");
}

#[tokio::test]
async fn a_machine_is_no_user_in_either_profile() {
    let machine = |token: TokenBuilder| token.claim("sub", "my_client_id@clients").claim("aud", API);
    let default = machine(access_token()).claim("gty", "client-credentials");
    assert_eq!(caller(&app(recipe()), default).await["user"], json!(false));
    // This profile has no `gty`.
    let app = app(recipe_rfc9068());
    assert_eq!(caller(&app, machine(rfc9068_token())).await["user"], json!(false));
    let another = rfc9068_token().claim("sub", "other_client@clients");
    assert_eq!(caller(&app, another).await["user"], json!(true));
}

#[tokio::test]
async fn tokens_for_somebody_else_are_refused() {
    let app = app(recipe());
    for (token, expected) in [
        (id_token(), "audience_mismatch"),
        // Even if the API were called like the client: an ID token names no `azp`.
        (id_token().claim("aud", API), "claim_missing"),
        (
            access_token().claim("aud", "https://shop.eu.auth0.com/api/v2/"),
            "audience_mismatch",
        ),
        (
            access_token().claim("aud", "https://api.example.com/"),
            "audience_mismatch",
        ),
        (
            access_token().claim("iss", "https://other.eu.auth0.com/"),
            "issuer_unknown",
        ),
        (
            access_token().claim("iss", "https://shop.eu.auth0.com"),
            "issuer_unknown",
        ),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn tokens_that_are_not_signed_with_a_public_key_are_refused() {
    let app = app(recipe());
    let secret = Secret::new("the client secret, which is 32 bytes or more");
    let shared = access_token()
        .algorithm(Algorithm::Hs256)
        .sign_with_secret(&secret);
    assert_eq!(
        call(&app, bearer(&shared)).await.reason(),
        "algorithm_not_accepted"
    );
    // Without an `audience` in its request a client gets an encrypted token, for Auth0 alone.
    let encrypted = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVydGV4dA.dGFn";
    assert_eq!(call(&app, bearer(encrypted)).await.reason(), "token_malformed");
}
