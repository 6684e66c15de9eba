//! The layers beside their limits, and what grows with a configuration.

use std::error::Error;

use crate::figures::{Figures, Row};
use crate::lines::{self, Line};
use crate::text::{count, or_nothing, ratio, source, table, time};

const ALGORITHMS: [&str; 6] = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256"];
/// What has a table of its own, or is only there to be compared with.
const ELSEWHERE: [&str; 4] = ["jwt/", "floor", "/limit", "/sha256"];

pub fn tables(figures: &Figures) -> String {
    let tokens = ALGORITHMS.into_iter().filter_map(|name| algorithm(figures, name));
    let tokens = table(
        &[
            "algorithm",
            "signature alone",
            "fresh token",
            "ratio",
            "allocations",
            "known token",
            "SHA-256 of it",
            "allocations",
        ],
        tokens,
    );
    let others = figures
        .rows
        .iter()
        .filter(|row| !ELSEWHERE.iter().any(|part| row.id.contains(part)));
    let others = table(
        &["case", "above the floor", "limit", "ratio", "allocations"],
        others.map(|row| {
            vec![
                format!("`{}`", row.id),
                or_nothing(row.above(), time),
                or_nothing(row.number("limit_ns"), time),
                or_nothing(row.ratio(), ratio),
                or_nothing(row.allocations(), count),
            ]
        }),
    );
    format!("{tokens}\n{others}\n{}", source(figures))
}

fn algorithm(figures: &Figures, name: &str) -> Option<Vec<String>> {
    let part = |part: &str| figures.row(&format!("jwt/{name}/{part}"));
    let (fresh, known) = (part("fresh")?, part("known"));
    Some(vec![
        name.to_owned(),
        or_nothing(fresh.number("limit_ns"), time),
        or_nothing(fresh.above(), time),
        or_nothing(fresh.ratio(), |value| format!("{value:.3}")),
        or_nothing(fresh.allocations(), count),
        or_nothing(known.and_then(Row::above), time),
        or_nothing(known.and_then(|row| row.number("limit_ns")), time),
        or_nothing(known.and_then(Row::allocations), count),
    ])
}

pub fn growth(figures: &Figures) -> Result<String, Box<dyn Error>> {
    let lines = [
        ("API keys in memory", "api_key/", ""),
        ("keys of an issuer, known token", "keys/", "/known"),
        ("issuers, known token", "issuers/", "/known"),
        ("keys of an issuer, fresh token", "keys/", ""),
        ("issuers, fresh token", "issuers/", ""),
    ];
    let lines = lines.map(|(name, before, after)| Line {
        name: name.to_owned(),
        points: points(figures, before, after),
    });
    lines::chart("cost of a request, compared with that among the fewest", &lines)
}

fn points(figures: &Figures, before: &str, after: &str) -> Vec<(f64, f64)> {
    let rows = figures.between(before, after);
    let sized = rows
        .into_iter()
        .filter_map(|(size, row)| Some((number(size)?, row.above()?)));
    let mut points: Vec<(f64, f64)> = sized.collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let least = points.first().map_or(1.0, |point| point.1);
    points.into_iter().map(|(size, ns)| (size, ns / least)).collect()
}

/// `1k` and `1m` are numbers, too.
fn number(text: &str) -> Option<f64> {
    text.replace('k', "000").replace('m', "000000").parse().ok()
}
