//! Key stores that come with the crate.

#[cfg(feature = "stored-keys")]
mod cached;
mod memory;

#[cfg(feature = "stored-keys")]
pub use cached::{CachedKeyStore, CachedKeyStoreError, KeyStoreStatus, NewsState, StoreState};
pub use memory::MemoryKeyStore;
