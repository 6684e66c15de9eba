use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use super::{AuditRecord, AuditSink};
use crate::error::{Told, chain};

/// A sink of any type, whose panics are errors.
pub(super) trait ErasedSink: Send {
    fn write<'a>(
        &'a mut self,
        records: &'a [AuditRecord],
    ) -> Pin<Box<dyn Future<Output = Result<(), Told>> + Send + 'a>>;
}

impl<S: AuditSink> ErasedSink for S {
    fn write<'a>(
        &'a mut self,
        records: &'a [AuditRecord],
    ) -> Pin<Box<dyn Future<Output = Result<(), Told>> + Send + 'a>> {
        Box::pin(caught(async move {
            let written = AuditSink::write(self, records).await;
            written.map_err(|error| Told(chain(&error).into()))
        }))
    }
}

/// The task goes on after a panic: what the sink is then like is the sink's affair, and nobody else has seen it.
async fn caught(work: impl Future<Output = Result<(), Told>>) -> Result<(), Told> {
    let mut work = pin!(work);
    std::future::poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled,
            Err(_) => Poll::Ready(Err(Told("the sink panicked".into()))),
        },
    )
    .await
}
