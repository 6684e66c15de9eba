use std::sync::Arc;
use std::time::Duration;

use super::Demand;
use crate::clock::Clock;
use crate::error::{AuthError, Refusal};
use crate::principal::{Method, Principal};

/// The token was issued at most this long ago.
#[derive(Debug, Clone)]
pub(crate) struct TokenAge {
    pub(crate) most: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Demand for TokenAge {
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
