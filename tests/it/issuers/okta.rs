//! Okta: "OpenID Connect & OAuth 2.0 API", "Authorization servers" and the support article on tokens of the org
//! authorization server in its documentation.

use serde_json::json;
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{Issuer, IssuerBuilder, ScopeSource, WithAudience};

use super::{app, caller, reason, token};

const CUSTOM: &str = "https://shop.okta.com/oauth2/default";
const ORG: &str = "https://shop.okta.com";
const API: &str = "api://default";

/// The guide's recipe, for a custom authorization server.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(CUSTOM)
        .audience(API)
        .client_claim("cid")
        .scopes_from([ScopeSource::scp()])
}

fn access_token() -> TokenBuilder {
    let claims = json!({
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": CUSTOM,
        "aud": API,
        "sub": "alice@example.com",
        "cid": "nmdP1fcyvdVO11AL7ECm",
        "uid": "00ujmkLgagxeRrAg20g3",
        "scp": ["openid", "orders:read"],
    });
    token(None, claims)
}

fn id_token() -> TokenBuilder {
    let claims = json!({
        "ver": 1,
        "jti": "ID.4eAWJOCMB3SX8XewDfVR",
        "iss": CUSTOM,
        "aud": "nmdP1fcyvdVO11AL7ECm",
        "sub": "00ujmkLgagxeRrAg20g3",
        "amr": ["pwd"],
        "auth_time": 1_449_624_026,
        "at_hash": "cpqKfdQA5eH891Ff5oJr_Q",
    });
    token(None, claims)
}

/// Of the server that every Okta organization has: for Okta's own APIs.
fn org_access_token() -> TokenBuilder {
    access_token()
        .header("typ", "application/okta-internal-at+jwt")
        .claim("iss", ORG)
        .claim("aud", ORG)
}

#[tokio::test]
async fn an_access_token_names_a_user_and_its_client() {
    let expected = json!({
        "issuer": CUSTOM,
        "subject": "alice@example.com",
        "client": "nmdP1fcyvdVO11AL7ECm",
        "scopes": ["openid", "orders:read"],
        "user": true,
        "id": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    });
    assert_eq!(caller(&app(recipe()), access_token()).await, expected);
}

#[tokio::test]
async fn a_client_that_acts_for_itself_is_no_user() {
    let machine = access_token()
        .without("uid")
        .claim("sub", "nmdP1fcyvdVO11AL7ECm")
        .claim("scp", ["orders:read"]);
    let caller = caller(&app(recipe()), machine).await;
    assert_eq!(
        (&caller["user"], &caller["client"]),
        (&json!(false), &json!("nmdP1fcyvdVO11AL7ECm"))
    );
}

#[tokio::test]
async fn tokens_of_another_kind_or_for_somebody_else_are_refused() {
    let app = app(recipe());
    let logout = id_token()
        .header("typ", "logout+jwt")
        .without("at_hash")
        .claim("aud", API)
        .claim(
            "events",
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
        );
    for (token, expected) in [
        (id_token(), "kind_not_accepted"),
        (id_token().without("at_hash"), "audience_mismatch"),
        (id_token().without("at_hash").claim("aud", API), "claim_missing"),
        (logout, "type_not_accepted"),
        (access_token().claim("aud", "api://other"), "audience_mismatch"),
        (
            access_token().claim("iss", "https://shop.okta.com/oauth2/other"),
            "issuer_unknown",
        ),
        (
            access_token().claim("iss", "https://other.okta.com/oauth2/default"),
            "issuer_unknown",
        ),
        (access_token().claim("cid", ["x"]), "payload_malformed"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn a_token_of_the_org_authorization_server_is_refused_whoever_is_trusted() {
    assert_eq!(reason(&app(recipe()), org_access_token()).await, "issuer_unknown");
    let trusting = app(Issuer::builder(ORG).audience(ORG));
    assert_eq!(reason(&trusting, org_access_token()).await, "type_not_accepted");
}
