//! What the two databases have in common, and the little in which they differ.

use sqlx::migrate::Migrate;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Row, SqlStr, Type};

/// A parameter of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Vec<u8>),
}

/// In what a database differs from the other.
pub(super) trait Dialect: Database<Connection: Migrate> {
    /// Begins a transaction that writes.
    const BEGIN: &'static str;
    /// Whether a server far away may never answer. A connection to a file always does, and may be all there is of a
    /// database in memory.
    const MAY_HANG: bool;
    /// Makes whoever else migrates wait until the transaction ends, if `BEGIN` does not.
    const LOCK_SCHEMA: Option<&'static str>;
    /// Takes a JSON array of ids, counts and times, and adds them to what is stored.
    const ADD_USES: &'static str;
    /// The files of `migrations/`, with their numbers and what they are about.
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)];

    /// Whether a transaction was given up for another's sake, so that it did nothing and may well succeed when tried
    /// again.
    fn gave_way(code: &str) -> bool;
}

/// A database that the store can be kept in. The bounds that sqlx asks for stand here and nowhere else.
pub(super) trait Engine: Dialect {
    fn fetch(
        connection: &mut Self::Connection,
        sql: SqlStr,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    fn text(row: &Self::Row, column: &'static str) -> Result<Option<String>, sqlx::Error>;
    fn number(row: &Self::Row, column: &'static str) -> Result<Option<i64>, sqlx::Error>;
    fn bytes(row: &Self::Row, column: &'static str) -> Result<Vec<u8>, sqlx::Error>;
}

impl<DB> Engine for DB
where
    DB: Dialect,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'c> &'c str: ColumnIndex<DB::Row>,
    for<'q> Option<String>: Encode<'q, DB>,
    for<'q> Option<i64>: Encode<'q, DB>,
    for<'q> Vec<u8>: Encode<'q, DB> + Decode<'q, DB> + Type<DB>,
    for<'q> String: Decode<'q, DB> + Type<DB>,
    for<'q> i64: Decode<'q, DB> + Type<DB>,
{
    async fn fetch(
        connection: &mut DB::Connection,
        sql: SqlStr,
        values: Vec<Value>,
    ) -> Result<Vec<DB::Row>, sqlx::Error> {
        let bind = |query: Query<'static, DB, DB::Arguments>, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        };
        let query = values.into_iter().fold(sqlx::query(sql), bind);
        query.fetch_all(connection).await
    }

    fn text(row: &DB::Row, column: &'static str) -> Result<Option<String>, sqlx::Error> {
        row.try_get(column)
    }

    fn number(row: &DB::Row, column: &'static str) -> Result<Option<i64>, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &DB::Row, column: &'static str) -> Result<Vec<u8>, sqlx::Error> {
        row.try_get(column)
    }
}

/// A count and what is added to it. It stops at the largest number there is room for.
macro_rules! sum_of {
    ($count:literal) => {
        concat!(
            $count,
            " = CASE WHEN kept.",
            $count,
            " > 9223372036854775807 - used.",
            $count,
            " THEN 9223372036854775807 ELSE kept.",
            $count,
            " + used.",
            $count,
            " END, "
        )
    };
}

/// The end of the statement that adds uses, the same for both. Times never go back, and stay where nothing is told of them.
macro_rules! add_what_is_in {
    ($used:literal) => {
        concat!(
            $used,
            " UPDATE tower_resource_server_api_keys AS kept SET ",
            sum_of!("uses"),
            sum_of!("limited"),
            sum_of!("refused"),
            "last_used_at = CASE WHEN used.used_at IS NULL OR kept.last_used_at >= used.used_at THEN kept.last_used_at \
             ELSE used.used_at END \
             FROM used WHERE kept.id = used.id"
        )
    };
}

#[cfg(feature = "sqlite")]
impl Dialect for sqlx::Sqlite {
    /// A transaction that begins by reading may be refused when it wants to write, however long it waits; this one
    /// waits at its beginning.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const MAY_HANG: bool = false;
    const LOCK_SCHEMA: Option<&'static str> = None;
    const ADD_USES: &'static str = add_what_is_in!(
        "WITH used AS (SELECT value ->> 'id' AS id, value ->> 'uses' AS uses, value ->> 'limited' AS limited, \
         value ->> 'refused' AS refused, value ->> 'used_at' AS used_at FROM json_each($1))"
    );
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)] =
        &[(1, "api keys", include_str!("migrations/sqlite/0001_api_keys.sql"))];

    /// `SQLITE_BUSY` and `SQLITE_LOCKED`, in whatever extended form.
    fn gave_way(code: &str) -> bool {
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    }
}

#[cfg(feature = "postgres")]
impl Dialect for sqlx::Postgres {
    /// The statements are right at this level, at which nothing has to be given up for another's sake; the database's
    /// default may be a stricter one.
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";
    const MAY_HANG: bool = true;
    /// The number is ours by agreement only: nobody else has a reason to take it.
    const LOCK_SCHEMA: Option<&'static str> = Some("SELECT pg_advisory_xact_lock(8390895909405555059)");
    /// Rows are locked in the order of their ids: nodes that write down uses of the same keys wait for each other, and
    /// never in a circle.
    const ADD_USES: &'static str = add_what_is_in!(
        "WITH told AS (SELECT id, uses, limited, refused, used_at FROM jsonb_to_recordset($1::jsonb) \
         AS one (id text, uses bigint, limited bigint, refused bigint, used_at bigint)), \
         used AS (SELECT told.id, told.uses, told.limited, told.refused, told.used_at FROM told \
         JOIN tower_resource_server_api_keys AS kept ON kept.id = told.id ORDER BY kept.id FOR NO KEY UPDATE OF kept)"
    );
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)] = &[(
        1,
        "api keys",
        include_str!("migrations/postgres/0001_api_keys.sql"),
    )];

    /// A serialization failure and a deadlock.
    fn gave_way(code: &str) -> bool {
        matches!(code, "40001" | "40P01")
    }
}
