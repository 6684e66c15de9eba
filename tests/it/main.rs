//! The one integration-test binary. Each file is a subject; each test is a sentence about behaviour that a user of the
//! crate can see.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it stands, and may tell what it measured"
)]

mod gate;
mod news_line;
mod postgres;
mod redis_server;
mod server;
mod support;

mod allocations;
mod api_keys;
mod architecture;
mod audit;
mod caller_address;
mod callers;
mod claims;
mod combining;
mod conformance;
mod demands;
mod differential;
mod drills;
mod edges;
mod examples;
mod explain;
mod failed_attempts;
mod grpc;
mod hostile_keys;
mod hostile_tokens;
mod issuers;
mod jwt;
mod key_forms;
mod key_life;
mod key_stores;
mod keys;
mod known_tokens;
mod metrics;
mod neighbours;
mod presenting;
mod rate_limits;
mod rate_limits_redis;
mod real_issuer;
mod refusals;
mod remote_keys;
mod resolved;
mod revocations;
mod revocations_redis;
mod rfc;
mod scopes;
mod secrets;
mod services;
mod sizes;
mod telemetry;
mod vectors;
