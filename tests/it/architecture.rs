//! Keeps what ARCHITECTURE.md promises: the ranks of the rooms, and that a heavy crate is named in one file only.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, from the ground up. Rooms in one line are equals and must not name each other.
const RANKS: &[&[&str]] = &[
    &["secret"],
    &["clock"],
    &["shared_text"],
    &["writing"],
    &["scope"],
    &["challenge"],
    &["principal"],
    &["error"],
    &["telemetry"],
    &["credential"],
    &["authenticator"],
    &["api_key", "jwks", "revocation"],
    &["audit", "jwt", "limit", "policy"],
    &["layer"],
    &["adapter", "store", "testing", "guide"],
];

/// What may be named where: a text, and the start of the paths that may contain it.
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("jsonwebtoken::", &["jwks/jwk.rs"]),
    (
        "aws_lc_rs::",
        &["jwks/verifying_key.rs", "jwt/token_name.rs", "testing/"],
    ),
    ("reqwest::", &["jwks/fetch.rs"]),
    ("sha2::", &["api_key/digest.rs"]),
    ("quick_cache::", &["jwt/verified_tokens.rs"]),
    ("moka::", &["jwt/resolved.rs", "store/cached/entries.rs"]),
    (
        "papaya::",
        &[
            "store/memory.rs",
            "revocation/index.rs",
            "api_key/usage/counts.rs",
            "limit/table.rs",
        ],
    ),
    ("governor::", &["limit/local.rs"]),
    ("sqlx::", &["store/sql/"]),
    ("redis::", &["store/redis/", "store/mod.rs"]),
    ("axum_core::", &["adapter/axum.rs"]),
    ("axum::", &["testing/", "lib.rs", "guide/"]),
    ("tracing::", &["telemetry.rs", "telemetry/", "audit/events.rs"]),
    ("metrics::", &["telemetry.rs", "telemetry/"]),
    ("tower::", &["layer/", "testing/mod.rs", "lib.rs", "guide/"]),
    ("SystemTime::now(", &["clock.rs"]),
    ("Instant::now(", &["clock.rs"]),
];

const LONGEST_FILE: usize = 350;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/");
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The words that follow `prefix` in a text.
fn named_after<'t>(text: &'t str, prefix: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(prefix).map(move |(start, _)| {
        let rest = &text[start + prefix.len()..];
        &rest[..rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(rest.len())]
    })
}

/// The rooms that a file names: `crate::room`, and from a file directly in a room's folder `super::super::room`.
fn rooms_named(file: &str, text: &str) -> Vec<String> {
    let depth = file.matches('/').count();
    let up = if file.ends_with("mod.rs") {
        depth
    } else {
        depth + 1
    };
    let to_root = "super::".repeat(up.max(1));
    let by_super = if up > 1 {
        named_after(text, &to_root).map(str::to_owned).collect()
    } else {
        Vec::new()
    };
    named_after(text, "crate::")
        .map(str::to_owned)
        .chain(by_super)
        .collect()
}

#[test]
fn a_file_names_only_lower_ranks_and_its_own_room() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        if room == "lib" {
            continue;
        }
        let own = rank(room).unwrap_or_else(|| panic!("{file} is in no room that has a rank"));
        for named in rooms_named(&file, &text) {
            let allowed = named == room || rank(&named).is_some_and(|other| other < own);
            if !allowed {
                broken.push(format!("{file} names {named:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_rank_test_would_notice() {
    assert_eq!(
        rooms_named("scope.rs", "use crate::layer::X; use super::jwt::Y;"),
        ["layer"]
    );
    assert_eq!(rooms_named("jwt/rules.rs", "super::super::layer::X"), ["layer"]);
    assert_eq!(
        rooms_named("jwt/mod.rs", "use super::claims;"),
        Vec::<String>::new()
    );
    assert!(rank("layer") > rank("jwt"));
}

#[test]
fn a_heavy_crate_is_named_in_one_file_only() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        for (line, code) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for (name, places) in NAMED_ONLY_IN {
                let at = code.match_indices(name).map(|(start, _)| start);
                let whole_word = |start: usize| {
                    !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                };
                if at.into_iter().any(whole_word) && !places.iter().any(|place| file.starts_with(place)) {
                    broken.push(format!("{file}:{} names {name}", line + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_place_that_may_name_a_crate_does() {
    let sources = sources();
    for (name, places) in NAMED_ONLY_IN {
        let used = sources
            .iter()
            .any(|(file, text)| text.contains(name) && places.iter().any(|place| file.starts_with(place)));
        assert!(used, "nobody names {name}: the row can go");
    }
}

#[test]
fn no_file_is_longer_than_a_person_reads_at_once() {
    for (file, text) in sources() {
        let before_tests = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        let code = before_tests
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count();
        assert!(code <= LONGEST_FILE, "{file} has {code} lines of code");
    }
}

/// `Issuer::explain` reads tokens that nobody vouched for. Nothing may be decided by what it reads.
#[test]
fn nobody_who_judges_names_what_explains() {
    for (file, text) in sources() {
        let may = file.starts_with("jwt/explain/") || file == "jwt/mod.rs";
        assert!(may || !text.contains("explain::"), "{file}");
    }
}

#[test]
fn no_room_is_called_by_what_it_is_made_of() {
    for (file, _) in sources() {
        for word in ["util", "common", "helper", "types", "prelude"] {
            assert!(!file.contains(word), "{file}");
        }
    }
}
