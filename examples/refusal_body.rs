//! Refusals in your own words: a middleware outside of all layers writes another body from the `Rejection` that every
//! refused response carries in its extensions.
//!
//! ```sh
//! cargo run --example refusal_body
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Rejection, Scope, ScopeLayer};

mod shared;

const READ: Scope = Scope::from_static("orders:read");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");
    let app = Router::new()
        .route(
            "/orders",
            get(|| async { "no orders yet\n" }).layer(ScopeLayer::all([READ])),
        )
        .layer(JwtLayer::new(idp.issuer()))
        .layer(map_response(in_our_words)); // the last layer is the outermost: it sees the refusals of all others

    let (socket, url) = shared::listen().await?;
    let token = idp.token().scopes([READ]).sign();
    let nothing = idp.token().sign();
    println!("TOKEN={token}");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("curl -si {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {nothing}' {url}/orders # 403");
    axum::serve(socket, app).await?;
    Ok(())
}

/// Another body, and nothing but that: the status and the challenges are what clients go by (RFC 9110 section 15.5.2).
async fn in_our_words(response: Response) -> Response {
    let Some(rejection) = response.extensions().get::<Rejection>() else {
        return response;
    };
    // `rejection.reason()` is for your log. It tells a revoked key from an unknown one, which is not the caller's business.
    let body = json!({
        "code": rejection.kind().error_code().unwrap_or("refused"),
        "message": message(rejection.status()),
        "missing": rejection.missing_scopes().as_str(),
    });
    let (mut parts, _) = response.into_parts();
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(CONTENT_LENGTH); // was the old body's
    Response::from_parts(parts, Body::from(body.to_string()))
}

fn message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Please log in.",
        StatusCode::FORBIDDEN => "You are logged in, but this is not for you.",
        StatusCode::SERVICE_UNAVAILABLE => "We cannot check who you are right now. Please try again.",
        _ => "We cannot answer this.",
    }
}
