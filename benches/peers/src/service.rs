//! Services as they are measured: called from here, or put into a router.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::spin_loop;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower::Service;

/// What stands behind every layer: it answers at once.
#[derive(Debug, Clone, Copy)]
pub struct Handler;

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::from("ok"))))
    }
}

/// A [`Handler`] with somebody's layer around it.
pub trait Guarded: Send {
    /// Calls it, and waits for its status.
    fn answer(&mut self, request: Request<Body>) -> StatusCode;

    /// A clone of it, for another thread.
    fn another(&self) -> Box<dyn Guarded>;

    /// A router that has it at `/`.
    fn router(&self) -> Router;
}

impl<S, B> Guarded for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn answer(&mut self, request: Request<Body>) -> StatusCode {
        let mut context = Context::from_waker(Waker::noop());
        while self.poll_ready(&mut context).is_pending() {
            spin_loop();
        }
        let Ok(response) = wait(Service::call(self, request));
        response.status()
    }

    fn another(&self) -> Box<dyn Guarded> {
        Box::new(self.clone())
    }

    fn router(&self) -> Router {
        Router::new().route_service("/", self.clone())
    }
}

/// The outcome of a future that waits for hardly anything.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        spin_loop();
    }
}

/// The header value of a token.
///
/// # Panics
///
/// If it is no token.
pub fn bearer(token: &str) -> HeaderValue {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    value.expect("tokens are of visible ASCII characters")
}

pub fn request(authorization: &HeaderValue) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, authorization.clone());
    request
}
