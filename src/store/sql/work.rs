//! What the store does, once for both databases.

use sqlx::{Pool, SqlSafeStr, SqlStr, Transaction};

use super::engine::{Engine, Value};
use super::lease::{Lease, patiently};
use super::{SqlKeyStoreError, row, statements};
use crate::api_key::{ApiKeyRecord, Committed, KeyChange};

pub(super) async fn read<E: Engine>(
    pool: Pool<E>,
    sql: SqlStr,
    values: Vec<Value>,
) -> Result<Vec<ApiKeyRecord>, SqlKeyStoreError> {
    let rows = patiently::<E, _, _>(|| async {
        let mut lease = Lease::of(&pool).await?;
        let rows = E::fetch(lease.connection(), sql.clone(), values.clone()).await;
        lease.answered();
        Ok(rows?)
    });
    rows.await?.iter().map(row::read::<E>).collect()
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
