//! Calling a layer directly, without a server and without a runtime: whatever is judged from memory answers at once.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tower::util::ServiceFn;
use tower::{Service, service_fn};
use tower_resource_server::{Principal, Rejection};

use crate::Answer;

type Handled = Ready<Result<Response<Empty<Bytes>>, Infallible>>;

/// The headers as the handler saw them.
#[derive(Clone)]
struct Seen(HeaderMap);

/// A handler that answers with what it was given.
pub fn bare() -> ServiceFn<fn(Request<()>) -> Handled> {
    service_fn(|request: Request<()>| {
        let (parts, ()) = request.into_parts();
        let mut response = Response::new(Empty::new());
        if let Some(caller) = parts.extensions.get::<Principal>() {
            response.extensions_mut().insert(caller.clone());
        }
        response.extensions_mut().insert(Seen(parts.headers));
        ready(Ok(response))
    })
}

pub fn get() -> Request<()> {
    Request::new(())
}

/// A `GET` with one header, if `value` can be one.
pub fn header(name: &'static str, value: &[u8]) -> Option<Request<()>> {
    let mut request = get();
    request
        .headers_mut()
        .insert(name, http::HeaderValue::from_bytes(value).ok()?);
    Some(request)
}

/// What a future is ready with at once.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("something waits that is judged from memory"),
    }
}

/// The answer of a layer to a request.
pub fn ask<S, R>(service: &mut S, request: Request<()>) -> Answer
where
    S: Service<Request<()>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes, Error = Infallible>,
{
    let Ok(response) = now(service.call(request));
    let (parts, body) = response.into_parts();
    let Ok(body) = now(body.collect());
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.to_bytes(),
        rejection: parts.extensions.get::<Rejection>().cloned(),
        principal: parts.extensions.get::<Principal>().cloned(),
        seen: parts.extensions.get::<Seen>().map(|seen| seen.0.clone()),
    }
}
