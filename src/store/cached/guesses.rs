use std::time::Duration;

/// How many look-ups of this second found nobody. Those that find somebody do not count, so that a node which has just
/// started learns its keys as fast as the store can tell them; what is guessed is bounded.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    second: u64,
    missed: usize,
}

impl Guesses {
    pub(super) fn may_ask(&self, now: Duration, most: usize) -> bool {
        self.second != now.as_secs() || self.missed < most
    }

    pub(super) fn missed(&mut self, now: Duration) {
        if self.second != now.as_secs() {
            *self = Self {
                second: now.as_secs(),
                missed: 0,
            };
        }
        self.missed = self.missed.saturating_add(1);
    }
}
