use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::body::ResponseBody;
use super::refusal::{self, Language};
use crate::authenticator::{BoxFuture, Judgement};
use crate::error::Rejection;

pin_project! {
    /// The response of a request that passed, is being judged, or was refused.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
        language: Language,
        private: bool,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Judging { judgement: BoxFuture<Judgement>, admit: Option<Admit<S, B>> },
        Calling { #[pin] response: S::Future },
        Refused { rejection: Option<Rejection> },
    }
}

/// Lets the request in or refuses it, once it is judged; owns the request and the service that was polled ready for it.
type Admit<S, B> = Box<dyn FnOnce(Judgement) -> Result<(S, Request<B>), Rejection> + Send>;

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn calling(response: S::Future, language: Language, private: bool) -> Self {
        Self {
            state: State::Calling { response },
            language,
            private,
        }
    }

    pub(super) fn refused(rejection: Rejection, language: Language, private: bool) -> Self {
        Self {
            state: State::Refused {
                rejection: Some(rejection),
            },
            language,
            private,
        }
    }

    #[cfg(any(feature = "api-key", feature = "jwt"))]
    pub(super) fn judging(
        judgement: BoxFuture<Judgement>,
        admit: Admit<S, B>,
        language: Language,
        private: bool,
    ) -> Self {
        Self {
            state: State::Judging {
                judgement,
                admit: Some(admit),
            },
            language,
            private,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Judging { judgement, admit } => {
                    let judgement = ready!(judgement.as_mut().poll(context));
                    let Some(admit) = admit.take() else {
                        return Poll::Pending;
                    };
                    match admit(judgement) {
                        Ok((mut service, request)) => State::Calling {
                            response: service.call(request),
                        },
                        Err(rejection) => State::Refused {
                            rejection: Some(rejection),
                        },
                    }
                }
                StateProjection::Calling { response } => {
                    let mut response = ready!(response.poll(context))?.map(ResponseBody::inner);
                    finish(response.headers_mut(), *this.private);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { rejection } => {
                    let Some(rejection) = rejection.take() else {
                        return Poll::Pending;
                    };
                    let mut response = refusal::respond(rejection, *this.language);
                    finish(response.headers_mut(), *this.private);
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

/// A credential outside `Authorization` is not seen by caches (RFC 9111 section 3.5), so the response says it for itself.
fn finish(headers: &mut HeaderMap, private: bool) {
    if private {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("private"));
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
