//! People come with tokens, machines with API keys, and the handler does not care: it sees a `Principal`.
//!
//! ```sh
//! cargo run --example api_key_or_jwt
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::get;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, JwtLayer, MemoryKeyStore, Principal};

mod shared;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");
    let issuer = idp.issuer(); // in a service: `Issuer::builder("https://login.example.com/")…`

    let minted = ApiKeyFormat::new("sk", "test")?.mint()?;
    let robot = ApiKeyRecord::builder("key_1", "robot", *minted.digest()).build();
    let store = MemoryKeyStore::from_iter([robot]);

    // Nothing presented is 401 with both challenges. Both presented is 400, even if both are good: which of them counted
    // would depend on who looks, and a proxy in front may look differently.
    let either = JwtLayer::new(issuer).or(ApiKeyLayer::new(store));
    let app = Router::new().route("/me", get(me)).layer(either);

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").sign();
    let key = minted.key().expose_str().ok_or("an API key is text")?;
    println!("TOKEN={token}");
    println!("API_KEY={key}");
    println!("curl -si {url}/me # 401");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/me # 200");
    println!("curl -si -H 'X-API-Key: {key}' {url}/me # 200");
    println!("curl -si -H 'Authorization: Bearer {key}' {url}/me # 200"); // told from a token by its shape
    println!("curl -si -H 'Authorization: Bearer {token}' -H 'X-API-Key: {key}' {url}/me # 400");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn me(caller: Principal) -> String {
    format!(
        "{} by {}\n",
        caller.subject().unwrap_or("somebody"),
        caller.method().as_str()
    )
}
