//! Key stores that come with the crate.

#[cfg(feature = "stored-keys")]
mod cached;
mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

#[cfg(feature = "stored-keys")]
pub use cached::{CachedKeyStore, CachedKeyStoreError, KeyStoreStatus, NewsState, StoreState};
pub use memory::MemoryKeyStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlKeyStore, SqlKeyStoreError};
