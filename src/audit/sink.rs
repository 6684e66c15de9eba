use std::error::Error;

use super::AuditRecord;

/// Where records are written to. One task of an [`AuditLog`](super::AuditLog) calls it, one call at a time, in the order in which the
/// requests ended; requests never wait for it, however long it takes. There is no limit on that time: set one in here, if what
/// you write to can hang.
///
/// After an error, and after a call that its runtime cancelled, the same records come again before any others. So a record may be
/// written twice, and what must not be is told apart by you; none is left out. A panic counts as an error.
///
/// ```
/// use tower_resource_server::{AuditLog, AuditRecord, AuditSink};
///
/// /// Counts what was refused.
/// #[derive(Debug, Default)]
/// struct Refusals(usize);
///
/// impl AuditSink for Refusals {
///     type Error = std::convert::Infallible;
///
///     async fn write(&mut self, records: &[AuditRecord]) -> Result<(), Self::Error> {
///         self.0 += records.iter().filter(|record| record.reason() != "ok").count();
///         Ok(())
///     }
/// }
///
/// let log = AuditLog::new(Refusals::default());
/// ```
pub trait AuditSink: Send + 'static {
    /// Why it could not be written. It is logged as it is, so put no secret in it.
    type Error: Error + Send + Sync + 'static;

    /// Writes these records, at least one and at most 256. All of them are taken to be written when it returns `Ok`.
    fn write(&mut self, records: &[AuditRecord]) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
