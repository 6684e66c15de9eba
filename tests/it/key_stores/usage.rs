//! Uses of keys: counted beside the request, written down in the background.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, Clock, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry, KeyStore,
    KeyUses, MemoryKeyStore, UsageRecorder,
};

use crate::support::{Down, READ, call, request, whoami};

pub(super) mod outcomes;

const START: SystemTime = UNIX_EPOCH;
const INTERVAL: Duration = Duration::from_secs(10);

/// A registry whose writing of uses can be counted, refused and held up.
struct Desk {
    keys: MemoryKeyStore,
    writes: Mutex<Vec<usize>>,
    mood: Mutex<Mood>,
    door: Semaphore,
    asked: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Down,
    Panics,
    /// Waits for the door to be opened.
    Hangs,
}

impl Desk {
    fn with(keys: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        let records = keys.into_iter().map(record);
        Arc::new(Self {
            keys: records.collect(),
            writes: Mutex::default(),
            mood: Mutex::new(Mood::Good),
            door: Semaphore::new(0),
            asked: AtomicUsize::new(0),
        })
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How many keys each write was about.
    fn writes(&self) -> Vec<usize> {
        self.writes.lock().unwrap().clone()
    }

    async fn uses(&self, key: &str) -> u64 {
        self.keys.get(key).await.unwrap().unwrap().uses()
    }
}

fn record(key: &str) -> ApiKeyRecord {
    ApiKeyRecord::builder(key, "robot", KeyDigest::of(key))
        .scopes([READ])
        .build()
}

impl KeyStore for Desk {
    type Error = Down;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Down> {
        Ok(self.keys.find(key).await.unwrap())
    }
}

impl KeyRegistry for Desk {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, Down> {
        Ok(self.keys.get(id).await.unwrap())
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, Down> {
        Ok(KeyRegistry::list(&self.keys, query).await.unwrap())
    }

    async fn commit(&self, change: &KeyChange) -> Result<Committed, Down> {
        Ok(self.keys.commit(change).await.unwrap())
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), Down> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Good => {}
            Mood::Down => return Err(Down),
            Mood::Panics => panic!("the registry has a fault"),
            Mood::Hangs => self.door.acquire().await.unwrap().forget(),
        }
        self.writes.lock().unwrap().push(uses.len());
        self.keys.add_uses(uses).await.unwrap();
        Ok(())
    }
}

fn app(desk: &Arc<Desk>, usage: &UsageRecorder) -> Router {
    whoami().layer(ApiKeyLayer::new(Arc::clone(desk)).usage(usage.clone()))
}

async fn use_key(app: &Router, key: &str) -> u16 {
    call(app, request(&[("x-api-key", key)])).await.status.as_u16()
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_uses_of_all_keys_are_written_in_one_statement_in_each_interval() {
    let desk = Desk::with(["one", "two", "three"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    for key in ["one", "two", "one", "one"] {
        assert_eq!(use_key(&app, key).await, 200);
    }
    settle().await;
    assert_eq!(desk.writes().len(), 0, "a request writes nothing");
    tokio::time::sleep(INTERVAL + Duration::from_millis(1)).await;
    assert_eq!(desk.writes(), [2], "one statement for all keys");
    assert_eq!(
        (
            desk.uses("one").await,
            desk.uses("two").await,
            desk.uses("three").await
        ),
        (3, 1, 0)
    );
    tokio::time::sleep(5 * INTERVAL).await;
    assert_eq!(desk.writes(), [2], "and none while nothing is used");
    use_key(&app, "three").await;
    tokio::time::sleep(INTERVAL).await;
    assert_eq!(desk.writes(), [2, 1]);
    assert_eq!((desk.uses("one").await, desk.uses("three").await), (3, 1));
}

#[tokio::test]
async fn only_keys_that_were_let_in_count_as_used() {
    let desk = Desk::with(["good"]);
    desk.keys.insert(record("bad").to_builder().revoked().build());
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    assert_eq!(use_key(&app, "unknown").await, 401);
    usage.flush().await.unwrap();
    assert_eq!(desk.writes().len(), 0);
    assert_eq!(use_key(&app, "bad").await, 401);
    assert_eq!(use_key(&app, "good").await, 200);
    usage.flush().await.unwrap();
    assert_eq!(
        (desk.writes(), desk.uses("good").await, desk.uses("bad").await),
        (vec![2], 1, 0)
    );
}

#[tokio::test]
async fn the_last_use_is_told_by_the_layers_clock_to_the_second() {
    let (desk, clock) = (
        Desk::with(["one"]),
        TestClock::starting_at(START + Duration::from_millis(90_900)),
    );
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let layer = ApiKeyLayer::new(Arc::clone(&desk))
        .usage(usage.clone())
        .clock(clock.clone());
    let app = whoami().layer(layer);
    let last_used = async || desk.keys.get("one").await.unwrap().unwrap().last_used_at();
    assert_eq!(last_used().await, None);
    use_key(&app, "one").await;
    usage.flush().await.unwrap();
    assert_eq!(last_used().await, Some(START + Duration::from_secs(90)));
    clock.advance(Duration::from_secs(60));
    use_key(&app, "one").await;
    clock.set_date(clock.now() - Duration::from_secs(30));
    use_key(&app, "one").await;
    usage.flush().await.unwrap();
    assert_eq!(
        last_used().await,
        Some(START + Duration::from_secs(150)),
        "never an earlier one"
    );
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_uses_are_kept() {
    let desk = Desk::with(["one", "two"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    for mood in [Mood::Down, Mood::Panics, Mood::Down] {
        desk.is(mood);
        use_key(&app, "one").await;
        use_key(&app, "two").await;
        tokio::time::sleep(INTERVAL).await;
    }
    let refused = usage.flush().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the uses of API keys could not be written down"
    );
    assert!(
        std::error::Error::source(&refused)
            .unwrap()
            .to_string()
            .contains("database is down")
    );
    assert_eq!((desk.uses("one").await, usage.lost()), (0, 0));
    desk.is(Mood::Good);
    use_key(&app, "one").await;
    tokio::time::sleep(2 * INTERVAL).await;
    assert_eq!((desk.uses("one").await, desk.uses("two").await), (4, 3));
    assert_eq!(desk.writes(), [2], "all of it in one statement");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_and_loses_nothing() {
    let desk = Desk::with(["one"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    desk.is(Mood::Hangs);
    use_key(&app, "one").await;
    let begun = tokio::time::Instant::now();
    usage.flush().await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 30);
    desk.is(Mood::Good);
    usage.flush().await.unwrap();
    assert_eq!(desk.uses("one").await, 1);
}

#[tokio::test]
async fn a_flush_that_nobody_waits_for_any_more_writes_once_all_the_same() {
    let desk = Desk::with(["one"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    desk.is(Mood::Hangs);
    use_key(&app, "one").await;
    {
        let flush = usage.flush();
        tokio::pin!(flush);
        while desk.asked.load(Ordering::SeqCst) == 0 {
            assert!((&mut flush).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    }
    desk.is(Mood::Good);
    desk.door.add_permits(1);
    usage.flush().await.unwrap();
    assert_eq!((desk.uses("one").await, desk.writes()), (1, vec![1]));
}

#[test]
fn without_a_runtime_a_flush_writes_by_itself() {
    let desk = Desk::with(["one"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    assert_eq!(use_key(&app, "one").now_or_never(), Some(200));
    usage.flush().now_or_never().unwrap().unwrap();
    assert_eq!(desk.uses("one").now_or_never(), Some(1));
}

#[test]
fn when_its_runtime_has_gone_the_next_use_starts_another_task() {
    let desk = Desk::with(["one"]);
    let usage = UsageRecorder::new(Arc::clone(&desk)).interval(Duration::from_secs(1));
    let app = app(&desk, &usage);
    for uses in 1..=2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            use_key(&app, "one").await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(desk.uses("one").await, uses);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_who_counts() {
    let desk = Desk::with(["one"]);
    let usage = UsageRecorder::new(Arc::clone(&desk));
    let app = app(&desk, &usage);
    use_key(&app, "one").await;
    settle().await;
    assert!(Arc::strong_count(&desk) > 1);
    drop((app, usage));
    settle().await;
    assert_eq!(
        Arc::strong_count(&desk),
        1,
        "neither a task nor a layer holds the store"
    );
}

#[tokio::test]
async fn of_more_keys_than_are_kept_uses_are_dropped_and_said_so() {
    let desk = Desk::with(["one", "two", "three"]);
    let usage = UsageRecorder::new(Arc::clone(&desk)).most_keys(2);
    let app = app(&desk, &usage);
    for key in ["one", "two", "three", "three", "one"] {
        assert_eq!(use_key(&app, key).await, 200, "nobody is refused for it");
    }
    assert_eq!(usage.lost(), 2);
    usage.flush().await.unwrap();
    assert_eq!(
        (
            desk.uses("one").await,
            desk.uses("two").await,
            desk.uses("three").await
        ),
        (2, 1, 0)
    );
    // What is written down makes room.
    use_key(&app, "three").await;
    usage.flush().await.unwrap();
    assert_eq!((desk.uses("three").await, usage.lost()), (1, 2));
}

#[tokio::test]
async fn while_uses_are_being_written_their_keys_keep_their_places() {
    let desk = Desk::with(["one", "two", "three"]);
    let usage = UsageRecorder::new(Arc::clone(&desk)).most_keys(2);
    let app = app(&desk, &usage);
    use_key(&app, "one").await;
    use_key(&app, "two").await;
    desk.is(Mood::Hangs);
    let writing = tokio::spawn({
        let usage = usage.clone();
        async move { usage.flush().await }
    });
    while desk.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    use_key(&app, "three").await;
    use_key(&app, "one").await;
    assert_eq!(usage.lost(), 1, "what is given back would come on top of it");
    desk.door.add_permits(1);
    writing.await.unwrap().unwrap();
    desk.is(Mood::Good);
    // One place is free, since one of the two keys was used meanwhile.
    use_key(&app, "three").await;
    use_key(&app, "two").await;
    assert_eq!(usage.lost(), 2);
    usage.flush().await.unwrap();
    assert_eq!(
        (
            desk.uses("one").await,
            desk.uses("two").await,
            desk.uses("three").await
        ),
        (2, 1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_use_is_lost_or_counted_twice_while_counters_come_and_go() {
    let desk = Desk::with(["one", "two"]);
    let usage = UsageRecorder::new(Arc::clone(&desk)).interval(Duration::from_millis(1));
    let app = app(&desk, &usage);
    let users = (0..4).map(|user| {
        let app = app.clone();
        tokio::spawn(async move {
            for turn in 0..2_000 {
                assert_eq!(
                    use_key(&app, if turn % 3 == 0 { "two" } else { "one" }).await,
                    200
                );
                if (turn + user) % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        })
    });
    let users: Vec<_> = users.collect();
    let (writer, store) = (usage.clone(), Arc::clone(&desk));
    let writing = tokio::spawn(async move {
        for turn in 0..2_000 {
            store.is(if turn % 5 == 0 { Mood::Down } else { Mood::Good });
            let _ = writer.flush().await;
        }
    });
    for user in users {
        user.await.unwrap();
    }
    writing.await.unwrap();
    desk.is(Mood::Good);
    usage.flush().await.unwrap();
    assert_eq!(
        (desk.uses("one").await, desk.uses("two").await),
        (4 * 1_333, 4 * 667)
    );
    assert!(
        desk.writes().len() > 10,
        "counters were taken while they were counting"
    );
}

#[tokio::test]
async fn counting_a_use_allocates_nothing() {
    let counted = |app: Router| async move {
        use_key(&app, "one").await; // the first use makes a counter and starts the task
        let request = request(&[("x-api-key", "one")]);
        let mut response = None;
        let info = allocation_counter::measure(|| {
            response = tower::ServiceExt::oneshot(app, request).now_or_never();
        });
        assert_eq!(response.unwrap().unwrap().status(), 200);
        info.count_total
    };
    let keys = || MemoryKeyStore::from_iter([record("one")]);
    let usage = UsageRecorder::new(keys());
    let without = counted(whoami().layer(ApiKeyLayer::new(keys()))).await;
    let with = counted(whoami().layer(ApiKeyLayer::new(keys()).usage(usage.clone()))).await;
    assert_eq!(with, without);
    usage.flush().await.unwrap();
}
