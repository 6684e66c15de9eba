//! The task that hears. It holds no node, so it ends soon after the last use of one, or with its runtime; then the next
//! request starts another.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use super::engine::{Ear, Engine, Place};
use super::error::RedisRevocationsError;
use super::node::Node;
use super::wire::Written;
use crate::revocation::Revocation;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Orders that are put back at once: the engine does nothing else meanwhile.
const BATCH: usize = 500;

/// Why an attempt to hear has ended.
enum End {
    /// Nobody wants to hear any more.
    Unwanted,
    /// The engine is not what it was, or not where it was.
    Changed,
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
                Err(End::Changed) => continue,
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
    let mut ear = engine.listen().await?;
    let place = wanted(node)?.place();
    let mut from = match place {
        Some(place) if ear.knows(&place).await? => Some((place, Vec::new())),
        _ => None,
    };
    loop {
        let (place, known) = match from.take() {
            Some(from) => from,
            None => load(node, &mut ear).await?,
        };
        // To put back a million takes the engine longer than a node may be deaf, so it listens meanwhile.
        let hearing = pin!(hear(node, &mut ear, place, heard));
        let telling = pin!(put_back(node, engine, known));
        match either(hearing, telling).await {
            Err(End::Changed) => {}
            ended => return ended,
        }
    }
}

/// Both at once, until one of them ends.
async fn either<T>(
    mut one: impl Future<Output = T> + Unpin,
    mut other: impl Future<Output = T> + Unpin,
) -> T {
    poll_fn(|context| match Pin::new(&mut one).poll(context) {
        Poll::Pending => Pin::new(&mut other).poll(context),
        ready @ Poll::Ready(_) => ready,
    })
    .await
}

async fn hear(
    node: &Weak<Node>,
    ear: &mut Ear<'_>,
    mut place: Place,
    heard: &mut bool,
) -> Result<Infallible, End> {
    loop {
        wanted(node)?.hears();
        *heard = true;
        let news = ear.news(place.last).await?;
        let here = wanted(node)?;
        for (_, name, entry) in &news {
            here.add(name, entry);
        }
        // The engine may be lost before this node is counted as being there, and by then it knows them.
        if let Some((last, _, _)) = news.last() {
            here.was_told(*last);
        }
        // Asked of the place before: only if it is still there was nothing cut off between it and the news.
        place.told = here.told();
        drop(here);
        if !ear.knows(&place).await? {
            return Err(End::Changed);
        }
        if let Some((last, _, _)) = news.last() {
            place.last = *last;
            wanted(node)?.is_at(place.generation.clone(), place.last);
        }
    }
}

/// Everything that the engine holds, and all that this node knew before: whatever the engine has lost is among it. What is
/// revoked here meanwhile the engine has, and that it still does is seen to while hearing.
async fn load(node: &Weak<Node>, ear: &mut Ear<'_>) -> Result<(Place, Vec<Revocation>), End> {
    let here = wanted(node)?;
    here.leaves();
    let known = here.index.orders();
    drop(here);
    let generation = ear.generation().await?;
    // Before the entries: what is written meanwhile is heard afterwards.
    let last = ear.newest().await?;
    let mut cursor = 0;
    loop {
        let (next, entries) = ear.page(cursor).await?;
        let here = wanted(node)?;
        for (name, entry) in &entries {
            here.add(name, entry);
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    // What was written meanwhile may be known already, and so must be there when this node comes back.
    let told = ear.newest().await?;
    let here = wanted(node)?;
    here.was_told(told);
    here.is_at(generation.clone(), last);
    let told = here.told();
    let place = Place {
        generation,
        last,
        told,
    };
    Ok((place, known))
}

/// Whatever the engine has already stays as it is, so nobody need know what it lacks. Until it is done, this node has no place
/// to come back to: it would load, and put back, once more.
async fn put_back(node: &Weak<Node>, engine: &Engine, orders: Vec<Revocation>) -> Result<Infallible, End> {
    if !orders.is_empty() {
        let mut mouth = engine.listen().await?;
        for batch in orders.chunks(BATCH) {
            let written: Vec<_> = batch.iter().map(Written::of).collect();
            let newest = mouth.put_back(&written).await?;
            wanted(node)?.was_told(newest);
        }
    }
    wanted(node)?.is_whole();
    pending().await
}

fn wanted(node: &Weak<Node>) -> Result<Arc<Node>, End> {
    node.upgrade().ok_or(End::Unwanted)
}
