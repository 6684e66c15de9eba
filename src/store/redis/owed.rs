//! Orders that this node cannot be sure to find in the engine again.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::news::NewsId;
use crate::revocation::Revocation;

/// An order is owed until it is read in the news that this node listens to, or in what the engine holds: an acknowledgement alone
/// may have come from an engine that is replaced by another in the next moment.
#[derive(Default)]
pub(super) struct Owed {
    unsent: HashSet<Revocation>,
    /// With the newest news when the engine took it: whoever has read those has read it, too, or it was there before.
    sent: HashMap<Revocation, NewsId>,
    /// Whether some of what is unsent may have been lost, and is not merely new.
    restores: bool,
}

impl Owed {
    pub(super) fn add(&mut self, order: Revocation) {
        if !self.sent.contains_key(&order) {
            self.unsent.insert(order);
        }
    }

    /// For whoever puts together all that a node knows, outside of any lock.
    pub(super) fn take(&mut self) -> HashSet<Revocation> {
        self.unsend();
        std::mem::take(&mut self.unsent)
    }

    /// All that a node knows, which the engine may have lost.
    pub(super) fn restore(&mut self, mut known: HashSet<Revocation>) {
        known.extend(self.unsent.drain());
        self.restores = !known.is_empty();
        self.unsent = known;
    }

    /// Whether there is something to send that the engine may have lost.
    pub(super) fn restores(&self) -> bool {
        self.restores
    }

    pub(super) fn len(&self) -> usize {
        self.unsent.len() + self.sent.len()
    }

    /// It was read.
    pub(super) fn settle(&mut self, order: &Revocation) {
        if !self.unsent.remove(order) {
            self.sent.remove(order);
        }
        self.rest();
    }

    /// Some of those that are to be sent.
    pub(super) fn some(&self, most: usize) -> Vec<Revocation> {
        self.unsent.iter().take(most).cloned().collect()
    }

    pub(super) fn were_sent(&mut self, orders: Vec<Revocation>, newest: NewsId) {
        for order in orders {
            if self.unsent.remove(&order) {
                self.sent.insert(order, newest);
            }
        }
        self.rest();
    }

    /// The table may have room for a million.
    fn rest(&mut self) {
        if self.restores && self.unsent.is_empty() {
            self.restores = false;
            self.unsent = HashSet::new();
        }
    }

    /// The news were read up to here.
    pub(super) fn is_read_to(&mut self, last: NewsId) {
        if !self.sent.is_empty() {
            self.sent.retain(|_, newest| last < *newest);
        }
    }

    /// Another connection may lead to another engine.
    pub(super) fn unsend(&mut self) {
        self.unsent.extend(self.sent.drain().map(|(order, _)| order));
    }
}

/// Names of people and of keys are for nobody's log.
impl fmt::Debug for Owed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Owed")
            .field("unsent", &self.unsent.len())
            .field("sent", &self.sent.len())
            .field("restores", &self.restores)
            .finish()
    }
}
