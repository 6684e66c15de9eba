use std::sync::Arc;

use tower_layer::Layer;

use super::authenticate::{Authenticate, Gate, Manners};
use crate::authenticator::Authenticator;

/// An authentication layer that lets anonymous callers through, and nobody with a bad credential. Handlers read
/// `Option<Principal>`; a `ScopeLayer` behind it answers an anonymous caller with 401.
#[derive(Debug, Clone)]
pub struct OptionalLayer {
    authenticator: Arc<dyn Authenticator>,
    strip: bool,
}

impl OptionalLayer {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>, strip: bool) -> Self {
        Self { authenticator, strip }
    }
}

impl<S> Layer<S> for OptionalLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        let manners = Manners {
            optional: true,
            strip: self.strip,
        };
        Authenticate::new(
            inner,
            Arc::new(Gate::new(Arc::clone(&self.authenticator), manners)),
        )
    }
}
