//! Who may ask how often.
//!
//! ```text
//! limits   RateLimits: which plan a caller has, and what was used      builder   its settings
//! quota    what a plan allows        plan   its name, and what answers say of it       who   whose requests count together
//! local    counting here, by governor over a table (table), in bounded memory without locks
//! shared   counting together with other machines: port SharedRateLimits, its deadline, and counting alone meanwhile
//! attempts FailedAttempts: how often the credentials of one address may be bad
//! address  where a caller's address is: port AddressSource      forwarding   what proxies say of it
//! ```

mod address;
mod attempts;
mod builder;
mod forwarding;
mod limits;
mod local;
mod plan;
mod quota;
mod shared;
mod table;
mod taken;
mod who;

pub use address::{AddressSource, CallerAddress};
pub use attempts::{FailedAttempts, FailedAttemptsBuilder, FailedAttemptsStatus};
pub use builder::RateLimitsBuilder;
pub(crate) use limits::{Counted, Counting};
pub use limits::{RateLimits, RateLimitsStatus};
pub use quota::Quota;
pub use shared::{Share, SharedRateLimits};
pub use taken::Taken;
