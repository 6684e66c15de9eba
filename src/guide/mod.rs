//! Chapters about what no single type can tell. They hold no code of the crate; their examples are run as tests.

#[doc = include_str!("wiring.md")]
pub mod wiring {}

#[doc = include_str!("transport.md")]
pub mod transport {}

#[doc = include_str!("cors.md")]
pub mod cors {}

#[doc = include_str!("api-keys.md")]
pub mod api_keys {}

#[doc = include_str!("issuers.md")]
pub mod issuers {}

#[doc = include_str!("keys.md")]
pub mod keys {}

#[doc = include_str!("demands.md")]
pub mod demands {}

#[doc = include_str!("rate-limits.md")]
pub mod rate_limits {}

#[doc = include_str!("revocation.md")]
pub mod revocation {}

#[doc = include_str!("checks.md")]
pub mod checks {}

#[doc = include_str!("telemetry.md")]
pub mod telemetry {}

#[doc = include_str!("audit.md")]
pub mod audit {}

#[doc = include_str!("testing.md")]
pub mod testing {}
