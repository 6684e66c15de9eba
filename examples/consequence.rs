//! One service, three routes, and as much asked of a caller as each puts at risk: reading, writing, moving money. Every decision is
//! written to a file.
//!
//! ```sh
//! cargo run --example consequence
//! ```
//!
//! Carry out the commands that it prints, and look at the file that it names: one line for each request, with who asked for what,
//! what was decided, and what was not met.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;
use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::MatchedPath;
use axum::routing::{get, post};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{
    Acr, AuditLayer, AuditLog, CallerKind, CallerLayer, Clock, FixedKeys, Issuer, JsonLines, JwtLayer,
    MemoryRevocations, Principal, RevocationCheckLayer, Scope, ScopeLayer, StepUp, StepUpLayer, SystemClock,
    TokenAgeLayer,
};

mod shared;

const LOGIN: &str = "https://login.example.com/";
const API: &str = "https://api.example.com";
const READ: Scope = Scope::from_static("accounts:read");
const WRITE: Scope = Scope::from_static("accounts:write");
const TRANSFER: Scope = Scope::from_static("accounts:transfer");
const PHISHING_RESISTANT: Acr = Acr::from_static("phr");
const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new(LOGIN, API);
    let issuer = Issuer::builder(LOGIN).audience(API);
    let issuer = issuer.keys(FixedKeys::jwks(&idp.jwks())?).build()?;
    let path = std::env::temp_dir().join(format!("consequence-{}.jsonl", std::process::id()));
    let log = AuditLog::new(JsonLines::new(File::create(&path)?));
    let app = app(issuer, log.clone());

    let (socket, url) = shared::listen().await?;
    println!("AUDIT_FILE={}", path.display());
    print_commands(&idp, &url);
    // What is queued when the process ends would be lost.
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(socket, app).with_graceful_shutdown(stop).await?;
    Ok(log.flush().await?)
}

fn app(issuer: Issuer, log: AuditLog) -> Router {
    let revocations = MemoryRevocations::new();
    // Whoever reads needs the scope, and nothing else.
    let reading = Router::new()
        .route("/accounts", get(accounts))
        .layer(ScopeLayer::all([READ]));
    // What is written can be written back. A stolen token is of use for ten minutes, and no longer.
    let writing = Router::new()
        .route("/accounts/{id}/note", post(done))
        .layer(TokenAgeLayer::within(TEN_MINUTES))
        .layer(ScopeLayer::all([WRITE]));
    // What cannot be undone is a person's to do, who was there a moment ago and could not be phished. From the bottom up.
    let paying = Router::new()
        .route("/transfers", post(done))
        .layer(RevocationCheckLayer::new(revocations.clone()))
        .layer(StepUpLayer::new(
            StepUp::one_of([PHISHING_RESISTANT]).within(TEN_MINUTES),
        ))
        .layer(ScopeLayer::all([TRANSFER]))
        .layer(CallerLayer::new(CallerKind::undelegated()))
        .layer(CallerLayer::new(CallerKind::user()));
    let audit = AuditLayer::new(log)
        .route(|request| Some(request.extensions().get::<MatchedPath>()?.as_str().to_owned()))
        .request_id(|request| Some(request.headers().get("x-request-id")?.to_str().ok()?.to_owned()));
    reading
        .merge(writing)
        .merge(paying)
        .layer(JwtLayer::new(issuer).revocations(revocations))
        // Outermost, so that it sees every answer.
        .layer(audit)
}

async fn accounts(caller: Principal) -> String {
    format!("the accounts of {}\n", caller.subject().unwrap_or("somebody"))
}

async fn done() -> &'static str {
    "done\n"
}

fn print_commands(idp: &TestIssuer, url: &str) {
    let now = SystemClock::new().now();
    let long_ago = now - 3 * TEN_MINUTES;
    let token = || {
        idp.token()
            .scopes([READ, WRITE, TRANSFER])
            .issued_at(now)
            .expires_in(6 * TEN_MINUTES)
    };
    let alice = || {
        token()
            .subject("alice")
            .token_id(format!("t-{:08x}", fastrand::u32(..)))
    };
    let strong = |token: TokenBuilder, at| token.claim("acr", "phr").claim("auth_time", seconds(at));
    let call = |what: &str, token: TokenBuilder, status: u16| {
        println!(
            "curl -si -H 'Authorization: Bearer {}' {what} # {status}",
            token.sign()
        );
    };
    let (accounts, note) = (
        format!("{url}/accounts"),
        format!("-X POST {url}/accounts/7/note"),
    );
    let transfer = format!("-X POST {url}/transfers");
    println!("curl -si {accounts} # 401");
    call(&accounts, alice().scopes([READ]), 200);
    call(&note, alice().scopes([READ]), 403);
    call(&note, alice(), 200);
    // The same, of half an hour ago.
    call(&note, alice().issued_at(long_ago), 401);
    // A program; somebody for whom a program acts; somebody with a password; somebody who was there half an hour ago.
    call(&transfer, token().subject("nightly").client("nightly"), 403);
    call(
        &transfer,
        strong(alice().claim("act", serde_json::json!({ "sub": "agent" })), now),
        403,
    );
    call(
        &transfer,
        alice().claim("acr", "pwd").claim("auth_time", seconds(now)),
        401,
    );
    call(&transfer, strong(alice(), long_ago), 401);
    call(&transfer, strong(alice(), now), 200);
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
