//! The task that hears. It holds no node, so it ends soon after the last use of one, or with its runtime; then the next
//! request starts another.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Sleep;

use super::ear::Ear;
use super::engine::Engine;
use super::error::RedisRevocationsError;
use super::news::Place;
use super::node::Node;
use super::wire::Written;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After an engine was found to be empty, in which others who know what it held come back to it.
const GRACE: Duration = Duration::from_secs(3);
/// Turns in which nothing is sent to an engine that refused it: half a second each.
const RESTS: u32 = 8;
/// Orders that are put back at once: the engine does nothing else meanwhile.
const BATCH: usize = 500;

/// Why hearing has ended.
enum End {
    /// Nobody wants to hear any more.
    Unwanted,
    Failed(RedisRevocationsError),
}

impl From<RedisRevocationsError> for End {
    fn from(error: RedisRevocationsError) -> Self {
        Self::Failed(error)
    }
}

/// Says that the task has ended, however it ends.
struct Alive(Weak<Node>);

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(node) = self.0.upgrade() {
            node.is_alone(&RedisRevocationsError::NoRuntime);
        }
    }
}

pub(super) fn run(node: &Arc<Node>) -> impl Future<Output = ()> + Send + use<> {
    let (alive, engine) = (Alive(Arc::downgrade(node)), Arc::clone(&node.engine));
    async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut heard = false;
            let error = match attempt(&alive.0, &engine, &mut heard).await {
                Ok(never) => match never {},
                Err(End::Unwanted) => return,
                Err(End::Failed(error)) => error,
            };
            match alive.0.upgrade() {
                Some(node) => node.is_deaf(&error),
                None => return,
            }
            if heard {
                pause = FIRST_PAUSE;
            }
            // A fleet that lost its engine does not come back in one moment.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

/// Hears for as long as one connection does.
async fn attempt(node: &Weak<Node>, engine: &Engine, heard: &mut bool) -> Result<Infallible, End> {
    let mut ear = Ear::of(engine).await?;
    let mut place = wanted(node)?.comes_back();
    loop {
        let from = match place.take() {
            Some(place) => place,
            None => load(node, &mut ear).await?,
        };
        hear(node, &mut ear, from, heard).await?;
    }
}

/// Until the place is lost: the engine is not what it was, or does not have what comes next.
async fn hear(node: &Weak<Node>, ear: &mut Ear<'_>, mut place: Place, heard: &mut bool) -> Result<(), End> {
    let (mut waits, mut rests) = (false, 0_u32);
    let mut grace = pin!(tokio::time::sleep(GRACE));
    loop {
        // What is owed may stand in the news that are left to read.
        let most = if waits && rests == 0 { BATCH } else { 0 };
        let (asked_at, owed, restores) = wanted(node)?.before_a_turn(most);
        let written: Vec<_> = owed.iter().map(Written::of).collect();
        if restores && place.generation.is_none() {
            ear.announce().await;
        }
        let turn = ear.turn(&place, waits && owed.is_empty(), &written).await?;
        let here = wanted(node)?;
        for (spot, entry) in &turn.news {
            here.read(&spot.name, entry);
        }
        if !turn.is_intact {
            return Ok(());
        }
        if owed.is_empty() {
            rests = rests.saturating_sub(1);
        } else if let Some(newest) = turn.sent {
            here.were_sent(owed, newest);
        } else {
            rests = RESTS;
        }
        let is_complete = turn.is_all && here.has_sent_all();
        if let Some((last, _)) = turn.news.into_iter().next_back() {
            place.last = last;
        }
        place.generation = turn.generation;
        here.is_at(&place);
        waits = turn.is_all;
        if waits {
            *heard = true;
            if !here.hears(asked_at) {
                return Ok(());
            }
        }
        drop(here);
        if place.generation.is_none() && is_complete && has_passed(grace.as_mut()).await {
            place.generation = ear.name_generation().await.unwrap_or(None);
        }
    }
}

async fn has_passed(mut time: Pin<&mut Sleep>) -> bool {
    poll_fn(|context| Poll::Ready(time.as_mut().poll(context).is_ready())).await
}

/// Everything that the engine holds. What this node knows beside is owed from now on.
async fn load(node: &Weak<Node>, ear: &mut Ear<'_>) -> Result<Place, End> {
    let generation = ear.generation().await?;
    let restores = generation.is_none() && !wanted(node)?.index.is_empty();
    if restores {
        ear.announce().await;
    }
    wanted(node)?.leaves().await?;
    // Before the entries: what is written meanwhile is heard afterwards.
    let last = ear.newest().await?;
    let mut cursor = 0;
    loop {
        let (next, entries) = ear.page(cursor).await?;
        let here = wanted(node)?;
        for (name, entry) in &entries {
            here.read(name, entry);
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
        if restores {
            ear.announce().await;
        }
    }
    let settles = ear.newest().await?.id;
    Ok(Place {
        generation,
        last,
        settles,
    })
}

fn wanted(node: &Weak<Node>) -> Result<Arc<Node>, End> {
    node.upgrade().ok_or(End::Unwanted)
}
