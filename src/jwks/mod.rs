//! Knowing an issuer's keys: parsing them, keeping them, and finding the one that a token means.
//!
//! From the inside out: a [`KeySet`] is what a JWKS document says; a [`KeySource`] gives one; [`CachedKeys`] keeps what a
//! source gave and asks again when it must. [`FixedKeys`] needs none of this.
//!
//! The way of fetched keys, each station a file: [`fetch`](Fetch) sends a request; `documents` keeps the last answer and asks
//! whether it still holds; [`remote`](RemoteKeys) makes keys of it; `schedule` says when, and what a request is told
//! meanwhile; `refresher` is the task that does it; `published` is what requests see.

#[cfg(feature = "remote")]
mod address;
#[cfg(feature = "remote")]
mod cached;
#[cfg(feature = "remote")]
mod discovery;
mod document;
#[cfg(feature = "remote")]
mod documents;
#[cfg(feature = "remote")]
mod fetch;
mod fixed;
mod jwk;
mod key_set;
mod material;
mod pem;
mod provider;
#[cfg(feature = "remote")]
mod published;
#[cfg(feature = "remote")]
mod refresher;
#[cfg(feature = "remote")]
mod remote;
mod roca;
#[cfg(feature = "remote")]
mod schedule;
#[cfg(feature = "remote")]
mod source;
mod status;
#[cfg(feature = "remote")]
mod unknown_keys;
mod verifying_key;

#[cfg(feature = "remote")]
pub use cached::CachedKeys;
#[cfg(feature = "remote")]
pub use fetch::{Fetch, FetchError, HttpFetch, PublicAddressesOnly};
pub use fixed::FixedKeys;
pub(crate) use key_set::KeySetMark;
pub use key_set::{KeySet, KeySetError, SkippedKey};
pub(crate) use key_set::{PublishedKey, Selection};
pub use provider::Keys;
pub(crate) use provider::{KeyProvider, Lookup};
#[cfg(feature = "remote")]
pub use remote::RemoteKeys;
#[cfg(feature = "remote")]
pub use source::KeySource;
pub use status::{FetchState, KeyState, KeyStatus};
pub use verifying_key::{Algorithm, UnknownAlgorithm};
