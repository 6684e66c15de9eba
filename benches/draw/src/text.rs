//! Markdown: a block of a page that is drawn anew each time, tables, and numbers as people read them.

use std::fmt::Write as _;

use crate::figures::Figures;

/// The page with another text between the two marks of this name.
pub fn replaced(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- {name}: benches/report -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let missing = || format!("the marks of {name} are missing");
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// Who measured what, and how to do it again.
pub fn source(figures: &Figures) -> String {
    let versions = figures
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let versions = versions.collect::<Vec<_>>().join("; ");
    format!(
        "`{}` on {}, {}: {versions}.\n",
        figures.command, figures.machine, figures.date
    )
}

/// Two digits or three, and the unit that suits.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns.abs() < 1e3 => (ns, "ns"),
        ns if ns.abs() < 1e6 => (ns / 1e3, "µs"),
        ns => (ns / 1e6, "ms"),
    };
    let digits = match value.abs() {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    // There are no tenths of a nanosecond.
    let digits = if unit == "ns" { 0 } else { digits };
    format!("{value:.digits$} {unit}")
}

pub fn or_nothing(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(String::new, show)
}

pub fn ratio(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

pub fn count(value: f64) -> String {
    format!("{value:.0}")
}
