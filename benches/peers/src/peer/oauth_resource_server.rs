//! oauth-resource-server: its layer for Tower, with the key set given. It refreshes nothing, since nothing was spawned.

use std::sync::Arc;

use oauth_resource_server::http_layer::HttpAuthLayer;
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use tower::Layer;

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler};

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    let config = OAuthConfig {
        enabled: true,
        issuer: LOGIN.to_owned(),
        audience: API.to_owned(),
        resource: API.to_owned(),
        algorithms: vec![terms.algorithm.as_str().to_owned()],
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth"));
    let config = config.expect("settings without a mistake").expect("enabled");
    let validator = OAuthValidator::builder(&config).initial_jwks(&terms.jwks).build();
    let layer = HttpAuthLayer::builder()
        .oauth(Arc::new(validator.expect("a key set")))
        .build();
    Box::new(layer.expect("a way to authenticate").layer(Handler))
}
