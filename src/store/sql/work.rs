//! What the store does, once for both databases.

use std::sync::Arc;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Pool, SqlSafeStr, SqlStr, Transaction};

use super::engine::{Engine, Value};
use super::lease::{Lease, patiently};
use super::{SqlKeyStoreError, row, statements};
use crate::api_key::{ApiKeyRecord, Committed, KeyChange};

/// Where sqlx notes which of our files were run. The user's own stand elsewhere.
const MIGRATIONS_TABLE: &str = "tower_resource_server_migrations";

pub(super) async fn read<E: Engine>(
    pool: Pool<E>,
    sql: SqlStr,
    values: Vec<Value>,
) -> Result<Vec<ApiKeyRecord>, SqlKeyStoreError> {
    let mut lease = Lease::of(&pool).await?;
    let rows = E::fetch(lease.connection(), sql, values).await;
    lease.answered();
    rows?.iter().map(row::read::<E>).collect()
}

pub(super) async fn commit<E: Engine>(
    pool: Pool<E>,
    change: KeyChange,
) -> Result<Committed, SqlKeyStoreError> {
    patiently::<E, _, _>(|| async {
        let mut lease = Lease::of(&pool).await?;
        let done = commit_once(&mut lease, &change).await;
        lease.answered();
        done
    })
    .await
}

async fn commit_once<E: Engine>(
    lease: &mut Lease<E>,
    change: &KeyChange,
) -> Result<Committed, SqlKeyStoreError> {
    let mut transaction = lease.begin().await?;
    let done = carry_out(&mut transaction, change).await?;
    match done {
        Committed::Done => transaction.commit().await?,
        Committed::Conflict | Committed::Taken => transaction.rollback().await?,
    }
    Ok(done)
}

async fn carry_out<E: Engine>(
    transaction: &mut Transaction<'_, E>,
    change: &KeyChange,
) -> Result<Committed, SqlKeyStoreError> {
    if let Some(new) = &change.replace {
        let replaced = E::fetch(
            transaction,
            statements::REPLACE.into_sql_str(),
            row::replaced(new)?,
        )
        .await?;
        if replaced.is_empty() {
            return Ok(Committed::Conflict);
        }
    }
    if let Some(new) = &change.add {
        match E::fetch(transaction, statements::ADD.into_sql_str(), row::added(new)?).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(Committed::Taken),
            added => added?,
        };
    }
    Ok(Committed::Done)
}

pub(super) async fn add_uses<E: Engine>(pool: Pool<E>, uses: Value) -> Result<(), SqlKeyStoreError> {
    patiently::<E, _, _>(|| async {
        let mut lease = Lease::of(&pool).await?;
        let done = add_once(&mut lease, uses.clone()).await;
        lease.answered();
        done
    })
    .await
}

async fn add_once<E: Engine>(lease: &mut Lease<E>, uses: Value) -> Result<(), SqlKeyStoreError> {
    let mut transaction = lease.begin().await?;
    E::fetch(&mut transaction, E::ADD_USES.into_sql_str(), vec![uses]).await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn migrate<E: Engine>(pool: Pool<E>) -> Result<(), SqlKeyStoreError> {
    let migrator = Arc::new(migrator::<E>());
    patiently::<E, _, _>(|| async {
        let mut lease = Lease::of(&pool).await?;
        let done = migrate_once(&mut lease, &migrator).await;
        lease.answered();
        done
    })
    .await
}

/// Everything in one transaction, which whoever else migrates waits for. sqlx's own lock is left alone: it belongs to the
/// connection, and would go back to the pool with it after an error.
async fn migrate_once<E: Engine>(lease: &mut Lease<E>, migrator: &Migrator) -> Result<(), SqlKeyStoreError> {
    let mut transaction = lease.begin().await?;
    if let Some(lock) = E::LOCK_SCHEMA {
        E::fetch(&mut transaction, lock.into_sql_str(), Vec::new()).await?;
    }
    E::migrate(&mut transaction, migrator)
        .await
        .map_err(SqlKeyStoreError::Migration)?;
    Ok(transaction.commit().await?)
}

fn migrator<E: Engine>() -> Migrator {
    let migrations = E::MIGRATIONS.iter().map(|&(version, about, sql)| {
        Migration::new(
            version,
            about.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // A node of an earlier release may start after one of a later release has migrated.
    migrator.set_ignore_missing(true);
    migrator.set_locking(false);
    migrator
}
