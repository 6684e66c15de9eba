//! Refusals as gRPC clients see them, one of which is not Rust.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{ApiKeyLayer, JwtLayer, MemoryKeyStore, ScopeLayer};

use crate::support::{HealthOf, READ, WRITE, describe, idp, real_parts};

/// The health service behind "a token or a key, with `orders:read`".
async fn serve(idp: &TestIssuer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let either = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(MemoryKeyStore::new()));
    let service = HealthOf(|caller| describe(caller).to_string()).server();
    let server = Server::builder()
        .layer(either)
        .layer(ScopeLayer::all([READ]))
        .add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

async fn call_from_node(client: &Path, address: SocketAddr, token: Option<&str>) -> Value {
    let mut command = Command::new("node");
    command
        .arg(client)
        .arg(address.to_string())
        .args(token)
        .stdin(Stdio::null());
    let output = command.output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_rust_sees_unauthenticated_and_permission_denied() {
    let Some(folder) = real_parts("node_modules") else {
        return;
    };
    let client = folder.join("grpc-client.mjs");
    let idp = idp();
    let address = serve(&idp).await;

    let nobody = call_from_node(&client, address, None).await;
    assert_eq!(nobody["code"], 16, "{nobody}");
    assert_eq!(
        nobody["www_authenticate"],
        json!([r#"Bearer realm="api", ApiKey realm="api""#])
    );

    let stranger = call_from_node(&client, address, Some("not-a-key")).await;
    assert_eq!(stranger["code"], 16, "{stranger}");
    assert!(
        stranger["www_authenticate"].to_string().contains("invalid_token"),
        "{stranger}"
    );

    let writer = call_from_node(&client, address, Some(&idp.token().scopes([WRITE]).sign())).await;
    assert_eq!(writer["code"], 7, "{writer}");
    assert!(
        writer["www_authenticate"]
            .to_string()
            .contains("insufficient_scope"),
        "{writer}"
    );

    let reader = call_from_node(&client, address, Some(&idp.token().scopes([READ]).sign())).await;
    assert_eq!(
        (&reader["code"], &reader["status"]),
        (&json!(0), &json!("SERVING")),
        "{reader}"
    );
}

async fn call(address: SocketAddr, header: Option<(&'static str, &str)>) -> Result<(), Status> {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some((name, value)) = header {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    HealthClient::new(channel).check(request).await.map(drop)
}

#[tokio::test]
async fn a_tonic_client_sees_the_code_the_message_and_the_challenges() {
    let idp = idp();
    let address = serve(&idp).await;
    let status = call(address, None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "this resource asks for a credential");
    let challenges: Vec<_> = status.metadata().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, [r#"Bearer realm="api""#, r#"ApiKey realm="api""#]);
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_an_invalid_argument() {
    let idp = idp();
    let address = serve(&idp).await;
    let status = call(address, Some(("authorization", "Bearer")))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_good_token_passes() {
    let idp = idp();
    let address = serve(&idp).await;
    let token = format!("Bearer {}", idp.token().scopes([READ]).sign());
    call(address, Some(("authorization", &token))).await.unwrap();
}

#[test]
fn a_rejection_inside_a_handler_becomes_a_tonic_status() {
    let principal =
        tower_resource_server::testing::PrincipalBuilder::token("https://idp.test", "alice").build();
    let rejection = principal
        .require(&tower_resource_server::Requirement::all([WRITE]))
        .unwrap_err();
    let status = Status::from_header_map(&rejection.to_grpc_headers()).unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let challenge = status
        .metadata()
        .get("www-authenticate")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(challenge.contains(r#"scope="orders:write""#), "{challenge}");
}
