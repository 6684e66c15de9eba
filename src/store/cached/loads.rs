//! One question to the store: a task of its own, which no cancelled request stops.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::CachedKeyStoreError;
use super::cache::Cache;
use super::entries::Read;
use super::tasks::{Owner, caught, ends_with};
use crate::api_key::{ApiKeyRecord, KeyDigest, KeyStore};
use crate::telemetry;

/// A load goes on when its requests wait no more, so that a store which is slow is not asked in vain; but not for ever.
const LONGEST_LOAD: Duration = Duration::from_secs(5);

pub(super) type Answer = Result<Option<ApiKeyRecord>, CachedKeyStoreError>;

/// Where all who wait for a load hear its answer.
pub(super) type Answered = watch::Receiver<Option<Answer>>;

/// What a load was begun with.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) key: KeyDigest,
    pub(super) was_known: bool,
    pub(super) number: u64,
    /// How often the store had answered.
    pub(super) answers_before: u64,
    pub(super) read: Read,
}

/// The room that a load waits for among those under way.
pub(super) struct Room {
    pub(super) queue: Arc<Semaphore>,
    /// The place in the line of a key that may be anybody's; a key that was known needs none.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// What a load holds while the store is asked.
struct Entered {
    _room: OwnedSemaphorePermit,
    _place: Option<OwnedSemaphorePermit>,
}

impl Room {
    async fn enter(self, longest: Duration) -> Option<Entered> {
        let room = timeout(longest, self.queue.acquire_owned()).await.ok()?.ok()?;
        Some(Entered {
            _room: room,
            _place: self.place,
        })
    }
}

/// A load on the list of those under way. However it ends, it leaves the list.
pub(super) struct UnderWay<S: KeyStore> {
    cache: Weak<Cache<S>>,
    ticket: Ticket,
    tell: watch::Sender<Option<Answer>>,
}

impl<S: KeyStore> UnderWay<S> {
    pub(super) fn new(cache: Weak<Cache<S>>, ticket: Ticket, tell: watch::Sender<Option<Answer>>) -> Self {
        Self { cache, ticket, tell }
    }

    pub(super) fn subscribe(&self) -> Answered {
        self.tell.subscribe()
    }

    /// The store is not asked, which says nothing about it.
    fn turn_away(self, error: CachedKeyStoreError) {
        self.tell.send_replace(Some(Err(error)));
    }

    /// Whether the store may still be asked: others may have found nobody while this one waited.
    fn may_ask(&self) -> bool {
        let cache = self.cache.upgrade();
        self.ticket.was_known || cache.is_some_and(|cache| cache.may_guess())
    }

    /// Nobody waits any longer, and the store is taken to be down.
    fn is_late(&self) {
        let error = CachedKeyStoreError::Deadline;
        if let Some(cache) = self.cache.upgrade() {
            cache.fails(&self.ticket, &error);
        }
        self.tell.send_replace(Some(Err(error)));
    }

    /// Whoever comes from now on is answered from memory.
    fn ends(self, answer: Answer) {
        if let Some(cache) = self.cache.upgrade() {
            cache.end(&self.ticket, &answer);
        }
        self.tell.send_replace(Some(answer));
    }
}

impl<S: KeyStore> Drop for UnderWay<S> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.abandon(&self.ticket);
        }
    }
}

pub(super) async fn run<S: KeyStore>(
    load: UnderWay<S>,
    store: Arc<S>,
    room: Room,
    deadline: Duration,
    owner: Owner,
) {
    ends_with(owner, async move {
        let Some(room) = room.enter(deadline).await else {
            return load.turn_away(CachedKeyStoreError::Deadline);
        };
        if !load.may_ask() {
            return load.turn_away(CachedKeyStoreError::Busy);
        }
        let key = load.ticket.key;
        let mut asked = pin!(caught(async {
            let found = store.find(&key).await;
            found.map_err(CachedKeyStoreError::of_find::<S>)
        }));
        let mut answer = timeout(deadline, asked.as_mut()).await;
        if answer.is_err() {
            load.is_late();
            answer = timeout(LONGEST_LOAD.saturating_sub(deadline), asked).await;
        }
        // Whoever is told the answer finds room again.
        drop(room);
        match answer {
            Ok(answer) => load.ends(answer),
            Err(_) => telemetry::key_loaded("failed"),
        }
    })
    .await;
}
