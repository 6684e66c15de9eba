//! The schema: run at start or by hand, by any number of nodes, beside migrations of the user's own.

use std::path::Path;

use futures_util::future::join_all;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, SqlSafeStr};
use tower_resource_server::{KeyChange, KeyDigest, KeyRegistry, KeyStore, KeyUses, SqlKeyStore};

use super::news::{Following, changed};
use super::{Database, LONG, add, record, time};
use crate::support::READ;

const SQLITE: &str = include_str!("../../../../src/store/sql/migrations/sqlite/0001_api_keys.sql");
const POSTGRES: &str = "src/store/sql/migrations/postgres/0001_api_keys.sql";

async fn works(store: &SqlKeyStore, id: &str) {
    add(store, record(id).build()).await;
    assert!(store.find(record(id).build().digest()).await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_is_read_or_written_before_it_is_asked_for() {
    for database in Database::each().await {
        let store = database.store();
        let error = store.get("key_1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key database failed",
            "there is no table yet"
        );
        works(&database.migrated().await, "key_1").await;
    }
}

#[tokio::test]
async fn migrating_again_keeps_what_is_there() {
    for database in Database::each().await {
        let store = database.migrated().await;
        works(&store, "key_1").await;
        store.migrate().await.unwrap();
        assert!(store.get("key_1").await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_may_migrate_at_once() {
    for database in Database::each().await {
        let stores: Vec<_> = (0..8).map(|_| database.store()).collect();
        for migrated in join_all(stores.iter().map(SqlKeyStore::migrate)).await {
            migrated.unwrap();
        }
        works(&stores[7], "key_1").await;
    }
}

#[tokio::test]
async fn the_users_own_migrations_live_beside_ours_whoever_comes_first() {
    for ours_first in [true, false] {
        for database in Database::each().await {
            let store = database.store();
            if ours_first {
                store.migrate().await.unwrap();
            }
            migrate_theirs(&database).await;
            store.migrate().await.unwrap();
            migrate_theirs(&database).await;
            works(&store, "key_1").await;
            database.run("INSERT INTO orders (id) VALUES (1)").await;
        }
    }
}

/// With the number that ours has too, noted where sqlx notes it by default.
async fn migrate_theirs(database: &Database) {
    let sql = "CREATE TABLE orders (id BIGINT)".into_sql_str();
    let theirs = Migration::new(1, "orders".into(), MigrationType::Simple, sql, false);
    let migrator = Migrator::with_migrations(vec![theirs]);
    match database {
        Database::Sqlite(pool, _) => migrator.run(pool).await.unwrap(),
        Database::Postgres(pool, _) => migrator.run(pool).await.unwrap(),
    }
}

#[tokio::test]
async fn the_files_may_be_run_by_hand_before_and_after_a_store_migrates() {
    for database in Database::each().await {
        for id in ["key_1", "key_2"] {
            match &database {
                Database::Sqlite(..) => database.run(SQLITE).await,
                Database::Postgres(pool, server) => {
                    let options = pool.connect_options();
                    let (port, name) = (options.get_port(), options.get_database().unwrap());
                    let url = format!("postgres://postgres@127.0.0.1:{port}/{name}");
                    server.run_file(&url, &Path::new(env!("CARGO_MANIFEST_DIR")).join(POSTGRES));
                }
            }
            works(&database.store(), id).await;
            works(&database.migrated().await, &format!("{id}_more")).await;
        }
    }
}

#[tokio::test]
async fn in_postgres_the_schema_is_the_first_of_the_search_path() {
    let Some(Database::Postgres(pool, _server)) = Database::postgres().await else {
        return;
    };
    sqlx::raw_sql("CREATE SCHEMA one; CREATE SCHEMA two")
        .execute(&pool)
        .await
        .unwrap();
    let of = async |schema: &str| -> PgPool {
        let options = (*pool.connect_options())
            .clone()
            .options([("search_path", schema)]);
        PgPoolOptions::new()
            .acquire_timeout(LONG)
            .connect_with(options)
            .await
            .unwrap()
    };
    let stores = [of("one").await, of("two").await]
        .map(|pool| SqlKeyStore::postgres(pool).admin_deadline(LONG).deadline(LONG));
    for store in &stores {
        store.migrate().await.unwrap();
    }
    works(&stores[0], "key_1").await;
    assert_eq!(
        stores[1].get("key_1").await.unwrap(),
        None,
        "the other schema has keys of its own"
    );
    works(&stores[1], "key_1").await;
    for store in &stores {
        store.migrate().await.unwrap();
    }
}

/// The schema is not `public`, its owner is somebody else, and no right is given that is not needed.
#[tokio::test]
async fn in_postgres_it_needs_no_right_but_those_that_its_text_names() {
    let Some(Database::Postgres(pool, server)) = Database::postgres().await else {
        return;
    };
    // Roles belong to the server and not to the database.
    let name = pool.connect_options().get_database().unwrap().to_owned();
    let (reader, administrator) = (format!("{name}_reader"), format!("{name}_administrator"));
    let of = async |role: &str| {
        let options = (*pool.connect_options()).clone().username(role);
        let pool = PgPoolOptions::new().acquire_timeout(LONG);
        let pool = pool.connect_with(options.options([("search_path", "keys")]));
        SqlKeyStore::postgres(pool.await.unwrap())
            .admin_deadline(LONG)
            .deadline(LONG)
    };
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&pool)
            .await
            .unwrap();
    };
    run("CREATE SCHEMA keys".to_owned()).await;
    of("postgres").await.migrate().await.unwrap();
    run(format!(
        "CREATE ROLE {reader} LOGIN; CREATE ROLE {administrator} LOGIN; \
         GRANT USAGE ON SCHEMA keys TO {reader}, {administrator}; \
         GRANT SELECT ON keys.tower_resource_server_api_keys TO {reader}, {administrator}; \
         GRANT INSERT, UPDATE ON keys.tower_resource_server_api_keys TO {administrator}"
    ))
    .await;
    let (reads, administers) = (of(&reader).await, of(&administrator).await);
    let mut following = Following::of(&reads).await;
    works(&administers, "key_1").await;
    assert_eq!(following.next().await, changed("key_1"));
    administers.set_scopes("key_1", [READ]).await.unwrap();
    assert_eq!(following.next().await, changed("key_1"));
    let used = [KeyUses::new("key_1", 2, time(9))];
    administers.add_uses(&used).await.unwrap();
    assert_eq!(reads.get("key_1").await.unwrap().unwrap().uses(), 2);
    for refused in [
        reads
            .commit(&KeyChange::add(record("key_2").build()))
            .await
            .map(drop),
        reads.add_uses(&used).await,
        administers.migrate().await,
    ] {
        refused.expect_err("it has not the right");
    }
    assert!(reads.find(&KeyDigest::of("key_1")).await.unwrap().is_some());
    drop(server);
}

#[tokio::test]
async fn a_file_that_is_not_the_one_that_was_run_is_an_error() {
    for database in Database::each().await {
        let store = database.migrated().await;
        database
            .run("UPDATE tower_resource_server_migrations SET version = 7000")
            .await;
        store.migrate().await.expect("a later release may have been here");
        let changed = match database {
            Database::Sqlite(..) => "UPDATE tower_resource_server_migrations SET checksum = x'00'",
            Database::Postgres(..) => "UPDATE tower_resource_server_migrations SET checksum = '\\x00'",
        };
        database.run(changed).await;
        let error = store.migrate().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the schema of the key database could not be migrated"
        );
        store.get("key_1").await.expect("and nothing is locked for good");
    }
}
