//! axum-jwt-auth: an extractor, which axum makes a layer of.

use std::sync::Arc;

use axum::middleware::from_extractor_with_state;
use axum_jwt_auth::{Claims, Decoder, LocalDecoder};
use jsonwebtoken_10::jwk::Jwk;
use jsonwebtoken_10::{DecodingKey, Validation};
use serde::Deserialize;
use tower::Layer;

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler};

#[derive(Deserialize)]
#[expect(dead_code, reason = "no handler here reads it")]
struct MyClaims {
    sub: String,
    exp: usize,
}

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let jwk: Jwk = serde_json::from_value(terms.jwk()).expect("a key");
    let algorithm = terms.algorithm.as_str().parse().expect("an algorithm of JWT");
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[API]);
    validation.set_issuer(&[LOGIN]);
    let decoder = LocalDecoder::builder()
        .keys(vec![DecodingKey::from_jwk(&jwk).expect("a public key")])
        .validation(validation)
        .build()
        .expect("a configuration without a mistake");
    let decoder: Decoder<MyClaims> = Arc::new(decoder);
    let layer = from_extractor_with_state::<Claims<MyClaims>, _>(decoder);
    Box::new(layer.layer(Handler))
}
