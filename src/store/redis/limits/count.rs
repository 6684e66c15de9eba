//! One request as a question to the engine, and what its answer says.

use std::time::Duration;

use redis::{Cmd, Value};

use super::error::RedisRateLimitsError;
use crate::limit::{Quota, Taken};

const SCRIPT: &str = include_str!("take.lua");
/// The script's SHA-1, by which an engine knows it that has seen it; a test tells when it is another. With a wrong one every
/// request would be asked twice, and counted once.
const DIGEST: &str = "3af5babf90c07a82841a7a476b9ec5c51a764e15";

pub(super) struct Count {
    key: String,
    interval: String,
    recovery: String,
}

impl Count {
    /// Without a hash tag: nothing is asked of two keys, and a cluster may spread them.
    pub(super) fn of(prefix: &str, caller: &str, quota: Quota) -> Self {
        Self {
            key: format!("{prefix}:limit:{caller}"),
            interval: micros(quota.interval()),
            recovery: micros(quota.recovery()),
        }
    }

    pub(super) fn by_digest(&self) -> Cmd {
        self.by("EVALSHA", DIGEST)
    }

    /// The engine knows the digest from then on.
    pub(super) fn by_script(&self) -> Cmd {
        self.by("EVAL", SCRIPT)
    }

    fn by(&self, how: &str, what: &str) -> Cmd {
        let mut question = redis::cmd(how);
        question.arg(what).arg(1).arg(&self.key);
        question.arg(&self.interval).arg(&self.recovery);
        question
    }
}

/// What the script has answered.
pub(super) fn read(answer: Value, quota: Quota) -> Result<Taken, RedisRateLimitsError> {
    let (granted, time): (bool, u64) = redis::from_redis_value(answer).map_err(redis::RedisError::from)?;
    let time = Duration::from_micros(time);
    Ok(if granted {
        Taken::granted(quota, time)
    } else {
        Taken::refused(time)
    })
}

/// With its fraction: intervals are seldom whole.
fn micros(time: Duration) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}
