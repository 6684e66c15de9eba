use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

use super::CachedKeyStoreError;

/// What tasks see of the cache that they belong to: that it is there. They do not keep it.
pub(super) type Owner = watch::Receiver<()>;

/// Ends the work, without a result, when the owner goes.
pub(super) async fn ends_with<T>(mut owner: Owner, work: impl Future<Output = T>) -> Option<T> {
    let mut gone = pin!(owner.changed());
    let mut work = pin!(work);
    std::future::poll_fn(|context| match gone.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(context).map(Some),
    })
    .await
}

/// What a store does, for several who wait: a panic is an error like any other.
pub(super) async fn caught<T>(
    work: impl Future<Output = Result<T, CachedKeyStoreError>>,
) -> Result<T, CachedKeyStoreError> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        // The work is not polled again, so nobody sees what state the panic left it in.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled,
            Err(_) => Poll::Ready(Err(CachedKeyStoreError::Panicked)),
        }
    })
    .await
}
