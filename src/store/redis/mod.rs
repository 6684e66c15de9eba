//! Revocations over Redis or Valkey: every node holds all of them in memory and hears of new ones, so no request asks anybody.
//!
//! ```text
//! revocations  RedisRevocations, what layers and who revokes use      builder   its settings
//! node         what this process holds, and whether it hears          status    the same for people
//! follower     the task that loads and hears, and puts back what the engine has lost
//! engine       the keys and commands                                  merge.lua the only thing that writes
//! line         connections with deadlines                             wire      entries as text
//! ```
//!
//! # Why nothing that was heard is lost
//!
//! - Entries only grow: merging takes the later and the higher of each part. So it does not matter in which order, or how
//!   often, a node or the engine learns of one, and two writers need not know of each other.
//! - A node takes the id of the newest news *before* it loads, and reads on from there: what is written meanwhile is loaded,
//!   heard, or both. News are a stream and not PUBLISH, because a stream can be read from where one was.
//! - Before each reading a node asks whether the engine is still the one it knows: of the same generation, and with the last
//!   news that the node knows of, by hearing, loading or revoking, in the stream. An engine that came back empty, a replica
//!   that lagged behind, or a stream that was cut short fails one of these. Then the node loads everything anew and puts back
//!   all that it holds.

mod builder;
mod engine;
mod error;
mod follower;
mod line;
mod node;
mod revocations;
mod status;
mod wire;

pub use builder::RedisRevocationsBuilder;
pub use error::RedisRevocationsError;
pub use revocations::RedisRevocations;
pub use status::{Hearing, RedisRevocationsStatus};
