//! Connections to the engine, on which nothing waits for ever: an engine that hangs is one that is lost.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, ServerErrorKind};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::RedisRevocationsError;

/// To connect.
const CONNECT: Duration = Duration::from_secs(2);
/// For an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

pub(super) async fn connect(
    client: &Client,
    patience: Duration,
) -> Result<MultiplexedConnection, RedisRevocationsError> {
    let deadlines = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(patience));
    let connecting = client.get_multiplexed_async_connection_with_config(&deadlines);
    // The client's deadline need not hold for all that it does to connect.
    let late = RedisRevocationsError::DeadlinePassed { after: CONNECT };
    Ok(timeout(CONNECT, connecting).await.map_err(|_| late)??)
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

    /// What is asked may be done twice: a connection that has died since it was last used, or leads to a primary that is one no
    /// longer, is replaced once.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        client: &Client,
        question: &Pipeline,
    ) -> Result<T, RedisRevocationsError> {
        let asking = async {
            match self.ask_once(client, question).await {
                Err(RedisRevocationsError::Engine(error)) if is_of_yesterday(&error) => {
                    self.ask_once(client, question).await
                }
                answer => answer,
            }
        };
        let after = CONNECT + ANSWER;
        timeout(after, asking).await.unwrap_or_else(|_| {
            self.hang_up();
            Err(RedisRevocationsError::DeadlinePassed { after })
        })
    }

    async fn ask_once<T: FromRedisValue>(
        &self,
        client: &Client,
        question: &Pipeline,
    ) -> Result<T, RedisRevocationsError> {
        let mut connection = self.connection(client).await?;
        question.query_async(&mut connection).await.map_err(|error| {
            // Whatever it was, the next one may be better off with another.
            self.hang_up();
            if error.is_timeout() {
                return RedisRevocationsError::DeadlinePassed { after: ANSWER };
            }
            error.into()
        })
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

fn is_of_yesterday(error: &redis::RedisError) -> bool {
    let has_closed = error.is_connection_dropped() && !error.is_connection_refusal();
    has_closed || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
