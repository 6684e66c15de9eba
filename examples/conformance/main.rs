//! A server for test suites of any language: every layer of this crate on a route of its own, configured by a JSON file.
//! It decides nothing itself.
//!
//! ```sh
//! cargo run --example conformance --all-features -- CONFIG.json
//! ```
//!
//! It prints `listening on http://127.0.0.1:PORT` when it is ready. If the configuration is bad, it says everything that
//! is wrong with it and ends with status 2.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells where it listens, or what is wrong"
)]

use std::convert::Infallible;
use std::env;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::serve::Listener;
use axum::{Json, Router};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_resource_server::{
    ApiKeyLayer, JwtLayer, MemoryRevocations, Principal, Scope, ScopeLayer, TokenAgeLayer, TrustedIssuers,
};

mod config;

use config::Config;

const READ: Scope = Scope::from_static("read:pets");
const WRITE: Scope = Scope::from_static("write:pets");
const ADMIN: Scope = Scope::from_static("admin:pets");

#[tokio::main]
async fn main() -> ExitCode {
    let Err(message) = serve().await;
    eprintln!("{message}");
    ExitCode::from(2)
}

async fn serve() -> Result<Infallible, String> {
    let path = env::args_os()
        .nth(1)
        .ok_or("the first argument must be the path of the configuration, CONFIG.json")?;
    let text = std::fs::read_to_string(&path);
    let path = path.display();
    let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
    let config = Config::read(&text).map_err(|problems| format!("{path} is not usable: {problems}"))?;

    let (listen, issuers) = (config.listen, config.issuers.clone());
    let socket = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("{path} is not usable: listen: {listen}: {error}"))?;
    let address = socket
        .local_addr()
        .map_err(|error| format!("listen: {listen}: {error}"))?;
    for issuer in issuers {
        // Its keys are fetched again when a token asks for them; until then the answer is 503, and that is the library's.
        let _ = issuer.warm_up().await;
    }
    println!("listening on http://{address}");
    Ok(answer_everybody(socket, app(config)).await)
}

/// As `axum::serve`, but a client that has sent its request and shut down its half of the connection is answered too.
async fn answer_everybody(mut socket: TcpListener, app: Router) -> Infallible {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(true);
    loop {
        let (wire, _) = Listener::accept(&mut socket).await;
        let (server, app) = (server.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            // It ends in an error when the client leaves in the middle, or does not speak HTTP.
            let _ = server.serve_connection(TokioIo::new(wire), app).await;
        });
    }
}

fn app(config: Config) -> Router {
    let jwt = jwt_of(config.trusted, config.revocations.as_ref());
    let strict = jwt_of(config.strict, config.revocations.as_ref());
    let key = ApiKeyLayer::new(config.keys);
    let either = jwt.clone().or(key.clone());
    let fresh = TokenAgeLayer::within(Duration::from_secs(60));

    // Of two layers the first is the outer one.
    Router::new()
        .route("/open", get(async || answer(None)))
        .route("/jwt", whoami().layer(jwt.clone()))
        .route(
            "/jwt/all",
            whoami().layer((jwt.clone(), ScopeLayer::all([READ, WRITE]))),
        )
        .route(
            "/jwt/any",
            whoami().layer((jwt.clone(), ScopeLayer::any([READ, ADMIN]))),
        )
        .route("/jwt/strict", whoami().layer(strict))
        .route("/jwt/fresh", whoami().layer((jwt.clone(), fresh)))
        .route("/jwt/optional", whoami().layer(jwt.optional()))
        .route("/key", whoami().layer(key.clone()))
        .route("/key/read", whoami().layer((key, ScopeLayer::all([READ]))))
        .route("/either", whoami().layer(either.clone()))
        .route("/either/read", whoami().layer((either, ScopeLayer::all([READ]))))
        .layer(middleware::from_fn(read_to_the_end))
}

fn jwt_of(issuers: TrustedIssuers, revocations: Option<&MemoryRevocations>) -> JwtLayer {
    let layer = JwtLayer::new(issuers);
    match revocations {
        Some(revocations) => layer.revocations(revocations.clone()),
        None => layer,
    }
}

fn whoami() -> MethodRouter {
    get(async |caller: Option<Principal>| answer(caller.as_ref()))
}

fn answer(caller: Option<&Principal>) -> Json<Value> {
    Json(match caller {
        Some(caller) => json!({
            "subject": caller.subject(),
            "issuer": caller.issuer(),
            "method": caller.method().as_str(),
            "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        }),
        None => json!({ "subject": null, "issuer": null, "method": "anonymous", "scopes": null }),
    })
}

/// Reads a request's content, which nobody here wants: hyper closes a connection on which some was left.
async fn read_to_the_end(request: Request, next: Next) -> Response {
    let (head, mut content) = request.into_parts();
    while let Some(Ok(_)) = content.frame().await {}
    next.run(Request::from_parts(head, Body::empty())).await
}
