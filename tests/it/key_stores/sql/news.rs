//! Changes that PostgreSQL tells of.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower_resource_server::{
    KeyDigest, KeyNews, KeyNewsListener, KeyRegistry, KeyStore, KeyUses, SqlKeyStore, SqlKeyStoreError,
};

use super::{Database, LONG, add, record, time};
use crate::postgres::Postgres;
use crate::support::WRITE;

pub(super) struct Following {
    news: UnboundedReceiver<KeyNews>,
    task: JoinHandle<Result<(), SqlKeyStoreError>>,
}

impl Following {
    /// Follows, and has heard that it listens.
    pub(super) async fn of(store: &SqlKeyStore) -> Self {
        let (tell, news) = unbounded_channel();
        let store = store.clone();
        let task = tokio::spawn(async move {
            let listener = KeyNewsListener::new(move |news| tell.send(news).unwrap_or_default());
            store.follow(&listener).await
        });
        let mut following = Self { news, task };
        assert_eq!(following.next().await, KeyNews::Listening);
        following
    }

    pub(super) async fn next(&mut self) -> KeyNews {
        timeout(LONG, self.news.recv())
            .await
            .expect("there is news")
            .expect("it still follows")
    }

    async fn ends(self) -> SqlKeyStoreError {
        timeout(LONG, self.task)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap_err()
    }
}

pub(super) fn changed(id: &str) -> KeyNews {
    KeyNews::Changed(KeyDigest::of(id))
}

#[tokio::test]
async fn sqlite_has_no_news_to_tell() {
    let store = Database::sqlite().await.migrated().await;
    let listener = KeyNewsListener::new(|news| panic!("{news:?}"));
    store.follow(&listener).await.unwrap();
}

#[tokio::test]
async fn what_a_store_changes_is_told_and_uses_are_not() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    let mut following = Following::of(&store).await;
    add(&store, record("key_1").build()).await;
    assert_eq!(following.next().await, changed("key_1"));
    store.set_scopes("key_1", [WRITE]).await.unwrap();
    assert_eq!(following.next().await, changed("key_1"));
    store
        .add_uses(&[KeyUses::new("key_1", 3, time(5)).limited(2).refused(1)])
        .await
        .unwrap();
    add(&store, record("key_2").build()).await;
    assert_eq!(
        following.next().await,
        changed("key_2"),
        "and nothing of the uses before"
    );
}

#[tokio::test]
async fn what_is_changed_by_hand_is_told() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    add(&store, record("key_1").build()).await;
    add(&store, record("key_2").build()).await;
    let mut following = Following::of(&store).await;
    let mut after = async |sql: &str| {
        database
            .run(&format!(
                "UPDATE tower_resource_server_api_keys SET uses = uses + 1, limited = 1, refused = 2, last_used_at = 7; \
                 {sql}"
            ))
            .await;
        following.next().await
    };
    for change in [
        "owner = 'ann'",
        "name = 'n'",
        "start = 's'",
        "scopes = ''",
        "created_at = 1",
        "not_before = 1",
        "expires_at = 1",
        "revoked_at = 1",
        "rotated_to = 'x'",
        "rotated_from = 'y'",
        "plan = 'p'",
        "metadata = '{\"a\":\"b\"}'",
        "revision = 9",
    ] {
        let told = after(&format!(
            "UPDATE tower_resource_server_api_keys SET {change} WHERE id = 'key_1'"
        ))
        .await;
        assert_eq!(told, changed("key_1"), "{change}");
    }
    let told = after("DELETE FROM tower_resource_server_api_keys WHERE id = 'key_2'").await;
    assert_eq!(told, changed("key_2"));
    let told =
        after("UPDATE tower_resource_server_api_keys SET digest = decode(repeat('07', 32), 'hex')").await;
    assert_eq!(told, changed("key_1"), "the digest that was");
    assert_eq!(
        following.next().await,
        KeyNews::Changed(KeyDigest::from_bytes([7; 32])),
        "and the one that is"
    );
    database.run("TRUNCATE tower_resource_server_api_keys").await;
    assert_eq!(
        following.next().await,
        KeyNews::Listening,
        "nobody knows which keys there were"
    );
}

#[tokio::test]
async fn a_change_that_is_rolled_back_is_not_told() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    add(&store, record("key_1").build()).await;
    let mut following = Following::of(&store).await;
    database
        .run("BEGIN; UPDATE tower_resource_server_api_keys SET owner = 'ann'; ROLLBACK")
        .await;
    add(&store, record("key_2").build()).await;
    assert_eq!(following.next().await, changed("key_2"));
}

#[tokio::test]
async fn what_is_no_digest_may_be_about_any_key() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let mut following = Following::of(&database.migrated().await).await;
    for payload in ["", "nonsense", &"zz".repeat(32), &"é".repeat(32)] {
        database
            .run(&format!("NOTIFY tower_resource_server_api_keys, '{payload}'"))
            .await;
        assert_eq!(following.next().await, KeyNews::Listening, "{payload}");
    }
}

#[tokio::test]
async fn it_goes_on_over_silences() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    let mut following = Following::of(&store.clone().patience(Duration::from_millis(500))).await;
    let silence = timeout(Duration::from_secs(2), following.news.recv()).await;
    assert!(silence.is_err(), "{silence:?}");
    add(&store, record("key_1").build()).await;
    assert_eq!(following.next().await, changed("key_1"));
}

const ENDS_LISTENERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN %'";

#[tokio::test]
async fn a_connection_that_is_ended_is_told_as_lost_and_can_be_followed_anew() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.migrated().await;
    let following = Following::of(&store).await;
    database.run(ENDS_LISTENERS).await;
    assert!(matches!(following.ends().await, SqlKeyStoreError::NewsLost));
    let mut following = Following::of(&store).await;
    add(&store, record("key_1").build()).await;
    assert_eq!(following.next().await, changed("key_1"));
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let pool = PgPool::connect(&server.url()).await.unwrap();
    let store = SqlKeyStore::postgres(pool).patience(Duration::from_secs(2));
    let following = Following::of(&store).await;
    server.hang();
    let error = following.ends().await;
    assert!(
        matches!(error, SqlKeyStoreError::DeadlinePassed { .. }),
        "{error:?}"
    );
    let listener = KeyNewsListener::new(|news| panic!("{news:?}"));
    let error = timeout(LONG, store.follow(&listener))
        .await
        .expect("it ends")
        .unwrap_err();
    assert!(
        matches!(error, SqlKeyStoreError::DeadlinePassed { .. }),
        "{error:?}"
    );
    server.go_on();
    Following::of(&store).await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_noticed() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let pool = PgPool::connect(&server.url()).await.unwrap();
    let store = SqlKeyStore::postgres(pool);
    let following = Following::of(&store).await;
    server.kill9();
    following.ends().await;
    let listener = KeyNewsListener::new(|news| panic!("{news:?}"));
    assert!(store.follow(&listener).await.is_err());
    server.restart();
    Following::of(&store).await;
}

#[tokio::test]
async fn a_pool_that_is_closed_ends_it() {
    let Some(Database::Postgres(pool, _server)) = Database::postgres().await else {
        return;
    };
    let following = Following::of(&SqlKeyStore::postgres(pool.clone())).await;
    pool.close().await;
    let error = following.ends().await;
    assert!(
        matches!(error, SqlKeyStoreError::Database(sqlx::Error::PoolClosed)),
        "{error:?}"
    );
}

#[tokio::test]
async fn it_takes_no_connection_of_the_pool() {
    let Some(Database::Postgres(pool, _server)) = Database::postgres().await else {
        return;
    };
    let options = (*pool.connect_options()).clone();
    let single = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let store = SqlKeyStore::postgres(single).admin_deadline(LONG).deadline(LONG);
    store.migrate().await.unwrap();
    let mut following = Following::of(&store).await;
    add(&store, record("key_1").build()).await;
    assert_eq!(following.next().await, changed("key_1"));
}
