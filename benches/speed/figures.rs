//! The figures as people read them, and as `benches/report` does.

use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

use serde_json::{Map, Value, json};

/// A case with its floor included, and its limit above the limit's own floor.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) ns: f64,
    pub(crate) limit_ns: Option<f64>,
    pub(crate) floor_ns: Option<f64>,
    /// The median of the rounds' ratios, which is steadier than the ratio of the medians.
    pub(crate) ratio: Option<f64>,
    pub(crate) allocations: Option<f64>,
    pub(crate) floor_allocations: Option<f64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let (limit, floor) = (show(self.limit_ns, 1), show(self.floor_ns, 1));
        let added = self
            .allocations
            .map(|all| all - self.floor_allocations.unwrap_or(0.0));
        let (ratio, allocations) = (show(self.ratio, 3), show(added, 0));
        write!(
            f,
            "{:<28} {:>10.1} {limit:>10} {floor:>10} {ratio:>7} {allocations:>6}",
            self.id,
            self.ns - self.floor_ns.unwrap_or(0.0)
        )
    }
}

impl Row {
    fn json(&self) -> Value {
        let numbers = [
            ("ns", Some(self.ns), 10.0),
            ("limit_ns", self.limit_ns, 10.0),
            ("floor_ns", self.floor_ns, 10.0),
            ("ratio", self.ratio, 1_000.0),
            ("allocations", self.allocations, 1.0),
            ("floor_allocations", self.floor_allocations, 1.0),
        ];
        let mut row = Map::from_iter([("id".to_owned(), Value::from(self.id.as_str()))]);
        for (name, value, digits) in numbers {
            if let Some(value) = value {
                row.insert(name.to_owned(), ((value * digits).round() / digits).into());
            }
        }
        row.into()
    }
}

pub(crate) fn write(rows: &[Row], rounds: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let versions = ["tower-resource-server", "aws-lc-rs", "sha2", "quick_cache"];
    let mut versions: Map<String, Value> = versions
        .into_iter()
        .map(|name| (name.to_owned(), locked(&lock, name).into()))
        .collect();
    versions.insert("rustc".to_owned(), rustc().into());
    let rows = rows.iter().map(|row| format!("    {}", row.json()));
    let rows = rows.collect::<Vec<_>>().join(",\n");
    let text = format!(
        "{{\n  \"command\": \"cargo bench --bench speed -- --ratios\",\n  \"machine\": {},\n  \"date\": {},\n  \"rounds\": {rounds},\n  \"versions\": {},\n  \"rows\": [\n{rows}\n  ]\n}}\n",
        json!(machine()),
        json!(time::OffsetDateTime::now_utc().date().to_string()),
        Value::from(versions),
    );
    let file = root.join("benches/figures/speed.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    println!("written to benches/figures/speed.json");
}

/// Several where several are built in.
fn locked(lock: &str, name: &str) -> String {
    let before = format!("name = \"{name}\"\nversion = \"");
    let found = lock
        .split(&before)
        .skip(1)
        .filter_map(|after| after.split('"').next());
    found.collect::<Vec<_>>().join(", ")
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| Some(text.split(' ').nth(1)?.to_owned()))
        .unwrap_or_default()
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("an unnamed processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores")
}
