//! Two plans: one for everybody, and one that a key's record names. What is left stands in every answer, and beyond the limit is 429.
//!
//! ```sh
//! cargo run --example rate_limits
//! ```
//!
//! Carry out the commands that it prints, and look at `RateLimit`, `RateLimit-Policy` and `Retry-After`. Ten seconds later everybody
//! has everything again.
//!
//! So each process counts for itself. To have several count together, start Redis or Valkey, and each of them with its address:
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379/ cargo run --example rate_limits
//! REDIS_URL=redis://127.0.0.1:6379/ PORT=3001 cargo run --example rate_limits
//! ```
//!
//! What is used at one of them is used at the other: owners are counted, and they are the same in both. End Redis, and requests go on:
//! each process lets half of each plan through, and says so in `/health`.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, MemoryKeyStore, MintedKey, Principal, Quota, RateLimitLayer,
    RateLimits, RedisRateLimits, Share,
};

mod shared;

const FREE: Quota = Quota::new(2, Duration::from_secs(10));
const GOLD: Quota = Quota::new(20, Duration::from_secs(10)).at_once(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let format = ApiKeyFormat::new("sk", "test")?;
    let (free, gold) = (format.mint()?, format.mint()?);
    let store = MemoryKeyStore::from_iter([
        ApiKeyRecord::builder("key_1", "hobbyist", *free.digest()).build(),
        ApiKeyRecord::builder("key_2", "customer", *gold.digest())
            .plan("gold")
            .build(),
    ]);
    let limits = limits()?;
    // Authentication is the outer one: it says who asks.
    let app = Router::new()
        .route("/orders", get(orders))
        .layer(RateLimitLayer::new(limits.clone()))
        .layer(ApiKeyLayer::new(store))
        .route("/health", get(async move || format!("{:#?}\n", limits.status())));

    let (socket, url) = shared::listen().await?;
    print_commands(&url, &free, &gold)?;
    axum::serve(socket, app).await?;
    Ok(())
}

fn limits() -> Result<RateLimits, Box<dyn Error>> {
    let limits = RateLimits::builder("free", FREE).plan("gold", GOLD);
    let limits = match env::var("REDIS_URL") {
        Err(_) => limits,
        // There are two of us, so each alone may let half of a plan through.
        Ok(url) => limits.shared(RedisRateLimits::new(redis::Client::open(url)?), Share::one_in(2)),
    };
    Ok(limits.build()?)
}

async fn orders(caller: Principal) -> String {
    format!("orders of {}\n", caller.subject().unwrap_or("somebody"))
}

fn print_commands(url: &str, free: &MintedKey, gold: &MintedKey) -> Result<(), Box<dyn Error>> {
    println!("curl -si {url}/orders # 401");
    for (key, passes) in [(free, 2), (gold, 5)] {
        let key = key.key().expose_str().ok_or("an API key is text")?;
        for turn in 0..=passes {
            let status = if turn < passes { 200 } else { 429 };
            println!("curl -si -H 'X-API-Key: {key}' {url}/orders # {status}");
        }
    }
    println!("curl -s {url}/health # 200");
    Ok(())
}
