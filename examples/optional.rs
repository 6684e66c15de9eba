//! A page for everybody that knows its visitor if there is one. A bad credential is still refused: whoever logs in wrongly
//! should hear of it, and not be taken for a stranger.
//!
//! ```sh
//! cargo run --example optional
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::get;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Scope, ScopeLayer};

mod shared;

const READ: Scope = Scope::from_static("orders:read");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");

    let app = Router::new()
        .route("/", get(home))
        // A route that asks for a scope is not opened by the optional layer: strangers get 401 with its challenge.
        .route("/orders", get(home).layer(ScopeLayer::all([READ])))
        .layer(JwtLayer::new(idp.issuer()).optional());

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").scopes([READ]).sign();
    println!("TOKEN={token}");
    println!("curl -si {url}/ # 200");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/ # 200");
    println!("curl -si -H 'Authorization: Bearer not.a.token' {url}/ # 401");
    println!("curl -si {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn home(caller: Option<Principal>) -> String {
    match caller.as_ref().and_then(Principal::subject) {
        Some(name) => format!("hello {name}\n"),
        None => "hello stranger\n".to_owned(),
    }
}
