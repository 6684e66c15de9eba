use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;
use tower_layer::Layer;

use super::authorize::{known_caller, told};
use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::refusal::Language;
use crate::error::{AuthError, Refusal};
use crate::revocation::{ErasedRevocations, Revocations};

/// Asks the place where revocations are kept, on every request and whatever this node has heard: for what cannot be undone.
///
/// A credential that was withdrawn gets 401, and 503 if asking fails: this fails closed. How long it may take is up to whoever
/// is asked. An anonymous caller gets 401;
/// without any authentication in front it is a wiring mistake: 500. Where the revocations are a list in memory, it asks that
/// list once more.
///
/// ```
/// use tower_resource_server::{MemoryRevocations, RevocationCheckLayer};
///
/// let layer = RevocationCheckLayer::new(MemoryRevocations::new());
/// ```
#[derive(Debug, Clone)]
pub struct RevocationCheckLayer {
    revocations: Arc<dyn ErasedRevocations>,
}

impl RevocationCheckLayer {
    /// Asks these revocations; give the same to the authentication layer, so that other routes hear of them too.
    #[must_use]
    pub fn new(revocations: impl Revocations) -> Self {
        Self {
            revocations: Arc::new(revocations),
        }
    }
}

impl<S> Layer<S> for RevocationCheckLayer {
    type Service = RevocationCheck<S>;

    fn layer(&self, inner: S) -> RevocationCheck<S> {
        RevocationCheck {
            inner,
            revocations: Arc::clone(&self.revocations),
        }
    }
}

/// The service of a [`RevocationCheckLayer`].
#[derive(Debug, Clone)]
pub struct RevocationCheck<S> {
    inner: S,
    revocations: Arc<dyn ErasedRevocations>,
}

impl<S, B, R> Service<Request<B>> for RevocationCheck<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    B: Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let language = Language::of(&request);
        // The service that was polled ready; a fresh clone takes its place.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        let principal = match known_caller(request.extensions()) {
            Ok(principal) => principal.clone(),
            Err(rejection) => return ResponseFuture::refused(rejection, language, false),
        };
        if let Some(trail) = &principal.trail {
            trail.asks();
        }
        let judgement = Arc::clone(&self.revocations).confirm(Arc::clone(&principal.data));
        let admit = Box::new(move |judgement: Result<_, AuthError>| {
            judgement.map_err(|error| {
                let refusal = Refusal::of_caller(error, &principal);
                told(refusal, Some(principal.method()), request.extensions())
            })?;
            if let Some(trail) = &principal.trail {
                trail.passed();
            }
            Ok((service, request))
        });
        ResponseFuture::judging(judgement, admit, language, false)
    }
}
