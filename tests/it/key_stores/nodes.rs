//! Two servers as processes of their own, over one PostgreSQL.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use crate::examples::api_keys::{Desk, Served};
use crate::news_line::NewsLine;
use crate::postgres::Postgres;

/// An entry is fresh for 10 s; a change that is heard of takes far less.
const FRESH: Duration = Duration::from_secs(10);

/// Two servers, somebody who may revoke keys, and keys that both servers know.
struct Nodes {
    one: Served,
    other: Served,
    admin: String,
    keys: Vec<(String, String)>,
    line: NewsLine,
    _desk: Desk,
    _database: std::sync::Arc<Postgres>,
}

impl Nodes {
    async fn start(keys: usize) -> Option<Self> {
        let database = Postgres::shared()?;
        let url = database.new_database().await;
        let desk = Desk::new(Some(url.clone())).await;
        let mint = async |scope: &str| {
            let minted = desk.ask(&["mint", "--owner", "robot", "--scope", scope]).await;
            let part = |name: &str| minted[name].as_str().unwrap().to_owned();
            (part("id"), part("key"))
        };
        let (_, admin) = mint("keys:revoke").await;
        let mut minted = Vec::new();
        for _ in 0..keys {
            minted.push(mint("orders:read").await);
        }
        let line = NewsLine::to(&url).await;
        let nodes = Self {
            one: desk.serve().await,
            other: desk.serve_on(Some(line.url())).await,
            admin,
            keys: minted,
            line,
            _desk: desk,
            _database: database,
        };
        nodes.both_know(&nodes.keys[0].1).await;
        listeners_are_there(&url, 2).await;
        Some(nodes)
    }

    async fn both_know(&self, key: &str) {
        assert_eq!(self.one.status("/orders", key).await, 200);
        assert_eq!(self.other.status("/orders", key).await, 200);
    }

    /// Revokes through one, and says how long the other went on letting the key in.
    async fn revoke(&self, (id, key): &(String, String)) -> Duration {
        assert_eq!(self.one.withdraw(id, &self.admin).await, 200);
        let begun = Instant::now();
        assert_eq!(
            self.one.status("/orders", key).await,
            401,
            "at once on the same node"
        );
        while self.other.status("/orders", key).await != 401 {
            assert!(begun.elapsed() < 6 * FRESH, "the other node never hears of it");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_through_one_server_is_refused_by_the_other_at_once() {
    let Some(nodes) = Nodes::start(10).await else {
        return;
    };
    for key in &nodes.keys {
        nodes.both_know(&key.1).await;
        let delay = nodes.revoke(key).await;
        assert!(delay < FRESH / 2, "it was heard and not waited for: {delay:?}");
    }
}

#[tokio::test]
async fn while_nothing_is_heard_the_fresh_window_bounds_the_delay() {
    let Some(nodes) = Nodes::start(3).await else {
        return;
    };
    nodes.line.cut();
    for key in &nodes.keys {
        nodes.both_know(&key.1).await;
    }
    let mut longest = Duration::ZERO;
    for key in &nodes.keys {
        longest = longest.max(nodes.revoke(key).await); // which ends
    }
    assert!(longest > FRESH / 2, "it was cut: {longest:?}");
}

/// Waits until so many connections listen.
async fn listeners_are_there(url: &str, listeners: i64) {
    let pool = PgPool::connect(url).await.unwrap();
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND (query LIKE 'LISTEN%' OR query LIKE '%pg_listening_channels%') AND pid <> pg_backend_pid()";
    for _ in 0..600 {
        let found: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        if found >= listeners {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody listens");
}
