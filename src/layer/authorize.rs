use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::refusal::Language;
use crate::error::{AuthError, Refusal, Rejection};
use crate::policy::{self, Demand, PerRequest, RequestTarget, RouteRequirement};
use crate::principal::{By, Caller, Method, Principal, Trail};
use crate::telemetry;

/// The service behind every layer that asks something of the caller. It reads the mark that the authentication in front
/// of it left, and never a credential.
#[derive(Debug, Clone)]
pub struct Authorize<S> {
    inner: S,
    asks: Asks,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Asks {
    /// Of every request the same.
    Always(Arc<dyn Demand>),
    PerRequest(PerRequest),
}

impl Asks {
    fn check(&self, caller: &Principal, target: RequestTarget<'_>) -> Result<(), Refusal> {
        match self {
            Self::Always(demand) => policy::ask(&**demand, caller),
            Self::PerRequest(needs) => match needs.of(target) {
                RouteRequirement::Scopes(requirement) => policy::ask(&*requirement, caller),
                RouteRequirement::AnyCaller => Ok(()),
                RouteRequirement::Nobody => Err(Refusal::of_caller(AuthError::RouteClosed, caller)),
            },
        }
    }
}

impl<S> Authorize<S> {
    pub(super) fn new(inner: S, demand: Arc<dyn Demand>) -> Self {
        Self::asking(inner, Asks::Always(demand))
    }

    pub(super) fn asking(inner: S, asks: Asks) -> Self {
        Self { inner, asks }
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let caller = known_caller(request.extensions())?;
        let target = RequestTarget {
            method: request.method(),
            uri: request.uri(),
        };
        self.asks
            .check(caller, target)
            .map_err(|refusal| told(refusal, Some(caller.method()), request.extensions()))?;
        if let Some(trail) = &caller.trail {
            trail.passed();
        }
        Ok(())
    }
}

/// Whoever the authentication in front let in by name; the refusal of everybody else is told already.
pub(super) fn known_caller(extensions: &Extensions) -> Result<&Principal, Rejection> {
    let refusal = match Caller::of(extensions) {
        Some(Caller::Known(principal)) => return Ok(principal),
        Some(Caller::Anonymous(door)) => Refusal::at_door(AuthError::CredentialMissing, door, None),
        None => Refusal::plain(AuthError::NotAuthenticated),
    };
    Err(told(refusal, None, extensions))
}

/// Tells of a layer's refusal; what is left is for the client.
pub(super) fn told(refusal: Refusal, method: Option<Method>, extensions: &Extensions) -> Rejection {
    telemetry::refused(refusal, method, Trail::of(extensions), By::Layer)
}

impl<S, B, R> Service<Request<B>> for Authorize<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let language = Language::of(&request);
        match self.check(&request) {
            Ok(()) => ResponseFuture::calling(self.inner.call(request), language, false),
            Err(rejection) => {
                // The ready service will not be called: what it holds for the call goes with it.
                self.inner = self.inner.clone();
                ResponseFuture::refused(rejection, language, false)
            }
        }
    }
}
