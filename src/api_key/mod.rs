//! API keys: what one looks like, what is stored of it, and the port to who stores it.

mod authenticator;
mod digest;
mod format;
mod record;
mod store;

pub(crate) use authenticator::ApiKeyAuthenticator;
pub use digest::KeyDigest;
pub use format::{ApiKeyFormat, MintError, MintedKey};
pub use record::{ApiKeyRecord, ApiKeyRecordBuilder};
pub use store::KeyStore;
