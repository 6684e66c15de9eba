//! The second server as a process of its own: this program, started again with an argument.
//!
//! It gets what it must know as one line on its input, and answers with its address as one line on its output. The input
//! stays open for as long as the first server lives, however that ends.

use std::env;
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};

use crate::engine;
use crate::server::{Known, app};
use crate::shared::Sentence;

pub(crate) const ARGUMENT: &str = "second-server";

/// The second server, as the first one sees it. It is killed when this is dropped.
pub(crate) struct Second {
    process: Child,
    url: String,
    /// Not the process's own, which would close it as soon as its end is waited for.
    _input: ChildStdin,
}

impl Second {
    pub(crate) async fn start(known: &Known) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let not_started = || Sentence("the second server did not start".to_owned());
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (mut input, output) = pipes.ok_or_else(not_started)?;
        let line = format!("{}\n", serde_json::to_string(known)?);
        input.write_all(line.as_bytes()).await?;
        let url = BufReader::new(output).lines().next_line().await?;
        Ok(Self {
            process,
            url: url.ok_or_else(not_started)?,
            _input: input,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    pub(crate) async fn end(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }
}

/// What the other process does.
pub(crate) async fn serve() -> Result<(), Box<dyn Error>> {
    let mut known = String::new();
    io::stdin().read_line(&mut known)?;
    let app = app(&serde_json::from_str(&known)?, engine::revocations().await?)?;
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", socket.local_addr()?);
    let first_has_ended = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    tokio::select! {
        served = async { axum::serve(socket, app).await } => Ok(served?),
        ended = first_has_ended => Ok(ended?.map(|_| ())?),
    }
}
