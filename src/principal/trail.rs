//! What becomes of one request, as those tell it who decide. An audit reads it when the answer is known, if there is an audit;
//! without one nobody has a trail, and nothing is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;

use super::PrincipalData;

/// The latest decisions about a request. It keeps what is known of a caller and no [`Principal`](super::Principal), which keeps
/// its trail: the two would keep each other for ever.
#[derive(Debug, Default)]
pub(crate) struct Trail(Mutex<Steps>);

#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) caller: Option<Seen>,
    pub(crate) refusal: Option<Refused>,
    /// Somebody has been asked and has not answered: a store, an issuer, the place where revocations are kept.
    pub(crate) pending: bool,
    closed: bool,
}

/// Whom an authentication let in.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Anonymous,
    Known(Arc<PrincipalData>),
}

/// What was said no to.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) requirement: Option<Box<str>>,
    /// Of a key that is known, and revoked or out of its time.
    pub(crate) key_id: Option<Arc<str>>,
    pub(crate) by: By,
}

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A layer: nothing of ours went on after it.
    Layer,
    /// `require` or an extractor: the handler may have gone on all the same.
    Handler,
}

impl Trail {
    /// That of the request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<Arc<Self>>()
    }

    /// The latest authentication counts, as it does for handlers. What was refused before it was tried again and is forgotten.
    pub(crate) fn admitted(&self, caller: Seen) {
        self.step(|steps| {
            steps.caller = Some(caller);
            steps.refusal = None;
            steps.pending = false;
        });
    }

    pub(crate) fn refused(&self, refusal: Refused) {
        self.step(|steps| {
            steps.refusal = Some(refusal);
            steps.pending = false;
        });
    }

    /// Nothing is decided until somebody has answered.
    #[cfg(any(feature = "api-key", feature = "jwt", feature = "rate-limit"))]
    pub(crate) fn asks(&self) {
        self.step(|steps| steps.pending = true);
    }

    /// A layer that asks something let the request pass. If one refused it before, it was tried again.
    pub(crate) fn passed(&self) {
        self.step(|steps| {
            steps.pending = false;
            steps.refusal.take_if(|refusal| refusal.by == By::Layer);
        });
    }

    /// A principal may outlive its request: what it is asked then is nobody's answer any more.
    fn step(&self, step: impl FnOnce(&mut Steps)) {
        let mut steps = self.steps();
        if !steps.closed {
            step(&mut steps);
        }
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "audit")]
impl Trail {
    /// Whether the answer is not known yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.steps().closed
    }

    /// The answer is known: all that was told, and from now on nothing is.
    pub(crate) fn close(&self) -> Steps {
        let mut steps = self.steps();
        let told = std::mem::take(&mut *steps);
        steps.closed = true;
        told
    }
}
