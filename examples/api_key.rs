//! API keys: a store that knows them by their digest, and one layer around the routes.
//!
//! ```sh
//! cargo run --example api_key
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::post;
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, MemoryKeyStore, Principal};

mod shared;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // `sk_test_…`: your own two words in front let a secret scanner, and you, recognise a key that got lost.
    let format = ApiKeyFormat::new("sk", "test")?;

    // Show a key to its owner once and keep the digest: whoever reads the store then holds no key.
    let minted = format.mint()?;
    let robot = ApiKeyRecord::builder("key_1", "deploy-robot", *minted.digest()).build();

    // A revoked key is kept, so that the log can tell it from one that never was. The caller is told neither.
    let lost = format.mint()?;
    let revoked = ApiKeyRecord::builder("key_0", "deploy-robot", *lost.digest())
        .revoked()
        .build();

    let store = MemoryKeyStore::from_iter([robot, revoked]);
    let app = Router::new()
        .route("/deploy", post(deploy))
        .layer(ApiKeyLayer::new(store));

    let (socket, url) = shared::listen().await?;
    let key = minted.key().expose_str().ok_or("an API key is text")?;
    let revoked = lost.key().expose_str().ok_or("an API key is text")?;
    println!("API_KEY={key}");
    println!("curl -si -X POST {url}/deploy # 401");
    println!("curl -si -X POST -H 'X-API-Key: {key}' {url}/deploy # 200");
    println!("curl -si -X POST -H 'Authorization: Bearer {key}' {url}/deploy # 200");
    println!("curl -si -X POST -H 'X-API-Key: {revoked}' {url}/deploy # 401");
    println!("curl -si -X POST -H 'X-API-Key: {key}' -H 'Authorization: Bearer {key}' {url}/deploy # 400");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn deploy(caller: Principal) -> String {
    let owner = caller.subject().unwrap_or("somebody");
    let key = caller.key_id().unwrap_or("no key");
    format!("{owner} deploys, with {key}\n")
}
