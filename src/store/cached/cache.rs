use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::entries::{Entries, Read};
use super::front::Settings;
use super::guesses::Guesses;
use super::health::Health;
use super::loads::{self, Answer, Answered, Room, Ticket, UnderWay};
use super::rules::{Heard, Usable};
use super::{CachedKeyStoreError, KeyStoreStatus, NewsState};
use crate::api_key::{ApiKeyRecord, KeyDigest, KeyStore};
use crate::telemetry::{self, Looked};

/// A load that is interrupted is begun anew on the runtime of who waits; if that one goes too, nobody needs the answer.
const MOST_ATTEMPTS: usize = 2;

/// What the requests, the loads and the news share. See the text of this module for why there is no race in it.
pub(super) struct Cache<S> {
    pub(super) store: Arc<S>,
    pub(super) settings: Settings,
    entries: Entries,
    /// How often the news began to be heard, and in the lowest bit whether they are. Written under the lock.
    news: AtomicU64,
    /// Until when the store is taken to be down, in nanoseconds of our clock. Written under the lock.
    store_fails_until: AtomicU64,
    /// Whether there is a task that follows the news, or need not be one.
    pub(super) follows: AtomicBool,
    state: Mutex<State>,
    /// For keys that may be anybody's.
    room: Arc<Semaphore>,
    /// For those among them that wait for room, and those that have it.
    line: Arc<Semaphore>,
    /// For keys that were known before: junk must not keep those out.
    room_for_known: Arc<Semaphore>,
    /// Goes with this value, and the tasks with it.
    owner: watch::Sender<()>,
}

pub(super) struct State {
    /// Those whose answer counts.
    loads: HashMap<KeyDigest, Load>,
    last_load: u64,
    health: Health,
    guesses: Guesses,
    pub(super) news: NewsState,
    /// Counts the attempts to hear news.
    pub(super) attempt: u64,
}

struct Load {
    number: u64,
    answered: Answered,
}

/// What can be said from memory.
enum Remembered {
    Answer(Answer),
    /// The same, and it should be asked for.
    Aging(Answer),
    /// A record that is too old to be used without asking.
    Outdated,
    Nothing,
}

enum Joined {
    Answer(Answer),
    Load(Answered),
}

impl<S: KeyStore> Cache<S> {
    pub(super) fn new(store: Arc<S>, settings: Settings) -> Self {
        let room = || Arc::new(Semaphore::new(settings.most_loads));
        Self {
            store,
            entries: Entries::new(&settings),
            news: AtomicU64::new(0),
            store_fails_until: AtomicU64::new(0),
            follows: AtomicBool::new(false),
            state: Mutex::new(State {
                loads: HashMap::new(),
                last_load: 0,
                health: Health::default(),
                guesses: Guesses::default(),
                news: NewsState::Unasked,
                attempt: 0,
            }),
            room: room(),
            line: Arc::new(Semaphore::new(settings.longest_line())),
            room_for_known: room(),
            owner: watch::Sender::new(()),
            settings,
        }
    }

    /// The answer, if it is in memory and may be used without waiting.
    pub(super) fn find_now(self: &Arc<Self>, key: &KeyDigest) -> Option<Answer> {
        self.follow();
        let now = self.now();
        let answer = match self.remembered(key, now) {
            Remembered::Answer(answer) => answer,
            Remembered::Aging(answer) => {
                self.refresh(key, now);
                answer
            }
            Remembered::Outdated | Remembered::Nothing => return None,
        };
        telemetry::cache(telemetry::Cache::ApiKeys, Looked::Hit);
        Some(answer)
    }

    /// Whether there is a record that is too old to be used.
    pub(super) fn knows(&self, key: &KeyDigest) -> bool {
        matches!(self.remembered(key, self.now()), Remembered::Outdated)
    }

    pub(super) async fn find(self: &Arc<Self>, key: &KeyDigest) -> Answer {
        if let Some(answer) = self.find_now(key) {
            return answer;
        }
        telemetry::cache(telemetry::Cache::ApiKeys, Looked::Miss);
        let asked = match Handle::try_current() {
            Ok(runtime) => timeout(self.settings.rules.deadline, self.ask(key, &runtime))
                .await
                .unwrap_or(Err(CachedKeyStoreError::Deadline)),
            Err(_) => Err(CachedKeyStoreError::Runtime),
        };
        // What is in memory is looked at again: it may have been dropped since the request came.
        asked.or_else(|error| self.stale(key).map(Some).ok_or(error))
    }

    /// Drops what is known of this key; an answer that is on its way counts no more.
    pub(super) fn forget(&self, key: &KeyDigest) {
        let mut state = self.state();
        state.loads.remove(key);
        self.entries.forget(key);
    }

    pub(super) fn status(&self) -> KeyStoreStatus {
        let state = self.state();
        KeyStoreStatus {
            store: state.health.state(),
            news: state.news,
        }
    }

    pub(super) fn owner(&self) -> watch::Receiver<()> {
        self.owner.subscribe()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.settings.clock.monotonic()
    }

    pub(super) fn date(&self) -> SystemTime {
        self.settings.clock.now()
    }

    /// From now on everything is heard. What was read before is asked for again, and so is what is on its way.
    pub(super) fn hears_everything(&self, state: &mut State) {
        state.loads.clear();
        let epoch = self.epoch().wrapping_add(1);
        self.news.store(epoch << 1 | 1, Ordering::Release);
        // It can be reached again, so what was read before is not used before it is asked.
        self.fails_until(Duration::ZERO);
    }

    pub(super) fn hears_nothing(&self, _: &mut State) {
        self.news.fetch_and(!1, Ordering::AcqRel);
    }

    pub(super) fn may_guess(&self) -> bool {
        let now = self.now();
        self.state().guesses.may_ask(now, self.settings.most_unknown)
    }

    fn epoch(&self) -> u64 {
        self.news.load(Ordering::Acquire) >> 1
    }

    fn heard_since(&self, read: Read) -> Heard {
        let news = self.news.load(Ordering::Acquire);
        match (news >> 1 == read.epoch, news & 1 == 1) {
            (false, _) => Heard::NotAll,
            (true, true) => Heard::Everything,
            (true, false) => Heard::Nothing,
        }
    }

    /// A request that is answered from memory because the store fails has it asked again, so a failure that goes on is heard
    /// of as long as there are requests. One that was long ago says nothing about now.
    fn fails_until(&self, time: Duration) {
        self.store_fails_until.store(nanos(time), Ordering::Release);
    }

    fn usable(&self, read: Read, now: Duration) -> Usable {
        let fails = nanos(now) < self.store_fails_until.load(Ordering::Acquire);
        let age = now.saturating_sub(read.at);
        self.settings.rules.of_known(age, self.heard_since(read), fails)
    }

    fn remembered(&self, key: &KeyDigest, now: Duration) -> Remembered {
        if let Some(known) = self.entries.known(key) {
            return match self.usable(known.read, now) {
                Usable::AtOnce => Remembered::Answer(Ok(Some(known.record))),
                Usable::AtOnceAndRefresh => Remembered::Aging(Ok(Some(known.record))),
                Usable::IfStoreFails | Usable::Not => Remembered::Outdated,
            };
        }
        let unknown = self.entries.unknown(key).is_some_and(|read| {
            let age = now.saturating_sub(read.at);
            self.settings.rules.of_unknown(age, self.heard_since(read))
        });
        if unknown {
            Remembered::Answer(Ok(None))
        } else {
            Remembered::Nothing
        }
    }

    /// What is used when the store has no answer.
    fn stale(&self, key: &KeyDigest) -> Option<ApiKeyRecord> {
        let known = self.entries.known(key)?;
        (self.usable(known.read, self.now()) != Usable::Not).then_some(known.record)
    }

    async fn ask(self: &Arc<Self>, key: &KeyDigest, runtime: &Handle) -> Answer {
        for _ in 0..MOST_ATTEMPTS {
            let mut answered = match self.join(key, runtime)? {
                Joined::Answer(answer) => return answer,
                Joined::Load(answered) => answered,
            };
            if let Ok(answer) = answered.wait_for(Option::is_some).await
                && let Some(answer) = &*answer
            {
                return answer.clone();
            }
        }
        Err(CachedKeyStoreError::Runtime)
    }

    /// The load of this key that is under way, or a new one.
    fn join(self: &Arc<Self>, key: &KeyDigest, runtime: &Handle) -> Result<Joined, CachedKeyStoreError> {
        let now = self.now();
        let mut state = self.state();
        if let Some(load) = state.loads.get(key) {
            return Ok(Joined::Load(load.answered.clone()));
        }
        // A load may have ended since the request looked.
        let was_known = match self.remembered(key, now) {
            Remembered::Answer(answer) | Remembered::Aging(answer) => return Ok(Joined::Answer(answer)),
            Remembered::Outdated => true,
            Remembered::Nothing => false,
        };
        let (load, room) = self.begin(&mut state, key, was_known, now)?;
        drop(state);
        let answered = load.subscribe();
        self.start(load, room, runtime);
        Ok(Joined::Load(answered))
    }

    /// Asks for a key that is answered from memory meanwhile. A hit waits for nothing, so if somebody else is at the lock,
    /// this is left to the next request.
    fn refresh(self: &Arc<Self>, key: &KeyDigest, now: Duration) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // A load may be under way, or have ended since the request looked.
        if state.loads.contains_key(key) || !matches!(self.remembered(key, now), Remembered::Aging(_)) {
            return;
        }
        if let Ok((load, room)) = self.begin(&mut state, key, true, now) {
            drop(state);
            self.start(load, room, &runtime);
        }
    }

    /// Puts a load on the list, if there may be one.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        key: &KeyDigest,
        was_known: bool,
        now: Duration,
    ) -> Result<(UnderWay<S>, Room), CachedKeyStoreError> {
        state.health.may_ask(now)?;
        let room = if was_known {
            Room {
                queue: Arc::clone(&self.room_for_known),
                place: None,
            }
        } else {
            let may_guess = state.guesses.may_ask(now, self.settings.most_unknown);
            let place = Arc::clone(&self.line).try_acquire_owned().ok();
            Room {
                queue: Arc::clone(&self.room),
                place: Some(place.filter(|_| may_guess).ok_or(CachedKeyStoreError::Busy)?),
            }
        };
        state.health.asks(now);
        state.last_load = state.last_load.wrapping_add(1);
        let (tell, answered) = watch::channel(None);
        let ticket = Ticket {
            key: *key,
            was_known,
            number: state.last_load,
            answers_before: state.health.answers(),
            read: Read {
                at: now,
                epoch: self.epoch(),
            },
        };
        let number = ticket.number;
        state.loads.insert(*key, Load { number, answered });
        Ok((UnderWay::new(Arc::downgrade(self), ticket, tell), room))
    }

    /// A runtime that is shutting down drops the task at once, so no lock is held here.
    fn start(&self, load: UnderWay<S>, room: Room, runtime: &Handle) {
        let store = Arc::clone(&self.store);
        drop(runtime.spawn(loads::run(
            load,
            store,
            room,
            self.settings.rules.deadline,
            self.owner(),
        )));
    }

    /// A load has ended. Its answer is put down if it still counts.
    pub(super) fn end(&self, ticket: &Ticket, answer: &Answer) {
        let outcome = match answer {
            Ok(Some(_)) => "found",
            Ok(None) => "unknown",
            Err(_) => "failed",
        };
        telemetry::key_loaded(outcome);
        match answer {
            Ok(_) | Err(CachedKeyStoreError::Unreadable(_)) => {
                if self.put(ticket, answer).is_some() {
                    telemetry::key_store_answers();
                }
            }
            Err(error) => {
                self.fails(ticket, error);
                self.abandon(ticket);
            }
        }
    }

    /// Gives why the store had failed before, if it had. An error of the store's is never dropped under the lock.
    fn put(&self, ticket: &Ticket, answer: &Answer) -> Option<CachedKeyStoreError> {
        let (now, date) = (self.now(), self.date());
        let mut state = self.state();
        if matches!(answer, Ok(None)) {
            state.guesses.missed(now);
        }
        if state.takes_off(ticket) {
            match answer {
                Ok(found) => self.entries.put(ticket.key, found.clone(), ticket.read),
                // The store has something else now, and nobody knows what.
                Err(_) => self.entries.forget(&ticket.key),
            }
        }
        let failed = state.health.answered(date);
        self.fails_until(Duration::ZERO);
        failed
    }

    /// The store has failed, or is late.
    pub(super) fn fails(&self, ticket: &Ticket, error: &CachedKeyStoreError) {
        let time = (self.now(), self.date());
        let mut state = self.state();
        let forgotten = state.health.failed(ticket.answers_before, error.clone(), time);
        self.fails_until(state.health.fails_until(self.settings.rules.fresh));
        drop(state);
        if forgotten.is_none() {
            telemetry::key_store_failed(error);
        }
    }

    /// A load has ended without an answer.
    pub(super) fn abandon(&self, ticket: &Ticket) {
        self.state().takes_off(ticket);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    /// Takes a load off the list; `false` if it does not stand there, because its answer counts no more.
    fn takes_off(&mut self, ticket: &Ticket) -> bool {
        let load = self.loads.get(&ticket.key);
        let counts = load.is_some_and(|load| load.number == ticket.number);
        if counts {
            self.loads.remove(&ticket.key);
        }
        counts
    }
}

impl<S> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
