use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Asked, Demand};
use crate::clock::{Clock, SystemClock};
use crate::error::{AuthError, Refusal};
use crate::principal::{Method, Principal};

/// That the token was issued a short time ago.
#[derive(Debug, Clone)]
pub struct TokenAge {
    most: Duration,
    clock: Arc<dyn Clock>,
}

impl TokenAge {
    /// The token was issued at most this long ago (`iat`), by this server's clock and without leeway.
    #[must_use]
    pub fn within(age: Duration) -> Self {
        Self {
            most: age,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Who tells the time. Default: `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Demand for TokenAge {}

impl Asked for TokenAge {
    /// An API key has an age that says nothing, so it never satisfies this; nor does a token without `iat`. A token from a
    /// moment that lies ahead passed the leeway of its issuer, and is as young as can be.
    fn check(&self, caller: &Principal) -> Result<(), Refusal> {
        let issued = caller.issued_at().filter(|_| caller.method() == Method::Jwt);
        let age = issued.map(|issued| self.clock.now().duration_since(issued).unwrap_or_default());
        match age {
            Some(age) if age <= self.most => Ok(()),
            Some(_) => Err(Refusal::of_caller(AuthError::TokenTooOld, caller)),
            None => Err(Refusal::of_caller(AuthError::ClaimMissing("iat"), caller)),
        }
    }
}

impl fmt::Display for TokenAge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "token_age={}", self.most.as_secs())
    }
}
