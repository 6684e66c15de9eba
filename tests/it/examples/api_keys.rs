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
    let all = desk.ask(&["list"]).await;
    let withdrawn = all
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["id"] == narrow["id"])
        .unwrap();
    assert_eq!(withdrawn["refused"], 1, "{withdrawn}");
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
    // Who has seen enough ends the tool, and that is no mistake.
    let mut listing = desk
        .command(&["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(listing.stdout.take());
    let ended = timeout(PATIENCE, listing.wait_with_output()).await;
    let ended = ended.expect("an end in time").unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
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

/// One line on the standard error, with nothing in it that a terminal would obey.
fn one_plain_line(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        said.starts_with("api_keys: ") && said.lines().count() == 1,
        "{said:?}"
    );
    assert!(!said.trim_end().contains(char::is_control), "{said:?}");
    said
}

#[cfg(unix)]
#[tokio::test]
async fn arguments_that_are_not_text_or_that_a_terminal_would_obey_are_one_plain_line() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let desk = Desk::new(None).await;
    for arguments in [
        &[&b"\xff\xfe"[..]][..],
        &[b"list", b"--owner", b"\xff"],
        &[b"list", b"--\xff"],
        &[b"list", b"--a\nb\x1b[2J"],
        &[b"list", b"-\x1b"],
        &[b"list", b"\x1b]0;title\x07"],
        &[b"\x1b[31m"],
        &[b"mint", b"--owner", b"a", b"--scope", b"\x1b[31m"],
        &[b"rotate", b"key_1", b"--grace", b"1\x1b[31m"],
        &[b"serve", b"--env", b"\r\n"],
    ] {
        let mut command = desk.command(&[]);
        command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
        let output = timeout(PATIENCE, command.output())
            .await
            .expect("an end in time")
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        one_plain_line(&output);
    }
    assert!(!desk.folder.join("api_keys.sqlite").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn an_address_of_a_database_that_cannot_be_used_is_told_without_its_password() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let desk = Desk::new(None).await;
    for url in [
        &b"postgres://robot:hunter2@127.0.0.1:1/none"[..],
        b"postgres://robot:hunter2@127.0.0.1:port/none",
        b"postgres://robot:hunter2@127.0.0.1/none?sslmode=perhaps",
        b"mysql://robot:hunter2@127.0.0.1/none",
        b"robot:hunter2@127.0.0.1",
        b"postgres//robot:hunter2@127.0.0.1/none",
        b"hunter2",
        b"",
        b"postgres://robot:hunter2\xff@127.0.0.1/none",
    ] {
        let mut command = desk.command(&["list"]);
        command.env("DATABASE_URL", OsStr::from_bytes(url));
        let output = timeout(PATIENCE, command.output())
            .await
            .expect("an end in time")
            .unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{output:?}"
        );
        let said = one_plain_line(&output);
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(
        !desk.folder.join("api_keys.sqlite").exists(),
        "nor is another database used instead"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let desk = Desk::new(None).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = desk.run(&["serve", "--port", &port]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = one_plain_line(&output);
    assert!(said.contains(&format!("port {port}: ")), "{said}");
}

#[tokio::test]
async fn a_server_that_is_interrupted_writes_uses_down_as_well() {
    let desk = Desk::new(None).await;
    let minted = desk
        .ask(&["mint", "--owner", "robot", "--scope", "orders:read"])
        .await;
    let mut server = desk.serve().await;
    assert_eq!(server.status("/me", text(&minted["key"])).await, 200);
    let id = server.process.id().unwrap().to_string();
    let asked = Command::new("kill").args(["-INT", &id]).status().await.unwrap();
    assert!(asked.success());
    let ended = timeout(PATIENCE, server.process.wait())
        .await
        .expect("an end in time")
        .unwrap();
    assert!(ended.success(), "{ended:?}");
    assert_eq!(desk.ask(&["list"]).await[0]["uses"], 1);
}
