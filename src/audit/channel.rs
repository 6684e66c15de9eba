use tokio::sync::mpsc;

use super::{AuditRecord, AuditSink};

/// Hands records to code of yours, through a bounded channel.
///
/// ```
/// use tower_resource_server::{AuditLog, ChannelSink};
///
/// let (sink, mut records) = ChannelSink::new(1024);
/// let log = AuditLog::new(sink);
/// // In a task: while let Some(record) = records.recv().await { … }
/// ```
///
/// While the channel is full, records wait in the log's queue, and are dropped there if that fills up. When the receiver is gone,
/// writing fails.
#[derive(Debug)]
pub struct ChannelSink(mpsc::Sender<AuditRecord>);

/// The end of a [`ChannelSink`] where records come out.
#[derive(Debug)]
pub struct AuditReceiver(mpsc::Receiver<AuditRecord>);

/// Nobody receives the records any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody receives the records of the audit")]
#[non_exhaustive]
pub struct ReceiverGone;

impl ChannelSink {
    /// A channel with room for this many records, at least one, beside those in the log's queue.
    pub fn new(room: usize) -> (Self, AuditReceiver) {
        let (sender, receiver) = mpsc::channel(room.clamp(1, MOST_ROOM));
        (Self(sender), AuditReceiver(receiver))
    }
}

/// More than anybody has memory for; tokio's own limit is not to be met.
const MOST_ROOM: usize = 1 << 24;

impl AuditReceiver {
    /// The next record; `None` when the log is gone and everything was received.
    pub async fn recv(&mut self) -> Option<AuditRecord> {
        self.0.recv().await
    }
}

impl AuditSink for ChannelSink {
    type Error = ReceiverGone;

    async fn write(&mut self, records: &[AuditRecord]) -> Result<(), ReceiverGone> {
        for record in records {
            self.0.send(record.clone()).await.map_err(|_| ReceiverGone)?;
        }
        Ok(())
    }
}
