//! Connections to the engine, on which nothing waits for ever: an engine that hangs is one that is lost.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisResult, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::RedisRevocationsError;

/// To connect.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// For an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

pub(super) async fn connect(
    client: &Client,
    patience: Duration,
) -> Result<MultiplexedConnection, RedisRevocationsError> {
    let late = RedisRevocationsError::DeadlinePassed { after: CONNECT };
    Ok(try_to_connect(client, patience).await.ok_or(late)??)
}

/// `None`: not in time. The patience is for each answer.
pub(super) async fn try_to_connect(
    client: &Client,
    patience: Duration,
) -> Option<RedisResult<MultiplexedConnection>> {
    let deadlines = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(patience));
    let connecting = client.get_multiplexed_async_connection_with_config(&deadlines);
    // The client's deadline need not hold for all that it does to connect.
    timeout(CONNECT, connecting).await.ok()
}

/// A connection that is made when it is needed, and shared by all who ask.
pub(super) struct Line {
    kept: Mutex<Option<MultiplexedConnection>>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::const_new(None),
        }
    }

    /// The answers to all questions. Only a primary is believed: a replica may have been left behind. What is asked may be done
    /// twice: whatever was wrong, a connection that was kept may lead to an engine that is gone or replaced, so once another is
    /// tried.
    pub(super) async fn ask(
        &self,
        client: &Client,
        question: &mut Pipeline,
    ) -> Result<Vec<Value>, RedisRevocationsError> {
        question.cmd("ROLE");
        let asking = async {
            match self.ask_once(client, question).await {
                Err(error) if may_be_better_elsewhere(&error) => self.ask_once(client, question).await,
                answer => answer,
            }
        };
        let after = CONNECT + ANSWER;
        timeout(after, asking).await.unwrap_or_else(|_| {
            self.hang_up();
            Err(RedisRevocationsError::DeadlinePassed { after })
        })
    }

    async fn ask_once(
        &self,
        client: &Client,
        question: &Pipeline,
    ) -> Result<Vec<Value>, RedisRevocationsError> {
        let mut connection = self.connection(client).await?;
        let answers = match question.query_async::<Vec<Value>>(&mut connection).await {
            Ok(mut answers) => {
                let role = answers.pop().unwrap_or(Value::Nil);
                must_be_primary(&role).map(|()| answers)
            }
            Err(error) if error.is_timeout() => Err(RedisRevocationsError::DeadlinePassed { after: ANSWER }),
            Err(error) => Err(error.into()),
        };
        answers.inspect_err(|_| self.hang_up())
    }

    /// One at a time connects: with an engine that hangs, requests must not pile up connections.
    async fn connection(&self, client: &Client) -> Result<MultiplexedConnection, RedisRevocationsError> {
        let mut kept = self.kept.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let connection = connect(client, ANSWER).await?;
        Ok(kept.insert(connection).clone())
    }

    /// The next one connects anew. While somebody connects there is nothing to forget.
    pub(super) fn hang_up(&self) {
        if let Ok(mut kept) = self.kept.try_lock() {
            *kept = None;
        }
    }
}

fn may_be_better_elsewhere(error: &RedisRevocationsError) -> bool {
    match error {
        RedisRevocationsError::Engine(error) => !error.is_connection_refusal(),
        RedisRevocationsError::NotPrimary => true,
        _ => false,
    }
}

/// A replica answers, and may have been left behind. This is seen in `ROLE`.
pub(super) fn must_be_primary(role: &Value) -> Result<(), RedisRevocationsError> {
    let words = role.as_sequence().unwrap_or_default();
    match words.first().map(String::from_redis_value_ref) {
        Some(Ok(word)) if word == "master" => Ok(()),
        _ => Err(RedisRevocationsError::NotPrimary),
    }
}

pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisRevocationsError> {
    redis::from_redis_value(value).map_err(|error| redis::RedisError::from(error).into())
}
