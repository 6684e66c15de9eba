//! Brings the schema up to date.

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType};
use sqlx::{Pool, SqlSafeStr};

use super::SqlKeyStoreError;
use super::engine::Engine;
use super::lease::{Lease, patiently};

/// Where it is noted which of our files were run, in sqlx's form. The user's own stand elsewhere.
const NOTED_IN: &str = "tower_resource_server_migrations";

pub(super) async fn migrate<E: Engine>(pool: Pool<E>) -> Result<(), SqlKeyStoreError> {
    patiently::<E, _, _>(|| async {
        let mut lease = Lease::of(&pool).await?;
        let done = migrate_once(&mut lease).await;
        lease.answered();
        done
    })
    .await
}

/// Everything in one transaction, which whoever else migrates waits for. sqlx's `Migrator` is not used: its lock belongs to the
/// connection, with which it would go back to the pool after an error, and on SQLite it has none.
async fn migrate_once<E: Engine>(lease: &mut Lease<E>) -> Result<(), SqlKeyStoreError> {
    let mut transaction = lease.begin().await?;
    if let Some(lock) = E::LOCK_SCHEMA {
        E::fetch(&mut transaction, lock.into_sql_str(), Vec::new()).await?;
    }
    let run = run_files::<E>(&mut transaction).await;
    run.map_err(SqlKeyStoreError::Migration)?;
    Ok(transaction.commit().await?)
}

/// Runs what was not run yet. Files that this release does not know may have been run: a later one may have been here.
async fn run_files<E: Engine>(connection: &mut E::Connection) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(NOTED_IN).await?;
    let known = connection.list_applied_migrations(NOTED_IN).await?;
    for &(version, about, sql) in E::MIGRATIONS {
        let sql = sql.into_sql_str();
        let file = Migration::new(version, about.into(), MigrationType::Simple, sql, false);
        if !was_run(&file, &known)? {
            connection.apply(NOTED_IN, &file).await?;
        }
    }
    Ok(())
}

fn was_run(file: &Migration, known: &[AppliedMigration]) -> Result<bool, MigrateError> {
    match known.iter().find(|noted| noted.version == file.version) {
        Some(noted) if noted.checksum != file.checksum => Err(MigrateError::VersionMismatch(file.version)),
        noted => Ok(noted.is_some()),
    }
}
