//! API keys in SQLite and PostgreSQL: one store, one set of statements.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::SqlSafeStr;

use crate::api_key::{
    ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyNewsListener, KeyQuery, KeyRegistry, KeyStore, KeyUses,
};
use crate::clock::{Clock, SystemClock};

mod engine;
mod error;
mod lease;
#[cfg(feature = "postgres")]
mod news;
mod row;
mod schema;
mod statements;
mod work;

use engine::Value;
pub use error::SqlKeyStoreError;
use lease::within;

const FIND_DEADLINE: Duration = Duration::from_secs(1);
const ADMIN_DEADLINE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// API keys in a table of SQLite or PostgreSQL, over a pool of yours. Cloning it costs two reference counts.
///
/// Put a [`CachedKeyStore`](super::CachedKeyStore) in front of it where requests are many: each look-up here is a question
/// to the database.
///
/// # The schema
///
/// One table, `tower_resource_server_api_keys`, and what belongs to it. [`migrate`](Self::migrate) makes it at start;
/// or run the files by hand, in the order of their numbers: they stand in `src/store/sql/migrations` of this crate, and
/// each says at its top how. Both may be done, and both more than once. Times are milliseconds since 1970, as integers;
/// a time between two is rounded down. `scopes` is words between spaces, `metadata` a JSON object of strings. Rows may
/// be written by hand: what cannot be read back is an error, and never a key with fewer limits. Counts end at 2⁶³ − 1.
///
/// # SQLite
///
/// 3.38 or later; the feature `sqlite` brings its own. Recommended for the pool:
/// `journal_mode(SqliteJournalMode::Wal)`, so that look-ups do not wait for changes, and a `busy_timeout` of some
/// seconds (sqlx's default is 5), which is how long a change waits for another program's. `synchronous` stays at its
/// default, `Full`: with less, a revocation could be lost in a power failure. A database in memory is one for each
/// connection, so its pool must have one connection that stays: `max_connections(1)`, `idle_timeout(None)`,
/// `max_lifetime(None)`.
///
/// Changes are not told ([`follow`](KeyStore::follow) returns at once): a cache in this process is told by the registry
/// that it stands in front of; one in another process on the same file sees a change when its entries have aged.
///
/// # PostgreSQL
///
/// 12 or later. The schema is made in the first schema of the search path. Triggers tell of each change of a key but
/// its uses, whoever makes it, on the channel `tower_resource_server_api_keys`. [`follow`](KeyStore::follow) listens on
/// a connection beside the pool, made with the pool's options; it must reach the server, or a pooler in session mode:
/// `LISTEN` gets nothing through a pooler that hands out connections for each transaction. The pool itself may lead
/// through such a one only if it keeps prepared statements apart (`PgBouncer` 1.21 with `max_prepared_statements`). It must
/// not lead to a replica that lags behind.
///
/// A service that only reads needs `SELECT` on the table; one that administers, `INSERT` and `UPDATE` besides.
/// `synchronous_commit` stays at its default, `on`: with `off`, a revocation could be lost in a crash.
///
/// TLS to the server is chosen by features of sqlx, in your own manifest:
/// `sqlx = { version = "0.9", features = ["tls-rustls"] }`.
///
/// # Time
///
/// Look-ups and changes run in tasks of their own, so they need tokio. A connection that has not answered within the
/// deadline is closed, on PostgreSQL, so that a server that hangs does not keep the pool's connections. While nobody
/// listens at the server's address, sqlx's pool goes on trying, so that too is known when the deadline has passed. What
/// the database gave up for another's sake (SQLite was busy; PostgreSQL met a deadlock or a serialization failure)
/// is tried again until the deadline.
///
#[cfg_attr(feature = "sqlite", doc = "```")]
#[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
/// use tower_resource_server::{ApiKeyFormat, KeyRegistry, KeyStore, NewKey, SqlKeyStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("tower-resource-server-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("api_keys.sqlite");
/// let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
/// let keys = SqlKeyStore::sqlite(SqlitePoolOptions::new().connect_with(options).await?);
/// keys.migrate().await?;
///
/// let issued = keys.mint(&ApiKeyFormat::new("sk", "live")?, NewKey::of("billing-robot")).await?;
/// assert_eq!(keys.find(issued.key().digest()).await?.as_ref(), Some(issued.record()));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqlKeyStore {
    pool: Pool,
    clock: Arc<dyn Clock>,
    find_deadline: Duration,
    admin_deadline: Duration,
    patience: Duration,
}

#[derive(Debug, Clone)]
enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

/// Does the same with whichever pool it is.
macro_rules! with_pool {
    ($store:expr, $pool:ident => $work:expr, $limit:expr) => {
        match $store.pool.clone() {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite($pool) => within($limit, $work).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres($pool) => within($limit, $work).await,
        }
    };
}

impl SqlKeyStore {
    /// Keys in SQLite. Nothing is read or written yet.
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub fn sqlite(pool: sqlx::SqlitePool) -> Self {
        Self::over(Pool::Sqlite(pool))
    }

    /// Keys in PostgreSQL. Nothing is read or written yet.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    pub fn postgres(pool: sqlx::PgPool) -> Self {
        Self::over(Pool::Postgres(pool))
    }

    fn over(pool: Pool) -> Self {
        Self {
            pool,
            clock: Arc::new(SystemClock::new()),
            find_deadline: FIND_DEADLINE,
            admin_deadline: ADMIN_DEADLINE,
            patience: PATIENCE,
        }
    }

    /// Who tells the time that keys are made, expire and are revoked at, by the methods of [`KeyRegistry`]. Default:
    /// `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long a look-up may take, waiting for a connection included, before it fails. Default: 1 s, because a request waits
    /// for it, and the table is looked up by an index.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.find_deadline = limit;
        self
    }

    /// How long everything else may take: reading for people, changes, uses written down, migration. Default: 10 s, because nobody's
    /// request waits for it, and a change may have to wait for others.
    #[must_use]
    pub fn admin_deadline(mut self, limit: Duration) -> Self {
        self.admin_deadline = limit;
        self
    }

    /// How long the connection that tells of changes may be silent before the server is asked for a sign of life, and how long it
    /// may take over that, or over connecting, before the connection is given up: a lost one is noticed within twice this
    /// time. Default: 5 s, because the question is cheap, and a change unheard is a revoked key let in. SQLite has no such connection.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Makes the schema, or brings it up to date. Any number of nodes may do it at once. What was done is noted in a table of our own,
    /// `tower_resource_server_migrations`, so that migrations of yours in the same database are neither seen nor disturbed. It needs the right to
    /// make tables; where the service has not, run the files by hand.
    pub async fn migrate(&self) -> Result<(), SqlKeyStoreError> {
        with_pool!(self, pool => schema::migrate(pool), self.admin_deadline)
    }

    async fn one(
        &self,
        sql: &'static str,
        value: Value,
        limit: Duration,
    ) -> Result<Option<ApiKeyRecord>, SqlKeyStoreError> {
        let sql = sql.into_sql_str();
        let found = with_pool!(self, pool => work::read(pool, sql, vec![value]), limit);
        Ok(found?.into_iter().next())
    }
}

impl KeyStore for SqlKeyStore {
    type Error = SqlKeyStoreError;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, SqlKeyStoreError> {
        let digest = Value::Bytes(key.as_bytes().to_vec());
        self.one(statements::FIND, digest, self.find_deadline).await
    }

    async fn follow(&self, listener: &KeyNewsListener) -> Result<(), SqlKeyStoreError> {
        let _ = listener;
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => news::follow(pool, self.patience, listener).await,
        }
    }

    fn is_about_one_key(error: &SqlKeyStoreError) -> bool {
        matches!(error, SqlKeyStoreError::Unreadable { .. })
    }
}

impl KeyRegistry for SqlKeyStore {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, SqlKeyStoreError> {
        let id = Value::Text(Some(id.to_owned()));
        self.one(statements::GET, id, self.admin_deadline).await
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, SqlKeyStoreError> {
        let (sql, values) = statements::list(query);
        with_pool!(self, pool => work::read(pool, sql, values), self.admin_deadline)
    }

    async fn commit(&self, change: &KeyChange) -> Result<Committed, SqlKeyStoreError> {
        let change = change.clone();
        with_pool!(self, pool => work::commit(pool, change), self.admin_deadline)
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), SqlKeyStoreError> {
        let uses = row::uses(uses);
        with_pool!(self, pool => work::add_uses(pool, uses), self.admin_deadline)
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl fmt::Debug for SqlKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "SQLite",
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "PostgreSQL",
        };
        f.debug_tuple("SqlKeyStore").field(&database).finish()
    }
}
