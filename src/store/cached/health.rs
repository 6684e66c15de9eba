use std::time::{Duration, SystemTime};

use super::{CachedKeyStoreError, StoreState};

/// A store that fails is asked again after this time, by one load, and so on.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Whether the store answers, and when it may be asked if it does not. Neither waits nor locks nor asks the time.
#[derive(Debug)]
pub(super) struct Health {
    state: StoreState,
    /// Counts the answers.
    answers: u64,
    /// Why it is taken to be down, if it is.
    cause: Option<CachedKeyStoreError>,
    failed_at: Duration,
    retry_at: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: StoreState::Unasked,
            answers: 0,
            cause: None,
            failed_at: Duration::ZERO,
            retry_at: Duration::ZERO,
        }
    }
}

impl Health {
    pub(super) fn state(&self) -> StoreState {
        self.state
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    pub(super) fn is_failing(&self) -> bool {
        self.cause.is_some()
    }

    /// Until when the last failure is believed, if nobody asks meanwhile. Zero: there is none.
    pub(super) fn fails_until(&self, believed_for: Duration) -> Duration {
        let failed_at = self.cause.as_ref().map(|_| self.failed_at);
        failed_at.map_or(Duration::ZERO, |at| at.saturating_add(believed_for))
    }

    /// Whether the store may be asked; if not, why it is taken to be down.
    pub(super) fn may_ask(&self, now: Duration) -> Result<(), CachedKeyStoreError> {
        match &self.cause {
            Some(cause) if now < self.retry_at => Err(cause.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn asks(&mut self, now: Duration) {
        if self.is_failing() {
            self.retry_at = now.saturating_add(BACK_OFF);
        }
    }

    /// Gives why it was taken to be down, if it was: then this is news.
    pub(super) fn answered(&mut self, date: SystemTime) -> Option<CachedKeyStoreError> {
        self.answers = self.answers.wrapping_add(1);
        let failed = self.cause.take();
        if failed.is_some() || self.state == StoreState::Unasked {
            self.state = StoreState::Answering { since: date };
        }
        failed
    }

    /// A load during which others were answered says nothing about the store. Gives the cause that is forgotten: the new
    /// one, or the one that there was.
    pub(super) fn failed(
        &mut self,
        answers_before: u64,
        cause: CachedKeyStoreError,
        (now, date): (Duration, SystemTime),
    ) -> Option<CachedKeyStoreError> {
        if self.answers != answers_before {
            return Some(cause);
        }
        self.failed_at = now;
        self.retry_at = now.saturating_add(BACK_OFF);
        let before = self.cause.replace(cause);
        if before.is_none() {
            self.state = StoreState::Failing { since: date };
        }
        before
    }
}
