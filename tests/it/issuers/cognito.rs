//! Amazon Cognito user pools: "Understanding the access token" and "Understanding the identity token" in its
//! documentation.

use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Issuer, IssuerBuilder, ScopeSource, WithAudience};

use super::{app, caller, reason, token};

const POOL: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example";
const CLIENT: &str = "57cbishk4j24pabc1234567890";
const API: &str = "https://api.example.com";

/// The guide's recipe.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(POOL).clients_instead_of_audience([CLIENT])
}

/// The guide's recipe for clients that name the resource when they ask for a token.
fn recipe_bound() -> IssuerBuilder<WithAudience> {
    Issuer::builder(POOL).audience(API).client_claim("client_id")
}

fn access_token() -> TokenBuilder {
    let claims = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "device_key": "eu-west-1_aaaaaaaa",
        "cognito:groups": ["admin"],
        "token_use": "access",
        "scope": "https://api.example.com/orders.read openid",
        "auth_time": 1_562_190_524,
        "iss": POOL,
        "origin_jti": "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee",
        "jti": "cccccccc-bbbb-cccc-dddd-eeeeeeeeeeee",
        "client_id": CLIENT,
        "username": "janedoe@example.com",
        "version": 2,
    });
    token(None, claims)
}

fn id_token() -> TokenBuilder {
    let claims = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["admin"],
        "cognito:username": "janedoe@example.com",
        "token_use": "id",
        "aud": CLIENT,
        "auth_time": 1_562_190_524,
        "iss": POOL,
        "jti": "dddddddd-bbbb-cccc-dddd-eeeeeeeeeeee",
        "email": "janedoe@example.com",
    });
    token(None, claims)
}

#[tokio::test]
async fn an_access_token_names_a_user_and_its_client() {
    let expected = json!({
        "issuer": POOL,
        "subject": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "client": CLIENT,
        "scopes": ["https://api.example.com/orders.read", "openid"],
        "user": true,
        "id": "cccccccc-bbbb-cccc-dddd-eeeeeeeeeeee",
    });
    assert_eq!(caller(&app(recipe()), access_token()).await, expected);
}

#[tokio::test]
async fn a_client_that_acts_for_itself_is_no_user() {
    let machine = access_token()
        .claim("sub", CLIENT)
        .without("username")
        .without("cognito:groups");
    assert_eq!(caller(&app(recipe()), machine).await["user"], json!(false));
}

#[tokio::test]
async fn groups_count_as_scopes_where_the_configuration_says_so() {
    let app = app(recipe().scopes_from([ScopeSource::path(["cognito:groups"])]));
    assert_eq!(caller(&app, access_token()).await["scopes"], json!(["admin"]));
}

#[tokio::test]
async fn a_client_takes_the_place_of_the_audience() {
    let app = app(recipe());
    for (token, expected) in [
        (access_token().client("other-app"), "audience_mismatch"),
        (access_token().without("client_id"), "claim_missing"),
        (access_token().without("token_use"), "claim_missing"),
        // One that names an audience is meant for that audience.
        (access_token().audience(CLIENT), "audience_mismatch"),
        (access_token().audience(API), "audience_mismatch"),
        (id_token(), "kind_not_accepted"),
        (
            id_token().claim("client_id", CLIENT).without("aud"),
            "kind_not_accepted",
        ),
        (
            access_token().claim(
                "iss",
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_other",
            ),
            "issuer_unknown",
        ),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn a_token_that_was_asked_for_with_a_resource_has_an_audience() {
    let app = app(recipe_bound());
    let bound = || access_token().audience(API);
    assert_eq!(caller(&app, bound()).await["client"], json!(CLIENT));
    for (token, expected) in [
        (access_token(), "claim_missing"),
        (bound().audience("https://other.example.com"), "audience_mismatch"),
        (id_token().audience(API), "kind_not_accepted"),
        (id_token().audience(API).without("token_use"), "claim_missing"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}
