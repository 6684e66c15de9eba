//! Records as rows, and rows as records.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SqlKeyStoreError;
use super::engine::{Engine, Value};
use crate::api_key::{ApiKeyRecord, ApiKeyRecordBuilder, KeyDigest, KeyUses};
use crate::scope::Scope;

/// Whole milliseconds since 1970, rounded down.
pub(super) fn millis_at(time: SystemTime) -> i64 {
    let whole = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => {
            let before = before.duration();
            let part = i64::from(before.subsec_nanos() % 1_000_000 != 0);
            whole(before).saturating_add(part).saturating_neg()
        }
    }
}

/// The same, rounded up.
pub(super) fn millis_after(time: SystemTime) -> i64 {
    let down = millis_at(time);
    if time_of(down).is_some_and(|rounded| rounded < time) {
        down.saturating_add(1)
    } else {
        down
    }
}

fn time_of(millis: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What is stored when a record is replaced, in the order of `statements::REPLACE`.
pub(super) fn replaced(record: &ApiKeyRecord) -> Result<Vec<Value>, SqlKeyStoreError> {
    let text = |text: Option<&str>| Value::Text(text.map(str::to_owned));
    let time = |time: Option<SystemTime>| Value::Number(time.map(millis_at));
    let metadata =
        serde_json::to_string(record.metadata()).map_err(|_| unreadable(record.id(), "metadata"))?;
    Ok(vec![
        text(Some(record.id())),
        Value::Number(Some(number(record.revision()))),
        text(Some(record.owner())),
        text(record.name()),
        text(record.start()),
        text(Some(record.scopes().as_str())),
        time(record.created_at()),
        time(record.not_before()),
        time(record.expires_at()),
        time(record.revoked_at()),
        text(record.rotated_to()),
        text(record.rotated_from()),
        text(record.plan()),
        Value::Text(Some(metadata)),
    ])
}

/// What is stored when a record is added, in the order of `statements::ADD`.
pub(super) fn added(record: &ApiKeyRecord) -> Result<Vec<Value>, SqlKeyStoreError> {
    let mut values = replaced(record)?;
    values.extend([
        Value::Bytes(record.digest().as_bytes().to_vec()),
        Value::Number(Some(number(record.uses()))),
        Value::Number(Some(number(record.limited()))),
        Value::Number(Some(number(record.refused()))),
        Value::Number(record.last_used_at().map(millis_at)),
    ]);
    Ok(values)
}

/// A JSON array of the uses, one element for each id. No id that holds a NUL can be in the database, and PostgreSQL
/// would refuse all for its sake.
pub(super) fn uses(uses: &[KeyUses]) -> Value {
    let mut of_each: BTreeMap<&str, Sum> = BTreeMap::new();
    for used in uses.iter().filter(|used| !used.id.contains('\0')) {
        of_each.entry(&used.id).or_default().add(used);
    }
    let told: Vec<_> = of_each.iter().map(|(id, sum)| sum.told(id)).collect();
    Value::Text(Some(serde_json::Value::from(told).to_string()))
}

/// What is added to one row.
#[derive(Default)]
struct Sum {
    uses: i64,
    limited: i64,
    refused: i64,
    /// `None` if there were no uses: then the stored time stays.
    used_at: Option<i64>,
}

impl Sum {
    fn add(&mut self, used: &KeyUses) {
        self.uses = self.uses.saturating_add(number(used.uses));
        self.limited = self.limited.saturating_add(number(used.limited));
        self.refused = self.refused.saturating_add(number(used.refused));
        if used.uses > 0 {
            self.used_at = self.used_at.max(Some(millis_at(used.last_used_at)));
        }
    }

    fn told(&self, id: &str) -> serde_json::Value {
        serde_json::json!({
            "id": id,
            "uses": self.uses,
            "limited": self.limited,
            "refused": self.refused,
            "used_at": self.used_at,
        })
    }
}

/// The record that a row holds.
pub(super) fn read<E: Engine>(row: &E::Row) -> Result<ApiKeyRecord, SqlKeyStoreError> {
    let id = E::text(row, "id")
        .ok()
        .flatten()
        .ok_or_else(|| unreadable("", "id"))?;
    let columns = Columns::<E> { row, id: &id };
    let digest = columns.read("digest", |row, column| {
        E::bytes(row, column).ok()?.try_into().ok()
    })?;
    let owner = columns.required_text("owner")?;
    let record = ApiKeyRecord::builder(id.clone(), owner, KeyDigest::from_bytes(digest))
        .scopes(columns.scopes()?)
        .metadata(columns.metadata()?)
        .uses(columns.count("uses")?)
        .limited(columns.count("limited")?)
        .refused(columns.count("refused")?)
        .revision(columns.count("revision")?);
    Ok(columns.times(columns.texts(record)?)?.build())
}

fn unreadable(id: &str, column: &'static str) -> SqlKeyStoreError {
    SqlKeyStoreError::Unreadable {
        id: id.to_owned(),
        column,
    }
}

/// The columns of a row whose id is known.
struct Columns<'r, E: Engine> {
    row: &'r E::Row,
    id: &'r str,
}

impl<E: Engine> Columns<'_, E> {
    fn read<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&E::Row, &'static str) -> Option<T>,
    ) -> Result<T, SqlKeyStoreError> {
        read(self.row, column).ok_or_else(|| unreadable(self.id, column))
    }

    fn text(&self, column: &'static str) -> Result<Option<String>, SqlKeyStoreError> {
        self.read(column, |row, column| E::text(row, column).ok())
    }

    fn required_text(&self, column: &'static str) -> Result<String, SqlKeyStoreError> {
        self.read(column, |row, column| E::text(row, column).ok().flatten())
    }

    fn count(&self, column: &'static str) -> Result<u64, SqlKeyStoreError> {
        self.read(column, |row, column| {
            u64::try_from(E::number(row, column).ok()??).ok()
        })
    }

    fn time(&self, column: &'static str) -> Result<Option<SystemTime>, SqlKeyStoreError> {
        self.read(column, |row, column| match E::number(row, column).ok()? {
            Some(millis) => time_of(millis).map(Some),
            None => Some(None),
        })
    }

    /// Each word must be a scope: a word that is none could be half of one that was granted.
    fn scopes(&self) -> Result<Vec<Scope>, SqlKeyStoreError> {
        let words = self.required_text("scopes")?;
        let scopes = words.split(' ').filter(|word| !word.is_empty()).map(Scope::new);
        self.read("scopes", |_, _| scopes.collect::<Result<_, _>>().ok())
    }

    fn metadata(&self) -> Result<BTreeMap<String, String>, SqlKeyStoreError> {
        let json = self.required_text("metadata")?;
        self.read("metadata", |_, _| serde_json::from_str(&json).ok())
    }

    fn texts(&self, mut record: ApiKeyRecordBuilder) -> Result<ApiKeyRecordBuilder, SqlKeyStoreError> {
        if let Some(name) = self.text("name")? {
            record = record.name(name);
        }
        if let Some(start) = self.text("start")? {
            record = record.start(start);
        }
        if let Some(id) = self.text("rotated_to")? {
            record = record.rotated_to(id);
        }
        if let Some(id) = self.text("rotated_from")? {
            record = record.rotated_from(id);
        }
        if let Some(plan) = self.text("plan")? {
            record = record.plan(plan);
        }
        Ok(record)
    }

    fn times(&self, mut record: ApiKeyRecordBuilder) -> Result<ApiKeyRecordBuilder, SqlKeyStoreError> {
        if let Some(time) = self.time("created_at")? {
            record = record.created_at(time);
        }
        if let Some(time) = self.time("not_before")? {
            record = record.not_before(time);
        }
        if let Some(time) = self.time("expires_at")? {
            record = record.expires_at(time);
        }
        if let Some(time) = self.time("revoked_at")? {
            record = record.revoked_at(time);
        }
        if let Some(time) = self.time("last_used_at")? {
            record = record.last_used_at(time);
        }
        Ok(record)
    }
}
