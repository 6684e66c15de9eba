//! Three moods of error: for who configures ([`ConfigError`]), for who runs the service and reads its log
//! ([`AuthError`]), and for the client ([`Rejection`]).

mod auth;
mod chain;
mod config;
mod rejection;

pub use auth::AuthError;
pub(crate) use chain::{Told, causes, chain};
pub(crate) use config::Problems;
pub use config::{ConfigError, Problem};
pub(crate) use rejection::Refusal;
pub use rejection::{Fault, Rejection, RejectionKind};
