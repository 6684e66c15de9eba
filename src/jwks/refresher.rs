//! The task that fetches an issuer's keys. It belongs to no request; it holds on to nothing but the runtime, so it ends with
//! the last layer or with its runtime, and the next request starts another.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::fetch::FetchError;
use super::published::Published;
use super::schedule::Step;
use super::source::Loaded;
use super::status::KeyState;
use crate::error::{causes, chain};
use crate::telemetry;

/// A source that has not answered by then has failed.
pub(super) const LONGEST_LOAD: Duration = Duration::from_secs(15);
/// The task looks at the clock at least this often: the runtime's timer and the clock need not agree on how fast time passes.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Says that the task has ended, however it ends.
struct Alive(Weak<Published>);

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(published) = self.0.upgrade() {
            published.is_alone();
        }
    }
}

pub(super) fn run(published: &Arc<Published>) -> impl Future<Output = ()> + Send + use<> {
    let (alive, wake) = (Alive(Arc::downgrade(published)), Arc::clone(&published.wake));
    async move {
        let mut said = KeyState::None;
        while turn(&alive.0, &wake, &mut said).await.is_some() {}
    }
}

/// One fetch, or one sleep; `None` when the last layer or the runtime has gone.
async fn turn(published: &Weak<Published>, wake: &Notify, said: &mut KeyState) -> Option<()> {
    let here = published.upgrade()?;
    let step = here.schedule(|schedule, now| match schedule.next(now) {
        Step::Fetch => None,
        Step::WaitUntil(time) => Some(time.saturating_sub(now)),
    });
    tell(&here, said);
    let Some(sleep) = step else {
        let load = start(&here);
        drop(here);
        let result = match load.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err("the key source panicked".into()),
            // Cancelled, with the last layer or by a runtime that shuts down and has not come to this task yet.
            Err(_) => return None,
        };
        end(&*published.upgrade()?, result);
        return Some(());
    };
    drop(here);
    let _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), wake.notified()).await;
    Some(())
}

/// Says how the keys are, and says it aloud when they have aged.
fn tell(published: &Published, said: &mut KeyState) {
    let status = published.status();
    if published.has_gauges.load(Ordering::Relaxed) {
        telemetry::key_status(&published.issuer, status.keys.as_str(), status.fetch.as_str());
    }
    let before = std::mem::replace(said, status.keys);
    if before != status.keys && before != KeyState::None && status.keys != KeyState::Fresh {
        telemetry::keys_aged(&published.issuer, status.keys.as_str());
    }
}

/// As a task of its own, so that a source that panics takes nothing along.
fn start(published: &Published) -> tokio::task::JoinHandle<Loaded> {
    let source = Arc::clone(&published.source);
    let load = tokio::spawn(async move {
        let result = tokio::time::timeout(LONGEST_LOAD, source.load()).await;
        result.unwrap_or_else(|elapsed| Err(elapsed.into()))
    });
    published.owns_load(load.abort_handle());
    load
}

fn end(published: &Published, result: Loaded) {
    match result {
        Ok(set) => {
            telemetry::keys_fetched(&published.issuer, set.len(), set.skipped().len());
            published.publish(set);
        }
        Err(error) => {
            telemetry::keys_not_fetched(&published.issuer, &*error);
            // The texts are a stranger's code, so they are not asked for under the lock.
            let (cause, pause) = (chain(&*error), asked_pause(&*error));
            published.schedule(|schedule, now| schedule.failed(now, cause.into(), pause));
        }
    }
    published
        .ended
        .send_modify(|ended| *ended = ended.wrapping_add(1));
}

/// For how long the issuer does not want to be asked, if that is why there are no keys.
fn asked_pause(error: &(dyn Error + 'static)) -> Option<Duration> {
    causes(error).find_map(|error| error.downcast_ref::<FetchError>()?.retry_after())
}
