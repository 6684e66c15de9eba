use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;
use tower_layer::Layer;

use super::authorize::told;
use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::refusal::Language;
use crate::error::{AuthError, Refusal, Rejection};
use crate::limit::FailedAttempts;
use crate::principal::Caller;

/// Slows guessing down: whoever has presented too many bad credentials gets 429, with `Retry-After`, for those that are not known
/// here, and no store and no issuer is asked about them. What can be judged with what is in memory is judged as ever, so nobody is
/// locked out by a neighbour behind the same address. [`FailedAttempts`] says what counts.
///
/// It belongs outside of every authentication layer. Behind one it would watch nothing, which is a wiring mistake: 500. Of two such
/// layers around a request the inner one counts.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_resource_server::{ApiKeyLayer, CallerAddress, FailedAttemptLayer, FailedAttempts, MemoryKeyStore};
///
/// // Behind one proxy, which appends to `X-Forwarded-For`.
/// let attempts = FailedAttempts::builder(CallerAddress::of_x_forwarded_for(1)).build()?;
/// let app: Router = Router::new()
///     .route("/orders", get(async || "none"))
///     .layer(ApiKeyLayer::new(MemoryKeyStore::new()))
///     .layer(FailedAttemptLayer::new(attempts));
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FailedAttemptLayer {
    attempts: FailedAttempts,
}

impl FailedAttemptLayer {
    /// Counts here; give clones to the layers of several routes, so that they count together.
    #[must_use]
    pub fn new(attempts: FailedAttempts) -> Self {
        Self { attempts }
    }
}

impl<S> Layer<S> for FailedAttemptLayer {
    type Service = LimitFailedAttempts<S>;

    fn layer(&self, inner: S) -> LimitFailedAttempts<S> {
        LimitFailedAttempts {
            inner,
            attempts: self.attempts.clone(),
        }
    }
}

/// The service of a [`FailedAttemptLayer`].
#[derive(Debug, Clone)]
pub struct LimitFailedAttempts<S> {
    inner: S,
    attempts: FailedAttempts,
}

impl<S> LimitFailedAttempts<S> {
    /// Whoever judges credentials further inside finds the mark.
    fn mark<B>(&self, request: &mut Request<B>) -> Result<(), Rejection> {
        let extensions = request.extensions();
        if Caller::of(extensions).is_some() {
            let refusal = Refusal::plain(AuthError::AlreadyAuthenticated);
            return Err(told(refusal, None, extensions));
        }
        let mark = self.attempts.watch(request.headers(), extensions);
        request.extensions_mut().insert(mark);
        Ok(())
    }
}

impl<S, B, R> Service<Request<B>> for LimitFailedAttempts<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let language = Language::of(&request);
        match self.mark(&mut request) {
            Ok(()) => ResponseFuture::calling(self.inner.call(request), language, false),
            Err(rejection) => {
                // The ready service will not be called: what it holds for the call goes with it.
                self.inner = self.inner.clone();
                ResponseFuture::refused(rejection, language, false)
            }
        }
    }
}
