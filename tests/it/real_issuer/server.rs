//! Starts the authorization server of `tests/idp/` and asks it for tokens.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::real_parts;

/// A running server; it stops when this is dropped, because its standard input closes.
#[derive(Debug)]
pub(super) struct RealIssuer {
    issuer: String,
    control: String,
    _process: Child,
}

impl RealIssuer {
    /// `None` where Node is not installed, so that plain `cargo test` passes; `tests/run` insists on it.
    pub(super) async fn start() -> Option<Self> {
        let folder = real_parts("node_modules")?;
        let mut process = Command::new("node")
            .arg(folder.join("server.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Some(Self {
            issuer: text("issuer"),
            control: text("control"),
            _process: process,
        })
    }

    pub(super) fn issuer(&self) -> String {
        self.issuer.clone()
    }

    /// The access token that a real flow gives; see `tests/idp/control.mjs` for what can be asked.
    pub(super) async fn token(&self, wish: Value) -> String {
        let answer = self.post("/token", wish.to_string()).await;
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{wish}: {answer}"))
            .to_owned()
    }

    pub(super) async fn rotate(&self) {
        let answer = self.post("/rotate", String::new()).await;
        assert!(answer["kids"].is_array(), "{answer}");
    }

    async fn post(&self, path: &str, body: String) -> Value {
        let url = format!("{}{path}", self.control);
        let answer = reqwest::Client::new()
            .post(url)
            .body(body)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}
