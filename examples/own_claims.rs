//! Claims of your own as a type of your own, decoded once for each fresh token and not once for each request.
//!
//! ```sh
//! cargo run --example own_claims
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::routing::get;
use serde::Deserialize;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Claims, JwtLayer, Principal};

mod shared;

/// What this service wants to know beside who calls. The registered claims (`sub`, `scope`, …) are in the `Principal`.
#[derive(Debug, Deserialize)]
struct Staff {
    department: String,
    /// A claim that some tokens lack must be an `Option`: a token that does not decode is refused.
    desk: Option<u16>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");
    // In a service: `Issuer::builder(LOGIN).audience(API).claims::<Staff>().build()?`.
    let issuer = idp.issuer_builder().claims::<Staff>().build()?;
    let app = Router::new()
        .route("/department", get(department))
        .route("/desk", get(desk))
        .layer(JwtLayer::new(issuer));

    let (socket, url) = shared::listen().await?;
    let token = idp.token().claim("department", "billing").claim("desk", 7).sign();
    let nowhere = idp.token().sign();
    println!("TOKEN={token}");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/department # 200");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/desk # 200");
    println!("curl -si -H 'Authorization: Bearer {nowhere}' {url}/department # 401");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn department(staff: Claims<Staff>) -> String {
    format!("welcome, {}\n", staff.department)
}

/// Where there is no extractor, the principal has them.
async fn desk(caller: Principal) -> String {
    match caller.claims::<Staff>().and_then(|staff| staff.desk) {
        Some(desk) => format!("desk {desk}\n"),
        None => "no desk\n".to_owned(),
    }
}
