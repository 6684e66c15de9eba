//! Tokens of several issuers. Each one's scopes are limited by name, so that a partner cannot make itself your
//! administrator.
//!
//! ```sh
//! cargo run --example several_issuers
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::{delete, get};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Scope, ScopeLayer, TrustedIssuers};

mod shared;

const API: &str = "https://api.example.com";
const READ: Scope = Scope::from_static("orders:read");
const ADMIN: Scope = Scope::from_static("orders:admin");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let login = TestIssuer::new("https://login.example.com/", API);
    let partner = TestIssuer::new("https://partner.example/", API);

    // In a service: `Issuer::builder("https://login.example.com/").audience(API)`, and the rest as here.
    let staff = login.issuer_builder().accept_any_scope().build()?;
    let partners = partner.issuer_builder().accepted_scopes([READ]).build()?;
    // One of several that leaves its scopes open is an error here, when the service starts.
    let jwt = JwtLayer::new(TrustedIssuers::new([staff, partners])?);

    let app = Router::new()
        .route("/orders", get(list).layer(ScopeLayer::all([READ])))
        .route("/orders", delete(clear).layer(ScopeLayer::all([ADMIN])))
        .layer(jwt);

    let (socket, url) = shared::listen().await?;
    // Both call their user `alice`, and both grant everything; what counts is what is accepted from each.
    let ours = login.token().subject("alice").scopes([READ, ADMIN]).sign();
    let theirs = partner.token().subject("alice").scopes([READ, ADMIN]).sign();
    let stranger = TestIssuer::new("https://stranger.example/", API)
        .token()
        .scopes([READ])
        .sign();
    println!("TOKEN={ours}");
    println!("PARTNER_TOKEN={theirs}");
    println!("curl -si -H 'Authorization: Bearer {ours}' {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {theirs}' {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {ours}' -X DELETE {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {theirs}' -X DELETE {url}/orders # 403");
    println!("curl -si -H 'Authorization: Bearer {stranger}' {url}/orders # 401");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn list(caller: Principal) -> String {
    // Two callers with one subject: the issuer tells them apart, and `caller.identity()` holds both.
    let (subject, issuer) = (
        caller.subject().unwrap_or("somebody"),
        caller.issuer().unwrap_or("nowhere"),
    );
    format!("no orders of {subject} from {issuer} yet\n")
}

async fn clear() -> &'static str {
    "cleared\n"
}
