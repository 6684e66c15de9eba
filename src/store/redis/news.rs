//! The news that the engine keeps: a stream, of which every node has read so much.

use std::fmt;

/// An entry's id: milliseconds of the engine's clock, and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct NewsId(u64, u64);

impl NewsId {
    pub(super) fn read(text: &str) -> Self {
        let read = || {
            let (time, count) = text.split_once('-')?;
            Some(Self(time.parse().ok()?, count.parse().ok()?))
        };
        read().unwrap_or_default()
    }
}

impl fmt::Display for NewsId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.0, self.1)
    }
}

/// One entry, and the name in it: two engines that both took orders may have given one id to two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) id: NewsId,
    pub(super) name: Vec<u8>,
}

/// How far a node has read, in which engine.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `None` while nobody has put back what the engine lost.
    pub(super) generation: Option<String>,
    pub(super) last: Spot,
    /// What was loaded may be as new as this. Before it is read, too, this is no place to come back to.
    pub(super) settles: NewsId,
}

/// What one turn of listening brought.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) news: Vec<(Spot, Vec<u8>)>,
    /// Nothing newer was there.
    pub(super) is_all: bool,
    /// It is still the engine, and the stream, in which the place is.
    pub(super) is_intact: bool,
    pub(super) generation: Option<String>,
    /// The newest news after what was sent, if the engine took it.
    pub(super) sent: Option<NewsId>,
}
