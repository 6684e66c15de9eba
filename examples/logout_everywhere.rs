//! Two servers, and an administrator who withdraws a token, a person and a key at one of them: the other one notices with the
//! next request.
//!
//! ```sh
//! cargo run --example logout_everywhere
//! ```
//!
//! Both servers are in one process here, and share a list in memory.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, Clock, JwtLayer, MemoryKeyStore, MemoryRevocations, Principal,
    Revocation, RevocationCheckLayer, Scope, ScopeLayer, SystemClock,
};

mod shared;

const LOGIN: &str = "https://login.example.com/";
const LOG_OUT: Scope = Scope::from_static("sessions:end");
/// No token of this issuer lives longer, and by then the key is revoked in its store.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new(LOGIN, "https://api.example.com");
    let format = ApiKeyFormat::new("sk", "test")?;
    let (admin, robot) = (format.mint()?, format.mint()?);
    let revocations = MemoryRevocations::new();
    let server = || {
        let store = MemoryKeyStore::from_iter([
            ApiKeyRecord::builder("key_admin", "admin", *admin.digest())
                .scopes([LOG_OUT])
                .build(),
            ApiKeyRecord::builder("key_robot", "robot", *robot.digest()).build(),
        ]);
        let keys = ApiKeyLayer::new(store).revocations(revocations.clone());
        let either = JwtLayer::new(idp.issuer())
            .revocations(revocations.clone())
            .or(keys);
        // What cannot be undone asks once more, where revocations are kept.
        let transfer = get(me).layer(RevocationCheckLayer::new(revocations.clone()));
        Router::new()
            .route(
                "/logout/{what}/{name}",
                post(log_out).layer(ScopeLayer::all([LOG_OUT])),
            )
            .route("/me", get(me))
            .route("/transfer", transfer)
            .layer(either)
            .with_state(revocations.clone())
    };

    let (first, here) = shared::listen().await?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let there = format!("http://{}", second.local_addr()?);
    let token = |id: &str| idp.token().subject("alice").token_id(id).sign();
    let (phone, laptop) = (token("phone"), token("laptop"));
    let key = |key: &tower_resource_server::MintedKey| key.expose().to_owned();
    let (admin_key, robot_key) = (key(&admin), key(&robot));
    let withdraw =
        |what: &str| println!("curl -si -X POST -H 'X-API-Key: {admin_key}' {here}/logout/{what} # 204");
    println!("curl -si -H 'Authorization: Bearer {phone}' {there}/me # 200");
    withdraw("token/phone");
    println!("curl -si -H 'Authorization: Bearer {phone}' {there}/me # 401");
    println!("curl -si -H 'Authorization: Bearer {laptop}' {there}/transfer # 200");
    withdraw("subject/alice");
    println!("curl -si -H 'Authorization: Bearer {laptop}' {there}/transfer # 401");
    println!("curl -si -H 'X-API-Key: {robot_key}' {there}/me # 200");
    withdraw("key/key_robot");
    println!("curl -si -H 'X-API-Key: {robot_key}' {there}/me # 401");
    println!("curl -si -X POST -H 'X-API-Key: {admin_key}' {here}/logout/planet/earth # 404");

    let (one, other) = (server(), server());
    tokio::try_join!(async { axum::serve(first, one).await }, async {
        axum::serve(second, other).await
    },)?;
    Ok(())
}

async fn me(caller: Principal) -> String {
    format!("{}\n", caller.subject().unwrap_or("somebody"))
}

async fn log_out(
    State(revocations): State<MemoryRevocations>,
    Path((what, name)): Path<(String, String)>,
) -> StatusCode {
    let now = SystemClock::new().now();
    let until = now + LONGEST_LIFE;
    revocations.revoke(&match what.as_str() {
        "token" => Revocation::token(LOGIN, name, until),
        "subject" => Revocation::subject(LOGIN, name, now, until),
        "key" => Revocation::api_key(name, until),
        _ => return StatusCode::NOT_FOUND,
    });
    StatusCode::NO_CONTENT
}
