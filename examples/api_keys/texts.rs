//! What is shown: tables for people, JSON for programs.

use std::time::SystemTime;

use serde_json::{Value, json};
use tower_resource_server::{ApiKeyRecord, Clock, IssuedKey, KeyReport, SystemClock};

pub(crate) fn issued_text(issued: &IssuedKey, as_json: bool) -> String {
    let key = issued.key().expose();
    if as_json {
        let mut told = told(issued.record());
        if let Some(told) = told.as_object_mut() {
            told.insert("key".to_owned(), key.into());
        }
        return format!("{told}\n");
    }
    let record = table(std::slice::from_ref(issued.record()));
    format!("{key}\nThis is the only time that it is shown.\n\n{record}")
}

pub(crate) fn report_text(report: KeyReport, as_json: bool) -> String {
    let parts = [
        ("old", "Too old: rotate them", report.old),
        ("unused", "Not used: revoke them", report.unused),
        ("endless", "They never expire", report.endless),
    ];
    if as_json {
        let lists = parts
            .iter()
            .map(|(name, _, keys)| ((*name).to_owned(), keys.iter().map(told).collect()));
        return format!("{}\n", Value::Object(lists.collect()));
    }
    let texts = parts.map(|(_, title, keys)| {
        let rows = if keys.is_empty() {
            String::new()
        } else {
            table(&keys)
        };
        format!("{title} ({})\n{rows}", keys.len())
    });
    texts.join("\n")
}

pub(crate) fn in_json(records: &[ApiKeyRecord]) -> String {
    format!("{}\n", records.iter().map(told).collect::<Value>())
}

pub(crate) fn table(records: &[ApiKeyRecord]) -> String {
    let heads = [
        "ID",
        "OWNER",
        "NAME",
        "KEY",
        "SCOPES",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "USES",
        "LIMITED",
        "REFUSED",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(records.iter().map(row));
    let mut widths = [0; 12];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    });
    lines.collect()
}

fn row(record: &ApiKeyRecord) -> [String; 12] {
    let start = record
        .start()
        .map_or_else(String::new, |start| format!("{start}…"));
    [
        record.id().to_owned(),
        record.owner().to_owned(),
        record.name().unwrap_or("-").to_owned(),
        start,
        record.scopes().as_str().to_owned(),
        state(record),
        date(record.created_at(), "unknown"),
        date(record.expires_at(), "never"),
        date(record.last_used_at(), "never"),
        record.uses().to_string(),
        record.limited().to_string(),
        record.refused().to_string(),
    ]
    .map(|cell| cell.replace(char::is_control, "?"))
}

fn state(record: &ApiKeyRecord) -> String {
    let now = SystemClock::new().now();
    match (record.is_live(now), record.rotated_to()) {
        (false, _) if record.is_revoked() => "revoked".to_owned(),
        (false, _) => "expired".to_owned(),
        (true, Some(next)) => format!("rotated to {next}"),
        (true, None) if record.not_before().is_some_and(|start| now < start) => "not yet valid".to_owned(),
        (true, None) => "live".to_owned(),
    }
}

fn date(time: Option<SystemTime>, absent: &str) -> String {
    time.map_or_else(
        || absent.to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

pub(crate) fn told(record: &ApiKeyRecord) -> Value {
    let date = |time: Option<SystemTime>| time.map(|time| humantime::format_rfc3339_millis(time).to_string());
    json!({
        "id": record.id(),
        "owner": record.owner(),
        "name": record.name(),
        "start": record.start(),
        "scopes": record.scopes().iter().collect::<Vec<_>>(),
        "live": record.is_live(SystemClock::new().now()),
        "created_at": date(record.created_at()),
        "not_before": date(record.not_before()),
        "expires_at": date(record.expires_at()),
        "revoked_at": date(record.revoked_at()),
        "last_used_at": date(record.last_used_at()),
        "uses": record.uses(),
        "limited": record.limited(),
        "refused": record.refused(),
        "rotated_to": record.rotated_to(),
        "rotated_from": record.rotated_from(),
        "plan": record.plan(),
        "metadata": record.metadata(),
    })
}
