//! What each route asks for: one scope, all of several, or one of several ways to be allowed.
//!
//! ```sh
//! cargo run --example scopes
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::{delete, get, post};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Requirement, Scope, ScopeLayer};

mod shared;

// A word that is no scope, say one with a space in it, does not build.
const READ: Scope = Scope::from_static("orders:read");
const WRITE: Scope = Scope::from_static("orders:write");
const ADMIN: Scope = Scope::from_static("admin");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");

    let write_or_admin = Requirement::all([READ, WRITE]).or_all([ADMIN]);
    let app = Router::new()
        .route("/orders", get(list).layer(ScopeLayer::all([READ])))
        // A route for each method: in `get(…).layer(…).post(…).layer(…)` the second layer would lie around both.
        .route("/orders", post(place).layer(ScopeLayer::new(write_or_admin)))
        .route("/orders", delete(clear).layer(ScopeLayer::all([ADMIN])))
        // Scopes are asked of whoever is authenticated, so this comes last, which in axum is outermost. Forget it, and
        // the routes above answer 500: a wiring mistake does not open them.
        .layer(JwtLayer::new(idp.issuer()));

    let (socket, url) = shared::listen().await?;
    let reader = idp.token().scopes([READ]).sign();
    let writer = idp.token().scopes([READ, WRITE]).sign();
    let admin = idp.token().scopes([ADMIN]).sign();
    println!("READ_ONLY_TOKEN={reader}");
    println!("TOKEN={writer}");
    println!("ADMIN_TOKEN={admin}");
    println!("curl -si {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {reader}' {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {reader}' -X POST {url}/orders # 403");
    println!("curl -si -H 'Authorization: Bearer {writer}' -X POST {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {admin}' -X POST {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {writer}' -X DELETE {url}/orders # 403");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn list() -> &'static str {
    "no orders yet\n"
}

async fn place() -> &'static str {
    "ordered\n"
}

async fn clear() -> &'static str {
    "cleared\n"
}
