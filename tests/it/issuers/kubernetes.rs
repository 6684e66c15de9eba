//! Kubernetes service accounts: "Managing Service Accounts" and "Configure Service Accounts for Pods" in its
//! documentation.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{
    Algorithm, Claims, Fetch, FetchError, Issuer, IssuerBuilder, JwtLayer, RemoteKeys, WithAudience,
};

use super::{IDP, app, app_with_keys, caller, keys, reason, token};
use crate::support::{bearer, call};

const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const API: &str = "orders.shop.svc";
const SUBJECT: &str = "system:serviceaccount:shop:checkout";

#[derive(Debug, Deserialize)]
struct Workload {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Debug, Deserialize)]
struct Bound {
    namespace: String,
    pod: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// The guide's recipe; there the keys come from the API server.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder(CLUSTER)
        .audience(API)
        .subjects([SUBJECT])
        .without_users()
        .claims::<Workload>()
}

fn projected_token() -> TokenBuilder {
    let claims = json!({
        "aud": [API],
        "iss": CLUSTER,
        "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
        "kubernetes.io": {
            "namespace": "shop",
            "node": { "name": "my-node", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1" },
            "pod": { "name": "checkout-7d9f", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3" },
            "serviceaccount": { "name": "checkout", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
        },
        "sub": SUBJECT,
    });
    token(None, claims)
}

/// The token of a `Secret`, as clusters made them for every account before 1.24. It does not expire.
fn legacy_token() -> TokenBuilder {
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "checkout-token-p95dr",
        "kubernetes.io/serviceaccount/service-account.name": "checkout",
        "kubernetes.io/serviceaccount/service-account.uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798",
        "sub": SUBJECT,
    });
    token(None, claims).without("exp").without("iat")
}

#[tokio::test]
async fn a_service_account_is_known_by_namespace_and_name_and_is_no_user() {
    let expected = json!({
        "issuer": CLUSTER,
        "subject": SUBJECT,
        "client": null,
        "scopes": [],
        "user": false,
        "id": "aed34954-b33a-4142-b1ec-389d6bbb4936",
    });
    assert_eq!(caller(&app(recipe()), projected_token()).await, expected);
}

#[tokio::test]
async fn a_handler_reads_which_pod_is_calling() {
    let who = |workload: Claims<Workload>| async move {
        let bound = &workload.kubernetes;
        let pod = bound.pod.as_ref().map(|pod| &*pod.name);
        format!("{} {pod:?}", bound.namespace)
    };
    let issuer = recipe().keys(keys()).clock(IDP.clock().clone());
    let app = Router::new()
        .route("/", get(who))
        .layer(JwtLayer::new(issuer.build().unwrap()));
    assert_eq!(
        call(&app, bearer(&projected_token().sign())).await.body,
        r#"shop Some("checkout-7d9f")"#
    );
}

#[tokio::test]
async fn another_account_or_a_token_for_somebody_else_is_refused() {
    let app = app(recipe());
    for (token, expected) in [
        (
            projected_token().subject("system:serviceaccount:other:checkout"),
            "subject_not_accepted",
        ),
        (
            projected_token().subject("system:serviceaccount:shop:default"),
            "subject_not_accepted",
        ),
        // What is mounted into every pod: for the API server alone.
        (projected_token().claim("aud", [CLUSTER]), "audience_mismatch"),
        (projected_token().claim("aud", json!([])), "audience_mismatch"),
        (projected_token().without("exp"), "claim_missing"),
        (legacy_token(), "issuer_unknown"),
        (legacy_token().claim("iss", CLUSTER), "claim_missing"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

#[tokio::test]
async fn another_cluster_of_the_same_name_has_other_keys() {
    let cluster = TestIssuer::new(CLUSTER, API);
    let token = cluster
        .token()
        .algorithm(Algorithm::Rs256)
        .without_header("typ")
        .subject(SUBJECT)
        .header("kid", "of-the-other-cluster");
    assert_eq!(reason(&app(recipe()), token).await, "signing_key_unknown");
}

/// An API server that gives its keys to accounts of the cluster only.
struct ApiServer;

impl Fetch for ApiServer {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let authorized = request.headers().get("authorization").is_some();
        let found = request.uri() == "https://kubernetes.default.svc/openid/v1/jwks";
        let (status, body) = match (authorized, found) {
            (false, _) => (StatusCode::UNAUTHORIZED, String::new()),
            (true, false) => (StatusCode::NOT_FOUND, String::new()),
            (true, true) => (StatusCode::OK, IDP.jwks()),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        Ok(response)
    }
}

/// A client that says who it is, as in the guide.
struct WithToken(ApiServer);

impl Fetch for WithToken {
    async fn fetch(&self, mut request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let value = "Bearer the-pods-own-token".parse().unwrap();
        request.headers_mut().insert("authorization", value);
        self.0.fetch(request).await
    }
}

#[tokio::test]
async fn the_keys_of_a_closed_cluster_are_fetched_by_a_client_of_the_users() {
    keys();
    let source = || RemoteKeys::jwks_uri("https://kubernetes.default.svc/openid/v1/jwks");
    let known = app_with_keys(recipe().keys(source().fetch(WithToken(ApiServer))));
    assert_eq!(reason(&known, projected_token()).await, "ok");
    let stranger = app_with_keys(recipe().keys(source().fetch(ApiServer)));
    assert_eq!(reason(&stranger, projected_token()).await, "keys_unavailable");
}
