//! jwt-authorizer: its layer. It answers in the types of axum 0.7, so a refusal changes its body on the way.

use axum::body::Body;
use http::{Request, Response};
use jwt_authorizer::{AuthError, Authorizer, IntoLayer, JwtAuthorizer, RegisteredClaims, Validation};
use tower::{Layer, ServiceExt};

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler, wait};

/// An answer of axum 0.8 that a refusal of axum 0.7 can be made into.
struct Answer(Response<Body>);

impl From<AuthError> for Answer {
    fn from(error: AuthError) -> Self {
        let refusal: Response<_> = error.into();
        Self(refusal.map(Body::new))
    }
}

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let rules = Validation::new().iss(&[LOGIN]).aud(&[API]).nbf(true).leeway(20);
    let authorizer = JwtAuthorizer::from_jwks_text(&terms.jwks).validation(rules);
    let authorizer: Authorizer<RegisteredClaims> = wait(authorizer.build()).expect("a key set");
    let inner = ServiceExt::<Request<Body>>::map_response(Handler, Answer);
    let layered = authorizer.into_layer().layer(inner);
    Box::new(ServiceExt::<Request<Body>>::map_response(
        layered,
        |Answer(response)| response,
    ))
}
