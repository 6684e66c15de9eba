//! The tool for API keys: each command as a process of its own, over SQLite and over PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{binary, client};
use crate::postgres::Postgres;

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own, in which the tool is run. It is removed when this is dropped.
pub(crate) struct Desk {
    folder: PathBuf,
    tool: PathBuf,
    database: Option<String>,
}

impl Desk {
    pub(crate) async fn new(database: Option<String>) -> Self {
        static DESKS: AtomicUsize = AtomicUsize::new(0);
        let number = DESKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-resource-server-tool-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            tool: binary("api_keys").await,
            database,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tool);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .kill_on_drop(true)
            .env_remove("DATABASE_URL");
        if let Some(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output();
        timeout(PATIENCE, output).await.expect("an end in time").unwrap()
    }

    /// What it says to people.
    async fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says to programs.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Value {
        let with_json: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.say(&with_json).await).unwrap()
    }

    pub(crate) async fn serve(&self) -> Served {
        self.serve_on(self.database.as_deref()).await
    }

    /// The same, with another address of the database.
    pub(crate) async fn serve_on(&self, database: Option<&str>) -> Served {
        let mut command = self.command(&["serve", "--port", "0"]);
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(PATIENCE, lines.next_line())
            .await
            .expect("an address in time")
            .unwrap();
        let url = first.unwrap().strip_prefix("listening on ").unwrap().to_owned();
        Served {
            url,
            process,
            client: client(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The tool as a server.
pub(crate) struct Served {
    url: String,
    pub(crate) process: Child,
    client: reqwest::Client,
}

impl Served {
    pub(crate) async fn status(&self, path: &str, key: &str) -> u16 {
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// Revokes a key through this server.
    pub(crate) async fn withdraw(&self, id: &str, key: &str) -> u16 {
        let request = self
            .client
            .delete(format!("{}/keys/{id}", self.url))
            .header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// Asks it to stop, as an operator's machine does, and waits until it has.
    async fn stop(mut self) {
        let id = self.process.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(asked.success());
        let ended = timeout(PATIENCE, self.process.wait())
            .await
            .expect("an end in time")
            .unwrap();
        assert!(ended.success(), "{ended:?}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Everything that the files of a folder hold.
fn bytes_in(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

async fn a_keys_whole_life(desk: &Desk) {
    let mint = [
        "mint",
        "--owner",
        "robot",
        "--scope",
        "orders:read",
        "--scope",
        "orders:write",
        "--expires-in",
        "90d",
    ];
    let first = desk.ask(&mint).await;
    let (id, key) = (text(&first["id"]), text(&first["key"]));
    assert!(key.starts_with("sk_live_") && key.len() == 57, "{first}");
    assert_eq!(
        first["scopes"],
        serde_json::json!(["orders:read", "orders:write"])
    );
    assert!(
        first["expires_at"].is_string() && first["live"] == true,
        "{first}"
    );
    let narrow = desk
        .ask(&["mint", "--owner", "printer", "--scope", "print"])
        .await;
    let foreign = desk
        .ask(&[
            "mint",
            "--owner",
            "tester",
            "--scope",
            "orders:read",
            "--env",
            "test",
        ])
        .await;
    let lost = desk
        .ask(&["mint", "--owner", "loser", "--scope", "orders:read"])
        .await;
    desk.ask(&["revoke", text(&lost["id"])]).await;

    let server = desk.serve().await;
    assert_eq!(server.status("/me", key).await, 200);
    assert_eq!(server.status("/orders", key).await, 200);
    assert_eq!(server.status("/me", text(&narrow["key"])).await, 200);
    assert_eq!(server.status("/orders", text(&narrow["key"])).await, 403);
    assert_eq!(server.status("/me", text(&foreign["key"])).await, 401);
    assert_eq!(server.status("/me", text(&lost["key"])).await, 401);
    let admin = desk
        .ask(&["mint", "--owner", "admin", "--scope", "keys:revoke"])
        .await;
    assert_eq!(server.withdraw(text(&narrow["id"]), key).await, 403);
    assert_eq!(server.withdraw("key_0", text(&admin["key"])).await, 404);
    assert_eq!(
        server.withdraw(text(&narrow["id"]), text(&admin["key"])).await,
        200
    );
    assert_eq!(
        server.status("/me", text(&narrow["key"])).await,
        401,
        "at once, where it was revoked"
    );

    let second = desk.ask(&["rotate", id, "--grace", "24h"]).await;
    assert_eq!(second["rotated_from"], *id);
    for key in [key, text(&second["key"])] {
        assert_eq!(server.status("/orders", key).await, 200, "both work in the grace");
    }
    server.stop().await;

    let listed = desk.ask(&["list", "--owner", "robot"]).await;
    let uses: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["uses"].as_u64().unwrap())
        .collect();
    assert_eq!(uses, [4, 1], "uses are written down before the server ends");
    assert_eq!(listed[0]["rotated_to"], second["id"]);
    assert!(listed[0]["last_used_at"].is_string());
    assert_eq!(desk.ask(&["list"]).await.as_array().unwrap().len(), 6);
    let report = desk.ask(&["report", "--unused-for", "0s"]).await;
    assert_eq!(report["endless"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["old"].as_array().unwrap().len(), 0, "{report}");
}

#[tokio::test]
async fn a_key_lives_its_whole_life_in_sqlite() {
    let desk = Desk::new(None).await;
    a_keys_whole_life(&desk).await;
    assert!(desk.folder.join("api_keys.sqlite").exists());
    let again = desk.ask(&["mint", "--owner", "robot", "--scope", "x"]).await;
    let key = text(&again["key"]).as_bytes();
    let kept = bytes_in(&desk.folder);
    let shown = text(&again["start"]).as_bytes();
    assert!(
        kept.windows(shown.len()).any(|window| window == shown),
        "what is kept was looked at"
    );
    assert!(
        !kept.windows(key.len()).any(|window| window == key),
        "no key is kept"
    );
}

#[tokio::test]
async fn a_key_lives_its_whole_life_in_postgresql() {
    let Some(server) = Postgres::shared() else { return };
    let desk = Desk::new(Some(server.new_database().await)).await;
    a_keys_whole_life(&desk).await;
    assert!(!desk.folder.join("api_keys.sqlite").exists());
}

#[tokio::test]
async fn people_see_a_key_once_and_tables() {
    let desk = Desk::new(None).await;
    let minted = desk
        .say(&[
            "mint",
            "--owner",
            "robot",
            "--name",
            "nightly",
            "--scope",
            "orders:read",
        ])
        .await;
    let lines: Vec<_> = minted.lines().collect();
    assert!(
        lines[0].starts_with("sk_live_") && lines[1].contains("only time"),
        "{minted}"
    );
    let key = lines[0].to_owned();
    let list = desk.say(&["list"]).await;
    let rows: Vec<_> = list.lines().collect();
    assert!(rows[0].starts_with("ID ") && rows.len() == 2, "{list}");
    for cell in ["robot", "nightly", "orders:read", "live", "never", &key[..12]] {
        assert!(rows[1].contains(cell), "{cell} in {list}");
    }
    assert!(!list.contains(&key));
    let id = rows[1].split_whitespace().next().unwrap();
    assert!(desk.say(&["revoke", id]).await.contains("revoked"));
    assert!(desk.say(&["report"]).await.contains("They never expire (0)"));
    assert!(
        desk.say(&["--help"])
            .await
            .starts_with("api_keys mint --owner NAME")
    );
}

#[tokio::test]
async fn a_mistake_in_the_arguments_is_one_clear_line() {
    let desk = Desk::new(None).await;
    for (arguments, told) in [
        (&[][..], "mint, list, rotate"),
        (&["steal"], "\"steal\""),
        (&["steal", "--all"], "\"steal\""),
        (&["mint", "--scope", "a"], "--owner"),
        (&["mint", "--owner", "robot"], "--scope"),
        (&["mint", "--owner", "robot", "--scope", "two words"], "two words"),
        (
            &["mint", "--owner", "robot", "--scope", "a", "--expires-in", "soon"],
            "soon",
        ),
        (
            &["mint", "--owner", "robot", "--scope", "a", "--env", "prod"],
            "live or test",
        ),
        (
            &["mint", "--owner", "robot", "--scope", "a", "--grace", "1h"],
            "--grace",
        ),
        (&["mint", "--owner"], "--owner"),
        (&["rotate"], "ID"),
        (&["rotate", "key_1"], "--grace"),
        (&["rotate", "key_1", "key_2", "--grace", "1h"], "key_2"),
        (&["revoke", "--owner", "robot"], "--owner"),
        (&["serve", "--port", "99999"], "99999"),
        (&["list", "key_1"], "key_1"),
    ] {
        let output = desk.run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{arguments:?}: {said}"
        );
        assert!(
            said.starts_with("api_keys: ") && said.contains(told),
            "{arguments:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(
        !desk.folder.join("api_keys.sqlite").exists(),
        "a mistake makes no file"
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_one_clear_line_too() {
    let desk = Desk::new(None).await;
    let nowhere = Desk::new(Some("postgres://127.0.0.1:1/none".to_owned())).await;
    let nonsense = Desk::new(Some("mysql://localhost".to_owned())).await;
    for (desk, arguments, told) in [
        (&desk, &["revoke", "key_0"][..], "no API key has this id"),
        (
            &desk,
            &["rotate", "key_0", "--grace", "1h"],
            "no API key has this id",
        ),
        (
            &desk,
            &["mint", "--owner", "a\nb", "--scope", "a"],
            "owner: it has control characters",
        ),
        (
            &desk,
            &["mint", "--owner", "a", "--scope", "a", "--expires-in", "0s"],
            "not in the future",
        ),
        (&nowhere, &["list"], "api_keys: the key database"),
        (&nonsense, &["list"], "api_keys: "),
    ] {
        let output = desk.run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{arguments:?}: {said}"
        );
        assert!(
            said.starts_with("api_keys: ") && said.contains(told),
            "{arguments:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
