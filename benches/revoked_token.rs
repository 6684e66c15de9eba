//! How long what was revoked through one server goes on working at another: `cargo bench --bench revoked_token`.
//!
//! Two servers as processes of their own, over one Redis, and then one Valkey, that are started for this and thrown away.
//! 1,000 credentials are revoked through one, one after the other, and the other is asked until it refuses, while both
//! answer 2,000 requests a second. The time runs from the acknowledgement to the first refusal, the request's own included.
//! The credentials are API keys: revocations are asked in the same way for tokens, and nothing has to be signed.
//!
//! Then, with 1,000,000 tokens revoked: what the engine needs for each, how long a server takes that starts, and how long until
//! all is put back into an engine that lost it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, KeyDigest, MemoryKeyStore, RedisRevocations, Revocation,
};

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/redis_server.rs"]
mod redis_server;

const REVOKED: u32 = 1_000;
const MANY: u64 = 1_000_000;
/// A thousandth of the requests that are made each second.
const LOAD: u32 = 2;

#[tokio::main]
async fn main() {
    if let Ok(url) = std::env::var("SERVE_REVOCATIONS_OF") {
        return serve(&url).await;
    }
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>11}",
        format!("{REVOKED} revocations, until refused:"),
        "median",
        "p99",
        "maximum",
        "requests/s"
    );
    for program in redis_server::engines() {
        let name = name_of(&program);
        let engine = redis_server::RedisServer::start(&program);
        let url = format!("redis://{}/", engine.address());
        let bench = Arc::new(Bench {
            nodes: [Node::start(&url).await, Node::start(&url).await],
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            answered: AtomicU64::new(0),
        });
        let load = tokio::spawn(load(Arc::clone(&bench)));
        let begun = Instant::now();
        let delays = bench.one_by_one().await;
        let rate = bench.answered.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        load.abort();
        tell(&name, delays, rate);
    }
    println!(
        "\n{:<34} {:>15} {:>9} {:>11}",
        format!("{MANY} tokens revoked:"),
        "engine, bytes",
        "loading",
        "putting back"
    );
    for program in redis_server::engines() {
        many(&program).await;
    }
}

fn name_of(program: &std::path::Path) -> String {
    program.file_name().unwrap().to_str().unwrap().to_owned()
}

async fn many(program: &std::path::Path) {
    let engine = redis_server::RedisServer::start(program);
    let node = || RedisRevocations::new(engine.client());
    let until = SystemTime::now() + Duration::from_secs(3_600);
    let told = node();
    let used = memory(&engine).await;
    let all = futures_util::stream::iter(0..MANY).map(|number| {
        // As long as a UUID.
        let order = Revocation::token("https://idp.test", format!("{number:036}"), until);
        let told = told.clone();
        async move { told.revoke(&order).await.unwrap() }
    });
    all.buffer_unordered(256).for_each(async |()| ()).await;
    // The news of the last 100,000 are in it.
    let each = (memory(&engine).await - used) / MANY;
    let begun = Instant::now();
    let new = node();
    new.warm_up().await.unwrap();
    let loading = begun.elapsed();
    assert_eq!(new.status().entries as u64, MANY);
    drop(told);
    let _: String = engine.ask(&["FLUSHALL", "ASYNC"]).await;
    let begun = Instant::now();
    while engine.ask::<u64>(&["HLEN", "{trs}:revoked"]).await < MANY {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let back = begun.elapsed();
    println!(
        "{:<34} {each:>15} {:>7.1} s {:>9.1} s",
        name_of(program),
        loading.as_secs_f64(),
        back.as_secs_f64()
    );
}

async fn memory(engine: &redis_server::RedisServer) -> u64 {
    let info: String = engine.ask(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().trim().parse().unwrap()
}

/// An API whose one route wants a key, and another that withdraws them.
async fn serve(url: &str) {
    let keys = (0..=REVOKED)
        .map(|number| ApiKeyRecord::builder(number.to_string(), "robot", KeyDigest::of(key(number))).build());
    let revocations = RedisRevocations::new(redis::Client::open(url).unwrap());
    revocations.warm_up().await.unwrap();
    let store: MemoryKeyStore = keys.collect();
    let layer = ApiKeyLayer::new(store).revocations(revocations.clone());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(layer)
        .route("/keys/{id}", delete(withdraw))
        .with_state(revocations);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn withdraw(State(revocations): State<RedisRevocations>, Path(id): Path<String>) {
    let until = SystemTime::now() + Duration::from_secs(3_600);
    revocations.revoke(&Revocation::api_key(id, until)).await.unwrap();
}

fn key(number: u32) -> String {
    format!("key-of-the-bench-{number}")
}

struct Node {
    url: String,
    _process: Child,
}

impl Node {
    async fn start(engine: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env("SERVE_REVOCATIONS_OF", engine)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            url: lines.next_line().await.unwrap().unwrap(),
            _process: process,
        }
    }
}

struct Bench {
    nodes: [Node; 2],
    client: reqwest::Client,
    answered: AtomicU64,
}

impl Bench {
    async fn status(&self, node: usize, key: &str) -> u16 {
        let request = self.client.get(&self.nodes[node].url).header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// From the acknowledgement by one node to the first refusal by the other.
    async fn revoke(&self, number: u32) -> Duration {
        let key = key(number);
        assert_eq!(self.status(1, &key).await, 200);
        let address = format!("{}/keys/{number}", self.nodes[0].url);
        let acknowledged = self.client.delete(address).send().await.unwrap();
        assert_eq!(acknowledged.status(), 200);
        let begun = Instant::now();
        while self.status(1, &key).await != 401 {}
        let delay = begun.elapsed();
        assert_eq!(self.status(0, &key).await, 401);
        delay
    }

    async fn one_by_one(&self) -> Vec<Duration> {
        let mut delays = Vec::new();
        for number in 0..REVOKED {
            delays.push(self.revoke(number).await);
        }
        delays
    }
}

/// The last key is never revoked.
async fn load(bench: Arc<Bench>) {
    let mut turn = tokio::time::interval(Duration::from_millis(1));
    loop {
        turn.tick().await;
        for number in 0..LOAD {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let node = number as usize % bench.nodes.len();
                assert_eq!(bench.status(node, &key(REVOKED)).await, 200);
                bench.answered.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
}

fn tell(what: &str, mut delays: Vec<Duration>, rate: f64) {
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what:<34} {:>6.1} ms {:>6.1} ms {:>6.1} ms {rate:>11.0}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
