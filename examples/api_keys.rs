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
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use lexopt::prelude::*;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tokio::net::TcpListener;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, CachedKeyStore, Clock, IssuedKey, KeyQuery, KeyRegistry, NewKey,
    Principal, RegistryError, ReportLimits, Scope, ScopeLayer, SqlKeyStore, SystemClock, UsageRecorder,
};

const HELP: &str = "\
api_keys mint --owner NAME --scope S [--scope S …] [--name NAME] [--expires-in 90d] [--env live|test]
api_keys list [--owner NAME]
api_keys rotate ID --grace 24h
api_keys revoke ID
api_keys report [--older-than 90d] [--unused-for 90d]
api_keys serve [--port 3000] [--env live|test]

Each takes --json. Keys are kept in api_keys.sqlite, or in PostgreSQL if DATABASE_URL is set.";

/// What every key of this tool is: a secret key.
const KIND: &str = "sk";
const READ: Scope = Scope::from_static("orders:read");
const REVOKE: Scope = Scope::from_static("keys:revoke");

enum Command {
    Mint { wanted: NewKey, environment: String },
    List { owner: Option<String> },
    Rotate { id: String, grace: Duration },
    Revoke { id: String },
    Report { limits: ReportLimits },
    Serve { port: u16, environment: String },
    Help,
}

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
    match run(command, as_json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api_keys: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, in one line whatever they contain, and with nothing that a terminal would obey.
fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ").replace(char::is_control, " ")
}

async fn run(command: Command, as_json: bool) -> Result<(), Box<dyn Error>> {
    if let Command::Help = command {
        println!("{HELP}");
        return Ok(());
    }
    let keys = open().await?;
    match command {
        Command::Mint { wanted, environment } => {
            show_issued(
                &keys.mint(&ApiKeyFormat::new(KIND, &environment)?, wanted).await?,
                as_json,
            );
        }
        Command::List { owner } => {
            let all = KeyQuery::default();
            let query = owner.map_or(all.clone(), |owner| all.owner(owner));
            show_records(&keys.list_all(query).await?, as_json);
        }
        Command::Rotate { id, grace } => {
            let old = keys.get(&id).await?.ok_or(RegistryError::<Infallible>::Unknown)?;
            let format = ApiKeyFormat::new(KIND, environment_of(&old))?;
            show_issued(&keys.rotate(&id, &format, grace).await?, as_json);
        }
        Command::Revoke { id } => show_records(&[keys.revoke(&id).await?], as_json),
        Command::Report { limits } => show_report(&keys, limits, as_json).await?,
        Command::Serve { port, environment } => serve(keys, port, &environment).await?,
        Command::Help => {}
    }
    Ok(())
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

fn show_issued(issued: &IssuedKey, as_json: bool) {
    let key = issued.key().expose();
    if as_json {
        let mut told = told(issued.record());
        if let Some(told) = told.as_object_mut() {
            told.insert("key".to_owned(), key.into());
        }
        println!("{told}");
        return;
    }
    println!("{key}");
    println!("This is the only time that it is shown.\n");
    show_records(std::slice::from_ref(issued.record()), false);
}

async fn show_report(keys: &SqlKeyStore, limits: ReportLimits, as_json: bool) -> Result<(), Box<dyn Error>> {
    let report = keys.report(limits).await?;
    let parts = [
        ("old", "Too old: rotate them", report.old),
        ("unused", "Not used: revoke them", report.unused),
        ("endless", "They never expire", report.endless),
    ];
    if as_json {
        let lists = parts
            .iter()
            .map(|(name, _, keys)| ((*name).to_owned(), keys.iter().map(told).collect()));
        println!("{}", Value::Object(lists.collect()));
        return Ok(());
    }
    for (_, title, keys) in parts {
        println!("{title} ({})", keys.len());
        if !keys.is_empty() {
            show_records(&keys, false);
        }
        println!();
    }
    Ok(())
}

fn show_records(records: &[ApiKeyRecord], as_json: bool) {
    if as_json {
        println!("{}", records.iter().map(told).collect::<Value>());
        return;
    }
    let heads = [
        "ID",
        "OWNER",
        "NAME",
        "KEY",
        "SCOPES",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "USES",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(records.iter().map(row));
    let mut widths = [0; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn row(record: &ApiKeyRecord) -> [String; 10] {
    let start = record
        .start()
        .map_or_else(String::new, |start| format!("{start}…"));
    [
        record.id().to_owned(),
        record.owner().to_owned(),
        record.name().unwrap_or("-").to_owned(),
        start,
        record.scopes().as_str().to_owned(),
        state(record),
        date(record.created_at(), "unknown"),
        date(record.expires_at(), "never"),
        date(record.last_used_at(), "never"),
        record.uses().to_string(),
    ]
    .map(|cell| cell.replace(char::is_control, "?"))
}

fn state(record: &ApiKeyRecord) -> String {
    let now = SystemClock::new().now();
    match (record.is_live(now), record.rotated_to()) {
        (false, _) if record.is_revoked() => "revoked".to_owned(),
        (false, _) => "expired".to_owned(),
        (true, Some(next)) => format!("rotated to {next}"),
        (true, None) if record.not_before().is_some_and(|start| now < start) => "not yet valid".to_owned(),
        (true, None) => "live".to_owned(),
    }
}

fn date(time: Option<SystemTime>, absent: &str) -> String {
    time.map_or_else(
        || absent.to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

fn told(record: &ApiKeyRecord) -> Value {
    let date = |time: Option<SystemTime>| time.map(|time| humantime::format_rfc3339_millis(time).to_string());
    json!({
        "id": record.id(),
        "owner": record.owner(),
        "name": record.name(),
        "start": record.start(),
        "scopes": record.scopes().iter().collect::<Vec<_>>(),
        "live": record.is_live(SystemClock::new().now()),
        "created_at": date(record.created_at()),
        "not_before": date(record.not_before()),
        "expires_at": date(record.expires_at()),
        "revoked_at": date(record.revoked_at()),
        "last_used_at": date(record.last_used_at()),
        "uses": record.uses(),
        "rotated_to": record.rotated_to(),
        "rotated_from": record.rotated_from(),
        "plan": record.plan(),
        "metadata": record.metadata(),
    })
}

/// What the arguments say, and whether the answer is for a program.
fn arguments() -> Result<(Command, bool), lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let name = match parser.next()? {
        Some(Value(word)) => word.string()?,
        Some(Long("help") | Short('h')) => return Ok((Command::Help, false)),
        Some(other) => return Err(other.unexpected()),
        None => return Err("what to do? mint, list, rotate, revoke, report or serve".into()),
    };
    if !["mint", "list", "rotate", "revoke", "report", "serve"].contains(&name.as_str()) {
        return Err(format!("{name:?} is none of mint, list, rotate, revoke, report and serve").into());
    }
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match (name.as_str(), argument) {
            (_, Long("json")) => given.as_json = true,
            ("mint" | "list", Long("owner")) => given.owner = Some(parser.value()?.string()?),
            ("mint", Long("name")) => given.name = Some(parser.value()?.string()?),
            ("mint", Long("scope")) => given
                .scopes
                .push(parser.value()?.parse_with(|word| Scope::new(word))?),
            ("mint", Long("expires-in")) => given.expires_in = Some(duration(&mut parser)?),
            ("mint" | "serve", Long("env")) => given.environment = environment(&mut parser)?,
            ("rotate", Long("grace")) => given.grace = Some(duration(&mut parser)?),
            ("rotate" | "revoke", Value(id)) if given.id.is_none() => given.id = Some(id.string()?),
            ("report", Long("older-than")) => given.limits = given.limits.age(duration(&mut parser)?),
            ("report", Long("unused-for")) => given.limits = given.limits.unused(duration(&mut parser)?),
            ("serve", Long("port")) => given.port = parser.value()?.parse()?,
            (_, other) => return Err(other.unexpected()),
        }
    }
    let as_json = given.as_json;
    Ok((given.command(&name)?, as_json))
}

/// `90d`, `24h`, `10m`, `30s`.
fn duration(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    parser.value()?.parse_with(humantime::parse_duration)
}

fn environment(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    parser.value()?.parse_with(|word| match word {
        "live" | "test" => Ok(word.to_owned()),
        _ => Err("it is live or test"),
    })
}

struct Given {
    as_json: bool,
    owner: Option<String>,
    name: Option<String>,
    scopes: Vec<Scope>,
    expires_in: Option<Duration>,
    environment: String,
    id: Option<String>,
    grace: Option<Duration>,
    limits: ReportLimits,
    port: u16,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            as_json: false,
            owner: None,
            name: None,
            scopes: Vec::new(),
            expires_in: None,
            environment: "live".to_owned(),
            id: None,
            grace: None,
            limits: ReportLimits::default(),
            port: 3000,
        }
    }
}

impl Given {
    fn command(self, name: &str) -> Result<Command, lexopt::Error> {
        let environment = self.environment;
        Ok(match name {
            "mint" => {
                let owner = self.owner.ok_or("mint needs --owner NAME")?;
                if self.scopes.is_empty() {
                    return Err("mint needs --scope, since a key without one opens little".into());
                }
                let mut wanted = NewKey::of(owner).scopes(self.scopes);
                if let Some(name) = self.name {
                    wanted = wanted.name(name);
                }
                if let Some(life) = self.expires_in {
                    wanted = wanted.expires_in(life);
                }
                Command::Mint { wanted, environment }
            }
            "list" => Command::List { owner: self.owner },
            "rotate" => Command::Rotate {
                id: self.id.ok_or("rotate needs the ID of a key")?,
                grace: self
                    .grace
                    .ok_or("rotate needs --grace, for example --grace 24h")?,
            },
            "revoke" => Command::Revoke {
                id: self.id.ok_or("revoke needs the ID of a key")?,
            },
            "report" => Command::Report { limits: self.limits },
            _ => Command::Serve {
                port: self.port,
                environment,
            },
        })
    }
}
