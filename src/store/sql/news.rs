//! How PostgreSQL tells of changed keys.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::timeout;

use super::SqlKeyStoreError;
use crate::api_key::{KeyDigest, KeyNews, KeyNewsListener};

/// Where the triggers of `migrations/postgres` tell.
const CHANNEL: &str = "tower_resource_server_api_keys";

/// Tells of changes until the connection is lost or the user's pool is closed.
pub(super) async fn follow(
    pool: &PgPool,
    patience: Duration,
    news: &KeyNewsListener,
) -> Result<(), SqlKeyStoreError> {
    let mut closed = pool.close_event();
    match closed.do_until(Box::pin(listen(pool, patience, news))).await? {
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}

/// A connection that is silent may be idle, or be lost with nobody to say so. So it is asked something after a while.
async fn listen(
    pool: &PgPool,
    patience: Duration,
    news: &KeyNewsListener,
) -> Result<Infallible, SqlKeyStoreError> {
    let mut ear = within(patience, connect(pool)).await?;
    news.tell(KeyNews::Listening);
    loop {
        match timeout(patience, ear.try_recv()).await {
            Ok(Ok(Some(told))) => news.tell(read(told.payload())),
            Ok(Ok(None)) => return Err(SqlKeyStoreError::NewsLost),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => within(patience, still_listening(&mut ear)).await?,
        }
    }
}

/// A connection beside the user's pool, which may have none to spare for good.
async fn connect(pool: &PgPool) -> Result<PgListener, SqlKeyStoreError> {
    let options = (*pool.connect_options()).clone();
    let own = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options);
    let mut ear = PgListener::connect_with(&own).await?;
    // A new connection would not know what was told meanwhile: it is for who follows to begin anew.
    ear.eager_reconnect(false);
    ear.listen(CHANNEL).await?;
    Ok(ear)
}

/// Whether the server answers, and knows that this connection listens: a pooler in between may have handed us to another.
async fn still_listening(ear: &mut PgListener) -> Result<(), SqlKeyStoreError> {
    let listening = sqlx::query("SELECT 1 FROM pg_listening_channels() AS channel WHERE channel = $1")
        .bind(CHANNEL)
        .fetch_optional(ear)
        .await?;
    listening.map(|_| ()).ok_or(SqlKeyStoreError::NewsLost)
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, SqlKeyStoreError>>,
) -> Result<T, SqlKeyStoreError> {
    let late = SqlKeyStoreError::DeadlinePassed { after: limit };
    timeout(limit, work).await.unwrap_or(Err(late))
}

/// What names no key may be about any.
fn read(payload: &str) -> KeyNews {
    digest(payload).map_or(KeyNews::Listening, KeyNews::Changed)
}

fn digest(hex: &str) -> Option<KeyDigest> {
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(KeyDigest::from_bytes(bytes))
}
