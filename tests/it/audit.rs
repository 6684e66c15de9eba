//! One record for each request and what was decided about it.

mod log;
mod requests;
mod sinks;

use futures_util::FutureExt;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{AuditLayer, AuditLog, AuditReceiver, AuditRecord, ChannelSink};

/// An audit whose records can be looked at.
pub(crate) struct Audited {
    pub(crate) log: AuditLog,
    pub(crate) clock: TestClock,
    records: AuditReceiver,
}

impl Audited {
    pub(crate) fn new() -> Self {
        let (sink, records) = ChannelSink::new(1024);
        Self {
            log: AuditLog::new(sink),
            clock: TestClock::new(),
            records,
        }
    }

    pub(crate) fn layer(&self) -> AuditLayer {
        AuditLayer::new(self.log.clone()).clock(self.clock.clone())
    }

    /// What was recorded since the last time.
    pub(crate) async fn all(&mut self) -> Vec<AuditRecord> {
        self.log.flush().await.unwrap();
        std::iter::from_fn(|| self.records.recv().now_or_never().flatten()).collect()
    }

    /// What was recorded since, which is one record.
    pub(crate) async fn one(&mut self) -> AuditRecord {
        let mut all = self.all().await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }
}

/// `decision reason ending status method subject requirement`, with `-` for what is absent.
pub(crate) fn told(record: &AuditRecord) -> String {
    let status = record
        .status()
        .map_or_else(|| "-".to_owned(), |status| status.to_string());
    let words = [
        record.decision().as_str(),
        record.reason(),
        record.ending().as_str(),
        &status,
        record.method().map_or("-", |method| method.as_str()),
        record.subject().unwrap_or("-"),
        record.requirement().unwrap_or("-"),
    ];
    words.join(" ")
}
