//! Judging JWT access tokens (RFC 7519, RFC 8725, RFC 9068): from an `UnverifiedToken`, of which only the issuer's name
//! may be read, to a `VerifiedToken`, which only a good signature makes, to a principal, which passed every rule.

mod authenticator;
mod builder;
mod claims;
mod client;
mod explain;
mod header;
mod issuer;
mod json;
mod marks;
mod names;
mod path;
mod profile;
#[cfg(feature = "remote")]
mod resolved;
#[cfg(feature = "remote")]
mod resolver;
mod rules;
mod scopes;
mod tenants;
mod token;
mod token_name;
mod trusted;
mod verified_tokens;

pub(crate) use authenticator::JwtAuthenticator;
pub use builder::{IssuerBuilder, NoAudience, WithAudience};
pub use explain::{Check, CheckState, Explanation};
pub use issuer::Issuer;
pub use profile::Profile;
#[cfg(feature = "remote")]
pub use resolver::{IssuerResolver, ResolvedIssuers};
pub use scopes::ScopeSource;
pub use trusted::TrustedIssuers;
