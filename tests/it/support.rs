//! What the tests share: a service to protect, a way to call it, and the answer in a form that is easy to compare.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyRecord, ApiKeyRecordBuilder, KeyDigest, KeySet, KeySource, KeyStore, MemoryKeyStore, Principal,
    Rejection, Scope,
};

pub(crate) const ISSUER: &str = "https://idp.test";
pub(crate) const API: &str = "https://api.test";
pub(crate) const READ: Scope = Scope::from_static("orders:read");
pub(crate) const WRITE: Scope = Scope::from_static("orders:write");

pub(crate) fn idp() -> TestIssuer {
    TestIssuer::new(ISSUER, API)
}

/// A router with one route, `/`, that says who is calling; put the layers under test around it.
pub(crate) fn whoami() -> Router {
    Router::new().route(
        "/",
        get(|caller: Option<Principal>| async move { describe(caller.as_ref()).to_string() }),
    )
}

pub(crate) fn describe(caller: Option<&Principal>) -> Value {
    match caller {
        None => json!({ "method": "anonymous" }),
        Some(caller) => json!({
            "method": caller.method().as_str(),
            "issuer": caller.issuer(),
            "subject": caller.subject(),
            "client": caller.client(),
            "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        }),
    }
}

/// A `GET /` with these headers, each of which may be repeated.
pub(crate) fn request(headers: &[(&str, &str)]) -> Request {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

pub(crate) fn bearer(token: &str) -> Request {
    request(&[("authorization", &format!("Bearer {token}"))])
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) body: String,
}

impl Answer {
    /// Every value of `WWW-Authenticate`, one for each field line.
    pub(crate) fn challenges(&self) -> Vec<&str> {
        self.headers
            .get_all("www-authenticate")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The stable reason code of a refusal; `ok` for an answer that is none.
    pub(crate) fn reason(&self) -> &'static str {
        self.rejection.as_ref().map_or("ok", Rejection::reason)
    }
}

pub(crate) async fn call(app: &Router, request: Request) -> Answer {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        rejection: parts.extensions.get::<Rejection>().cloned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// The folder of the real authorization server, if it is installed: `tests/run` installs it and insists.
pub(crate) fn real_parts(needed: &str) -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idp");
    let node = std::process::Command::new("node")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if node && folder.join(needed).exists() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("REQUIRE_REAL_PARTS").is_none(),
        "Node or tests/idp/{needed} is missing; run tests/run"
    );
    None
}

/// A gRPC service without protoc: the health service, which says in its answer's metadata who is calling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthOf(pub(crate) fn(Option<&Principal>) -> String);

impl HealthOf {
    pub(crate) fn server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }
}

#[tonic::async_trait]
impl Health for HealthOf {
    type WatchStream = tonic::codegen::tokio_stream::Empty<Result<HealthCheckResponse, tonic::Status>>;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
        let caller = (self.0)(request.extensions().get());
        let mut answer = tonic::Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        });
        answer.metadata_mut().insert("x-caller", caller.parse().unwrap());
        Ok(answer)
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, tonic::Status> {
        Ok(tonic::Response::new(tonic::codegen::tokio_stream::empty()))
    }
}

/// A key that [`store`] knows: of the owner `robot`, with the scope [`READ`].
pub(crate) const KEY: &str = "key-of-the-robot";

pub(crate) fn record(key: &str) -> ApiKeyRecordBuilder {
    ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(key)).scopes([READ])
}

pub(crate) fn store() -> MemoryKeyStore {
    MemoryKeyStore::from_iter([record(KEY).build()])
}

/// A store that never answers at once: the layer has to wait for it.
#[derive(Debug)]
pub(crate) struct Slow(pub(crate) MemoryKeyStore);

impl KeyStore for Slow {
    type Error = Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        tokio::task::yield_now().await;
        self.0.find(key).await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database is down")]
pub(crate) struct Down;

/// A store that is out of order.
#[derive(Debug)]
pub(crate) struct Broken;

impl KeyStore for Broken {
    type Error = Down;

    async fn find(&self, _: &KeyDigest) -> Result<Option<ApiKeyRecord>, Down> {
        Err(Down)
    }
}

/// A source of keys that is out of order.
impl KeySource for Broken {
    type Error = Down;

    async fn load(&self) -> Result<KeySet, Down> {
        Err(Down)
    }
}
