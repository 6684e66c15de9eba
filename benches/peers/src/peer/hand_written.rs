//! What a service writes for itself: about thirty lines around jsonwebtoken, with nothing left to prepare in a request.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::Either;
use http::{Request, Response, StatusCode, header};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode};
use serde::Deserialize;
use tower::Service;

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler};

/// What the handler wants to know.
#[derive(Clone, Deserialize)]
#[expect(dead_code, reason = "no handler here reads it")]
struct Claims {
    sub: String,
    scope: String,
}

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    fn claims(&self, request: &Request<Body>) -> Option<Claims> {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let token = value.strip_prefix("Bearer ")?;
        let token = decode::<Claims>(token, &self.key, &self.validation).ok()?;
        Some(token.claims)
    }
}

#[derive(Clone)]
struct Authenticate<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S> Service<Request<Body>> for Authenticate<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(claims) = self.verifier.claims(&request) {
            request.extensions_mut().insert(claims);
            return Either::Left(self.inner.call(request));
        }
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        Either::Right(ready(Ok(refusal)))
    }
}

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let jwk: Jwk = serde_json::from_value(terms.jwk()).expect("a key");
    let algorithm = terms.algorithm.as_str().parse().expect("an algorithm of JWT");
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[API]);
    validation.set_issuer(&[LOGIN]);
    validation.set_required_spec_claims(&["aud", "exp", "iss"]);
    let key = DecodingKey::from_jwk(&jwk).expect("a public key");
    Box::new(Authenticate {
        inner: Handler,
        verifier: Arc::new(Verifier { key, validation }),
    })
}
