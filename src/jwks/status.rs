use std::time::SystemTime;

/// How an issuer's keys are, for health pages: what can be used now, and what is being done about it.
///
/// Fixed keys are always fresh, and nothing is fetched for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The keys in memory.
    pub keys: KeyState,
    /// The fetch of the next ones.
    pub fetch: FetchState,
}

/// The keys of an issuer that are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// There are none, or they are too old to be used: tokens are answered with 503.
    None,
    /// They are within the life that their source gave them.
    Fresh,
    /// Their life is over and they could not be renewed. They are used until `CachedKeys::stale_for` is over too.
    Stale {
        /// When their life ended.
        since: SystemTime,
    },
}

/// The fetch of an issuer's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchState {
    /// None runs, and the last one did not fail.
    Idle,
    /// One runs.
    Running,
    /// The last one failed.
    Waiting {
        /// When the next one starts.
        retry_at: SystemTime,
    },
}

impl KeyStatus {
    /// Of keys that never change.
    pub(crate) const FIXED: Self = Self {
        keys: KeyState::Fresh,
        fetch: FetchState::Idle,
    };

    /// Whether tokens can be judged: the keys are fresh, or stale and still in use.
    pub fn is_usable(&self) -> bool {
        self.keys != KeyState::None
    }
}

impl KeyState {
    /// The name of the state in metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fresh => "fresh",
            Self::Stale { .. } => "stale",
        }
    }
}

impl FetchState {
    /// The name of the state in metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Waiting { .. } => "waiting",
        }
    }
}
