//! Stores of API keys, and what stands in front of them.

mod sql;
