//! How often the credentials of one caller may turn out bad, as those know it who judge them: they ask before they ask anybody
//! else, and tell what came of it. Who counts, and by what, is further up.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;

use super::RequestHead;
use crate::error::{AuthError, RejectionKind};
use crate::telemetry::{self, Attempted};

/// Whether a judge may ask somebody for what is not in memory: a store, an issuer, a resolver. Asked before any question goes out,
/// and before anything is spent on one; never while a lock is held.
pub(crate) trait Asking {
    fn may_ask(&self) -> Result<(), AuthError>;
}

/// Nobody counts, or this request has asked already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unlimited;

impl Asking for Unlimited {
    fn may_ask(&self) -> Result<(), AuthError> {
        Ok(())
    }
}

/// Who counts the failed attempts of one caller.
pub(crate) trait CountAttempts: fmt::Debug + Send + Sync {
    /// Takes one of what may fail, or says how long it takes until there is one.
    fn take(&self) -> Result<(), Duration>;

    /// What was taken did not fail.
    fn give_back(&self);
}

/// The mark of a layer that counts: those of this request's caller.
#[derive(Debug, Clone)]
pub(crate) struct Attempts(Arc<dyn CountAttempts>);

impl Attempts {
    #[cfg(feature = "rate-limit")]
    pub(crate) fn new(counter: impl CountAttempts + 'static) -> Self {
        Self(Arc::new(counter))
    }

    fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }
}

/// What one authentication took of a caller's attempts.
#[derive(Debug, Default)]
pub(super) struct Taking(OnceCell<Attempts>);

impl Asking for RequestHead<'_> {
    /// Whatever is asked for one request counts once. It is taken before the answer is known, so that of many guesses at the same
    /// time no more are asked about than may fail.
    fn may_ask(&self) -> Result<(), AuthError> {
        let taken = &self.taking.0;
        let (None, Some(attempts)) = (taken.get(), Attempts::of(self.extensions)) else {
            return Ok(());
        };
        attempts.0.take().map_err(|retry_after| {
            telemetry::attempt(Attempted::Limited);
            AuthError::TooManyFailedAttempts { retry_after }
        })?;
        let _: Result<(), Attempts> = taken.set(attempts.clone());
        Ok(())
    }
}

impl RequestHead<'_> {
    /// The attempt, which is to be told how it ended.
    pub(crate) fn attempt(self) -> Attempt {
        Attempt(self.taking.0.into_inner())
    }
}

/// An attempt whose end is not known. One that never ends has failed: whoever goes away before the answer would else guess as
/// often as he likes.
#[derive(Debug)]
pub(crate) struct Attempt(Option<Attempts>);

impl Attempt {
    /// `error`: why the credential was refused, if it was. What could not be judged is nobody's failure.
    pub(crate) fn ended(mut self, error: Option<&AuthError>, extensions: &Extensions) {
        let failed = error.is_some_and(|error| error.kind() == RejectionKind::InvalidCredential);
        if failed {
            self.failed(extensions);
        } else if let Some(taken) = self.0.take() {
            taken.0.give_back();
        }
    }

    /// A failure that was judged from memory has taken nothing yet. If there is nothing left it is answered all the same.
    fn failed(&mut self, extensions: &Extensions) {
        if let (None, Some(attempts)) = (&self.0, Attempts::of(extensions)) {
            let _: Result<(), Duration> = attempts.0.take();
            self.0 = Some(attempts.clone());
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.0.is_some() {
            telemetry::attempt(Attempted::Counted);
        }
    }
}
