use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::authorize::Authorize;
use crate::clock::Clock;
use crate::policy::TokenAge;

/// Asks that the token was issued a short time ago: for routes on which a stolen token must not be useful for long.
///
/// An older token, one without `iat`, and an API key get 401 `invalid_token`, so that a client fetches a fresh one. An
/// anonymous caller gets 401; without any authentication in front it is a wiring mistake: 500.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::TokenAgeLayer;
///
/// let layer = TokenAgeLayer::within(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
pub struct TokenAgeLayer {
    demand: TokenAge,
}

impl TokenAgeLayer {
    /// Accepts tokens that were issued at most this long ago (`iat`), by this server's clock and without leeway.
    #[must_use]
    pub fn within(age: Duration) -> Self {
        Self {
            demand: TokenAge::within(age),
        }
    }

    /// Who tells the time. Default: `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.demand = self.demand.clock(clock);
        self
    }
}

impl<S> Layer<S> for TokenAgeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize::new(inner, Arc::new(self.demand.clone()))
    }
}
