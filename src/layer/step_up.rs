use std::sync::Arc;

use tower_layer::Layer;

use super::authorize::Authorize;
use crate::policy::StepUp;

/// Asks that the user was authenticated strongly or recently enough (RFC 9470).
///
/// Who was not, and who presents a token that does not tell or an API key, gets 401 `insufficient_user_authentication` with all
/// that is wanted (`acr_values`, `max_age`), so that a client can send its user to the issuer once more. An anonymous caller gets
/// 401; without any authentication in front it is a wiring mistake: 500.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{Acr, StepUp, StepUpLayer};
///
/// const PHISHING_RESISTANT: Acr = Acr::from_static("phr");
/// let layer = StepUpLayer::new(StepUp::one_of([PHISHING_RESISTANT]).within(Duration::from_secs(300)));
/// ```
#[derive(Debug, Clone)]
pub struct StepUpLayer {
    demand: Arc<StepUp>,
}

impl StepUpLayer {
    /// Asks for this.
    #[must_use]
    pub fn new(demand: StepUp) -> Self {
        Self {
            demand: Arc::new(demand),
        }
    }
}

impl<S> Layer<S> for StepUpLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize::new(inner, Arc::clone(&self.demand) as _)
    }
}
