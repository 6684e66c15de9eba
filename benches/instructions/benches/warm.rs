//! Counts the instructions of requests: `benches/instructions/run`.

#![allow(
    missing_docs,
    non_snake_case,
    reason = "gungraun's macros make public names; two underscores are the slash of a figure's id"
)]

use gungraun::prelude::*;
use instructions::{COUNTED, Case};

// `benches/instructions/run` divides by the number in the name.
const _: () = assert!(COUNTED == 256);

// The case is handed back, so that dropping it is not counted.
#[library_benchmark]
#[bench::floor(instructions::floor())]
#[bench::jwt__RS256__known(instructions::known_rs256())]
#[bench::jwt__EdDSA__fresh(instructions::fresh_eddsa())]
#[bench::jwt__HS256__fresh(instructions::fresh_hs256())]
#[bench::jwt__junk(instructions::junk())]
#[bench::api_key__known(instructions::known_api_key())]
#[bench::or__RS256__known(instructions::known_in_or())]
#[bench::scope__floor(instructions::scope_floor())]
#[bench::scope(instructions::scope())]
fn requests_256(mut case: Case) -> Case {
    case.call(0..COUNTED);
    case
}

library_benchmark_group!(name = warm, benchmarks = requests_256);
main!(library_benchmark_groups = warm);
