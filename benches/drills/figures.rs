//! `benches/figures/<name>.json`: what was measured last, for whoever draws it.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

pub(crate) struct Figures {
    command: &'static str,
    rows: Vec<Value>,
}

impl Figures {
    pub(crate) fn new(command: &'static str) -> Self {
        Self {
            command,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, id: &str, numbers: &[(&str, f64)]) {
        let mut row = Map::from_iter([("id".to_owned(), id.into())]);
        // Nobody measures to more than a thousandth of a nanosecond.
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        row.extend(
            numbers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), rounded(*value).into())),
        );
        self.rows.push(row.into());
    }

    pub(crate) fn write(self, name: &str) {
        let now = humantime::format_rfc3339(SystemTime::now()).to_string();
        let figures = json!({
            "command": self.command,
            "machine": machine(),
            "date": now[..10],
            "versions": { "tower-resource-server": env!("CARGO_PKG_VERSION") },
            "rows": self.rows,
        });
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures");
        std::fs::create_dir_all(folder).unwrap();
        let text = serde_json::to_string_pretty(&figures).unwrap();
        std::fs::write(format!("{folder}/{name}.json"), text + "\n").unwrap();
    }
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores")
}
