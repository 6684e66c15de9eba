//! Two servers, and an administrator who withdraws a token, a person and a key at one of them: the other one notices.
//!
//! ```sh
//! cargo run --example logout_everywhere
//! REDIS_URL=redis://127.0.0.1:6379/ cargo run --example logout_everywhere
//! ```
//!
//! Without `REDIS_URL` both servers are in one process and share a list in memory: the next request notices.
//!
//! With it the second server is a process of its own, and each has its own list, which hears of the other's over Redis or
//! Valkey within milliseconds. `/transfer` asks the engine itself, so there it is the next request again (and 503 for
//! the first seconds of an engine that is new: it may be one that lost what it knew). If the second
//! server ends, the first ends as well, and the other way round; `SECOND_PID` is there to try it.

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{ApiKeyFormat, MemoryRevocations};

mod commands;
mod engine;
mod second;
mod server;
#[path = "../shared/mod.rs"]
mod shared;

use commands::Commands;
use second::Second;
use server::{API, Known, LOGIN, app};
use shared::Sentence;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args_os().nth(1).as_deref() == Some(OsStr::new(second::ARGUMENT)) {
        return second::serve().await;
    }
    let idp = TestIssuer::new(LOGIN, API);
    let format = ApiKeyFormat::new("sk", "test")?;
    let (admin, robot) = (format.mint()?, format.mint()?);
    // An engine remembers what earlier runs withdrew, so no name is used twice. Real issuers do the same with `jti`.
    let run = format!("{:08x}", fastrand::u32(..));
    let known = Known::new(&idp, &run, &admin, &robot);
    let commands = Commands::new(&idp, &run, &admin, &robot);
    match env::var_os("REDIS_URL") {
        None => in_one_process(&known, &commands).await,
        Some(_) => in_two_processes(&known, &commands).await,
    }
}

async fn in_one_process(known: &Known, commands: &Commands) -> Result<(), Box<dyn Error>> {
    let revocations = MemoryRevocations::new();
    let (one, other) = (app(known, revocations.clone())?, app(known, revocations)?);
    let (first, here) = shared::listen().await?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    commands.print(&here, &format!("http://{}", second.local_addr()?));
    tokio::try_join!(async { axum::serve(first, one).await }, async {
        axum::serve(second, other).await
    })?;
    Ok(())
}

async fn in_two_processes(known: &Known, commands: &Commands) -> Result<(), Box<dyn Error>> {
    let one = app(known, engine::revocations().await?)?;
    let (first, here) = shared::listen().await?;
    let mut second = Second::start(known).await?;
    if let Some(id) = second.id() {
        println!("SECOND_PID={id}");
    }
    commands.print(&here, second.url());
    tokio::select! {
        served = async { axum::serve(first, one).await } => Ok(served?),
        ended = second.end() => Err(Sentence(format!("the second server has ended: {}", ended?)).into()),
    }
}
