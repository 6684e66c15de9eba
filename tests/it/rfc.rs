//! The rows of the checklist of what the RFCs ask of a resource server: one test a row, named by its id, with what is
//! accepted and what is refused. `rfc/rows.txt` lists the rows; those that are deliberately not done have their reason
//! there.

mod api_keys;
mod claims;
mod current;
mod keys;
mod metadata;
mod practice;
mod presenting;
mod step_up;
mod strict;
pub(crate) mod tls;

use std::collections::{BTreeMap, BTreeSet};

const ROWS: &str = include_str!("rfc/rows.txt");

const GUIDE: &str = include_str!("../../src/guide/checks.md");

const TESTS: &[&str] = &[
    include_str!("rfc/presenting.rs"),
    include_str!("rfc/claims.rs"),
    include_str!("rfc/keys.rs"),
    include_str!("rfc/practice.rs"),
    include_str!("rfc/current.rs"),
    include_str!("rfc/metadata.rs"),
    include_str!("rfc/api_keys.rs"),
    include_str!("rfc/step_up.rs"),
];

/// The sections of the checklist and how many rows each has.
const SECTIONS: [(char, usize); 11] = [
    ('A', 12),
    ('B', 22),
    ('C', 21),
    ('D', 10),
    ('E', 12),
    ('F', 16),
    ('G', 14),
    ('I', 5),
    ('L', 5),
    ('N', 10),
    ('O', 15),
];

/// Every row there is.
fn all() -> BTreeSet<String> {
    let ids = SECTIONS
        .into_iter()
        .flat_map(|(section, rows)| (1..=rows).map(move |row| format!("{section}{row:02}")));
    ids.collect()
}

/// The rows of the list, and whether each is tested.
fn listed() -> BTreeMap<String, bool> {
    let mut rows = BTreeMap::new();
    for row in ROWS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (id, rest) = row.split_once(' ').unwrap_or_else(|| panic!("{row:?} is no row"));
        let (state, text) = rest
            .split_once(": ")
            .unwrap_or_else(|| panic!("{row:?} does not say what it is"));
        assert!(
            ["tested", "not done"].contains(&state) && !text.is_empty(),
            "{row:?}"
        );
        let before = rows.insert(id.to_owned(), state == "tested");
        assert_eq!(before, None, "{id} is listed twice");
    }
    rows
}

/// The ids at the start of the names of the tests.
fn tested() -> BTreeSet<String> {
    let lines = TESTS.iter().flat_map(|text| text.lines());
    let names = lines.filter_map(|line| {
        line.strip_prefix("async fn ")
            .or_else(|| line.strip_prefix("fn "))
    });
    let ids = names.filter_map(|name| name.split_once('_')).map(|(id, _)| id);
    ids.filter(|id| is_id(&id.to_uppercase()))
        .map(str::to_uppercase)
        .collect()
}

fn is_id(word: &str) -> bool {
    let (letter, number) = word.split_at_checked(1).unwrap_or_default();
    let is_section = SECTIONS.iter().any(|(section, _)| letter == section.to_string());
    is_section && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rows of the guide's tables, and whether each is done.
fn explained() -> BTreeMap<String, bool> {
    let mut rows = BTreeMap::new();
    for row in GUIDE.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let ["", id, asked, done, source, ""] = cells[..]
            && is_id(id)
        {
            assert!(
                !asked.is_empty() && !done.is_empty() && !source.is_empty(),
                "{row}"
            );
            let before = rows.insert(id.to_owned(), !done.starts_with("**Not done**: "));
            assert_eq!(before, None, "{id} is explained twice");
        }
    }
    rows
}

#[test]
fn no_row_is_left_out_of_the_list() {
    let listed: BTreeSet<String> = listed().into_keys().collect();
    assert_eq!(listed, all());
}

#[test]
fn every_row_that_is_listed_as_tested_has_a_test_and_every_test_has_a_row() {
    let listed: BTreeSet<String> = listed()
        .into_iter()
        .filter_map(|(id, is_tested)| is_tested.then_some(id))
        .collect();
    assert_eq!(listed, tested());
}

#[test]
fn the_guide_tells_of_every_row_and_which_are_not_done() {
    assert_eq!(explained(), listed());
}
