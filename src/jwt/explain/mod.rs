//! Why a token is refused, check by check, for people. The judge itself gives the verdict; what is put beside it is read from
//! the token for this purpose alone, and reaches nobody who judges.
//!
//! `step` has the checks in the judge's order, `blame` says in which of them a refusal happened, `expected` puts the
//! configuration into words and `found` the token, which `reading` reads as far as it can be read. `values` and `dates` keep
//! what a stranger wrote in one short line.

mod blame;
mod dates;
mod expected;
mod explanation;
mod found;
mod reading;
mod step;
mod values;

pub use explanation::{Check, CheckState, Explanation};
