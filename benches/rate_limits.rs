//! What it costs a request to be counted: `cargo bench --bench rate_limits`.
//!
//! A Redis, and then a Valkey, are started for this and thrown away. A request goes through a `RateLimitLayer` above nothing: counted
//! in this process, and by the engine over loopback; one after the other, and 64 at the same time. Then what the engine needs for
//! each of 100,000 callers.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tower_resource_server::testing::PrincipalBuilder;
use tower_resource_server::{
    Principal, Quota, RateLimitLayer, RateLimits, RedisRateLimits, Share, SharedRateLimits,
};

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/redis_server.rs"]
mod redis_server;

use redis_server::{RedisServer, engines};

const REQUESTS: usize = 20_000;
const AT_ONCE: usize = 64;
const CALLERS: usize = 100_000;
/// More than anybody can use up here.
const PLENTY: Quota = Quota::per_second(1_000_000);

#[tokio::main]
async fn main() {
    println!(
        "{:<24} {:>11} {:>11} {:>13}",
        "each request, µs", "median", "p99", "requests/s"
    );
    let local = RateLimits::builder("free", PLENTY);
    let local = local.build().unwrap();
    one_by_one("counted here", &local).await;
    for program in engines() {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let server = RedisServer::start(&program);
        let place = RedisRateLimits::new(server.client());
        let limits = RateLimits::builder("free", PLENTY).shared(place, Share::one_in(1));
        let limits = limits.build().unwrap();
        one_by_one(&name, &limits).await;
        at_once(&format!("{name}, {AT_ONCE} at once"), &limits).await;
        let alone = limits.status().counted_alone;
        println!("{name}: {alone} requests were counted alone");
        held(&name, &server).await;
    }
}

fn caller(number: usize) -> Principal {
    PrincipalBuilder::token("https://login.example.com/", format!("alice-{number}")).build()
}

async fn ask(limits: &RateLimits, caller: &Principal) -> Duration {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let mut service = RateLimitLayer::new(limits.clone()).layer(service);
    let mut request = Request::new(());
    request.extensions_mut().insert(caller.clone());
    let start = Instant::now();
    let answer = service.call(request).await.unwrap();
    assert!(answer.status().is_success());
    start.elapsed()
}

async fn one_by_one(name: &str, limits: &RateLimits) {
    let caller = caller(0);
    ask(limits, &caller).await;
    let start = Instant::now();
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        times.push(ask(limits, &caller).await);
    }
    tell(name, times, start.elapsed());
}

async fn at_once(name: &str, limits: &RateLimits) {
    let callers: Vec<Principal> = (0..AT_ONCE).map(caller).collect();
    let start = Instant::now();
    let asked = stream::iter(0..REQUESTS).map(|turn| ask(limits, &callers[turn % AT_ONCE]));
    let times: Vec<Duration> = asked.buffer_unordered(AT_ONCE).collect().await;
    tell(name, times, start.elapsed());
}

fn tell(name: &str, mut times: Vec<Duration>, took: Duration) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    let each_second = times.len() as f64 / took.as_secs_f64();
    println!("{name:<24} {:>11.2} {:>11.2} {each_second:>13.0}", at(50), at(99));
}

async fn held(name: &str, server: &RedisServer) {
    server.ask::<()>(&["FLUSHALL"]).await;
    let before = used(server).await;
    let place = RedisRateLimits::new(server.client());
    let slow = Quota::per_day(10);
    let names: Vec<String> = (0..CALLERS)
        .map(|number| format!("[\"free\",\"key\",\"{number:036}\"]"))
        .collect();
    let taken = stream::iter(&names).map(|name| place.take(name, slow));
    let taken: Vec<_> = taken.buffer_unordered(AT_ONCE).collect().await;
    assert!(taken.iter().all(Result::is_ok));
    let each = (used(server).await - before) / CALLERS as u64;
    println!("{name}: {each} bytes for each of {CALLERS} callers");
}

async fn used(server: &RedisServer) -> u64 {
    let info: String = server.ask(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().parse().unwrap()
}
