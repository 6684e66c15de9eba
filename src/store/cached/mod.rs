//! A cache in front of a key store that is asked over a network or a disk.
//!
//! # Why there is no race in it
//!
//! - One lock orders everything that writes: a load that begins, a load that ends and puts down its answer, and whatever
//!   makes answers worthless. It is held for a few instructions, never during a load, and never while code of others runs:
//!   the clock is asked before, events are told after.
//! - A load counts as long as it stands in the list of those under way. Whatever makes its answer worthless (a change that
//!   was heard or acknowledged, news that are heard anew) takes it off the list, under the lock. So its answer reaches
//!   nobody but those who waited for it already, and whoever comes from then on starts another load.
//! - An entry's age counts from the beginning of the load that read it, and so does what was heard: an answer is never taken
//!   for newer than it is.
//! - Requests that find what they look for take no lock. Of what they read beside the entry, nothing decides whether an
//!   entry that was made worthless is used: that one is gone, or bears an old number.
//! - A load that is never finished (its runtime goes, its future is dropped) leaves the list when it is dropped; whoever
//!   waited for it sees that its sender has gone, and asks again once.

mod cache;
mod entries;
mod error;
mod following;
mod front;
mod guesses;
mod health;
mod loads;
mod rules;
mod status;
mod tasks;

pub use error::CachedKeyStoreError;
pub use front::CachedKeyStore;
pub use status::{KeyStoreStatus, NewsState, StoreState};
