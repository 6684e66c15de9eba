//! The engine's keys, and what is asked of it by those who revoke, and by routes that ask it themselves.

use std::fmt;
use std::time::Duration;

use redis::{Client, Cmd, Pipeline, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::RedisRevocationsError;
use super::line::{ANSWER, Line, connect, read};
use super::wire::Written;

/// For replicas to have a revocation.
const REPLICATION: Duration = Duration::from_secs(1);
/// Orders that wait for replicas at the same time, each on a connection of its own: `WAIT` keeps one to itself.
const MOST_WAITING: usize = 32;
const LONGEST_NEWS: u32 = 100_000;
const MERGE: &str = include_str!("merge.lua");

pub(super) struct Engine {
    pub(super) client: Client,
    pub(super) revoked: String,
    pub(super) news: String,
    pub(super) generation: String,
    pub(super) returning: String,
    until: String,
    line: Line,
    waiting: Semaphore,
}

impl Engine {
    pub(super) fn new(client: Client, prefix: &str) -> Self {
        // One hash tag, so that keys of one fleet stay together wherever they are kept.
        let key = |name: &str| format!("{{{prefix}}}:{name}");
        Self {
            client,
            revoked: key("revoked"),
            until: key("until"),
            news: key("news"),
            generation: key("generation"),
            returning: key("returning"),
            line: Line::new(),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    pub(super) async fn revoke(&self, order: &Written) -> Result<(), RedisRevocationsError> {
        let mut question = Pipeline::new();
        question.add_command(self.merge(std::slice::from_ref(order), false));
        self.line.ask(&self.client, &mut question).await.map(drop)
    }

    /// How many replicas have it after a second; none, if nobody can tell.
    pub(super) async fn replicated(&self, order: &Written, wanted: u32) -> u32 {
        let counting = async {
            let _turn = self.waiting.acquire().await.ok()?;
            let mut connection = connect(&self.client, REPLICATION + ANSWER).await.ok()?;
            let mut question = Pipeline::new();
            // Only what this connection has written is waited for.
            question
                .add_command(self.merge(std::slice::from_ref(order), true))
                .ignore();
            let limit = u64::try_from(REPLICATION.as_millis()).unwrap_or(1_000);
            question.cmd("WAIT").arg(wanted).arg(limit);
            let (had,) = question.query_async(&mut connection).await.ok()?;
            Some(had)
        };
        let counted = timeout(REPLICATION + ANSWER, counting).await;
        counted.ok().flatten().unwrap_or(0)
    }

    /// What is held under these names, in their order.
    pub(super) async fn entries(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, RedisRevocationsError> {
        let mut question = Pipeline::new();
        question.cmd("HMGET").arg(&self.revoked).arg(names);
        question.cmd("GET").arg(&self.generation);
        let mut answers = self.line.ask(&self.client, &mut question).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let entries = read(next())?;
        match next() {
            Value::Nil => Err(RedisRevocationsError::Incomplete),
            _ => Ok(entries),
        }
    }

    /// Whoever answered may have been replaced.
    pub(super) fn hang_up(&self) {
        self.line.hang_up();
    }

    pub(super) fn merge(&self, orders: &[Written], even_if_the_same: bool) -> Cmd {
        // The whole script each time: it is short, and an engine that was restarted knows no digest of it.
        let mut merge = redis::cmd("EVAL");
        merge
            .arg(MERGE)
            .arg(3)
            .arg(&[&self.revoked, &self.until, &self.news])
            .arg(LONGEST_NEWS)
            .arg(u8::from(even_if_the_same));
        for order in orders {
            merge.arg(&[&*order.name, order.kind, &*order.cut, &*order.until]);
        }
        merge
    }
}

/// The client knows a password.
impl fmt::Debug for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Engine")
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}
