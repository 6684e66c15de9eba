use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response};
use tower::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::refusal::Language;
use crate::authenticator::{Authenticator, Judgement, Verdict};
use crate::challenge::{Challenges, Scheme};
use crate::credential::{Attempt, Presented, RequestHead};
use crate::error::{AuthError, Refusal, Rejection};
use crate::principal::{Anonymous, By, Door, Method, Principal, Seen, Trail};
use crate::telemetry;

/// The service behind every authentication layer: finds the request's one credential, has it judged, and passes the
/// request on with a [`Principal`] in its extensions, or refuses it.
#[derive(Debug, Clone)]
pub struct Authenticate<S> {
    inner: S,
    gate: Arc<Gate>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Gate {
    authenticator: Arc<dyn Authenticator>,
    door: Arc<Door>,
    optional: bool,
    strip: bool,
    private: bool,
}

/// How a layer treats requests, beside judging their credentials.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manners {
    pub(super) optional: bool,
    pub(super) strip: bool,
}

impl Gate {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>, manners: Manners) -> Self {
        let door = Door::new(
            Challenges::new(authenticator.challenges()),
            authenticator.claim_types(),
        );
        Self {
            private: authenticator.hides_from_caches(),
            door: Arc::new(door),
            authenticator,
            optional: manners.optional,
            strip: manners.strip,
        }
    }

    /// Looks for the credential and has it judged, as far as that goes without waiting.
    fn decide<B>(&self, request: &Request<B>) -> Decision {
        let head = RequestHead::new(request.headers(), request.extensions());
        let credential = match self.authenticator.find(&head) {
            Presented::One(credential) => credential,
            Presented::None if self.optional => return Decision::Anonymous,
            Presented::None => return self.refuse(request, AuthError::CredentialMissing, None),
            Presented::Malformed(flaw) => return self.refuse(request, flaw.error, flaw.scheme),
            Presented::Twice => return self.refuse(request, AuthError::CredentialRepeated, None),
        };
        let verdict = self.authenticator.judge(&credential, &head);
        let method = self.authenticator.method_of(&credential);
        Decision::Judged(
            verdict,
            Found {
                header: credential.header,
                scheme: credential.scheme,
                method,
                attempt: head.attempt(),
            },
        )
    }

    fn refuse<B>(&self, request: &Request<B>, error: AuthError, tried: Option<Scheme>) -> Decision {
        let refusal = Refusal::at_door(error, &self.door, tried);
        let trail = Trail::of(request.extensions());
        Decision::Refused(telemetry::refused(refusal, None, trail, By::Layer))
    }

    /// Puts the principal into the request, or says why not.
    fn admit<B>(
        &self,
        request: &mut Request<B>,
        judgement: Judgement,
        found: Found,
    ) -> Result<(), Rejection> {
        let extensions = request.extensions();
        found.attempt.ended(judgement.as_ref().err(), extensions);
        let trail = Trail::of(extensions);
        let data = judgement.map_err(|error| {
            let refusal = Refusal::at_door(error, &self.door, Some(found.scheme));
            telemetry::refused(refusal, Some(found.method), trail, By::Layer)
        })?;
        let trail = trail.cloned();
        telemetry::accepted(found.method);
        if let Some(trail) = &trail {
            trail.admitted(Seen::Known(Arc::clone(&data)));
        }
        self.guard(request.headers_mut(), &found.header);
        let principal = Principal::new(data, Arc::clone(&self.door), found.scheme).on(trail);
        let extensions = request.extensions_mut();
        extensions.remove::<Anonymous>();
        extensions.insert(principal);
        Ok(())
    }

    fn admit_anonymous<B>(&self, request: &mut Request<B>) {
        telemetry::anonymous();
        let extensions = request.extensions_mut();
        if let Some(trail) = Trail::of(extensions) {
            trail.admitted(Seen::Anonymous);
        }
        extensions.remove::<Principal>();
        extensions.insert(Anonymous(Arc::clone(&self.door)));
    }

    /// The credential goes no further than it must: it is removed, or at least marked, so that nothing prints it.
    fn guard(&self, headers: &mut HeaderMap, credential: &HeaderName) {
        if self.strip {
            headers.remove(credential);
        } else if let Some(value) = headers.get_mut(credential) {
            value.set_sensitive(true);
        }
    }
}

enum Decision {
    Anonymous,
    Refused(Rejection),
    Judged(Verdict, Found),
}

/// Where the credential was, what it is called, and what judging it took.
struct Found {
    header: HeaderName,
    scheme: Scheme,
    method: Method,
    attempt: Attempt,
}

impl Found {
    /// Whether caches cannot know that there is a credential (RFC 9111 section 3.5).
    fn is_hidden_from_caches(&self) -> bool {
        self.header != AUTHORIZATION
    }
}

impl<S> Authenticate<S> {
    pub(super) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl<S: Clone> Authenticate<S> {
    /// The service that was polled ready; a fresh clone takes its place.
    fn take_ready(&mut self) -> S {
        let fresh = self.inner.clone();
        std::mem::replace(&mut self.inner, fresh)
    }
}

impl<S, B, R> Service<Request<B>> for Authenticate<S>
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let language = Language::of(&request);
        let mut private = self.gate.private;
        let admitted = match self.gate.decide(&request) {
            Decision::Refused(rejection) => Err(rejection),
            Decision::Anonymous => {
                self.gate.admit_anonymous(&mut request);
                Ok(())
            }
            Decision::Judged(Verdict::Done(judgement), found) => {
                private = found.is_hidden_from_caches();
                self.gate.admit(&mut request, judgement, found)
            }
            Decision::Judged(Verdict::Pending(judgement), found) => {
                if let Some(trail) = Trail::of(request.extensions()) {
                    trail.asks();
                }
                let (service, gate) = (self.take_ready(), Arc::clone(&self.gate));
                let private = found.is_hidden_from_caches();
                let admit = Box::new(move |judgement| {
                    gate.admit(&mut request, judgement, found)
                        .map(|()| (service, request))
                });
                return ResponseFuture::judging(judgement, admit, language, private);
            }
        };
        match admitted {
            Ok(()) => ResponseFuture::calling(self.inner.call(request), language, private),
            Err(rejection) => {
                // It will not be called, so what it holds for the call, such as a place in a queue, is given back.
                drop(self.take_ready());
                ResponseFuture::refused(rejection, language, private)
            }
        }
    }
}
