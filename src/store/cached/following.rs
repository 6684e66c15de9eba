//! The task that hears of changed keys. It holds no cache, so it ends with the last use of one or with its runtime, and the
//! next request starts another.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::cache::Cache;
use super::tasks::{caught, ends_with};
use super::{CachedKeyStoreError, NewsState};
use crate::api_key::{KeyNews, KeyNewsListener, KeyStore};
use crate::telemetry;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl<S: KeyStore> Cache<S> {
    /// Sees to it that there is a task that hears the news, if there are any.
    pub(super) fn follow(self: &Arc<Self>) {
        if self.follows.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.follows.swap(true, Ordering::AcqRel) {
            return;
        }
        let following = Following {
            cache: Arc::downgrade(self),
            settled: false,
        };
        let work = following.run(Arc::clone(&self.store));
        drop(runtime.spawn(ends_with(self.owner(), work)));
    }

    fn begins_to_follow(&self) -> u64 {
        let mut state = self.state();
        state.attempt = state.attempt.wrapping_add(1);
        state.attempt
    }

    fn hear(&self, attempt: u64, news: KeyNews) {
        match news {
            KeyNews::Changed(key) => self.forget(&key),
            KeyNews::Listening => {
                let date = self.date();
                let mut state = self.state();
                // An attempt that is over has nothing to say about now.
                if state.attempt != attempt {
                    return;
                }
                self.hears_everything(&mut state);
                let heard = matches!(state.news, NewsState::Heard { .. });
                if !heard {
                    state.news = NewsState::Heard { since: date };
                }
                drop(state);
                if !heard {
                    telemetry::key_changes_heard();
                }
            }
        }
    }

    /// The attempt is over. Whether anything was heard in it.
    fn hears_no_more(&self, error: &CachedKeyStoreError) -> bool {
        let date = self.date();
        let mut state = self.state();
        state.attempt = state.attempt.wrapping_add(1);
        self.hears_nothing(&mut state);
        let before = std::mem::replace(&mut state.news, NewsState::Unheard { since: date });
        if let NewsState::Unheard { .. } = before {
            state.news = before;
        }
        drop(state);
        if !matches!(before, NewsState::Unheard { .. }) {
            telemetry::key_changes_not_heard(error);
        }
        matches!(before, NewsState::Heard { .. })
    }

    fn has_no_news(&self) {
        let mut state = self.state();
        state.attempt = state.attempt.wrapping_add(1);
        self.hears_nothing(&mut state);
        state.news = NewsState::None;
    }
}

/// Says that the task has ended, unless the store has no news: then there is nothing to start another for.
struct Following<S: KeyStore> {
    cache: Weak<Cache<S>>,
    settled: bool,
}

impl<S: KeyStore> Following<S> {
    async fn run(mut self, store: Arc<S>) {
        let mut pause = FIRST_PAUSE;
        while let Some(heard) = self.attempt(&store).await {
            if heard {
                pause = FIRST_PAUSE;
            }
            // A fleet that lost its database does not come back in one moment.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        self.settled = true;
    }

    /// Whether anything was heard before it failed; `None` if there is nothing to hear, or nobody who wants to.
    async fn attempt(&self, store: &S) -> Option<bool> {
        let attempt = self.cache.upgrade()?.begins_to_follow();
        let cache = Weak::clone(&self.cache);
        let listener = KeyNewsListener::new(move |news| {
            if let Some(cache) = cache.upgrade() {
                cache.hear(attempt, news);
            }
        });
        let ended = caught(async {
            let followed = store.follow(&listener).await;
            followed.map_err(CachedKeyStoreError::of)
        })
        .await;
        let cache = self.cache.upgrade()?;
        match ended {
            Ok(()) => {
                cache.has_no_news();
                None
            }
            Err(error) => Some(cache.hears_no_more(&error)),
        }
    }
}

impl<S: KeyStore> Drop for Following<S> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade()
            && !self.settled
        {
            cache.hears_no_more(&CachedKeyStoreError::Runtime);
            cache.follows.store(false, Ordering::Release);
        }
    }
}
