//! What authentication costs: each case beside its limit and beside the same requests without any layer.
//!
//! - `cargo bench --bench speed -- jwt/RS256`: by criterion, with its statistics and a comparison with the run before.
//! - `cargo bench --bench speed -- --ratios [part of an id]`: floor, limit and case in turns, medians of many rounds. Only these
//!   ratios are figures, since a machine that others use changes its pace between one benchmark and the next. Without an id
//!   they are written to `benches/figures/speed.json`. `QUICK=1` shows in a minute that all of it works.
//!
//! A floor is what the same requests cost a bare service, their making included. Tokens have about 700 bytes; where it
//! is not said, they are of RS256, and fresh. A known token is one of a hundred. A million API keys take 1 GB.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

mod case;
mod figures;
mod limit;
mod login;
mod others;
mod ratios;
mod sizes;
mod threads;

use std::time::Duration;

use criterion::Criterion;
use tower_resource_server::Algorithm;

use crate::case::{Case, Measured, bare, calls};
use crate::login::Login;

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Hs256,
];
const BYTES: [(&str, usize); 3] = [("600", 600), ("2k", 2_000), ("8k", 8_000)];

/// Few rounds of little, to see that it works.
fn quick() -> bool {
    std::env::var_os("QUICK").is_some()
}

fn table() -> Vec<Case> {
    let of_algorithm = ALGORITHMS.map(|algorithm| (algorithm.as_str(), Login::of(algorithm)));
    let rs256 = of_algorithm[0].1.clone();
    let floor = {
        let tokens = rs256.clone();
        Case::new("floor", move || Measured::alone(calls(bare(), tokens.known())))
    };
    let jwt = of_algorithm.map(|(name, tokens)| login::tokens(&format!("jwt/{name}"), &tokens));
    let bytes =
        BYTES.map(|(name, bytes)| login::tokens(&format!("token_bytes/{name}"), &Login::of_bytes(bytes)));
    let mut cases = vec![floor];
    cases.extend(jwt.into_iter().flatten());
    cases.extend(others::api_keys());
    cases.push(others::scope());
    cases.extend(others::rate_limits());
    cases.extend(others::either(&rs256));
    cases.extend(others::revocations(&rs256));
    cases.extend(sizes::cases(&rs256));
    cases.extend(bytes.into_iter().flatten());
    cases.extend(threads::hot_token(&rs256));
    cases
}

fn by_criterion(cases: &[Case]) {
    let criterion = Criterion::default().warm_up_time(Duration::from_secs(1));
    let criterion = criterion.measurement_time(Duration::from_secs(3));
    let mut criterion = criterion.configure_from_args();
    for case in cases {
        let mut work = None;
        criterion.bench_function(&case.id, |bencher| {
            let work = work.get_or_insert_with(|| (case.prepare)().work);
            bencher.iter_custom(work);
        });
    }
    criterion.final_summary();
}

fn main() {
    let cases = table();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--ratios") {
        let wanted = words.iter().find(|word| !word.starts_with('-'));
        ratios::run(&cases, wanted.map(String::as_str));
    } else {
        by_criterion(&cases);
    }
}
