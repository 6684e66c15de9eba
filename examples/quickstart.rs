//! An API that takes tokens and API keys, and an authorization server to try it with. Nothing else is needed: no network,
//! no database, no flags.
//!
//! ```sh
//! cargo run --example quickstart              # PORT=8080 for another port, PORT=0 for any that is free
//! ```
//!
//! It prints credentials, and curl commands with the status that each one prints. In your own service the `TestIssuer`
//! goes away, and the name of the issuer is the address of your authorization server.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, Issuer, JwtLayer, MemoryKeyStore, Principal, Scope, ScopeLayer,
};

mod shared;

/// What tokens must be made for: the name of this API, as the authorization server knows it.
const API: &str = "https://api.example.com";

const READ: Scope = Scope::from_static("orders:read");
const WRITE: Scope = Scope::from_static("orders:write");

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (socket, url) = shared::listen().await?;
    let idp = authorization_server().await?;

    // Only the digest of a key is kept: the key itself is shown once, here to you.
    let minted = ApiKeyFormat::new("sk", "test")?.mint()?;
    let robot = ApiKeyRecord::builder("key_1", "robot", *minted.digest()).scopes([READ]);
    let store = MemoryKeyStore::from_iter([robot.build()]);

    // The keys of the issuer are found through its metadata, when the first token comes.
    let issuer = Issuer::builder(idp.to_string()).audience(API).build()?;
    let app = api(issuer, store);

    let token = idp.token().expires_in(HOUR);
    let read_only = token.clone().subject("bob").scopes([READ]);
    let token = token.subject("alice").scopes([READ, WRITE]);
    let key = minted.key().expose_str().ok_or("an API key is text")?;
    tell(&url, &token.sign(), key, &read_only.sign());

    axum::serve(socket, app).await?;
    Ok(())
}

/// The service. A request presents one credential, and each route says what that must allow.
fn api(issuer: Issuer, store: MemoryKeyStore) -> Router {
    // A method router's layer lies around all of its methods, so each method with a demand of its own is its own route.
    Router::new()
        .route("/me", get(me))
        .route("/orders", get(list).layer(ScopeLayer::all([READ])))
        .route("/orders", post(place).layer(ScopeLayer::all([WRITE])))
        .layer(JwtLayer::new(issuer).or(ApiKeyLayer::new(store)))
}

async fn me(caller: Principal) -> String {
    let name = caller.subject().unwrap_or("somebody");
    format!(
        "{name}, by {}, may {}\n",
        caller.method().as_str(),
        caller.scopes().as_str()
    )
}

async fn list() -> &'static str {
    "no orders yet\n"
}

async fn place(caller: Principal) -> String {
    format!("ordered by {}\n", caller.subject().unwrap_or("somebody"))
}

/// A stand-in for your authorization server, on a socket of its own: it serves its metadata and its keys.
async fn authorization_server() -> Result<TestIssuer, Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    // An issuer's name is the address that its metadata is found at.
    let idp = TestIssuer::new(format!("http://{}", socket.local_addr()?), API);
    tokio::spawn(axum::serve(socket, idp.router()).into_future());
    Ok(idp)
}

fn tell(url: &str, token: &str, key: &str, read_only: &str) {
    let curl = r"curl -s -o /dev/null -w '%{http_code}\n'"; // prints the status and nothing else
    println!("TOKEN={token}");
    println!("API_KEY={key}");
    println!("READ_ONLY_TOKEN={read_only}");
    println!("{curl} {url}/orders # 401");
    println!("{curl} -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("{curl} -H 'Authorization: Bearer {token}' -X POST {url}/orders # 200");
    println!("{curl} -H 'Authorization: Bearer {read_only}' -X POST {url}/orders # 403");
    println!("{curl} -H 'X-API-Key: {key}' {url}/orders # 200");
    println!("{curl} -H 'X-API-Key: {key}' -X POST {url}/orders # 403");
    println!("{curl} -H 'X-API-Key: not-one-of-ours' {url}/orders # 401");
    println!("{curl} -H 'Authorization: Bearer {token}' -H 'X-API-Key: {key}' {url}/me # 400");
    println!("{curl} -H 'Authorization: Bearer {token}' {url}/me # 200");
}
