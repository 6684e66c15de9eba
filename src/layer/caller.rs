use std::sync::Arc;

use tower_layer::Layer;

use super::authorize::Authorize;
use crate::policy::CallerKind;

/// Asks that the caller is of a certain kind: a user, an API key, one of some clients, somebody for whom nobody acts. Whoever is of
/// another gets 403. An anonymous caller gets 401; without any authentication in front it is a wiring mistake: 500.
///
/// ```
/// use tower_resource_server::{CallerKind, CallerLayer};
///
/// let layer = CallerLayer::new(CallerKind::user());
/// ```
#[derive(Debug, Clone)]
pub struct CallerLayer {
    demand: Arc<CallerKind>,
}

impl CallerLayer {
    /// Asks for this kind. Of several kinds each is a layer: all of them are asked for.
    #[must_use]
    pub fn new(demand: CallerKind) -> Self {
        Self {
            demand: Arc::new(demand),
        }
    }
}

impl<S> Layer<S> for CallerLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize::new(inner, Arc::clone(&self.demand) as _)
    }
}
