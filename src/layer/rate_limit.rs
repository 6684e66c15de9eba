use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, Request, Response};
use pin_project_lite::pin_project;
use tower::Service;
use tower_layer::Layer;

use super::authorize::told;
use super::body::ResponseBody;
use super::refusal::{self, Language};
#[cfg(feature = "stored-keys")]
use crate::api_key::UsageRecorder;
use crate::authenticator::BoxFuture;
use crate::error::{AuthError, Refusal, Rejection};
use crate::limit::{Counted, Counting, RateLimits};
use crate::principal::{Caller, Principal, Trail};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Limits how often each caller may ask, by [`RateLimits`]. It stands behind an authentication layer, which tells who asks.
///
/// Beyond the limit: 429 with `Retry-After`, for gRPC 8 (`RESOURCE_EXHAUSTED`); never 401, since no other credential would help. Every answer,
/// good or not, tells what is left in `RateLimit` and what the plan allows in `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers-10). Callers who are anonymous are counted by the first plan, all together or by address. Without any authentication in
/// front it is a wiring mistake: 500.
///
/// ```
/// use tower_resource_server::{Quota, RateLimitLayer, RateLimits};
///
/// let limits = RateLimits::builder("free", Quota::per_minute(60)).build()?;
/// let layer = RateLimitLayer::new(limits);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
///
/// # Several limits
///
/// Layers stack: one of 100 a second around one of 10,000 a day, each with plans of other names. A request that the outer one lets
/// through and the inner one refuses has used up one of the outer's.
///
/// A request is counted before anything behind this layer sees it, so one that a later layer refuses has cost its caller one.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    limits: RateLimits,
    #[cfg(feature = "stored-keys")]
    usage: Option<UsageRecorder>,
}

impl RateLimitLayer {
    /// Counts by these limits.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            #[cfg(feature = "stored-keys")]
            usage: None,
        }
    }

    /// Writes down with the uses of an API key how many requests of it were turned away here. Default: nobody does, because uses
    /// are for who asked for them.
    #[cfg(feature = "stored-keys")]
    #[must_use]
    pub fn usage(mut self, recorder: UsageRecorder) -> Self {
        self.usage = Some(recorder);
        self
    }

    /// What became of a request that was counted.
    #[cfg_attr(
        not(feature = "stored-keys"),
        allow(clippy::unused_self, reason = "without the feature nobody writes uses down")
    )]
    fn admit<B>(&self, request: &Request<B>, counted: &Counted) -> Result<(), Rejection> {
        let extensions = request.extensions();
        let caller = extensions.get::<Principal>();
        if counted.taken.granted {
            if let Some(trail) = caller.and_then(|caller| caller.trail.as_ref()) {
                trail.passed();
            }
            return Ok(());
        }
        #[cfg(feature = "stored-keys")]
        if let (Some(usage), Some(caller)) = (&self.usage, caller) {
            usage.limited(caller);
        }
        let refusal = Refusal::plain(AuthError::RateLimited {
            plan: counted.plan.name().clone(),
            retry_after: counted.taken.next,
        });
        let refusal = refusal.of(&counted.plan);
        Err(told(refusal, caller.map(Principal::method), extensions))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of a [`RateLimitLayer`].
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    layer: RateLimitLayer,
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = RateLimitFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let language = Language::of(&request);
        let (headers, extensions) = (request.headers(), request.extensions());
        let limits = &self.layer.limits;
        let counting = Caller::of(extensions).map(|caller| limits.count(&caller, headers, extensions));
        let state = match counting {
            Some(Counting::Done(counted)) => self.enter(request, counted),
            Some(Counting::Pending(counting)) => self.wait(request, counting),
            None => {
                let refusal = Refusal::plain(AuthError::NotAuthenticated);
                self.refuse(told(refusal, None, request.extensions()), None)
            }
        };
        RateLimitFuture { state, language }
    }
}

impl<S: Clone> RateLimit<S> {
    fn enter<B>(&mut self, request: Request<B>, counted: Counted) -> State<S, B>
    where
        S: Service<Request<B>>,
    {
        match self.layer.admit(&request, &counted) {
            Ok(()) => State::Calling {
                response: self.inner.call(request),
                counted,
            },
            Err(rejection) => self.refuse(rejection, Some(counted)),
        }
    }

    fn wait<B>(&mut self, request: Request<B>, counting: BoxFuture<Counted>) -> State<S, B>
    where
        S: Service<Request<B>>,
    {
        if let Some(trail) = Trail::of(request.extensions()) {
            trail.asks();
        }
        let service = self.take_ready();
        let layer = self.layer.clone();
        State::Counting {
            counting,
            rest: Some(Rest {
                service,
                layer,
                request,
            }),
        }
    }

    fn refuse<B>(&mut self, rejection: Rejection, counted: Option<Counted>) -> State<S, B>
    where
        S: Service<Request<B>>,
    {
        // It will not be called, so what it holds for the call, such as a place in a queue, is given back.
        drop(self.take_ready());
        State::Refused {
            refused: Some((rejection, counted)),
        }
    }

    /// The service that was polled ready; a fresh clone takes its place.
    fn take_ready(&mut self) -> S {
        let fresh = self.inner.clone();
        std::mem::replace(&mut self.inner, fresh)
    }
}

pin_project! {
    /// The response of a request that is counted, has passed or was refused.
    pub struct RateLimitFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
        language: Language,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Counting { counting: BoxFuture<Counted>, rest: Option<Rest<S, B>> },
        Calling { #[pin] response: S::Future, counted: Counted },
        Refused { refused: Option<(Rejection, Option<Counted>)> },
    }
}

/// What a request that waits goes on with.
struct Rest<S, B> {
    service: S,
    layer: RateLimitLayer,
    request: Request<B>,
}

impl<S, B, R> Future for RateLimitFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Counting { counting, rest } => {
                    let counted = ready!(counting.as_mut().poll(context));
                    let Some(rest) = rest.take() else {
                        return Poll::Pending;
                    };
                    rest.go_on(counted)
                }
                StateProjection::Calling { response, counted } => {
                    let mut response = ready!(response.poll(context))?.map(ResponseBody::inner);
                    tell(response.headers_mut(), counted);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { refused } => {
                    let Some((rejection, counted)) = refused.take() else {
                        return Poll::Pending;
                    };
                    let mut response = refusal::respond(rejection, *this.language);
                    if let Some(counted) = &counted {
                        tell(response.headers_mut(), counted);
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request<B>>, B> Rest<S, B> {
    fn go_on(mut self, counted: Counted) -> State<S, B> {
        match self.layer.admit(&self.request, &counted) {
            Ok(()) => State::Calling {
                response: self.service.call(self.request),
                counted,
            },
            Err(rejection) => State::Refused {
                refused: Some((rejection, Some(counted))),
            },
        }
    }
}

/// Appended, since both fields are lists: another limit around or behind this one has members of its own.
fn tell(headers: &mut HeaderMap, counted: &Counted) {
    headers.append(RATE_LIMIT_POLICY, counted.plan.policy().clone());
    headers.append(RATE_LIMIT, counted.plan.service_limit(counted.taken));
}

impl<S: Service<Request<B>>, B> fmt::Debug for RateLimitFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}
