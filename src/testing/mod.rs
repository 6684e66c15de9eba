//! For your tests: an issuer whose tokens the real judge accepts, principals to build, a clock to turn.
//!
//! Nothing in here weakens the judge: a [`TestIssuer`] has real keys, new ones each time, and signs real tokens. It must
//! not stand in a service all the same, since whoever holds it can make a token for everything.
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use tower::ServiceExt;
//! use tower_resource_server::{JwtLayer, Scope, ScopeLayer, testing::TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! const READ: Scope = Scope::from_static("orders:read");
//! fn app(jwt: JwtLayer) -> Router {
//!     Router::new().route("/orders", get(|| async {}).layer(ScopeLayer::all([READ]))).layer(jwt)
//! }
//!
//! let idp = TestIssuer::new("https://idp.test", "https://api.test");
//! let token = idp.token().subject("alice").scopes([READ]).sign();
//! let request = Request::get("/orders").header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
//! let response = app(JwtLayer::new(idp.issuer())).oneshot(request).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! # }
//! ```

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up should stop where it stands"
)]

mod clock;
pub mod conformance;
mod issuer;
mod principal;
mod signing_key;
mod token;

pub use clock::TestClock;
pub use issuer::TestIssuer;
pub use principal::PrincipalBuilder;
pub use token::TokenBuilder;
