//! Rate limits that machines share: each request is one question to the engine, which judges and counts in one step.
//!
//! ```text
//! rate_limits  RedisRateLimits, what layers use               error   why the engine could not be asked
//! count        one request as a question, and its answer      line    the connection, made beside the requests, and when it
//! take.lua     the decision, and all that is written                  is given up
//! asking       one question on it, which may be dropped
//! ```
//!
//! Whoever asks gives up after some milliseconds, so this does what a request cannot wait for: a task connects, and an answer
//! that nobody waits for any more is waited for all the same, because that it stays out is how a dead connection is noticed.

mod asking;
mod count;
mod error;
mod line;
mod rate_limits;

pub use error::RedisRateLimitsError;
pub use rate_limits::RedisRateLimits;
