use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// How an [`AuditLog`](super::AuditLog) is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStatus {
    /// Records that are not written yet, those that the sink has in hand included.
    pub queued: u64,
    /// Records that the sink has written.
    pub written: u64,
    /// Records that found the queue full, and are gone.
    pub dropped: u64,
    /// Calls of the sink that failed. What they had in hand was kept.
    pub failed_writes: u64,
}

/// Counted by requests and by the task, which outlives the log's handles.
#[derive(Debug)]
pub(super) struct Counts {
    accepted: AtomicU64,
    dropped: AtomicU64,
    failed_writes: AtomicU64,
    written: watch::Sender<u64>,
    /// The same number, to be read without a lock.
    done: AtomicU64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed_writes: AtomicU64::new(0),
            written: watch::Sender::new(0),
            done: AtomicU64::new(0),
        }
    }

    /// Takes a place in the queue, unless this many are taken.
    pub(super) fn accept(&self, most: u64) -> bool {
        let place = |accepted: u64| (self.queued_of(accepted) < most).then(|| accepted + 1);
        let accepted = self
            .accepted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, place);
        if accepted.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        accepted.is_ok()
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn wrote(&self, records: usize) {
        let done = self.done.load(Ordering::Relaxed) + records as u64; // one task at a time
        self.done.store(done, Ordering::Relaxed);
        self.written.send_replace(done);
    }

    pub(super) fn failed(&self) {
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    pub(super) fn queued(&self) -> u64 {
        self.queued_of(self.accepted())
    }

    fn queued_of(&self, accepted: u64) -> u64 {
        accepted.saturating_sub(self.done.load(Ordering::Relaxed))
    }

    pub(super) fn status(&self) -> AuditStatus {
        AuditStatus {
            queued: self.queued(),
            written: self.done.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed_writes: self.failed_writes.load(Ordering::Relaxed),
        }
    }
}
