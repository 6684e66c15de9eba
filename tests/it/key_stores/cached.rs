//! What a cache in front of a key store remembers, for how long, and what it asks the store. Time is a clock that is turned;
//! the runtime's timers, which bound waits, run ahead by themselves (`start_paused`).

mod changes;
mod lives;
mod news;
mod outages;
mod tasks;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyRecord, CachedKeyStore, CachedKeyStoreError, Committed, KeyChange, KeyDigest, KeyNews,
    KeyNewsListener, KeyQuery, KeyRegistry, KeyStore, KeyUses, MemoryKeyStore,
};

use crate::server::{Gate, PATIENT};
use crate::support::{Down, KEY, READ};

const SECOND: Duration = Duration::from_secs(1);
const FRESH: Duration = Duration::from_secs(10);
const STALE: Duration = Duration::from_secs(600);
const INSTANT: Duration = Duration::from_millis(1);

/// A store that does what a test says, and counts.
#[derive(Clone)]
struct Store(Arc<Script>);

struct Script {
    records: MemoryKeyStore,
    next: Mutex<Next>,
    gate: Mutex<Gate>,
    asked: watch::Sender<Vec<KeyDigest>>,
    /// Look-ups that are under way now.
    running: AtomicUsize,
    news: Mutex<Next>,
    listener: Mutex<Option<KeyNewsListener>>,
    /// How often the news were asked for.
    followed: watch::Sender<usize>,
    following: AtomicUsize,
    cut: Notify,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Down(#[from] Down),
    #[error("the row cannot be read")]
    Row,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Answer,
    Fail,
    /// The record is there, and cannot be read.
    Spoilt,
    Panic,
    /// Of news: there are none.
    Nothing,
}

struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn of(counter: &'c AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Store {
    /// Knows the key of the robot, and has no news to tell.
    fn new() -> Self {
        Self::with_news(Next::Nothing)
    }

    /// The same, and tells of changes.
    fn telling() -> Self {
        Self::with_news(Next::Answer)
    }

    fn with_news(news: Next) -> Self {
        let open = Gate::closed();
        open.open();
        Self(Arc::new(Script {
            records: MemoryKeyStore::from_iter([record(KEY)]),
            next: Mutex::new(Next::Answer),
            gate: Mutex::new(open),
            asked: watch::Sender::default(),
            running: AtomicUsize::new(0),
            news: Mutex::new(news),
            listener: Mutex::default(),
            followed: watch::Sender::default(),
            following: AtomicUsize::new(0),
            cut: Notify::new(),
        }))
    }

    fn then(&self, next: Next) {
        *self.0.next.lock().unwrap() = next;
    }

    /// Attempts to follow that start from now on do this.
    fn news_then(&self, next: Next) {
        *self.0.news.lock().unwrap() = next;
    }

    /// Look-ups that start from now on have read what is there now, and hold it back until the gate is opened.
    fn hold(&self) -> Gate {
        let gate = Gate::closed();
        *self.0.gate.lock().unwrap() = gate.clone();
        gate
    }

    fn let_go(&self) {
        self.hold().open();
    }

    fn put(&self, record: ApiKeyRecord) {
        self.0.records.insert(record);
    }

    fn revoke(&self, key: &str) {
        self.put(record(key).to_builder().revoked().build());
    }

    fn remove(&self, key: &str) {
        self.0.records.remove(&KeyDigest::of(key)).unwrap();
    }

    fn loads(&self) -> usize {
        self.0.asked.borrow().len()
    }

    fn loads_of(&self, key: &str) -> usize {
        let digest = KeyDigest::of(key);
        self.0
            .asked
            .borrow()
            .iter()
            .filter(|asked| **asked == digest)
            .count()
    }

    fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    fn following(&self) -> usize {
        self.0.following.load(Ordering::SeqCst)
    }

    fn followed(&self) -> usize {
        *self.0.followed.borrow()
    }

    async fn was_asked(&self, times: usize) {
        let mut asked = self.0.asked.subscribe();
        let enough = asked.wait_for(|asked| asked.len() >= times);
        tokio::time::timeout(PATIENT, enough)
            .await
            .expect("it was not asked")
            .unwrap();
    }

    async fn was_followed(&self, times: usize) {
        let mut followed = self.0.followed.subscribe();
        let enough = followed.wait_for(|followed| *followed >= times);
        tokio::time::timeout(PATIENT * 60, enough)
            .await
            .expect("it was not followed")
            .unwrap();
    }

    fn tell(&self, news: KeyNews) {
        self.0.listener.lock().unwrap().as_ref().unwrap().tell(news);
    }

    fn tell_changed(&self, key: &str) {
        self.tell(KeyNews::Changed(KeyDigest::of(key)));
    }

    /// The connection that tells the news breaks.
    async fn cut(&self) {
        self.0.cut.notify_one();
        settle().await;
        assert_eq!(self.following(), 0);
    }
}

impl KeyStore for Store {
    type Error = Failure;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Failure> {
        let script = &self.0;
        let _running = Counted::of(&script.running);
        let gate = script.gate.lock().unwrap().clone();
        let next = *script.next.lock().unwrap();
        let Ok(found) = script.records.find(key).await;
        script.asked.send_modify(|asked| asked.push(*key));
        gate.pass().await;
        match next {
            Next::Answer | Next::Nothing => Ok(found),
            Next::Fail => Err(Down.into()),
            Next::Spoilt => Err(Failure::Row),
            Next::Panic => panic!("the store is told to panic"),
        }
    }

    async fn follow(&self, listener: &KeyNewsListener) -> Result<(), Failure> {
        let script = &self.0;
        let _following = Counted::of(&script.following);
        let news = *script.news.lock().unwrap();
        *script.listener.lock().unwrap() = Some(listener.clone());
        script.followed.send_modify(|followed| *followed += 1);
        match news {
            Next::Nothing => Ok(()),
            Next::Fail => Err(Down.into()),
            Next::Spoilt => Err(Failure::Row),
            Next::Panic => panic!("the store is told to panic"),
            Next::Answer => {
                listener.tell(KeyNews::Listening);
                script.cut.notified().await;
                Err(Down.into())
            }
        }
    }

    fn is_about_one_key(error: &Failure) -> bool {
        matches!(error, Failure::Row)
    }
}

impl KeyRegistry for Store {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, Failure> {
        let Ok(found) = self.0.records.get(id).await;
        Ok(found)
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, Failure> {
        let Ok(found) = self.0.records.list(query).await;
        Ok(found)
    }

    /// Is carried out, whatever it answers.
    async fn commit(&self, change: &KeyChange) -> Result<Committed, Failure> {
        let Ok(committed) = self.0.records.commit(change).await;
        let next = *self.0.next.lock().unwrap();
        match next {
            Next::Answer | Next::Nothing => Ok(committed),
            Next::Fail => Err(Down.into()),
            Next::Spoilt => Err(Failure::Row),
            Next::Panic => panic!("the store is told to panic"),
        }
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), Failure> {
        let Ok(()) = self.0.records.add_uses(uses).await;
        Ok(())
    }
}

/// The record of a key; its id is the key, so that there may be many.
fn record(key: &str) -> ApiKeyRecord {
    ApiKeyRecord::builder(key, "robot", KeyDigest::of(key))
        .scopes([READ])
        .build()
}

fn just_under(time: Duration) -> Duration {
    time.saturating_sub(INSTANT)
}

/// Lets tasks do what they have to do now.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A cache over a scripted store.
#[derive(Clone)]
struct World {
    store: Store,
    clock: TestClock,
    cache: Arc<CachedKeyStore<Store>>,
}

/// `found`, `revoked`, `unknown`, or why there is no answer.
fn name(answer: &Result<Option<ApiKeyRecord>, CachedKeyStoreError>) -> &'static str {
    match answer {
        Ok(Some(record)) if record.is_revoked() => "revoked",
        Ok(Some(_)) => "found",
        Ok(None) => "unknown",
        Err(CachedKeyStoreError::Store(_)) => "failed",
        Err(CachedKeyStoreError::Unreadable(_)) => "unreadable",
        Err(CachedKeyStoreError::Deadline) => "late",
        Err(CachedKeyStoreError::Busy) => "busy",
        Err(CachedKeyStoreError::Panicked) => "panicked",
        Err(CachedKeyStoreError::Runtime) => "no runtime",
        Err(other) => panic!("{other}"),
    }
}

impl World {
    fn new(store: Store) -> Self {
        Self::of(store, |cache| cache)
    }

    fn of(store: Store, set: impl FnOnce(CachedKeyStore<Store>) -> CachedKeyStore<Store>) -> Self {
        let clock = TestClock::new();
        let cache = set(CachedKeyStore::new(store.clone())).clock(clock.clone());
        Self {
            store,
            clock,
            cache: Arc::new(cache),
        }
    }

    /// What is answered without waiting.
    fn now(&self, key: &str) -> Option<&'static str> {
        self.cache.find_now(&KeyDigest::of(key)).as_ref().map(name)
    }

    /// What a request is answered.
    async fn find(&self, key: &str) -> &'static str {
        let digest = KeyDigest::of(key);
        match self.cache.find_now(&digest) {
            Some(answer) => name(&answer),
            None => name(&self.cache.find(&digest).await),
        }
    }

    /// A request of its own, so that it goes on whatever the test does.
    fn spawn(&self, key: &str) -> tokio::task::JoinHandle<&'static str> {
        let (world, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move { world.find(&key).await })
    }

    /// The key of the robot is in memory, and the news are heard, if there are any.
    async fn warm(&self) {
        assert_eq!(self.find(KEY).await, "found");
        settle().await;
        if self.store.following() > 0 {
            // It may have been read before the news were heard.
            assert_eq!(self.find(KEY).await, "found");
        }
        assert_eq!(self.now(KEY), Some("found"));
    }
}
