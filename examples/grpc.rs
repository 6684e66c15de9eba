//! gRPC with tonic: the same layers, and refusals that gRPC clients understand (16 UNAUTHENTICATED, 7
//! `PERMISSION_DENIED`).
//!
//! ```sh
//! cargo run --example grpc
//! ```
//!
//! The service is the standard health check, since its code comes generated with tonic-health. It prints curl commands,
//! each with the `grpc-status` that it shows. They send five zero bytes, which is an empty message with its length in
//! front. With grpcurl and the file `health.proto` of the gRPC project the same call is
//!
//! ```sh
//! grpcurl -plaintext -proto health.proto -H "authorization: Bearer $TOKEN" 127.0.0.1:3000 grpc.health.v1.Health/Check
//! ```
//!
//! and answers `{"status": "SERVING"}`; without the header it says `Code: Unauthenticated`.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;

use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Scope, ScopeLayer};

mod shared;

const READ: Scope = Scope::from_static("health:read");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");
    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").scopes([READ]).sign();
    tell(&url, &token, &idp.token().sign());

    // In tonic the first layer is the outermost, so authentication comes first; axum has it the other way round.
    Server::builder()
        .layer(JwtLayer::new(idp.issuer()))
        .layer(ScopeLayer::all([READ]))
        .add_service(HealthServer::new(MyHealth))
        .serve_with_incoming(TcpIncoming::from(socket))
        .await?;
    Ok(())
}

struct MyHealth;

#[tonic::async_trait]
impl Health for MyHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let caller = request.extensions().get::<Principal>();
        let mut response = Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        });
        // Metadata is ASCII, and a subject may be anything: one that does not fit is left out.
        if let Some(Ok(name)) = caller.and_then(Principal::subject).map(str::parse) {
            response.metadata_mut().insert("caller", name);
        }
        Ok(response)
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again instead"))
    }
}

fn tell(url: &str, token: &str, nothing: &str) {
    let curl = r"printf '\0\0\0\0\0' | curl -s -D - -o /dev/null --http2-prior-knowledge --data-binary @- -H 'Content-Type: application/grpc' -H 'TE: trailers'";
    let check = format!("{url}/grpc.health.v1.Health/Check");
    println!("TOKEN={token}");
    println!("{curl} {check} # 16");
    println!("{curl} -H 'Authorization: Bearer {token}' {check} # 0");
    println!("{curl} -H 'Authorization: Bearer {nothing}' {check} # 7");
}
