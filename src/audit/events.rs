use std::convert::Infallible;

use super::{AuditRecord, AuditSink, Decision};

/// Emits each record as an event `request decided` of the target `tower_resource_server::audit`: at info, and at warn if the
/// request was refused. The time of the event is when it is emitted; the request's is in the field `time`.
///
/// It never fails, so nothing is kept for another try: whether the subscriber wrote it is not known. For an audit that must not
/// have gaps take [`JsonLines`](super::JsonLines).
///
/// ```
/// use tower_resource_server::{AuditLog, TracingSink};
///
/// let log = AuditLog::new(TracingSink::new());
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingSink;

/// What subscribers filter by. It changes only with a major version.
const TARGET: &str = "tower_resource_server::audit";

impl TracingSink {
    /// A sink that emits events to whatever subscriber there is in the task of the log: the process's default one.
    pub fn new() -> Self {
        Self
    }
}

impl AuditSink for TracingSink {
    type Error = Infallible;

    async fn write(&mut self, records: &[AuditRecord]) -> Result<(), Infallible> {
        records.iter().for_each(emit);
        Ok(())
    }
}

/// The fields of a level's event: a level is part of what is known of an event when the program is built.
macro_rules! event {
    ($level:ident, $record:expr) => {{
        let record = $record;
        tracing::event!(
            target: TARGET,
            tracing::Level::$level,
            time = super::rfc3339::text(record.time()),
            taken_us = u64::try_from(record.taken().as_micros()).unwrap_or(u64::MAX),
            http_method = record.http_method().as_str(),
            route = record.route(),
            decision = record.decision().as_str(),
            reason = record.reason(),
            ending = record.ending().as_str(),
            status = record.status(),
            grpc_status = record.grpc_status(),
            method = record.method().map(crate::principal::Method::as_str),
            issuer = record.issuer(),
            subject = record.subject(),
            user = record.is_user(),
            client = record.client(),
            key_id = record.key_id(),
            token_id = record.token_id(),
            actor_subject = record.actor().and_then(|actor| actor.subject.as_deref()),
            actor_issuer = record.actor().and_then(|actor| actor.issuer.as_deref()),
            actor_client = record.actor().and_then(|actor| actor.client.as_deref()),
            requirement = record.requirement(),
            address = record.address().map(tracing::field::display),
            request_id = record.request_id(),
            "request decided"
        );
    }};
}

fn emit(record: &AuditRecord) {
    if record.decision() == Decision::Refused {
        event!(WARN, record);
    } else {
        event!(INFO, record);
    }
}
