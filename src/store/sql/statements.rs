//! The statements, as both databases read them.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::engine::Value;
use super::row::{millis_after, millis_at};
use crate::api_key::KeyQuery;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, digest, owner, name, start, scopes, created_at, not_before, expires_at, revoked_at, \
             last_used_at, uses, limited, refused, rotated_to, rotated_from, plan, metadata, revision \
             FROM tower_resource_server_api_keys WHERE ",
            $rest
        )
    };
}

pub(super) const FIND: &str = select!("digest = $1");
pub(super) const GET: &str = select!("id = $1");

/// Takes what `row::replaced` gives, and then what `row::added` has more.
pub(super) const ADD: &str = "INSERT INTO tower_resource_server_api_keys \
    (id, revision, owner, name, start, scopes, created_at, not_before, expires_at, revoked_at, rotated_to, rotated_from, \
    plan, metadata, digest, uses, limited, refused, last_used_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// Answers with one row, or with none if the record is not what it was.
pub(super) const REPLACE: &str = "UPDATE tower_resource_server_api_keys SET revision = revision + 1, \
    owner = $3, name = $4, start = $5, scopes = $6, created_at = $7, not_before = $8, expires_at = $9, revoked_at = $10, \
    rotated_to = $11, rotated_from = $12, plan = $13, metadata = $14 \
    WHERE id = $1 AND revision = $2 RETURNING id";

/// What [`KeyQuery::matches`] says, in SQL. Stored times are whole milliseconds, so a limit between two of them is
/// rounded such that the same records are on either side.
pub(super) fn list(query: &KeyQuery) -> (SqlStr, Vec<Value>) {
    let mut asked = Conditions::default();
    if let Some(owner) = &query.owner {
        asked.and("owner = ?", Value::Text(Some(owner.clone())));
    }
    if let Some(now) = query.live_at {
        let now = Value::Number(Some(millis_at(now)));
        asked.and(
            "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
            now,
        );
    }
    if let Some(limit) = query.created_before {
        let limit = Value::Number(Some(millis_after(limit)));
        asked.and("(created_at IS NULL OR created_at < ?)", limit);
    }
    if let Some(limit) = query.unused_since {
        let limit = Value::Number(Some(millis_after(limit)));
        asked.and(
            "(created_at IS NULL OR created_at < ?) AND (last_used_at IS NULL OR last_used_at < ?)",
            limit,
        );
    }
    if query.never_expires {
        asked.text.push_str(" AND expires_at IS NULL");
    }
    if let Some(after) = &query.after {
        asked.and("id > ?", Value::Text(Some(after.clone())));
    }
    asked.limited(query.limit)
}

#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition. Its text is ours; what comes from a caller is the value, which each `?` in it stands for.
    fn and(&mut self, condition: &'static str, value: Value) {
        self.values.push(value);
        let place = format!("${}", self.values.len());
        self.text.push_str(" AND ");
        self.text.push_str(&condition.replace('?', &place));
    }

    fn limited(mut self, limit: usize) -> (SqlStr, Vec<Value>) {
        self.values
            .push(Value::Number(Some(i64::try_from(limit).unwrap_or(i64::MAX))));
        let sql = format!(
            "{}{} ORDER BY id LIMIT ${}",
            select!("TRUE"),
            self.text,
            self.values.len()
        );
        (AssertSqlSafe(sql).into_sql_str(), self.values)
    }
}
