//! One API, hosted three ways: it needs `read:pets` and says who is calling.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::Layer;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{Issuer, JwtLayer, Principal, Scope, ScopeLayer};

use crate::support::HealthOf;

const READ: Scope = Scope::from_static("read:pets");

/// The custom claim that the server puts into every token.
#[derive(Debug, Deserialize)]
struct Employee {
    department: String,
}

#[derive(Debug)]
pub(super) enum Host {
    Axum(SocketAddr),
    Hyper(SocketAddr),
    Tonic(SocketAddr),
}

/// What a call gives, whatever the protocol: the HTTP status, or the gRPC code.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) challenge: String,
    pub(super) caller: Option<Value>,
}

/// The API on every host, trusting this issuer by discovery.
pub(super) async fn hosts_of(issuer: &str, clock: TestClock) -> [Host; 3] {
    let issuer = Issuer::builder(issuer)
        .audience(super::API)
        .claims::<Employee>()
        .clock(clock)
        .build()
        .unwrap();
    let jwt = JwtLayer::new(issuer);
    [
        Host::Axum(on_axum(jwt.clone()).await),
        Host::Hyper(on_hyper(jwt.clone()).await),
        Host::Tonic(on_tonic(jwt).await),
    ]
}

fn describe(caller: Option<&Principal>) -> String {
    let Some(caller) = caller else {
        return Value::Null.to_string();
    };
    json!({
        "issuer": caller.issuer(),
        "subject": caller.subject(),
        "client": caller.client(),
        "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        "department": caller.claims::<Employee>().map(|claims| claims.department.clone()),
    })
    .to_string()
}

async fn on_axum(jwt: JwtLayer) -> SocketAddr {
    let app = Router::new()
        .route(
            "/",
            get(|caller: Principal| async move { describe(Some(&caller)) }).layer(ScopeLayer::all([READ])),
        )
        .layer(jwt);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    address
}

async fn on_hyper(jwt: JwtLayer) -> SocketAddr {
    let handler = tower::service_fn(|request: Request<Incoming>| async move {
        let text = describe(request.extensions().get());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let service = TowerToHyperService::new(jwt.layer(ScopeLayer::all([READ]).layer(handler)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

async fn on_tonic(jwt: JwtLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service = HealthOf(describe).server();
    let server = Server::builder()
        .layer(jwt)
        .layer(ScopeLayer::all([READ]))
        .add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

impl Host {
    pub(super) fn ok(&self) -> u16 {
        if let Self::Tonic(_) = self { 0 } else { 200 }
    }

    pub(super) fn unauthenticated(&self) -> u16 {
        if let Self::Tonic(_) = self { 16 } else { 401 }
    }

    pub(super) fn forbidden(&self) -> u16 {
        if let Self::Tonic(_) = self { 7 } else { 403 }
    }

    pub(super) async fn call(&self, token: Option<&str>) -> Answer {
        match self {
            Self::Axum(address) | Self::Hyper(address) => call_http(*address, token).await,
            Self::Tonic(address) => call_grpc(*address, token).await,
        }
    }
}

async fn call_http(address: SocketAddr, token: Option<&str>) -> Answer {
    let mut request = reqwest::Client::new().get(format!("http://{address}/"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let code = answer.status().as_u16();
    let challenge = answer
        .headers()
        .get("www-authenticate")
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let body = answer.bytes().await.unwrap();
    let caller = (code == 200).then(|| serde_json::from_slice(&body).unwrap());
    Answer {
        code,
        challenge,
        caller,
    }
}

async fn call_grpc(address: SocketAddr, token: Option<&str>) -> Answer {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = HealthClient::new(channel);
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some(token) = token {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (code, metadata) = match client.check(request).await {
        Ok(answer) => (0, answer.metadata().clone()),
        Err(status) => (status.code() as u16, status.metadata().clone()),
    };
    let text = |name: &str| metadata.get(name).map(|value| value.to_str().unwrap().to_owned());
    let caller = text("x-caller").map(|caller: String| serde_json::from_str(&caller).unwrap());
    Answer {
        code,
        challenge: text("www-authenticate").unwrap_or_default(),
        caller,
    }
}
