//! Keys that are fetched with an HTTP client of your own: with a proxy, a private certificate authority, times of your own.
//!
//! ```sh
//! cargo run --example own_client
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::USER_AGENT;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use reqwest::{Certificate, Client, NoProxy, Proxy, redirect};
use tokio::net::TcpListener;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{HttpFetch, Issuer, JwtLayer, Principal, RemoteKeys};

mod shared;

const API: &str = "https://api.example.com";
const OURS: &str = "orders-api/1.0";

/// Stands for the file of your company's authority. Nobody has this one's private key.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBZDCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1
dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOdGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATf
WvzJ86l+MIzrbZlsErlWDCB84hsYNdydt8qd7OFZbBohyWRACVvH/IJphvu19Xvu
ricnIIb3B8h1ph04UnQVo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQE
AwICBDAdBgNVHQ4EFgQUtKbSL15NBD32iDzktC1jKkrMiIgwCgYIKoZIzj0EAwID
RwAwRAIgeMbuQ8TQ7PQMUQkFkAkUQv61kcLXj6JD0FLnXBuV5OkCIFgMLN1oyh9J
I/uosqtx9vJbyDKy9N40jrzXWBbWzXxR
-----END CERTIFICATE-----";

fn client() -> reqwest::Result<Client> {
    let around = NoProxy::from_string("127.0.0.1");
    Client::builder()
        .user_agent(OURS)
        // Keep this: a redirect would let whoever answers choose where the keys come from.
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(5))
        // Whom to believe: this authority, and none of the operating system's.
        .tls_certs_only([Certificate::from_pem(AUTHORITY.as_bytes())?])
        // Naming a proxy also keeps the environment's from being used.
        .proxy(Proxy::all("http://proxy.example.com:3128")?.no_proxy(around))
        .build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A stand-in for an authorization server that answers to known clients only.
    let login = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("http://{}", login.local_addr()?);
    let idp = TestIssuer::new(&name, API);
    let guarded = idp.router().layer(from_fn(known_clients_only));
    tokio::spawn(axum::serve(login, guarded).into_future());

    // Nothing is fetched here; the first request does.
    let keys = RemoteKeys::discover(&name).fetch(HttpFetch::with_client(client()?));
    let ours = Issuer::builder(&name).audience(API).keys(keys).build()?;
    // The same without it: the authorization server turns the crate's own client away, and callers get 503.
    let plain = Issuer::builder(&name).audience(API).build()?;

    let app = Router::new()
        .route("/orders", get(list).layer(JwtLayer::new(ours)))
        .route("/plain", get(list).layer(JwtLayer::new(plain)));

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").expires_in(Duration::from_secs(3600));
    let token = token.sign();
    println!("TOKEN={token}");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("curl -si {url}/orders # 401");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/plain # 503");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn known_clients_only(request: Request, next: Next) -> Result<Response, StatusCode> {
    let client = request.headers().get(USER_AGENT);
    if client.is_some_and(|client| client == OURS) {
        Ok(next.run(request).await)
    } else {
        Err(StatusCode::FORBIDDEN)
    }
}

async fn list(caller: Principal) -> String {
    format!("no orders of {} yet\n", caller.subject().unwrap_or("somebody"))
}
