//! The rows of the checklist of what the RFCs ask of a resource server: one test a row, named by its id, with what is
//! accepted and what is refused. `rfc/rows.txt` lists the rows; those that are deliberately not done have their reason
//! there.

mod claims;
mod presenting;

use std::collections::BTreeSet;

const ROWS: &str = include_str!("rfc/rows.txt");

const TESTS: &[&str] = &[include_str!("rfc/presenting.rs"), include_str!("rfc/claims.rs")];

/// The ids of the rows whose line says `tested`.
fn listed() -> BTreeSet<String> {
    let rows = ROWS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let of_row = |row: &str| {
        let (id, rest) = row.split_once(' ').unwrap_or_else(|| panic!("{row:?} is no row"));
        assert!(
            rest.starts_with("tested: ") || rest.starts_with("not done: "),
            "{row:?} does not say what it is"
        );
        rest.starts_with("tested: ").then(|| id.to_lowercase())
    };
    rows.filter_map(of_row).collect()
}

/// The ids at the start of the names of the tests.
fn tested() -> BTreeSet<String> {
    let lines = TESTS.iter().flat_map(|text| text.lines());
    let names = lines.filter_map(|line| {
        line.strip_prefix("async fn ")
            .or_else(|| line.strip_prefix("fn "))
    });
    let ids = names
        .filter_map(|name| name.split_once('_'))
        .map(|(id, _)| id.to_owned());
    let is_id = |id: &String| id.len() == 3 && id[1..].bytes().all(|byte| byte.is_ascii_digit());
    ids.filter(is_id).collect()
}

#[test]
fn every_row_that_is_listed_as_tested_has_a_test_and_every_test_has_a_row() {
    assert_eq!(listed(), tested());
    assert!(listed().len() > 20);
}
