use super::{chains, changes, lists, together, words};
use crate::api_key::KeyRegistry;
use crate::testing::TestClock;

/// What [`KeyRegistry`] promises. `make` makes an empty registry that tells the time by this clock.
///
/// # Panics
///
/// If a promise is broken.
pub async fn key_registry<S: KeyRegistry>(make: impl AsyncFn(TestClock) -> S) {
    changes::suite(&make).await;
    words::suite(&make).await;
    chains::suite(&make).await;
    lists::suite(&make).await;
    together::suite(&make).await;
}
