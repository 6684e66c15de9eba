//! The task behind the queue. It owns the sink and the end of the queue, and gives both back if its runtime ends under it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use super::AuditRecord;
use super::erased::ErasedSink;
use super::log::Shared;
use super::status::Counts;
use crate::telemetry;

/// How many records the sink is given at once: enough that its own cost for a call is spread.
const BATCH: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Work {
    sink: Box<dyn ErasedSink>,
    queue: UnboundedReceiver<AuditRecord>,
    /// What the sink has in hand; kept until it is written.
    batch: Vec<AuditRecord>,
    counts: Arc<Counts>,
    /// Somebody waits for what is queued: no pause now.
    hurry: Arc<Notify>,
    fails: bool,
}

impl Work {
    pub(super) fn new(
        sink: Box<dyn ErasedSink>,
        queue: UnboundedReceiver<AuditRecord>,
        counts: Arc<Counts>,
        hurry: Arc<Notify>,
    ) -> Self {
        Self {
            sink,
            queue,
            batch: Vec::new(),
            counts,
            hurry,
            fails: false,
        }
    }

    /// Ends when the last handle is gone and everything is written.
    async fn write_all(&mut self) {
        loop {
            if self.batch.is_empty() && self.queue.recv_many(&mut self.batch, BATCH).await == 0 {
                return;
            }
            self.write_batch().await;
        }
    }

    async fn write_batch(&mut self) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.sink.write(&self.batch).await {
            self.counts.failed();
            telemetry::audit_queue(self.counts.queued());
            if !self.fails {
                telemetry::audit_not_written(&error);
            }
            self.fails = true;
            // Not all nodes at once, when what they write to is back.
            let random = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            let _ = tokio::time::timeout(random, self.hurry.notified()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.counts.wrote(self.batch.len());
        self.batch.clear();
        telemetry::audit_queue(self.counts.queued());
        if std::mem::take(&mut self.fails) {
            telemetry::audit_written_again();
        }
    }
}

/// What a task works with, which goes back if the task ends with work left.
pub(super) struct Lease {
    work: Option<Work>,
    /// Not kept: the task must not keep the queue open that it waits for.
    home: Weak<Shared>,
}

impl Lease {
    pub(super) fn new(work: Work, home: Weak<Shared>) -> Self {
        Self {
            work: Some(work),
            home,
        }
    }

    pub(super) async fn run(mut self) {
        if let Some(work) = &mut self.work {
            work.write_all().await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(home), Some(work)) = (self.home.upgrade(), self.work.take()) {
            home.put_back(work);
        }
    }
}
