//! Who uses which key, how often, and when last: counted beside the request, written down in the background.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};

use super::{ApiKeyRecord, KeyRegistry, KeyUses};
use crate::authenticator::{BoxFuture, Judgement};
use crate::error::{Told, chain};
use crate::principal::{Method, Principal};
use crate::telemetry;

mod counts;

use counts::{Counts, Tally};

const INTERVAL: Duration = Duration::from_secs(10);
/// Below, a task would only turn in circles.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
const MOST_KEYS: usize = 100_000;
/// A registry that has not answered by then has failed.
const LONGEST_WRITE: Duration = Duration::from_secs(30);
/// How many keys one statement may write down.
const BATCH: usize = 10_000;

/// Writes down how often each API key is used, and when last, at no cost to the request: uses are counted in memory, and
/// written in one statement for all keys in each interval (for every 10,000 keys, if there are more).
///
/// | what became of a request that presents a key | where it counts |
/// |---|---|
/// | it was authenticated | [`uses`](ApiKeyRecord::uses), [`last_used_at`](ApiKeyRecord::last_used_at) |
/// | it was authenticated, and then turned away by a limit; see [`limited`](Self::limited) | there, and in [`limited`](ApiKeyRecord::limited) besides |
/// | it was refused, since the key was revoked, had expired or was not valid yet | [`refused`](ApiKeyRecord::refused) |
/// | it was refused, since no store knows the key | nowhere: the key is nobody's |
///
/// The record decides. What refuses a request after that changes nothing: a scope that is missing, or the
/// `revocations` of a layer, which withdraw a key beside its record.
///
/// Hand it to a layer, and call [`flush`](Self::flush) when the service ends. A clone counts into the same place.
///
/// ```
/// use std::sync::Arc;
/// use tower_resource_server::{ApiKeyLayer, MemoryKeyStore, UsageRecorder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = Arc::new(MemoryKeyStore::new());
/// let usage = UsageRecorder::new(Arc::clone(&keys));
/// let layer = ApiKeyLayer::new(keys).usage(usage.clone());
/// // axum::serve(listener, router.layer(layer)).with_graceful_shutdown(signal).await?;
/// usage.flush().await?;
/// # Ok(())
/// # }
/// ```
///
/// # What can be lost, and what can count twice
///
/// While the store is down, counts are kept and written when it is back, of up to [`most_keys`](Self::most_keys) different
/// keys; those of further keys are dropped, and [`lost`](Self::lost) says how many. What was not written when the process
/// ends is lost, unless `flush` was called. If the store fails after it has written and before it has said so, those counts
/// are there twice. Times of last use are exact to the second.
///
/// It needs tokio: a task is started by the first count, and ends with the last clone or with its runtime; then the
/// next count starts another. Without a runtime, `flush` writes.
#[derive(Clone)]
pub struct UsageRecorder {
    shared: Arc<Shared>,
    interval: Duration,
    most_keys: usize,
}

struct Shared {
    counts: Counts,
    registry: Box<dyn Registry>,
    /// One writes at a time.
    writing: Mutex<()>,
    alive: AtomicBool,
    ended: Arc<Notify>,
    #[cfg(feature = "metrics")]
    metrics_by_key: AtomicBool,
}

/// The store could not write the uses down. They are kept for the next time.
#[derive(Debug, thiserror::Error)]
#[error("the uses of API keys could not be written down")]
#[non_exhaustive]
pub struct UsesNotWritten(#[source] Told);

/// A registry of any type.
trait Registry: Send + Sync {
    fn write(&self, uses: Arc<[KeyUses]>) -> BoxFuture<Result<(), Told>>;
}

impl<R: KeyRegistry> Registry for Arc<R> {
    fn write(&self, uses: Arc<[KeyUses]>) -> BoxFuture<Result<(), Told>> {
        let registry = Arc::clone(self);
        Box::pin(async move {
            let written = registry.add_uses(&uses).await;
            written.map_err(|error| Told(chain(&error).into()))
        })
    }
}

impl UsageRecorder {
    /// Writes to this registry. Give an `Arc` to keep it at hand.
    pub fn new(registry: impl KeyRegistry) -> Self {
        Self {
            shared: Arc::new(Shared {
                counts: Counts::default(),
                registry: Box::new(Arc::new(registry)),
                writing: Mutex::default(),
                alive: AtomicBool::new(false),
                ended: Arc::default(),
                #[cfg(feature = "metrics")]
                metrics_by_key: AtomicBool::new(false),
            }),
            interval: INTERVAL,
            most_keys: MOST_KEYS,
        }
    }

    /// How often counts are written down; at most 1,000 times a second. Default: 10 s, because that is exact enough for
    /// people, and one statement in 10 s is no load.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(SHORTEST_INTERVAL);
        self
    }

    /// Of how many different keys counts are kept until they are written down. Default: 100,000, because that is about
    /// 12 MB, and more than are used in 10 s; it matters only while the store is down.
    #[must_use]
    pub fn most_keys(mut self, keys: usize) -> Self {
        self.most_keys = keys;
        self
    }

    /// Counts what was written down in a metric, too: `resource_server_api_key_requests_total`, with the key's id and the
    /// outcome (`accepted`, `limited`, `refused`) as labels. Of all clones, since they count into the same place.
    ///
    /// Every key that is presented gets up to three time series, and keeps them: ask for it only where the metrics backend
    /// can bear so many, for each process. Default: no such metric, because all other labels are bounded, and the number of
    /// keys is not.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics_by_key(self) -> Self {
        self.shared.metrics_by_key.store(true, Ordering::Relaxed);
        self
    }

    /// Counts that a limit has turned away a request of this caller (429). For limits of your own: call it once for each
    /// such request. The request has counted as a use when it was authenticated, and still does.
    ///
    /// It does nothing for a caller without an API key. A key of another store than the one that is written to is
    /// passed over when counts are written down.
    pub fn limited(&self, principal: &Principal) {
        if let (Method::ApiKey, Some(id)) = (principal.method(), &principal.data.credential_id) {
            self.count(id, || Arc::from(id), Tally::LIMITED);
        }
    }

    /// How many counts, of whatever outcome, were dropped because more than [`most_keys`](Self::most_keys) keys had some to
    /// write down.
    pub fn lost(&self) -> u64 {
        self.shared.counts.lost()
    }

    /// Writes down what was counted so far. Call it when the service has answered its last request. After an error it can
    /// be called again: nothing is lost by it.
    pub async fn flush(&self) -> Result<(), UsesNotWritten> {
        let shared = Arc::clone(&self.shared);
        // As a task of its own: cancelled between the store's writing and our hearing of it, uses would count twice.
        let written = match Handle::try_current() {
            Ok(runtime) => match runtime.spawn(shared.write_in_time()).await {
                Ok(written) => written,
                Err(error) => Err(Told(error.to_string().into())),
            },
            Err(_) => shared.write_all().await,
        };
        written.map_err(UsesNotWritten)
    }

    /// Counts what became of a request that presented the key of this record.
    pub(super) fn judged(&self, record: &ApiKeyRecord, judgement: &Judgement, now: SystemTime) {
        let tally = match judgement {
            Ok(_) => Tally::used(now),
            Err(error) if error.key_id().is_some() => Tally::REFUSED,
            Err(_) => return,
        };
        let id = record.shared_id();
        self.count(id, || Arc::clone(id), tally);
    }

    fn count(&self, id: &str, shared: impl Fn() -> Arc<str>, tally: Tally) {
        self.shared.counts.add(id, shared, tally, self.most_keys);
        if !self.shared.alive.load(Ordering::Relaxed) {
            self.start();
        }
    }

    #[cold]
    fn start(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !self.shared.alive.swap(true, Ordering::AcqRel) {
            let alive = Alive(Arc::downgrade(&self.shared));
            runtime.spawn(write_now_and_then(
                alive,
                Arc::clone(&self.shared.ended),
                self.interval,
            ));
        }
    }
}

impl Shared {
    async fn write_in_time(self: Arc<Self>) -> Result<(), Told> {
        let written = tokio::time::timeout(LONGEST_WRITE, self.write_all()).await;
        written.unwrap_or_else(|elapsed| Err(Told(elapsed.to_string().into())))
    }

    async fn write_all(&self) -> Result<(), Told> {
        let _turn = self.writing.lock().await;
        // What is used meanwhile waits for the next time, or this would not end.
        for _ in 0..=self.counts.keys() / BATCH {
            let mut unwritten = Unwritten {
                counts: &self.counts,
                uses: self.counts.take(BATCH).into(),
            };
            if unwritten.uses.is_empty() {
                break;
            }
            self.registry.write(Arc::clone(&unwritten.uses)).await?;
            self.counts.forget(&unwritten.uses);
            let written = std::mem::take(&mut unwritten.uses);
            self.tell(&written);
        }
        Ok(())
    }

    /// After the write, and when nothing can be given back any more: so nothing is counted twice, whatever a recorder does.
    #[allow(
        unused_variables,
        clippy::unused_self,
        reason = "without the feature nothing is counted"
    )]
    fn tell(&self, written: &[KeyUses]) {
        #[cfg(feature = "metrics")]
        if self.metrics_by_key.load(Ordering::Relaxed) {
            for key in written {
                telemetry::key_requests(&key.id, key.uses, key.limited, key.refused);
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}

/// What was taken and is not written: it counts again, however the writing ends.
struct Unwritten<'c> {
    counts: &'c Counts,
    uses: Arc<[KeyUses]>,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        self.counts.give_back(&self.uses);
    }
}

/// Says that the task has ended, however it ends.
struct Alive(Weak<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.alive.store(false, Ordering::Release);
        }
    }
}

async fn write_now_and_then(alive: Alive, ended: Arc<Notify>, interval: Duration) {
    loop {
        let _ = tokio::time::timeout(interval, ended.notified()).await;
        let Some(shared) = alive.0.upgrade() else { return };
        // A panic of the store must not end the writing: the next turn tries again.
        match tokio::spawn(shared.write_in_time()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => telemetry::uses_not_written(&error),
            Err(error) => telemetry::uses_not_written(&error),
        }
    }
}

impl fmt::Debug for UsageRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageRecorder")
            .field("interval", &self.interval)
            .field("most_keys", &self.most_keys)
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
