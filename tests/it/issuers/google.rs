//! Google: "Token types" and "Troubleshoot Cloud Run issues" in its documentation, and the claims that its own libraries
//! document for ID tokens.

use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Issuer, IssuerBuilder, WithAudience};

use super::{app, caller, reason, token};
use crate::support::{bearer, call};

const GOOGLE: &str = "https://accounts.google.com";
const SERVICE: &str = "https://orders-abc123-ew.a.run.app";
const ACCOUNT: &str = "112010400000000710080";

/// The guide's recipe.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(GOOGLE)
        .audience(SERVICE)
        .subjects([ACCOUNT])
        .without_users()
}

/// What the metadata server gives a workload that asks for an ID token.
fn service_account_token() -> TokenBuilder {
    let claims = json!({
        "iss": GOOGLE,
        "aud": SERVICE,
        "azp": ACCOUNT,
        "sub": ACCOUNT,
        "email": "checkout@shop-prod.iam.gserviceaccount.com",
        "email_verified": true,
    });
    token(Some("JWT"), claims)
}

/// What an application gets when a user logs in.
fn user_token() -> TokenBuilder {
    let application = "32555350559.apps.googleusercontent.com";
    let claims = json!({
        "iss": GOOGLE,
        "aud": application,
        "azp": application,
        "sub": "104650147220769694403",
        "hd": "example.com",
        "email": "alice@example.com",
        "email_verified": true,
        "at_hash": "nw7QKWVVCnkxWvhgYnpi8A",
    });
    token(Some("JWT"), claims)
}

#[tokio::test]
async fn a_service_account_is_known_by_its_number_and_is_no_user() {
    let expected = json!({
        "issuer": GOOGLE,
        "subject": ACCOUNT,
        "client": ACCOUNT,
        "scopes": [],
        "user": false,
        "id": null,
    });
    assert_eq!(caller(&app(recipe()), service_account_token()).await, expected);
}

#[tokio::test]
async fn an_account_that_is_not_named_is_refused_whatever_its_audience() {
    let app = app(recipe());
    let stranger = "998877665544332211000";
    for (token, expected) in [
        (
            service_account_token()
                .claim("sub", stranger)
                .claim("azp", stranger),
            "subject_not_accepted",
        ),
        (service_account_token().without("sub"), "claim_missing"),
        (
            service_account_token().audience("https://other-abc123-ew.a.run.app"),
            "audience_mismatch",
        ),
        (
            service_account_token().audience(format!("{SERVICE}/")),
            "audience_mismatch",
        ),
        (
            service_account_token().claim("iss", "accounts.google.com"),
            "issuer_unknown",
        ),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn a_users_login_is_no_credential() {
    let app = app(recipe());
    for (token, expected) in [
        (user_token(), "kind_not_accepted"),
        (user_token().without("at_hash"), "audience_mismatch"),
        (
            user_token().without("at_hash").audience(SERVICE),
            "subject_not_accepted",
        ),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn an_access_token_of_googles_is_no_jwt() {
    let opaque = "ya29.a0AfH6SMBx-an-opaque-string-that-only-google-can-read";
    assert_eq!(
        call(&app(recipe()), bearer(opaque)).await.reason(),
        "token_malformed"
    );
}

#[tokio::test]
async fn a_token_whose_signature_cloud_run_took_away_proves_nothing() {
    let signed = service_account_token().sign();
    let (rest, _) = signed.rsplit_once('.').unwrap();
    let unsigned = format!("{rest}.SIGNATURE_REMOVED_BY_GOOGLE");
    assert_eq!(
        call(&app(recipe()), bearer(&unsigned)).await.reason(),
        "signature_invalid"
    );
}
