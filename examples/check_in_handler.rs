//! A check that needs more than the route: an order is for its owner, and for administrators.
//!
//! ```sh
//! cargo run --example check_in_handler
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Rejection, Requirement, Scope};

mod shared;

const LOGIN: &str = "https://login.example.com/";
const ADMIN: Scope = Scope::from_static("orders:admin");

struct Order {
    // Both, because a subject is unique within its issuer only.
    owner: (&'static str, &'static str),
    what: &'static str,
}

impl Order {
    fn find(id: u32) -> Option<Self> {
        let owner = (LOGIN, "alice");
        (id == 1).then_some(Self {
            owner,
            what: "a pot of tea",
        })
    }

    fn is_of(&self, caller: &Principal) -> bool {
        caller.issuer() == Some(self.owner.0) && caller.subject() == Some(self.owner.1)
    }
}

/// A `Rejection` is a response: 403, with the scope that would have sufficed in its challenge.
async fn order(caller: Principal, Path(id): Path<u32>) -> Result<Response, Rejection> {
    let order = Order::find(id);
    // An order that does not exist is nobody's: strangers get the same answer for it, and so cannot count orders.
    if !order.as_ref().is_some_and(|order| order.is_of(&caller)) {
        caller.require(&Requirement::all([ADMIN]))?;
    }
    Ok(match order {
        Some(order) => format!("{}\n", order.what).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new(LOGIN, "https://api.example.com");
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(JwtLayer::new(idp.issuer()));

    let (socket, url) = shared::listen().await?;
    let alice = idp.token().subject("alice").sign();
    let bob = idp.token().subject("bob").sign();
    let admin = idp.token().subject("carol").scopes([ADMIN]).sign();
    println!("TOKEN={alice}");
    println!("OTHER_TOKEN={bob}");
    println!("ADMIN_TOKEN={admin}");
    println!("curl -si -H 'Authorization: Bearer {alice}' {url}/orders/1 # 200");
    println!("curl -si -H 'Authorization: Bearer {bob}' {url}/orders/1 # 403");
    println!("curl -si -H 'Authorization: Bearer {bob}' {url}/orders/2 # 403");
    println!("curl -si -H 'Authorization: Bearer {admin}' {url}/orders/1 # 200");
    println!("curl -si -H 'Authorization: Bearer {admin}' {url}/orders/2 # 404");
    axum::serve(socket, app).await?;
    Ok(())
}
