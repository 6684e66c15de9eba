//! Knowing an issuer's keys: parsing them, keeping them, and finding the one that a token means.
//!
//! From the inside out: a [`KeySet`] is what a JWKS document says; a [`KeySource`] gives one; [`CachedKeys`] keeps what a
//! source gave and asks again when it must. [`FixedKeys`] needs none of this.

#[cfg(feature = "remote")]
mod cached;
#[cfg(feature = "remote")]
mod discovery;
mod document;
#[cfg(feature = "remote")]
mod fetch;
mod fixed;
mod jwk;
mod key_set;
mod material;
mod pem;
mod provider;
#[cfg(feature = "remote")]
mod remote;
mod roca;
#[cfg(feature = "remote")]
mod source;
mod verifying_key;

#[cfg(feature = "remote")]
pub use cached::CachedKeys;
#[cfg(feature = "remote")]
pub use fetch::{Fetch, FetchError, HttpFetch};
pub use fixed::FixedKeys;
pub use key_set::{KeySet, KeySetError, SkippedKey};
pub(crate) use key_set::{PublishedKey, Selection};
pub use provider::Keys;
pub(crate) use provider::{KeyProvider, Lookup};
#[cfg(feature = "remote")]
pub use remote::RemoteKeys;
#[cfg(feature = "remote")]
pub use source::KeySource;
pub use verifying_key::{Algorithm, UnknownAlgorithm};
