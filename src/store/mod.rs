//! Key stores that come with the crate.

mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

pub use memory::MemoryKeyStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlKeyStore, SqlKeyStoreError};
