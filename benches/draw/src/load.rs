//! Whole servers: requests a second, latency in trouble, and instructions, which have no noise.

use std::collections::BTreeSet;
use std::error::Error;

use crate::dots::{self, Situation};
use crate::figures::{Figures, Row};
use crate::text::{count, or_nothing, ratio, source, table, time};

const PERCENTILES: [&str; 3] = ["p50", "p99", "p999"];

pub fn http(figures: &Figures) -> String {
    let rows = figures.rows.iter().map(|row| {
        let per_second = ["requests_per_second", "requests_per_s"];
        let per_second = per_second.into_iter().find_map(|name| row.number(name));
        vec![
            row.id.clone(),
            or_nothing(per_second, count),
            or_nothing(row.number("ratio"), ratio),
            or_nothing(row.time("cpu"), time),
        ]
    });
    let head = [
        "token and server",
        "requests/s",
        "of those without authentication",
        "CPU of a request",
    ];
    format!("{}\n{}", table(&head, rows), source(figures))
}

pub fn drills(figures: &Figures) -> String {
    let (latencies, others): (Vec<&Row>, Vec<&Row>) =
        figures.rows.iter().partition(|row| row.time("p50").is_some());
    let latencies = latencies.into_iter().map(|row| {
        let mut cells = vec![row.id.clone()];
        for name in PERCENTILES {
            cells.push(or_nothing(row.time(name), time));
            cells.push(or_nothing(row.number(&format!("{name}_to_quiet")), ratio));
        }
        cells
    });
    let head = [
        "situation and token",
        "p50",
        "to quiet",
        "p99",
        "to quiet",
        "p99.9",
        "to quiet",
    ];
    format!(
        "{}\n{}{}",
        table(&head, latencies),
        alike(&others),
        source(figures)
    )
}

/// The kinds of honest tokens whose latency was measured: the last part of the ids.
pub fn kinds(figures: &Figures) -> BTreeSet<&str> {
    let measured = figures.rows.iter().filter(|row| row.time("p50").is_some());
    measured
        .filter_map(|row| Some(row.id.rsplit_once('/')?.1))
        .collect()
}

pub fn latency(figures: &Figures, kind: &str) -> Result<String, Box<dyn Error>> {
    let situations = figures.rows.iter().filter_map(|row| {
        let (name, of_kind) = row.id.rsplit_once('/')?;
        let ns = PERCENTILES.map(|name| row.time(name));
        let wanted = of_kind == kind && ns.iter().any(Option::is_some);
        let name = name.replace('/', ": ").replace('-', " ");
        wanted.then_some(Situation { name, ns })
    });
    let title = format!("latency of honest requests, {kind} tokens");
    dots::chart(&title, &situations.collect::<Vec<_>>())
}

/// Whatever numbers there are.
pub fn plain(figures: &Figures) -> String {
    alike(&figures.rows.iter().collect::<Vec<_>>()) + &source(figures)
}

/// A table for each sort of rows, told by the names of their numbers.
fn alike(rows: &[&Row]) -> String {
    let names = |row: &Row| row.numbers().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let sorts: BTreeSet<Vec<String>> = rows.iter().map(|row| names(row)).collect();
    let mut text = String::new();
    for sort in sorts {
        let titles = sort.iter().map(|name| title(name));
        let head: Vec<String> = std::iter::once("case".to_owned()).chain(titles).collect();
        let of_sort = rows.iter().filter(|row| names(row) == sort);
        let cells = of_sort.map(|row| {
            let cells = row.numbers().map(|(name, value)| cell(name, value));
            std::iter::once(format!("`{}`", row.id)).chain(cells).collect()
        });
        text += &table(&head.iter().map(String::as_str).collect::<Vec<_>>(), cells);
        text += "\n";
    }
    text
}

fn title(name: &str) -> String {
    let bare = name.trim_end_matches("_ns").trim_end_matches("_us");
    if bare == "ns" {
        "time".to_owned()
    } else {
        bare.replace('_', " ")
    }
}

fn cell(name: &str, value: f64) -> String {
    match name.rsplit_once('_').map_or(name, |(_, unit)| unit) {
        "ns" => time(value),
        "us" => time(value * 1e3),
        _ if value.fract() == 0.0 || value >= 100.0 => count(value),
        _ => ratio(value),
    }
}
