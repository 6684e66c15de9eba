//! The file of a harness's figures, and what it says of the machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::available_parallelism;
use std::{env, fs, io};

use serde_json::{Value, json};
use time::OffsetDateTime;

/// The crates whose versions belong to the figures.
const CRATES: [&str; 13] = [
    "aliri",
    "aliri_tower",
    "aws-lc-rs",
    "axum",
    "axum-jwt-auth",
    "huskarl-resource-server",
    "hyper",
    "jsonwebtoken",
    "jwt-authorizer",
    "oauth-resource-server",
    "ring",
    "tower-oauth2-resource-server",
    "tower-resource-server",
];

/// Few and short rounds, to see whether it works at all: `QUICK=1`.
pub fn quick() -> bool {
    env::var_os("QUICK").is_some_and(|value| value == "1")
}

/// Writes `benches/figures/<name>.json`. `how` says of each peer what was called.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(name: &str, command: &str, how: &BTreeMap<&str, String>, rows: &[Value]) -> io::Result<()> {
    let figures = json!({
        "command": command,
        "machine": machine(),
        "date": env::var("DATE").unwrap_or_else(|_| OffsetDateTime::now_utc().date().to_string()),
        "versions": versions(),
        "how": how,
        "rows": rows,
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../figures");
    fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(folder.join(name).with_extension("json"), text + "\n")
}

/// One decimal is more than these figures are good for.
pub fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// # Panics
///
/// If there are no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores")
}

/// As locked; several where several are built in.
fn versions() -> BTreeMap<&'static str, String> {
    let lock = include_str!("../Cargo.lock");
    let mut versions: BTreeMap<&str, String> = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim_matches(['=', ' ', '"'])
        };
        if let Some(name) = CRATES.into_iter().find(|name| *name == field("name")) {
            let version = versions.entry(name).or_default();
            *version += if version.is_empty() { "" } else { ", " };
            *version += field("version");
        }
    }
    versions
}
