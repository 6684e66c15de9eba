//! API keys: what one looks like, what is stored of it, and the ports to who stores and administers them.

mod authenticator;
mod digest;
mod format;
mod forms;
mod new_key;
mod news;
mod query;
mod record;
mod record_builder;
mod registry;
mod report;
mod store;
#[cfg(feature = "stored-keys")]
mod usage;

pub(crate) use authenticator::ApiKeyAuthenticator;
pub use digest::KeyDigest;
pub use format::{ApiKeyFormat, MintError, MintedKey};
pub use new_key::NewKey;
pub use news::{KeyNews, KeyNewsListener};
pub use query::KeyQuery;
pub use record::ApiKeyRecord;
pub use record_builder::ApiKeyRecordBuilder;
pub use registry::{Committed, IssuedKey, KeyChange, KeyRegistry, KeyUses, RegistryError};
pub use report::{KeyReport, ReportLimits};
pub use store::KeyStore;
#[cfg(feature = "stored-keys")]
pub use usage::{UsageRecorder, UsesNotWritten};
