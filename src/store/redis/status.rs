use std::time::SystemTime;

/// Whether a node hears of revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hearing {
    /// Not yet: what the engine holds was not loaded.
    NotYet,
    /// All that the engine holds is known, and what is new is heard.
    Now,
    /// Not since then.
    NotSince(SystemTime),
}

/// What a node knows of revocations, for a page about health.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisRevocationsStatus {
    /// Whether it hears.
    pub hearing: Hearing,
    /// How many entries it holds, those that no longer count and were not cleared away yet included.
    pub entries: usize,
    /// How many orders this node knows that it has not read in the engine yet: more than a few, for longer than a second, are being
    /// put back, or the engine refuses them.
    pub owed: usize,
    /// The last news that it heard, as the id of an entry of the engine's stream.
    pub last_id: Option<String>,
    /// How often it came across an entry that it could not read, written by a later version of this crate or by others; the same one
    /// counts whenever it is read.
    pub unreadable: u64,
}
