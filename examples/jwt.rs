//! JWT access tokens of one issuer, whose keys are found through its metadata.
//!
//! ```sh
//! cargo run --example jwt
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Issuer, JwtLayer, Principal};

mod shared;

const API: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A stand-in for your authorization server. Its name, like a real one's, is the address of its metadata.
    let login = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("http://{}", login.local_addr()?);
    let idp = TestIssuer::new(&name, API);
    tokio::spawn(axum::serve(login, idp.router()).into_future());

    // The name is compared with `iss` to the letter, the audience with `aud`: a token for another API is refused here.
    let issuer = Issuer::builder(&name).audience(API).build()?;

    // Building opened no socket, and the first request would fetch the keys. Who would rather not start without an
    // authorization server fetches them now.
    issuer.warm_up().await?;

    let app = Router::new()
        .route("/orders", get(list))
        .layer(JwtLayer::new(issuer));

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").expires_in(Duration::from_secs(3600));
    let elsewhere = token.clone().audience("https://elsewhere.example.com").sign();
    let expired = token.clone().claim("exp", 1_700_000_000).sign();
    let token = token.sign();
    println!("TOKEN={token}");
    println!("curl -si {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {elsewhere}' {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {expired}' {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer' {url}/orders # 400");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn list(caller: Principal) -> String {
    // A subject is unique within its issuer only. Key data by `caller.identity()`, which names both.
    format!("no orders of {} yet\n", caller.subject().unwrap_or("somebody"))
}
