use std::fmt;
use std::time::Duration;

/// Why a [`SqlKeyStore`](super::SqlKeyStore) could not do what it was asked for.
///
/// Neither its text nor its `Debug` shows a digest; what the database says in detail of a failed statement is left out of both.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SqlKeyStoreError {
    /// The database refused, or could not be reached. Beware of the `Debug` of the source: PostgreSQL's details of an error can
    /// hold a whole row.
    #[error("the key database failed")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema of the key database could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The database did not answer in time. Whether a change was carried out is not known.
    #[error("the key database did not answer within {after:?}")]
    DeadlinePassed {
        /// How long it was waited for.
        after: Duration,
    },
    /// A row is there that is no record, because somebody else wrote it. It is an error and no record with less in it.
    #[error("the row of API key {id:?} cannot be read: its column {column} is not valid")]
    Unreadable {
        /// The id of the record; empty, if that is what cannot be read.
        id: String,
        /// The column that is not valid.
        column: &'static str,
    },
    /// The connection that tells of changes was lost, or does not listen any more.
    #[error("the connection that tells of changed API keys was lost")]
    NewsLost,
}

impl fmt::Debug for SqlKeyStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self {
            Self::Database(source) => write!(f, ": {source}"),
            Self::Migration(source) => write!(f, ": {source}"),
            _ => Ok(()),
        }
    }
}

impl From<sqlx::Error> for SqlKeyStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
