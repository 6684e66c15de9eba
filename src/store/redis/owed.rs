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
}

impl Owed {
    pub(super) fn add(&mut self, order: Revocation) {
        if !self.sent.contains_key(&order) {
            self.unsent.insert(order);
        }
    }

    /// As many as a node may know, which it takes some time to put together.
    pub(super) fn add_all(&mut self, mut orders: HashSet<Revocation>) {
        if orders.len() > self.unsent.len() {
            std::mem::swap(&mut orders, &mut self.unsent);
        }
        self.unsent.extend(orders);
    }

    /// It was read.
    pub(super) fn settle(&mut self, order: &Revocation) {
        if !self.unsent.remove(order) {
            self.sent.remove(order);
        } else if self.unsent.is_empty() {
            // It may have room for a million.
            self.unsent = HashSet::new();
        }
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
            .finish()
    }
}
