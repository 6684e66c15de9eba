//! How long a key that was revoked through one server goes on working at another: `cargo bench --bench revoked_key`.
//!
//! Two servers as processes of their own, over one PostgreSQL that is started for this and thrown away; each has every key in
//! memory. 200 keys are revoked through one, and the other is asked until it refuses: first while changes are heard
//! (`LISTEN`), one key after the other; then with the connection that listens cut, spread over the time for which an entry is
//! fresh.

#![allow(
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
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use futures_util::future::join_all;
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, CachedKeyStore, KeyRegistry, NewKey, SqlKeyStore};

#[path = "../tests/it/news_line.rs"]
mod news_line;
#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/postgres.rs"]
mod postgres;

const KEYS: usize = 200;

type Keys = Arc<CachedKeyStore<SqlKeyStore>>;

#[tokio::main]
async fn main() {
    if let Ok(url) = std::env::var("SERVE_KEYS_OF") {
        return serve(&url).await;
    }
    let Some(database) = postgres::Postgres::start() else {
        return println!("PostgreSQL is not installed: nothing is measured");
    };
    let url = database.url();
    let keys = SqlKeyStore::postgres(PgPool::connect(&url).await.unwrap());
    keys.migrate().await.unwrap();
    let line = news_line::NewsLine::to(&url).await;
    let nodes = [Node::start(&url).await, Node::start(line.url()).await];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bench = Bench { keys, nodes, client };

    println!(
        "{:<34} {:>9} {:>9}",
        format!("{KEYS} revocations, until refused:"),
        "median",
        "maximum"
    );
    tell("while changes are heard", bench.one_by_one().await);
    line.cut();
    tell("while nothing is heard", bench.all_along().await);
}

/// An API whose one route wants a key, and another that withdraws them.
async fn serve(url: &str) {
    let keys: Keys = Arc::new(CachedKeyStore::new(SqlKeyStore::postgres(
        PgPool::connect(url).await.unwrap(),
    )));
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(ApiKeyLayer::new(Arc::clone(&keys)))
        .route("/keys/{id}", delete(withdraw))
        .with_state(keys);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn withdraw(State(keys): State<Keys>, Path(id): Path<String>) {
    keys.revoke(&id).await.unwrap();
}

struct Node {
    url: String,
    _process: Child,
}

impl Node {
    async fn start(database: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env("SERVE_KEYS_OF", database)
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
    keys: SqlKeyStore,
    nodes: [Node; 2],
    client: reqwest::Client,
}

impl Bench {
    async fn status(&self, node: usize, key: &str) -> u16 {
        let request = self.client.get(&self.nodes[node].url).header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// New keys, which both nodes know and have used for a while.
    async fn mint(&self) -> Vec<(String, String)> {
        let format = ApiKeyFormat::new("sk", "test").unwrap();
        let mut minted = Vec::new();
        for _ in 0..KEYS {
            let issued = self.keys.mint(&format, NewKey::of("robot")).await.unwrap();
            minted.push((issued.record().id().to_owned(), issued.key().expose().to_owned()));
        }
        for _ in 0..2 {
            for (_, key) in &minted {
                for node in 0..self.nodes.len() {
                    assert_eq!(self.status(node, key).await, 200);
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        minted
    }

    /// From the acknowledgement by one node to the first refusal by the other.
    async fn revoke(&self, id: &str, key: &str, pause: Duration) -> Duration {
        let address = format!("{}/keys/{id}", self.nodes[0].url);
        let acknowledged = self.client.delete(address).send().await.unwrap();
        assert_eq!(acknowledged.status(), 200);
        let begun = Instant::now();
        assert_eq!(self.status(0, key).await, 401, "at once on the same node");
        while self.status(1, key).await != 401 {
            tokio::time::sleep(pause).await;
        }
        begun.elapsed()
    }

    async fn one_by_one(&self) -> Vec<Duration> {
        let mut delays = Vec::new();
        for (id, key) in self.mint().await {
            assert_eq!(self.status(1, &key).await, 200);
            delays.push(self.revoke(&id, &key, Duration::ZERO).await);
        }
        delays
    }

    /// Spread over the time for which an entry is fresh, each key in use meanwhile.
    async fn all_along(&self) -> Vec<Duration> {
        let minted = self.mint().await;
        let waits = minted.iter().zip(0..).map(|((id, key), number)| async move {
            let turn = tokio::time::Instant::now() + number * Duration::from_millis(50);
            while tokio::time::Instant::now() < turn {
                assert_eq!(self.status(1, key).await, 200);
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            self.revoke(id, key, Duration::from_millis(20)).await
        });
        join_all(waits).await
    }
}

fn tell(what: &str, mut delays: Vec<Duration>) {
    delays.sort_unstable();
    let (median, maximum) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!(
        "{what:<34} {:>6.1} ms {:>6.1} ms",
        median.as_secs_f64() * 1e3,
        maximum.as_secs_f64() * 1e3
    );
}
