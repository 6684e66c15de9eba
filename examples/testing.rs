//! How to test a service that is protected by these layers: with real tokens, new keys each time, and a clock to turn.
//!
//! ```sh
//! cargo test --example testing                # the tests at the end
//! cargo run --example testing                 # the same service, to be called
//! ```
//!
//! In your `Cargo.toml` the feature belongs among the dev-dependencies, so that no service is built with it:
//!
//! ```toml
//! [dev-dependencies]
//! tower-resource-server = { version = "0.1", features = ["testing"] }
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::get;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Scope, ScopeLayer};

mod shared;

const API: &str = "https://api.example.com";
const READ: Scope = Scope::from_static("orders:read");

/// The whole service, but for who is trusted. `main` hands in your issuer, and a test its own.
fn app(jwt: JwtLayer) -> Router {
    Router::new()
        .route("/orders", get(list).layer(ScopeLayer::all([READ])))
        .layer(jwt)
}

async fn list(caller: Principal) -> String {
    format!("no orders of {} yet\n", caller.subject().unwrap_or("somebody"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", API); // in a service: `Issuer::builder(…)`
    let app = app(JwtLayer::new(idp.issuer()));

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").scopes([READ]).sign();
    println!("TOKEN={token}");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("curl -si {url}/orders # 401");
    axum::serve(socket, app).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;
    use tower_resource_server::testing::PrincipalBuilder;

    use super::*;

    /// A `GET /orders` with this token: no socket, no network.
    async fn get_orders(idp: &TestIssuer, token: &str) -> StatusCode {
        let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        app(JwtLayer::new(idp.issuer()))
            .oneshot(request)
            .await
            .unwrap()
            .status()
    }

    #[tokio::test]
    async fn a_reader_reads() {
        let idp = TestIssuer::new("https://idp.test", API);
        let token = idp.token().subject("alice").scopes([READ]).sign();
        assert_eq!(get_orders(&idp, &token).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_token_without_the_scope_is_not_enough() {
        let idp = TestIssuer::new("https://idp.test", API);
        let token = idp.token().subject("alice").sign();
        assert_eq!(get_orders(&idp, &token).await, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_token_expires() {
        let idp = TestIssuer::new("https://idp.test", API);
        let token = idp
            .token()
            .scopes([READ])
            .expires_in(Duration::from_secs(60))
            .sign();
        // Nobody sleeps. The issuer's clock may be off by half a minute, which is why two minutes pass and not one.
        idp.clock().advance(Duration::from_secs(120));
        assert_eq!(get_orders(&idp, &token).await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn somebody_elses_key_opens_nothing() {
        let idp = TestIssuer::new("https://idp.test", API);
        let forger = TestIssuer::new("https://idp.test", API); // the same name, another key
        let token = forger.token().scopes([READ]).sign();
        assert_eq!(get_orders(&idp, &token).await, StatusCode::UNAUTHORIZED);
    }

    /// A handler is a function: it needs a principal, and no token at all.
    #[tokio::test]
    async fn the_list_is_the_callers_own() {
        let alice = PrincipalBuilder::token("https://idp.test", "alice").build();
        assert_eq!(list(alice).await, "no orders of alice yet\n");
    }
}
