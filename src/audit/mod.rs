//! One record of each request and its decision: what is in it, the queue that it waits in, and where it is written to.

mod channel;
mod erased;
#[cfg(feature = "tracing")]
mod events;
mod json_lines;
mod log;
mod open;
mod record;
mod rfc3339;
mod sink;
mod status;
mod text;
mod work;

pub use channel::{AuditReceiver, ChannelSink, ReceiverGone};
#[cfg(feature = "tracing")]
pub use events::TracingSink;
pub use json_lines::{JsonLines, LinesNotWritten};
pub use log::{AuditLog, RecordsNotWritten};
pub(crate) use open::{Open, Told};
pub use record::{AuditRecord, Decision, Ending};
pub use sink::AuditSink;
pub use status::AuditStatus;
pub(crate) use text::plain;
