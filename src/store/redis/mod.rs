//! What machines share over Redis or Valkey. The folder `limits/` has rate limits, where each request asks the engine. All else is
//! about revocations: every node holds all of them in memory and hears of new ones, so no request asks anybody.
//!
//! ```text
//! revocations  RedisRevocations, what layers and who revokes use      builder   its settings
//! node         what this process holds, and whether it hears          status    the same for people
//! follower     the task that loads, hears, and tells                  owed      what it has to tell
//! ear          the connection that it does all this on                news      what it hears, and where it is
//! engine       what others ask of the engine; its keys                line      their connection, with deadlines
//! merge.lua    the only thing that writes entries                     wire      entries as text
//! ```
//!
//! # Why nothing that was acknowledged or heard is lost while this process lives
//!
//! - Entries only grow: merging keeps whatever another order does not cover. So it does not matter in which order, or how
//!   often, a node or the engine learns of one, and two writers need not know of each other.
//! - A node takes the id of the newest news *before* it loads, and reads on from there: what is written meanwhile is loaded,
//!   heard, or both. News are a stream and not `PUBLISH`, because a stream can be read from where one was.
//! - A node has a place: the last news that it read. With every reading it asks whether they are still there, in an engine of
//!   the same generation that is a primary. An engine that came back empty, a replica that lagged behind, or a stream that was
//!   cut short fails that. Then the node loads everything anew, and owes the engine whatever it holds beside.
//! - An acknowledgement alone proves nothing, since the engine that gave it may be gone in the next moment. So whatever was
//!   revoked here is owed as well, until it is read in the news, on the connection that hears.
//! - To hear is to have been told that there is nothing newer, and it counts from when that was asked. To be connected is not.
//! - An engine without a generation may lack anything, so routes that ask it refuse. A node names one when it owes the engine
//!   nothing, some seconds after it came, and while nobody else puts back.

mod builder;
mod ear;
mod engine;
mod error;
mod follower;
#[cfg(feature = "rate-limit")]
mod limits;
mod line;
mod news;
mod node;
mod owed;
mod revocations;
mod status;
mod wire;

pub use builder::RedisRevocationsBuilder;
pub use error::RedisRevocationsError;
#[cfg(feature = "rate-limit")]
pub use limits::{RedisRateLimits, RedisRateLimitsError};
pub use revocations::RedisRevocations;
pub use status::{Hearing, RedisRevocationsStatus};
