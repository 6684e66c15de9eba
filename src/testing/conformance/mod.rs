//! What a store of your own must keep, as tests that you run over it.
//!
//! Each suite makes its own stores by the function that it is given, a new and empty one for each promise, and panics with
//! a sentence about the first promise that is broken. The stores of this crate pass the same suites.
//!
//! ```
//! use tower_resource_server::MemoryKeyStore;
//! use tower_resource_server::testing::conformance;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::key_store(async |records| MemoryKeyStore::from_iter(records)).await;
//! conformance::key_registry(async |clock| MemoryKeyStore::new().clock(clock)).await;
//! # }
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::TestClock;
use crate::api_key::{ApiKeyRecord, KeyDigest, KeyStore};
use crate::scope::Scope;

mod chains;
mod changes;
mod key_registry;
mod key_store;
mod lists;
mod together;
mod words;

pub use key_registry::key_registry;
pub use key_store::key_store;

const READ: Scope = Scope::from_static("orders:read");
const WRITE: Scope = Scope::from_static("orders:write");
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A whole number of milliseconds: all that a store need keep.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_800_000_000_123)
}

fn clock() -> TestClock {
    TestClock::starting_at(start())
}

/// What a store answers, by `find_now` if it can and by `find` else. The two must say the same.
async fn found<S: KeyStore>(store: &S, digest: &KeyDigest) -> Option<ApiKeyRecord> {
    let at_once = store
        .find_now(digest)
        .map(|found| found.expect("the store answers"));
    let found = store.find(digest).await.expect("the store answers");
    if let Some(at_once) = at_once {
        assert_eq!(at_once, found, "what is found at once is what is found");
    }
    found
}
