//! huskarl-resource-server: a validator without a Tower service, called as its guide says by a thin one.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use huskarl_resource_server::core::Error;
use huskarl_resource_server::core::http::{HttpClient, HttpResponse, Idempotency};
use huskarl_resource_server::core::platform::MaybeSendBoxFuture;
use huskarl_resource_server::validator::ValidationResult;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;
use tower::{Service, service_fn};

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler, wait};

/// Answers with the key set, whatever is fetched.
struct Published(Bytes);

impl HttpClient for Published {
    fn execute(
        &self,
        _: Request<Bytes>,
        _: Idempotency,
    ) -> MaybeSendBoxFuture<'_, Result<HttpResponse, Error>> {
        Box::pin(ready(Ok(HttpResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: self.0.clone(),
        })))
    }
}

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let jwks_uri = format!("{LOGIN}/jwks");
    let validator = Rfc9068Validator::builder()
        .issuer(LOGIN)
        .audience(API)
        .jwks_uri(jwks_uri.parse().expect("a URL"))
        .jwks_source(Published(Bytes::from(terms.jwks.clone())))
        .build();
    let validator = Arc::new(wait(validator).expect("a key set"));
    Box::new(service_fn(move |request| answer(Arc::clone(&validator), request)))
}

async fn answer(
    validator: Arc<Rfc9068Validator>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let result = validator
        .validate_request(&parts.headers, &parts.method, &parts.uri, None)
        .await;
    let outcome = match result.outcome {
        Ok(Some(validated)) => {
            parts.extensions.insert(Arc::new(validated));
            return Handler.call(Request::from_parts(parts, body)).await;
        }
        refused => refused,
    };
    // Made for refusals only: it is no part of an accepted request.
    let metadata = validator.validator_metadata(None);
    let refusal = ValidationResult { outcome, ..result }.rejection(&metadata, None);
    let answer = refusal.expect("a refusal").apply(Response::builder());
    Ok(answer.body(Body::empty()).expect("legal headers"))
}
