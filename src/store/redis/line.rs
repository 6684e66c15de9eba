//! Connections to the engine, on which nothing waits for ever: an engine that hangs is one that is lost.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::RedisRevocationsError;

/// To connect.
const CONNECT: Duration = Duration::from_secs(2);

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
    patience: Duration,
    kept: Mutex<Option<MultiplexedConnection>>,
}

impl Line {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            kept: Mutex::const_new(None),
        }
    }

    /// What is asked may be done twice: a connection that has died since it was last used is replaced once.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        client: &Client,
        question: &Pipeline,
    ) -> Result<T, RedisRevocationsError> {
        let answer = self.ask_once(client, question).await;
        match answer {
            Err(RedisRevocationsError::Engine(error))
                if error.is_connection_dropped() && !error.is_connection_refusal() =>
            {
                self.ask_once(client, question).await
            }
            answer => answer,
        }
    }

    async fn ask_once<T: FromRedisValue>(
        &self,
        client: &Client,
        question: &Pipeline,
    ) -> Result<T, RedisRevocationsError> {
        let mut connection = self.connection(client).await?;
        let late = RedisRevocationsError::DeadlinePassed { after: self.patience };
        let answer = timeout(self.patience, question.query_async(&mut connection)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(redis::RedisError::from(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            )))
        });
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error.is_timeout() || error.is_unrecoverable_error() {
                    *self.kept.lock().await = None;
                }
                Err(if error.is_timeout() { late } else { error.into() })
            }
        }
    }

    /// One at a time connects: with an engine that hangs, requests must not pile up connections.
    async fn connection(&self, client: &Client) -> Result<MultiplexedConnection, RedisRevocationsError> {
        let late = RedisRevocationsError::DeadlinePassed { after: CONNECT };
        let mut kept = timeout(CONNECT, self.kept.lock()).await.map_err(|_| late)?;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let connection = connect(client, self.patience).await?;
        Ok(kept.insert(connection).clone())
    }
}
