//! API keys as a tool: make, list, replace and withdraw them, and serve an API that asks for one.
//!
//! ```sh
//! cargo run --example api_keys -- mint --owner billing-robot --scope orders:read --expires-in 90d
//! cargo run --example api_keys -- list
//! cargo run --example api_keys -- rotate ID --grace 24h
//! cargo run --example api_keys -- revoke ID
//! cargo run --example api_keys -- report
//! cargo run --example api_keys -- serve --port 3000
//! ```
//!
//! Keys are kept in `api_keys.sqlite` in the current folder, or in PostgreSQL with `DATABASE_URL=postgres://…`. Every command
//! takes `--json`. A key is shown once, when it is made. Several servers on one PostgreSQL hear of each other's changes at once.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool prints its answer, and its mistakes elsewhere"
)]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tokio::net::TcpListener;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, CachedKeyStore, KeyQuery, KeyRegistry, Principal, RegistryError,
    Scope, ScopeLayer, SqlKeyStore, UsageRecorder,
};

#[path = "api_keys/arguments.rs"]
mod arguments;
#[path = "api_keys/texts.rs"]
mod texts;

use arguments::{Command, HELP, arguments};
use texts::{in_json, issued_text, report_text, table, told};

/// What every key of this tool is: a secret key.
const KIND: &str = "sk";
const READ: Scope = Scope::from_static("orders:read");
const REVOKE: Scope = Scope::from_static("keys:revoke");

#[tokio::main]
async fn main() -> ExitCode {
    let (command, as_json) = match arguments() {
        Ok(read) => read,
        Err(mistake) => {
            let mistake = in_one_line(&mistake);
            eprintln!("api_keys: {mistake}; api_keys --help shows what there is");
            return ExitCode::from(2);
        }
    };
    let answer = run(command, as_json).await;
    match answer.and_then(|text| Ok(io::stdout().write_all(text.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough: `api_keys list | head`.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api_keys: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its causes, in one line whatever they contain, and with nothing that a terminal would obey.
fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ").replace(char::is_control, " ")
}

/// Does it, and says what to print.
async fn run(command: Command, as_json: bool) -> Result<String, Box<dyn Error>> {
    if let Command::Help = command {
        return Ok(format!("{HELP}\n"));
    }
    let keys = open().await?;
    match command {
        Command::Mint { wanted, environment } => {
            let issued = keys.mint(&ApiKeyFormat::new(KIND, &environment)?, wanted).await?;
            Ok(issued_text(&issued, as_json))
        }
        Command::List { owner } => {
            let all = KeyQuery::default();
            let query = owner.map_or(all.clone(), |owner| all.owner(owner));
            let listed = keys.list_all(query).await?;
            Ok(if as_json { in_json(&listed) } else { table(&listed) })
        }
        Command::Rotate { id, grace } => {
            let old = keys.get(&id).await?.ok_or(RegistryError::<Infallible>::Unknown)?;
            let format = ApiKeyFormat::new(KIND, environment_of(&old))?;
            Ok(issued_text(&keys.rotate(&id, &format, grace).await?, as_json))
        }
        Command::Revoke { id } => {
            let revoked = keys.revoke(&id).await?;
            Ok(if as_json {
                format!("{}\n", told(&revoked))
            } else {
                table(&[revoked])
            })
        }
        Command::Report { limits } => Ok(report_text(keys.report(limits).await?, as_json)),
        Command::Serve { port, environment } => serve(keys, port, &environment).await.map(|()| String::new()),
        Command::Help => Ok(String::new()),
    }
}

/// The keys, and their table if it is not there yet.
async fn open() -> Result<SqlKeyStore, Box<dyn Error>> {
    let keys = if let Some(url) = env::var_os("DATABASE_URL") {
        let url = url.into_string().map_err(|_| "DATABASE_URL is not text")?; // which may hold a password
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(3));
        SqlKeyStore::postgres(pool.connect_lazy(&url)?)
    } else {
        let options = SqliteConnectOptions::new()
            .filename("api_keys.sqlite")
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal); // look-ups do not wait for changes
        SqlKeyStore::sqlite(SqlitePoolOptions::new().connect_lazy_with(options))
    };
    keys.migrate().await?;
    Ok(keys)
}

/// The environment is written in the part of a key that may be shown.
fn environment_of(record: &ApiKeyRecord) -> &str {
    let words = record.start().and_then(|start| start.split('_').nth(1));
    words.unwrap_or("live")
}

/// An API that knows the keys: `/me` for every key, `/orders` for those with the scope, and `DELETE /keys/ID` for who may
/// withdraw keys.
async fn serve(keys: SqlKeyStore, port: u16, environment: &str) -> Result<(), Box<dyn Error>> {
    let usage = UsageRecorder::new(keys.clone());
    // Through the cache, so that this server forgets a key before it says that the key is revoked.
    let keys = Arc::new(CachedKeyStore::new(keys));
    let layer = ApiKeyLayer::new(Arc::clone(&keys))
        .minted_only(ApiKeyFormat::new(KIND, environment)?) // an invented key costs the database nothing
        .usage(usage.clone());
    let app = Router::new()
        .route("/me", get(me))
        .route(
            "/orders",
            get(async || "no orders yet\n").layer(ScopeLayer::all([READ])),
        )
        .route("/keys/{id}", delete(withdraw).layer(ScopeLayer::all([REVOKE])))
        .with_state(keys)
        .layer(layer);
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let socket = socket.map_err(|error| format!("port {port}: {error}"))?;
    let url = format!("http://{}", socket.local_addr()?);
    println!("listening on {url}");
    println!("curl -si -H \"X-API-Key: $API_KEY\" {url}/me");
    println!("curl -si -H \"X-API-Key: $API_KEY\" {url}/orders");
    println!("curl -si -H \"X-API-Key: $API_KEY\" -X DELETE {url}/keys/ID");
    axum::serve(socket, app)
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    // What was used since the last time is not written yet.
    usage.flush().await?;
    Ok(())
}

async fn withdraw(
    State(keys): State<Arc<CachedKeyStore<SqlKeyStore>>>,
    Path(id): Path<String>,
) -> (StatusCode, String) {
    match keys.revoke(&id).await {
        Ok(record) => (StatusCode::OK, format!("{} is revoked\n", record.id())),
        Err(RegistryError::Unknown) => (StatusCode::NOT_FOUND, "no key has this id\n".to_owned()),
        Err(error) => {
            // What the database says is for who runs it, and not for who calls.
            eprintln!("api_keys: {}", in_one_line(&error));
            let answer = "the key was perhaps not revoked: try again\n";
            (StatusCode::SERVICE_UNAVAILABLE, answer.to_owned())
        }
    }
}

async fn me(caller: Principal) -> String {
    let (owner, key) = (
        caller.subject().unwrap_or("somebody"),
        caller.key_id().unwrap_or("no key"),
    );
    format!("{owner} with {key} may {}\n", caller.scopes().as_str())
}

async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
