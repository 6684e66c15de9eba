//! tower-oauth2-resource-server: its layer, with a fixed key set.

use tower::Layer;
use tower_oauth2_resource_server::claims::DefaultClaims;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler, wait};

pub(super) fn service(terms: &Terms) -> Box<dyn Guarded> {
    // What it chooses by itself after discovery; with fixed keys it would leave `iss` out.
    let claims = ClaimsValidationSpec::new()
        .iss(LOGIN)
        .exp(true)
        .aud(&vec![API.to_owned()]);
    let tenant = TenantConfiguration::static_builder(terms.jwks.as_str())
        .claims_validation(claims)
        .build()
        .expect("a key set");
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant);
    let server = wait(server.build()).expect("a configuration without a mistake");
    Box::new(server.into_layer().layer(Handler))
}
