//! The Tower layers: the only folder that knows `Service`. One service authenticates, one authorizes, one future serves
//! both, and refusals are written in one place.

#[cfg(all(feature = "api-key", feature = "jwt"))]
mod any_of;
#[cfg(feature = "api-key")]
mod api_key;
#[cfg(feature = "audit")]
mod audit;
#[cfg(any(feature = "api-key", feature = "jwt"))]
mod authenticate;
mod authorize;
mod body;
mod caller;
#[cfg(feature = "rate-limit")]
mod failed_attempts;
mod future;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(any(feature = "api-key", feature = "jwt"))]
mod optional;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod refusal;
#[cfg(any(feature = "api-key", feature = "jwt"))]
mod revocation_check;
mod scope;
mod step_up;
mod token_age;

#[cfg(all(feature = "api-key", feature = "jwt"))]
pub use any_of::AnyOfLayer;
#[cfg(feature = "api-key")]
pub use api_key::ApiKeyLayer;
#[cfg(feature = "audit")]
pub use audit::{Audit, AuditFuture, AuditLayer, AuditRequest};
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use authenticate::Authenticate;
pub use authorize::Authorize;
pub use body::ResponseBody;
pub use caller::CallerLayer;
#[cfg(feature = "rate-limit")]
pub use failed_attempts::{FailedAttemptLayer, LimitFailedAttempts};
pub use future::ResponseFuture;
#[cfg(feature = "jwt")]
pub use jwt::JwtLayer;
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use optional::OptionalLayer;
#[cfg(feature = "rate-limit")]
pub use rate_limit::{RateLimit, RateLimitFuture, RateLimitLayer};
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use revocation_check::{RevocationCheck, RevocationCheckLayer};
pub use scope::ScopeLayer;
pub use step_up::StepUpLayer;
pub use token_age::TokenAgeLayer;
