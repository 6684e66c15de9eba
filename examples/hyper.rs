//! hyper without a framework: a layer around a Tower service, and the service handed to hyper.
//!
//! ```sh
//! cargo run --example hyper
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::convert::Infallible;
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{JwtLayer, Principal, Requirement, Scope};

mod shared;

const READ: Scope = Scope::from_static("orders:read");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idp = TestIssuer::new("https://login.example.com/", "https://api.example.com");
    let service = JwtLayer::new(idp.issuer()).layer(service_fn(answer));

    let (socket, url) = shared::listen().await?;
    let token = idp.token().subject("alice").scopes([READ]).sign();
    let nothing = idp.token().subject("bob").sign();
    println!("TOKEN={token}");
    println!("curl -si {url}/me # 401");
    println!("curl -si -H 'Authorization: Bearer {nothing}' {url}/me # 200");
    println!("curl -si -H 'Authorization: Bearer {token}' {url}/orders # 200");
    println!("curl -si -H 'Authorization: Bearer {nothing}' {url}/orders # 403");

    loop {
        let (stream, _) = socket.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            // An error here is a connection that broke: the client has gone, and there is nobody to tell.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Always there behind a `JwtLayer`. Who forgets the layer gets an answer that opens nothing.
    let Some(caller) = request.extensions().get::<Principal>() else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    };
    if request.uri().path() == "/orders" {
        // Where there is no router to put a `ScopeLayer` on, the principal is asked; the answer is the same.
        if let Err(rejection) = caller.require(&Requirement::all([READ])) {
            return Ok(rejection.to_http_response().map(Full::new));
        }
    }
    let name = caller.subject().unwrap_or("somebody");
    Ok(Response::new(Full::from(format!("hello {name}\n"))))
}
