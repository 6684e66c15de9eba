//! Stores of API keys: what each keeps, and what happens when it is out of reach.

mod cached;
mod drills;
mod flood;
mod memory;
mod nodes;
mod registry;
mod sql;
mod suites;
mod usage;
