//! `aliri_tower`: its layer, with claims of one's own as its documentation shows.

use aliri::jwt::{Audience, Audiences, CoreClaims, CoreValidator, Issuer, IssuerRef, Subject, SubjectRef};
use aliri::{Jwks, jwa};
use aliri_clock::UnixTime;
use aliri_oauth2::scope::Scope;
use aliri_oauth2::{Authority, HasScope};
use aliri_tower::Oauth2Authorizer;
use axum::body::Body;
use serde::Deserialize;
use tower::Layer;
use tower_resource_server::Algorithm;

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler};

#[derive(Clone, Deserialize)]
struct CustomClaims {
    iss: Issuer,
    aud: Audiences,
    sub: Subject,
    exp: UnixTime,
    nbf: Option<UnixTime>,
    scope: Scope,
}

impl CoreClaims for CustomClaims {
    fn nbf(&self) -> Option<UnixTime> {
        self.nbf
    }

    fn exp(&self) -> Option<UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&IssuerRef> {
        Some(&self.iss)
    }

    fn sub(&self) -> Option<&SubjectRef> {
        Some(&self.sub)
    }
}

impl HasScope for CustomClaims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let algorithm = match terms.algorithm {
        Algorithm::Es256 => jwa::Algorithm::ES256,
        _ => jwa::Algorithm::RS256,
    };
    // It checks `exp` unless told otherwise; told to check `nbf`, it would refuse every token without one.
    let rules = CoreValidator::default()
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(Audience::from_static(API))
        .require_issuer(Issuer::from_static(LOGIN));
    let jwks: Jwks = serde_json::from_str(&terms.jwks).expect("a key set");
    let layer = Oauth2Authorizer::new()
        .with_claims::<CustomClaims>()
        .with_terse_error_handler::<Body>()
        .jwt_layer::<Body>(Authority::new(jwks, rules));
    Box::new(layer.layer(Handler))
}
