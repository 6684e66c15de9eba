//! Stores of API keys: what each keeps, and what happens when it is out of reach.

mod memory;
mod registry;
#[cfg(unix)]
mod sql;
mod suites;
mod usage;
