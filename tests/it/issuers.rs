//! Tokens as particular issuers document them, with keys of our own. Each file is an issuer, or several of one kind: the
//! configuration that the guide's chapter on issuers recommends, what it accepts and what it makes of it, and what it
//! refuses.

mod auth0;
mod cognito;
mod entra;
mod github_actions;
mod google;
mod keycloak;
mod kubernetes;
mod okta;
mod settings;

use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{Algorithm, FixedKeys, IssuerBuilder, JwtLayer, Keys, Principal, WithAudience};

use crate::support::{bearer, call};

/// Whose keys sign for all of them; the name that counts is the one in a token's claims.
static IDP: LazyLock<TestIssuer> = LazyLock::new(|| TestIssuer::new("https://idp.test", "unused"));

/// A token as its issuer writes it: RS256, this `typ`, a `kid`, these claims, and `iat` and `exp`.
fn token(typ: Option<&str>, claims: Value) -> TokenBuilder {
    let claims: Map<String, Value> = serde_json::from_value(claims).unwrap();
    let defaults = ["iss", "aud", "sub", "client_id", "jti"];
    let bare = defaults
        .into_iter()
        .fold(IDP.token(), TokenBuilder::without)
        .algorithm(Algorithm::Rs256);
    let bare = match typ {
        Some(typ) => bare.header("typ", typ),
        None => bare.without_header("typ"),
    };
    claims
        .into_iter()
        .fold(bare, |token, (name, value)| token.claim(name, value))
}

/// The keys as their issuer publishes them.
fn keys() -> Keys {
    // Makes the key, if nobody has asked for it yet.
    IDP.token().algorithm(Algorithm::Rs256).sign();
    FixedKeys::jwks(&IDP.jwks()).unwrap().into()
}

/// A service that trusts the issuer that is configured so, but with the keys of the tests, and says who is calling.
fn app(issuer: IssuerBuilder<WithAudience>) -> Router {
    app_with_keys(issuer.keys(keys()))
}

fn app_with_keys(issuer: IssuerBuilder<WithAudience>) -> Router {
    let issuer = issuer.clock(IDP.clock().clone()).build().unwrap();
    let who = |caller: Principal| async move {
        json!({
            "issuer": caller.issuer(),
            "subject": caller.subject(),
            "client": caller.client(),
            "scopes": caller.scopes().iter().collect::<Vec<_>>(),
            "user": caller.is_user(),
            "id": caller.token_id(),
        })
        .to_string()
    };
    Router::new().route("/", get(who)).layer(JwtLayer::new(issuer))
}

/// Who is calling with this token.
async fn caller(app: &Router, token: TokenBuilder) -> Value {
    let answer = call(app, bearer(&token.sign())).await;
    assert_eq!(answer.reason(), "ok");
    answer.json()
}

/// Why this token is refused; `ok` if it is not.
async fn reason(app: &Router, token: TokenBuilder) -> &'static str {
    call(app, bearer(&token.sign())).await.reason()
}
