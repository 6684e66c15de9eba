//! The store in SQLite and PostgreSQL. Each test that can runs on both.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tower_resource_server::testing::conformance;
use tower_resource_server::{
    ApiKeyRecord, ApiKeyRecordBuilder, Clock, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry,
    KeyStore, KeyUses, SqlKeyStore, SqlKeyStoreError,
};

use super::usage::outcomes;
use crate::postgres::Postgres;
use crate::support::{READ, WRITE};

mod cached;
mod news;
mod outage;
mod schema;
mod together;

/// Long enough for a machine that does ten other things.
const LONG: Duration = Duration::from_secs(60);

/// A database without a schema.
enum Database {
    Sqlite(
        SqlitePool,
        #[expect(dead_code, reason = "removes the file when dropped")] Folder,
    ),
    Postgres(PgPool, Arc<Postgres>),
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Database {
    async fn sqlite() -> Self {
        Self::sqlite_with(SqliteJournalMode::Wal).await
    }

    async fn sqlite_with(journal: SqliteJournalMode) -> Self {
        let (options, folder) = sqlite_file();
        let options = options.journal_mode(journal);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        Self::Sqlite(pool, folder)
    }

    async fn postgres() -> Option<Self> {
        let server = Postgres::shared()?;
        let pool = pool(&server.new_database().await).await;
        Some(Self::Postgres(pool, server))
    }

    /// One whose texts are sorted as people do, and not by their bytes.
    async fn sorted_for_people() -> Option<Self> {
        let server = Postgres::shared()?;
        let sorted = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        match server.new_database_with(sorted).await {
            Ok(url) => Some(Self::Postgres(pool(&url).await, server)),
            // Before version 15 the server does not know the words, and it may have been built without ICU.
            Err(error) => {
                println!("no database with a collation of ICU: skipped: {error}");
                None
            }
        }
    }

    async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }

    async fn each_and_one_sorted_for_people() -> Vec<Self> {
        let mut all = Self::each().await;
        all.extend(Self::sorted_for_people().await);
        all
    }

    fn store(&self) -> SqlKeyStore {
        let store = match self {
            Self::Sqlite(pool, _) => SqlKeyStore::sqlite(pool.clone()),
            Self::Postgres(pool, _) => SqlKeyStore::postgres(pool.clone()),
        };
        store.deadline(LONG).admin_deadline(LONG)
    }

    async fn migrated(&self) -> SqlKeyStore {
        let store = self.store();
        store.migrate().await.unwrap();
        store
    }

    /// Runs statements as a person would by hand.
    async fn run(&self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(pool, _) => drop(sql.execute(pool).await.unwrap()),
            Self::Postgres(pool, _) => drop(sql.execute(pool).await.unwrap()),
        }
    }
}

async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .idle_timeout(Duration::from_secs(1))
        .acquire_timeout(LONG)
        .connect(url)
        .await
        .unwrap()
}

fn sqlite_file() -> (SqliteConnectOptions, Folder) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tower-resource-server-{}-sqlite-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.join("keys.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    (options, Folder(folder))
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

fn record(id: &str) -> ApiKeyRecordBuilder {
    ApiKeyRecord::builder(id, "robot", KeyDigest::of(id)).scopes([READ])
}

async fn add(store: &SqlKeyStore, record: ApiKeyRecord) {
    let added = store.commit(&KeyChange::add(record)).await.unwrap();
    assert_eq!(added, Committed::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sqlite_it_is_a_key_store_and_a_key_registry() {
    passes_the_suites(async || Some(Database::sqlite().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_postgres_it_is_a_key_store_and_a_key_registry() {
    passes_the_suites(Database::postgres).await;
}

async fn passes_the_suites(new: impl AsyncFn() -> Option<Database>) {
    passes_the_suites_through(new, |store| store).await;
}

/// The suites over each database, seen through what this makes of its store.
async fn passes_the_suites_through<S: KeyRegistry>(
    new: impl AsyncFn() -> Option<Database>,
    front: impl Fn(SqlKeyStore) -> S,
) {
    let Some(first) = new().await else { return };
    let used = RefCell::new(vec![first]);
    let make = async || {
        let database = new().await.unwrap();
        let store = database.migrated().await;
        used.borrow_mut().push(database);
        store
    };
    conformance::key_store(async |records| {
        let store = make().await;
        for record in records {
            add(&store, record).await;
        }
        front(store)
    })
    .await;
    conformance::key_registry(async |clock| front(make().await.clock(clock))).await;
}

#[tokio::test]
async fn every_field_comes_back_to_the_millisecond_and_to_the_last_unit() {
    for database in Database::each().await {
        let store = database.migrated().await;
        let full = record("key_1")
            .name("nightly run")
            .start("sk_live_abcd")
            .scopes([WRITE, READ])
            .created_at(UNIX_EPOCH - Duration::from_millis(1_500))
            .not_before(time(1_800_000_000_001))
            .expires_at(time(1_800_000_000_999))
            .revoked_at(time(0))
            .last_used_at(time(1_800_000_000_500))
            .uses(i64::MAX.unsigned_abs())
            .limited(i64::MAX.unsigned_abs() - 1)
            .refused(i64::MAX.unsigned_abs() - 2)
            .rotated_from("key_0")
            .rotated_to("key_2")
            .plan("gold")
            .metadata([("team", "billing"), ("nul", "\0")])
            .revision(9_007_199_254_740_993)
            .build();
        add(&store, full.clone()).await;
        add(&store, record("key_2").build()).await;
        assert_eq!(store.get("key_1").await.unwrap(), Some(full.clone()));
        assert_eq!(store.find(full.digest()).await.unwrap(), Some(full));
        let bare = store.get("key_2").await.unwrap();
        assert_eq!(bare, Some(record("key_2").build()), "what was not told stays so");
    }
}

#[tokio::test]
async fn a_time_between_two_milliseconds_is_rounded_down_on_either_side_of_1970() {
    let part = Duration::from_nanos(400);
    for database in Database::each().await {
        let store = database.migrated().await;
        let told = record("key_1")
            .created_at(UNIX_EPOCH - part)
            .expires_at(time(7) + part);
        add(&store, told.build()).await;
        let kept = store.get("key_1").await.unwrap().unwrap();
        assert_eq!(kept.created_at(), Some(UNIX_EPOCH - Duration::from_millis(1)));
        assert_eq!(kept.expires_at(), Some(time(7)));
    }
}

#[tokio::test]
async fn a_list_is_what_the_query_matches_in_the_order_of_bytes() {
    let mut records = records_of_all_kinds();
    let queries = queries_of_all_kinds();
    records.sort_by(|one, other| one.id().cmp(other.id()));
    for database in Database::each_and_one_sorted_for_people().await {
        let store = database.migrated().await;
        for record in &records {
            add(&store, record.clone()).await;
        }
        let mut hits = 0;
        for query in &queries {
            let expected: Vec<_> = records
                .iter()
                .filter(|record| query.matches(record))
                .take(query.limit)
                .cloned()
                .collect();
            let listed = store.list(query).await.unwrap();
            hits += listed.len();
            assert_eq!(listed, expected, "{query:?}");
        }
        assert!(hits > 1_000, "the queries find something");
        assert_eq!(
            pages_of(7, &store).await,
            records,
            "no page misses or repeats any"
        );
    }
}

async fn pages_of(length: usize, store: &SqlKeyStore) -> Vec<ApiKeyRecord> {
    let (mut all, mut query) = (Vec::new(), KeyQuery::default().limit(length));
    loop {
        let page = store.list(&query).await.unwrap();
        let Some(last) = page.last() else { return all };
        query = query.after(last.id());
        all.extend(page);
    }
}

/// The test above would show nothing if the database sorted by bytes all by itself.
#[tokio::test]
async fn the_database_that_sorts_for_people_does() {
    let Some(Database::Postgres(pool, _server)) = Database::sorted_for_people().await else {
        return;
    };
    let sorted: Vec<String> =
        sqlx::query_scalar("SELECT word FROM unnest(ARRAY['B', 'a', 'é', 'z']) AS word ORDER BY word")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(sorted, ["a", "B", "é", "z"]);
    let store = SqlKeyStore::postgres(pool).admin_deadline(LONG).deadline(LONG);
    store.migrate().await.unwrap();
    for id in ["B", "a"] {
        add(&store, record(id).build()).await;
    }
    let used = ["a", "B"].map(|id| KeyUses::new(id, 1, time(1)));
    store.add_uses(&used).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().uses(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_postgres_that_sorts_for_people_it_is_a_key_store_and_a_key_registry() {
    passes_the_suites(Database::sorted_for_people).await;
}

fn records_of_all_kinds() -> Vec<ApiKeyRecord> {
    const PREFIXES: [&str; 6] = ["a", "B", "_", "é", "z.", "Z-"];
    let times = [None, Some(time(10)), Some(time(20))];
    let mut all = Vec::new();
    for number in 0..162_usize {
        let pick = |step: usize| times[number / step % 3];
        let id = format!("{}{number}", PREFIXES[number % PREFIXES.len()]);
        let owner = ["ann", "Ann"][number % 2];
        let mut record = ApiKeyRecord::builder(&*id, owner, KeyDigest::of(&id));
        if let Some(time) = pick(1) {
            record = record.created_at(time);
        }
        if let Some(time) = pick(3) {
            record = record.expires_at(time);
        }
        if let Some(time) = pick(9) {
            record = record.last_used_at(time);
        }
        if number % 4 == 0 {
            record = record.revoked();
        }
        all.push(record.build());
    }
    all
}

fn queries_of_all_kinds() -> Vec<KeyQuery> {
    let half = Duration::from_micros(500);
    let times = [
        None,
        Some(time(10)),
        Some(time(10) + half),
        Some(time(20) - half),
        Some(time(21)),
    ];
    let mut all = Vec::new();
    for number in 0..600_usize {
        let pick = |step: usize| times[number / step % 5];
        let mut query = KeyQuery::default().limit([1_000, 7, 0][number % 11 % 3]);
        query.live_at = pick(1);
        query.created_before = pick(5);
        query.unused_since = pick(25);
        query.never_expires = number % 3 == 0;
        query.owner = (number % 2 == 0).then(|| "Ann".to_owned());
        query.after = (number % 7 == 0).then(|| "Z".to_owned());
        all.push(query);
    }
    all
}

#[tokio::test]
async fn uses_of_one_key_told_twice_are_both_counted_and_a_count_stops_at_its_largest() {
    for database in Database::each().await {
        let store = database.migrated().await;
        add(&store, record("key_1").build()).await;
        add(&store, record("key_2").uses(i64::MAX.unsigned_abs() - 1).build()).await;
        let uses = [
            KeyUses::new("key_1", 2, time(30)),
            KeyUses::new("no\0body", 9, time(40)),
            KeyUses::new("key_1", 3, time(20)),
            KeyUses::new("key_2", u64::MAX, time(10)),
            KeyUses::new("no\"body", 1, time(40)),
            KeyUses::new("key_1", 0, time(40)).limited(4).refused(5),
            KeyUses::new("key_2", 0, time(40)).limited(u64::MAX),
            KeyUses::new("key_2", 0, time(40)).limited(1).refused(u64::MAX),
            KeyUses::new("key_1", 0, time(40)).limited(1).refused(1),
        ];
        store.add_uses(&uses).await.unwrap();
        store.add_uses(&[]).await.unwrap();
        let [one, two] =
            [store.get("key_1").await, store.get("key_2").await].map(|got| got.unwrap().unwrap());
        assert_eq!(
            (one.uses(), one.last_used_at(), one.revision()),
            (5, Some(time(30)), 0)
        );
        assert_eq!(
            (two.uses(), two.last_used_at()),
            (i64::MAX.unsigned_abs(), Some(time(10)))
        );
        assert_eq!((one.limited(), one.refused()), (5, 6));
        store
            .add_uses(&[KeyUses::new("key_2", 0, time(50)).limited(7).refused(7)])
            .await
            .unwrap();
        let two = store.get("key_2").await.unwrap().unwrap();
        let largest = i64::MAX.unsigned_abs();
        assert_eq!(
            (two.limited(), two.refused(), two.last_used_at()),
            (largest, largest, Some(time(10)))
        );
    }
}

#[tokio::test]
async fn each_request_counts_by_its_outcome() {
    for database in Database::each().await {
        outcomes::each_request_counts_by_its_outcome(Arc::new(database.migrated().await)).await;
    }
}

#[tokio::test]
async fn a_row_that_is_no_record_is_an_error_that_names_it() {
    let spoilt = [
        ("scopes", "'orders:read orders\"write'"),
        ("metadata", "'{\"team\": 7}'"),
        ("metadata", "'nothing'"),
    ];
    for database in Database::each().await {
        let store = database.migrated().await;
        add(&store, record("key_1").build()).await;
        for (column, value) in spoilt {
            add(&store, record("key_2").build()).await;
            let update =
                format!("UPDATE tower_resource_server_api_keys SET {column} = {value} WHERE id = 'key_2'");
            database.run(&update).await;
            let unreadable = |error: SqlKeyStoreError| match error {
                SqlKeyStoreError::Unreadable { id, column: found } => {
                    assert_eq!((&*id, found), ("key_2", column));
                }
                other => panic!("{other}"),
            };
            unreadable(store.find(&KeyDigest::of("key_2")).await.unwrap_err());
            unreadable(store.get("key_2").await.unwrap_err());
            unreadable(store.list(&KeyQuery::default()).await.unwrap_err());
            assert!(store.find(&KeyDigest::of("key_1")).await.unwrap().is_some());
            database
                .run("DELETE FROM tower_resource_server_api_keys WHERE id = 'key_2'")
                .await;
        }
    }
}

#[tokio::test]
async fn a_record_written_by_hand_is_a_record() {
    for database in Database::each().await {
        let store = database.migrated().await;
        let digest = match database {
            Database::Sqlite(..) => "x'0101010101010101010101010101010101010101010101010101010101010101'",
            Database::Postgres(..) => "decode(repeat('01', 32), 'hex')",
        };
        let insert = format!(
            "INSERT INTO tower_resource_server_api_keys (id, digest, owner, scopes) \
             VALUES ('mine', {digest}, 'ann', ' orders:read  orders:write')"
        );
        database.run(&insert).await;
        let expected =
            ApiKeyRecord::builder("mine", "ann", KeyDigest::from_bytes([1; 32])).scopes([READ, WRITE]);
        let found = store.find(&KeyDigest::from_bytes([1; 32])).await.unwrap();
        assert_eq!(found, Some(expected.build()));
    }
}

#[tokio::test]
async fn no_error_shows_a_digest() {
    use std::error::Error;
    use std::fmt::Write;
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    database
        .run("ALTER TABLE tower_resource_server_api_keys ADD CHECK (owner <> 'robot')")
        .await;
    let record = record("key_1").build();
    // PostgreSQL shows the beginning of a long value.
    let mut hex = String::new();
    for byte in &record.digest().as_bytes()[..16] {
        write!(hex, "{byte:02x}").unwrap();
    }
    let error = store.commit(&KeyChange::add(record)).await.unwrap_err();
    let source = error.source().unwrap();
    assert!(format!("{source:?}").contains(&hex), "PostgreSQL tells the row");
    let shown = format!("{error} {error:?} {source}");
    assert!(
        shown.contains("check constraint") && !shown.contains(&hex),
        "{shown}"
    );
}

#[tokio::test]
async fn its_clock_is_the_one_that_it_was_given() {
    let database = Database::sqlite().await;
    let clock = tower_resource_server::testing::TestClock::starting_at(time(42));
    let store = database.store().clock(clock.clone());
    assert_eq!(store.now(), time(42));
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.clone().now(), clock.now());
}
