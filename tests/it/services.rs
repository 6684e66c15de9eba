//! The layers as Tower services.

use http::StatusCode;
use tower_resource_server::JwtLayer;

use crate::support::{bearer, call, idp, whoami};

#[tokio::test]
async fn a_good_token_reaches_the_handler_as_a_principal() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let answer = call(&app, bearer(&idp.token().subject("alice").sign())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["subject"], "alice");
}
