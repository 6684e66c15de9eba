//! Stores of API keys: what each keeps, and what happens when it is out of reach.

mod cached;
mod memory;
mod registry;
mod sql;
mod suites;
mod usage;
