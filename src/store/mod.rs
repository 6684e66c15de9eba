//! Key stores, lists of revocations, and places to count requests, that come with the crate.

#[cfg(feature = "stored-keys")]
mod cached;
#[cfg(feature = "api-key")]
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

#[cfg(feature = "stored-keys")]
pub use cached::{CachedKeyStore, CachedKeyStoreError, KeyStoreStatus, NewsState, StoreState};
#[cfg(feature = "api-key")]
pub use memory::MemoryKeyStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlKeyStore, SqlKeyStoreError};

#[cfg(feature = "redis")]
pub use self::redis::{
    Hearing, RedisRevocations, RedisRevocationsBuilder, RedisRevocationsError, RedisRevocationsStatus,
};
#[cfg(all(feature = "redis", feature = "rate-limit"))]
pub use self::redis::{RedisRateLimits, RedisRateLimitsError};
