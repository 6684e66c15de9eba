use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::line::ANSWER;

/// Why the engine did not count a request.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisRateLimitsError {
    /// It could not be reached, or refused.
    #[error("the engine of rate limits failed")]
    Engine(#[source] Arc<RedisError>),
    /// It did not answer in time. Whether it counted the request is not known.
    #[error("the engine of rate limits did not answer within {after:?}")]
    DeadlinePassed {
        /// The time that it had.
        after: Duration,
    },
    /// What answers is a replica, where nothing can be counted.
    #[error("the engine of rate limits is a replica and no primary")]
    NotPrimary,
    /// There is no tokio runtime here to connect with.
    #[error("there is no tokio runtime")]
    NoRuntime,
}

impl From<RedisError> for RedisRateLimitsError {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::DeadlinePassed { after: ANSWER }
        } else if is_of_a_replica(&error) {
            Self::NotPrimary
        } else {
            Self::Engine(Arc::new(error))
        }
    }
}

impl RedisRateLimitsError {
    /// Whether it says something about the connection, and not only about what was asked.
    pub(super) fn is_about_the_connection(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_io_error() || error.is_unrecoverable_error(),
            Self::DeadlinePassed { .. } | Self::NotPrimary => true,
            Self::NoRuntime => false,
        }
    }

    /// Whether the engine knows no script of this digest.
    pub(super) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Engine(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }
}

/// Engines before Redis 7 tell what a script met inside of an error of their own.
fn is_of_a_replica(error: &RedisError) -> bool {
    let kinds = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown];
    kinds.map(ErrorKind::Server).contains(&error.kind())
        || error.detail().is_some_and(|detail| detail.contains("-READONLY"))
}
