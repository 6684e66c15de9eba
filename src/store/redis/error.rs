use std::sync::Arc;
use std::time::Duration;

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisRevocationsError {
    /// It could not be reached, or refused.
    #[error("the engine of revocations failed")]
    Engine(#[source] Arc<redis::RedisError>),
    /// It did not answer in time. Whether it did what it was asked is not known.
    #[error("the engine of revocations did not answer within {after:?}")]
    DeadlinePassed {
        /// The time that it had.
        after: Duration,
    },
    /// The revocation stands, and fewer replicas than wanted have it yet.
    #[error("{had} of {wanted} replicas have the revocation")]
    TooFewReplicas {
        /// What `replicas` asks for.
        wanted: u32,
        /// How many had it in time.
        had: u32,
    },
    /// What answers is a replica, which may have been left behind.
    #[error("the engine is a replica and no primary")]
    NotPrimary,
    /// The engine is new, or has lost what it held and was not told again yet.
    #[error("the engine may lack revocations")]
    Incomplete,
    /// The engine holds something about this credential that this version cannot read.
    #[error("what the engine holds cannot be read")]
    Unreadable,
    /// There is no tokio runtime here to hear with.
    #[error("there is no tokio runtime")]
    NoRuntime,
}

impl From<redis::RedisError> for RedisRevocationsError {
    fn from(error: redis::RedisError) -> Self {
        Self::Engine(Arc::new(error))
    }
}
