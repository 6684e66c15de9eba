use std::sync::Arc;

use tower_layer::Layer;

use super::authenticate::{Authenticate, Gate, Manners};
use super::optional::OptionalLayer;
use crate::authenticator::{AnyOf, Authenticator};

/// Accepts one credential of several kinds: made by `JwtLayer::or` and `ApiKeyLayer::or`.
///
/// Nothing presented is 401 with every challenge. Two credentials are 400, even if both are good: which one counts would
/// depend on who looks.
#[derive(Debug, Clone)]
pub struct AnyOfLayer {
    authenticator: Arc<AnyOf>,
    strip: bool,
}

impl AnyOfLayer {
    /// Of kinds, and whether each takes its credential out of the request: if one does, all are taken out.
    pub(super) fn new<const N: usize>(kinds: [(Arc<dyn Authenticator>, bool); N]) -> Self {
        let strip = kinds.iter().any(|(_, strip)| *strip);
        let kinds = kinds.into_iter().map(|(authenticator, _)| authenticator);
        Self {
            authenticator: Arc::new(AnyOf(kinds.collect())),
            strip,
        }
    }

    /// Removes the credential from the request before the handler sees it. Default: it stays and is marked as sensitive,
    /// because a handler may have to hand it on.
    #[must_use]
    pub fn strip_credential(mut self) -> Self {
        self.strip = true;
        self
    }

    /// Lets callers without a credential through as anonymous; a bad one is still refused. The last call: nothing can be
    /// added to an optional layer. Default: a credential is demanded, because a forgotten check must not open a route.
    #[must_use]
    pub fn optional(self) -> OptionalLayer {
        OptionalLayer::new(self.authenticator, self.strip)
    }
}

impl<S> Layer<S> for AnyOfLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        let manners = Manners {
            optional: false,
            strip: self.strip,
        };
        Authenticate::new(
            inner,
            Arc::new(Gate::new(Arc::clone(&self.authenticator) as _, manners)),
        )
    }
}
