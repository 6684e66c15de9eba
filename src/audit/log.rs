use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::status::Counts;
use super::work::{Lease, Work};
use super::{AuditRecord, AuditSink, AuditStatus};
use crate::telemetry;

const MOST_QUEUED: usize = 8192;
/// Longer than a server is usually given to end.
const LONGEST_FLUSH: Duration = Duration::from_secs(30);

/// A bounded queue of records in front of an [`AuditSink`]. A clone puts into the same queue.
///
/// Hand it to an `AuditLayer`, and call [`flush`](Self::flush) when the service ends.
///
/// ```
/// use tower_resource_server::{AuditLayer, AuditLog, JsonLines};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = AuditLog::new(JsonLines::new(std::io::stdout()));
/// let audit = AuditLayer::new(log.clone());
/// // axum::serve(listener, router.layer(audit)).with_graceful_shutdown(signal).await?;
/// log.flush().await?;
/// # Ok(())
/// # }
/// ```
///
/// # What can be lost, and what can be written twice
///
/// A request never waits: if the queue is full, its record is dropped and counted. While the sink fails, records are kept, in
/// their order, as long as there is room, and tried again after 0.1 s to 30 s. What is queued when the process ends is lost,
/// unless `flush` was called. A sink that fails after it has written some of what it was given may write that twice.
///
/// It needs tokio with its timer: a task is started by the first record, and ends when the last clone is gone and everything is written. If
/// its runtime ends before, what is queued waits for the next record or `flush` in another one.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
    most_queued: u64,
}

pub(super) struct Shared {
    /// Unbounded, for `counts` bounds it: with what the sink has in hand, and to the very record.
    queue: UnboundedSender<AuditRecord>,
    counts: Arc<Counts>,
    /// What the task works with, while no task runs.
    idle: Mutex<Option<Work>>,
    is_idle: AtomicBool,
    hurry: Arc<Notify>,
}

/// Some records that were there when `flush` was called are not written. They are kept, and are tried again.
#[derive(Debug, thiserror::Error)]
#[error("{left} records of the audit are not written")]
#[non_exhaustive]
pub struct RecordsNotWritten {
    /// How many.
    pub left: u64,
}

impl AuditLog {
    /// Writes to this sink.
    pub fn new(sink: impl AuditSink) -> Self {
        let (queue, records) = unbounded_channel();
        let (counts, hurry) = (Arc::new(Counts::new()), Arc::new(Notify::new()));
        let work = Work::new(Box::new(sink), records, Arc::clone(&counts), Arc::clone(&hurry));
        Self {
            shared: Arc::new(Shared {
                queue,
                counts,
                idle: Mutex::new(Some(work)),
                is_idle: AtomicBool::new(true),
                hurry,
            }),
            most_queued: MOST_QUEUED as u64,
        }
    }

    /// How many records may wait, those that the sink has in hand included; at least 1. A record that finds no room is dropped.
    /// Set it before the log is cloned: a clone keeps what it was made with.
    /// Default: 8,192, because that is some seconds of a busy node, and about 4 MB: a record copies what it tells of a
    /// caller, and not its token.
    #[must_use]
    pub fn most_queued(mut self, records: usize) -> Self {
        self.most_queued = u64::try_from(records).unwrap_or(u64::MAX).max(1);
        self
    }

    /// How it is now.
    pub fn status(&self) -> AuditStatus {
        self.shared.counts.status()
    }

    /// Waits until all that was put in before is written. Call it when the service has answered its last request. It has the sink
    /// tried at once if that failed, and gives up after 30 s; an error loses nothing. It needs tokio.
    pub async fn flush(&self) -> Result<(), RecordsNotWritten> {
        let counts = &self.shared.counts;
        let all = counts.accepted();
        let mut written = counts.watch();
        self.wake();
        self.shared.hurry.notify_one();
        let done = async { written.wait_for(|written| *written >= all).await.is_ok() };
        if Handle::try_current().is_ok() {
            // The time being up tells what the number tells.
            let _ = tokio::time::timeout(LONGEST_FLUSH, done).await;
        }
        match all.saturating_sub(self.status().written) {
            0 => Ok(()),
            left => Err(RecordsNotWritten { left }),
        }
    }

    pub(super) fn push(&self, record: AuditRecord) {
        let shared = &self.shared;
        if !shared.counts.accept(self.most_queued) {
            telemetry::audit_dropped(shared.counts.queued());
            return;
        }
        // The other end is in `idle` or in the task, which ends after the last handle.
        let _ = shared.queue.send(record);
        self.wake();
    }

    fn wake(&self) {
        if self.shared.is_idle.load(Ordering::Acquire) {
            self.start();
        }
    }

    #[cold]
    fn start(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // Not spawned under the lock: a runtime that is about to end drops the task at once, which puts the work back.
        if let Some(work) = self.shared.take_work() {
            runtime.spawn(Lease::new(work, Arc::downgrade(&self.shared)).run());
        }
    }
}

impl Shared {
    fn take_work(&self) -> Option<Work> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_idle.store(false, Ordering::Release);
        idle.take()
    }

    /// The task has ended before its time.
    pub(super) fn put_back(&self, work: Work) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        *idle = Some(work);
        self.is_idle.store(true, Ordering::Release);
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("most_queued", &self.most_queued)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
