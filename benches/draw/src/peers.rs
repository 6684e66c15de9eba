//! This crate beside others that do the same work.

use std::error::Error;

use plotters::style::RGBColor;

use crate::bars::{self, Bar, Panel};
use crate::figures::{Figures, Row};
use crate::paper::{LIMIT, OTHERS, OURS};
use crate::text::{count, or_nothing, ratio, source, table, time};

const OWN: &str = "tower-resource-server";
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// The rows of one algorithm and state on one thread, by peer, the cheapest first.
fn ranked<'f>(figures: &'f Figures, algorithm: &str, state: &str) -> Vec<(&'f str, &'f Row)> {
    let mut rows = figures.between(&format!("{algorithm}/{state}/"), "/1-thread");
    rows.sort_by(|one, other| cost(one.1).total_cmp(&cost(other.1)));
    rows
}

fn cost(row: &Row) -> f64 {
    row.above().unwrap_or(f64::MAX)
}

pub fn chart(figures: &Figures) -> Result<String, Box<dyn Error>> {
    let (fresh, known) = (
        ranked(figures, "RS256", "fresh"),
        ranked(figures, "RS256", "known"),
    );
    let number = |rows: &[(&str, &Row)], name: &str| rows.first().and_then(|(_, row)| row.number(name));
    let signature = bar("the signature alone", number(&fresh, "limit_ns"), LIMIT);
    let nothing = bar("no authentication", number(&known, "floor_ns"), LIMIT);
    let panel = |title: &str, least: Option<Bar>, rows: Vec<Bar>| Panel {
        title: title.to_owned(),
        bars: least.into_iter().chain(rows).collect(),
    };
    let fresh = fresh
        .iter()
        .filter_map(|(name, row)| bar(name, row.above(), color(name)));
    let known = known
        .iter()
        .filter_map(|(name, row)| bar(name, row.number("ns"), color(name)));
    bars::chart(&[
        panel(
            "RS256, a token that was never seen: above the request without authentication",
            signature,
            fresh.collect(),
        ),
        panel(
            "RS256, the same token again: the whole request",
            nothing,
            known.collect(),
        ),
    ])
}

fn bar(name: &str, ns: Option<f64>, color: RGBColor) -> Option<Bar> {
    Some(Bar {
        name: name.to_owned(),
        ns: ns?,
        color,
    })
}

fn color(name: &str) -> RGBColor {
    if name == OWN { OURS } else { OTHERS }
}

pub fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    for algorithm in ALGORITHMS {
        let rows = ranked(figures, algorithm, "fresh")
            .into_iter()
            .map(|(name, fresh)| {
                let find = |state: &str, threads: &str| {
                    figures.row(&format!("{algorithm}/{state}/{name}/{threads}"))
                };
                let (known, pair) = (find("known", "1-thread"), find("fresh", "2-threads"));
                vec![
                    name.to_owned(),
                    or_nothing(fresh.above(), time),
                    or_nothing(fresh.ratio(), ratio),
                    or_nothing(pair.and_then(Row::ratio), ratio),
                    or_nothing(fresh.allocations(), count),
                    or_nothing(known.and_then(Row::above), time),
                    or_nothing(find("known", "2-threads").and_then(Row::above), time),
                    or_nothing(known.and_then(Row::allocations), count),
                ]
            });
        let head = [
            algorithm,
            "fresh token",
            "of its signature",
            "on two threads",
            "allocations",
            "known token",
            "on two threads",
            "allocations",
        ];
        text += &table(&head, rows);
        text += "\n";
    }
    if !figures.how.is_empty() {
        let how = figures.how.iter();
        text += &table(
            &["what", "how it was asked"],
            how.map(|(name, how)| vec![name.clone(), how.clone()]),
        );
        text += "\n";
    }
    text + &source(figures)
}

/// For the first page: this crate, the best of the others at each, and what people write by hand.
pub fn summary(figures: &Figures, http: Option<&Figures>) -> String {
    let fresh = ranked(figures, "RS256", "fresh");
    let others: Vec<&str> = fresh
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != OWN)
        .collect();
    let by_hand: Vec<&str> = others
        .iter()
        .copied()
        .filter(|name| name.contains("hand"))
        .collect();
    let row = |title: String, names: &[&str]| {
        let best = |state: &str, value: fn(&Row) -> Option<f64>| {
            let id = |name: &&str| figures.row(&format!("RS256/{state}/{name}/1-thread"));
            names.iter().filter_map(id).filter_map(value).reduce(f64::min)
        };
        let share = |name: &&str| http?.row(&format!("RS256/known/{name}"))?.number("ratio");
        vec![
            title,
            or_nothing(best("fresh", Row::ratio), ratio),
            or_nothing(best("known", Row::above), time),
            format!(
                "{}, {}",
                or_nothing(best("fresh", Row::allocations), count),
                or_nothing(best("known", Row::allocations), count)
            ),
            or_nothing(names.iter().filter_map(share).reduce(f64::max), ratio),
        ]
    };
    let head = [
        "RS256, above no authentication",
        "fresh token / its signature",
        "known token",
        "allocations",
        "requests/s over HTTP / without",
    ];
    let mut rows = vec![
        row("this crate".to_owned(), &[OWN]),
        row("the best of the others, each time".to_owned(), &others),
    ];
    rows.extend(by_hand.first().map(|name| row((*name).to_owned(), &by_hand)));
    table(&head, rows)
}
