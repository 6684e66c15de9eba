//! The task that hears. It holds no node, so it ends soon after the last use of one, or with its runtime; then the next
//! request starts another.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
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
    let mut ear = engine.listen().await?;
    let mut place = match wanted(node)?.place() {
        Some(place) if ear.knows(&place).await? => place,
        _ => load(node, &mut ear).await?,
    };
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
            place = load(node, &mut ear).await?;
        } else if let Some((last, _, _)) = news.last() {
            place.last = *last;
            wanted(node)?.is_at(place.generation.clone(), place.last);
        }
    }
}

/// Everything that the engine holds, and then everything that it does not hold and this node does.
async fn load(node: &Weak<Node>, ear: &mut Ear<'_>) -> Result<Place, End> {
    let here = wanted(node)?;
    here.leaves();
    // Only what was known before can be missing: what is revoked here meanwhile is in the engine, and looked for there.
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
    // From here on this node knows what the engine knows, whether or not the engine can be told more.
    wanted(node)?.hears();
    put_back(&known, ear).await?;
    // What was written meanwhile may be known already, and so must be there when this node comes back.
    let told = ear.newest().await?;
    let here = wanted(node)?;
    here.was_told(told);
    here.is_at(generation.clone(), last);
    Ok(Place {
        generation,
        last,
        told: here.told(),
    })
}

/// Whatever the engine has already stays as it is, so nobody need know what it lacks.
async fn put_back(orders: &[Revocation], ear: &mut Ear<'_>) -> Result<(), RedisRevocationsError> {
    for batch in orders.chunks(BATCH) {
        let written: Vec<_> = batch.iter().map(Written::of).collect();
        ear.put_back(&written).await?;
    }
    Ok(())
}

fn wanted(node: &Weak<Node>) -> Result<Arc<Node>, End> {
    node.upgrade().ok_or(End::Unwanted)
}
