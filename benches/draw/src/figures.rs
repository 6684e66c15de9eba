//! What the harnesses wrote down. Whatever is missing is left out of the report, and never an error.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

/// One file of `benches/figures`.
#[derive(Deserialize)]
pub struct Figures {
    pub command: String,
    pub machine: String,
    pub date: String,
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// What was called of each crate, and how it was configured.
    #[serde(default)]
    pub how: BTreeMap<String, String>,
    pub rows: Vec<Row>,
}

#[derive(Deserialize)]
pub struct Row {
    pub id: String,
    #[serde(flatten)]
    values: BTreeMap<String, Value>,
}

impl Figures {
    /// Of this name, if they were measured.
    pub fn read(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        let file = folder.join(name).with_extension("json");
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The rows whose ids are this, something without a slash, and that.
    pub fn between<'f>(&'f self, before: &str, after: &str) -> Vec<(&'f str, &'f Row)> {
        let part = |row: &'f Row| Some((row.id.strip_prefix(before)?.strip_suffix(after)?, row));
        let parts = self.rows.iter().filter_map(part);
        parts.filter(|(name, _)| !name.contains('/')).collect()
    }
}

impl Row {
    pub fn number(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.as_f64()
    }

    /// All numbers, by name.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        let numbers = self.values.iter();
        numbers.filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
    }

    /// A time of this name in nanoseconds, whatever the unit that it was written in.
    pub fn time(&self, name: &str) -> Option<f64> {
        let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6)];
        let of_unit = |(unit, factor)| Some(self.number(&format!("{name}_{unit}"))? * factor);
        units.into_iter().find_map(of_unit)
    }

    /// Nanoseconds above the floor.
    pub fn above(&self) -> Option<f64> {
        Some(self.number("ns")? - self.number("floor_ns").unwrap_or(0.0))
    }

    /// How often the limit goes into it.
    pub fn ratio(&self) -> Option<f64> {
        let medians = || Some(self.above()? / self.number("limit_ns")?);
        self.number("ratio").or_else(medians)
    }

    pub fn allocations(&self) -> Option<f64> {
        Some(self.number("allocations")? - self.number("floor_allocations").unwrap_or(0.0))
    }
}
