//! One piece of work on one connection of the user's pool.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool, SqlSafeStr, Transaction};
use tokio::time::{sleep, timeout};

use super::SqlKeyStoreError;
use super::engine::Engine;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// As long as sqlx takes at most over closing one.
const LONGEST_RETURN: Duration = Duration::from_secs(5);

/// Does something within a time, in a task of its own: who asked may go away, and the connection is used up to its
/// answer all the same.
pub(super) async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl Future<Output = Result<T, SqlKeyStoreError>> + Send + 'static,
) -> Result<T, SqlKeyStoreError> {
    let task = tokio::spawn(timeout(limit, work));
    match task.await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SqlKeyStoreError::DeadlinePassed { after: limit }),
        Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
    }
}

/// Tries again what was given up for another's sake, until the deadline ends it.
pub(super) async fn patiently<E: Engine, T, W>(work: impl Fn() -> W + Send) -> Result<T, SqlKeyStoreError>
where
    W: Future<Output = Result<T, SqlKeyStoreError>> + Send,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match work().await {
            Err(error) if gave_way::<E>(&error) => sleep(pause).await,
            result => return result,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn gave_way<E: Engine>(error: &SqlKeyStoreError) -> bool {
    use sqlx::migrate::MigrateError;
    let (SqlKeyStoreError::Database(error)
    | SqlKeyStoreError::Migration(
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
    )) = error
    else {
        return false;
    };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| E::gave_way(&code))
}

/// A connection that goes back to the pool if it has answered, and is closed if the deadline came first: a pool waits
/// without end for a connection that is given back in the middle of a statement, and behind a server that hangs it
/// would lose all it has.
pub(super) struct Lease<E: Engine> {
    connection: PoolConnection<E>,
    answered: bool,
}

impl<E: Engine> Lease<E> {
    pub(super) async fn of(pool: &Pool<E>) -> Result<Self, SqlKeyStoreError> {
        Ok(Self {
            connection: pool.acquire().await?,
            answered: false,
        })
    }

    pub(super) fn connection(&mut self) -> &mut <E as Database>::Connection {
        &mut self.connection
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, E>, SqlKeyStoreError> {
        Ok(self.connection.begin_with(E::BEGIN.into_sql_str()).await?)
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl<E: Engine> Drop for Lease<E> {
    fn drop(&mut self) {
        if !E::MAY_HANG {
            return;
        }
        if self.answered {
            // The pool asks for a sign of life first, and would wait for it without end. When the time is over, the
            // connection is dropped, and the pool has room for another.
            drop(tokio::spawn(timeout(
                LONGEST_RETURN,
                self.connection.return_to_pool(),
            )));
        } else {
            self.connection.close_on_drop();
        }
    }
}
