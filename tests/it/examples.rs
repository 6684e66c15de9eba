//! The examples keep their word: each is run as a process, and every command that it prints is carried out and gives the
//! status beside it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

pub(crate) mod api_keys;
mod curl;
mod explain;
mod logout_everywhere;
mod rate_limits;

use std::collections::BTreeSet;
use std::env::{self, consts::EXE_SUFFIX};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use curl::Curl;

macro_rules! every_command_gives_the_status_beside_it {
    ($($example:ident shows $statuses:expr;)+) => {
        $(
            #[tokio::test]
            async fn $example() {
                let shown = call_as_printed(stringify!($example)).await;
                assert_eq!(shown, BTreeSet::from($statuses));
            }
        )+

        /// The examples that are called over plain HTTP; the others have tests of their own.
        const CALLED_AS_PRINTED: &[&str] = &[$(stringify!($example)),+];
    };
}

mod every_command_gives_the_status_beside_it_in {
    use super::*;

    every_command_gives_the_status_beside_it! {
        api_key shows [200, 400, 401];
        api_key_or_jwt shows [200, 400, 401];
        check_in_handler shows [200, 403, 404];
        hyper shows [200, 401, 403];
        jwt shows [200, 400, 401];
        logout_everywhere shows [200, 204, 401, 404];
        optional shows [200, 401];
        own_claims shows [200, 401];
        own_client shows [200, 401, 503];
        own_key_store shows [200, 401, 503];
        quickstart shows [200, 400, 401, 403];
        refusal_body shows [200, 401, 403];
        scopes shows [200, 401, 403];
        several_issuers shows [200, 401, 403];
        testing shows [200, 401];
    }

    #[test]
    fn every_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files: BTreeSet<String> = files
            .filter(|path| {
                path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
            })
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let run = CALLED_AS_PRINTED
            .iter()
            .chain(&[
                "api_keys",
                "conformance",
                "consequence",
                "explain",
                "grpc",
                "jwks_lab",
                "rate_limits",
            ])
            .map(ToString::to_string)
            .collect();
        assert_eq!(files, run);
    }
}

#[tokio::test]
async fn the_quickstart_prints_its_credentials_one_a_line_and_then_at_least_six_commands() {
    let quickstart = Running::start("quickstart").await;
    let [token, key, read_only, commands @ ..] = &quickstart.lines[..] else {
        panic!("too few lines: {:?}", quickstart.lines);
    };
    assert!(token.strip_prefix("TOKEN=").unwrap().starts_with("ey"), "{token}");
    assert!(key.strip_prefix("API_KEY=").unwrap().starts_with("sk_"), "{key}");
    assert!(
        read_only
            .strip_prefix("READ_ONLY_TOKEN=")
            .unwrap()
            .starts_with("ey"),
        "{read_only}"
    );
    assert!(
        commands.len() >= 6 && commands.iter().all(|line| line.starts_with("curl ")),
        "{commands:?}"
    );
}

#[tokio::test]
async fn the_grpc_example_answers_with_the_status_beside_each_command() {
    let example = Running::start("grpc").await;
    let channel = tonic::transport::Channel::from_shared(example.url.clone()).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let mut shown = BTreeSet::new();
    for line in example.commands() {
        let (bytes, curl) = line.split_once(" | ").unwrap();
        assert_eq!(bytes, r"printf '\0\0\0\0\0'", "an empty message");
        let (command, status) = Curl::parse(curl);
        assert_eq!(
            command.url,
            format!("{}/grpc.health.v1.Health/Check", example.url)
        );
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        if let Some(value) = command.header("authorization") {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answer = client.check(request).await;
        if let Ok(answer) = &answer {
            assert_eq!(answer.metadata().get("caller").unwrap(), "alice");
        }
        let code = answer.map_or_else(|status| status.code(), |_| tonic::Code::Ok);
        assert_eq!(code as u16, status, "{line}");
        shown.insert(status);
    }
    assert_eq!(shown, BTreeSet::from([0, 7, 16]));
}

mod the_timeline_of_jwks_lab_shows {
    use super::*;

    /// What stands in the columns of one line; `waiting` without the time, which chance shortens.
    #[derive(Debug)]
    struct Line {
        keys: String,
        fetch: String,
        asked: usize,
        known: String,
        fresh: String,
        junk: String,
    }

    impl Line {
        fn read(text: &str) -> Self {
            let cells: Vec<&str> = text
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect();
            let [_time, _what, keys, fetch, asked, known, fresh, junk] = cells[..] else {
                panic!("{text:?} has other columns");
            };
            let fetch = if fetch.starts_with("waiting ") {
                "waiting"
            } else {
                fetch
            };
            Self {
                keys: keys.to_owned(),
                fetch: fetch.to_owned(),
                asked: asked.parse().unwrap(),
                known: known.to_owned(),
                fresh: fresh.to_owned(),
                junk: junk.to_owned(),
            }
        }

        fn answers(&self) -> [&str; 3] {
            [&self.known, &self.fresh, &self.junk]
        }
    }

    /// The lines of one part.
    async fn lines(part: &str) -> Vec<Line> {
        let output = run_to_its_end("jwks_lab", "0").await;
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().skip_while(|line| *line != part);
        assert!(lines.next().is_some(), "{text}");
        lines
            .take_while(|line| !line.is_empty())
            .map(Line::read)
            .collect()
    }

    #[tokio::test]
    async fn one_fetch_for_a_crowd_and_a_rotation_that_refuses_nobody() {
        let lines = lines("rotation").await;
        let [crowd, young, renewed, rotated, withdrawn, gone] = &lines[..] else {
            panic!("{lines:#?}");
        };
        assert_eq!((crowd.asked, crowd.answers()), (1, ["100 x 200", "200", "-"]));
        for (line, asked) in [(young, 0), (renewed, 1), (rotated, 1), (withdrawn, 0)] {
            assert_eq!(
                (line.asked, line.answers()),
                (asked, ["200", "200", "-"]),
                "{line:?}"
            );
        }
        assert_eq!(gone.answers(), ["200, 401", "200", "-"]);
        for line in &lines {
            assert_eq!((&*line.keys, &*line.fetch), ("fresh", "idle"), "{line:?}");
        }
    }

    #[tokio::test]
    async fn one_fetch_in_a_cool_down_for_any_amount_of_junk() {
        let lines = lines("flood").await;
        let asked: Vec<usize> = lines.iter().map(|line| line.asked).collect();
        assert_eq!(asked, [1, 0, 0, 1, 1]);
        for line in &lines {
            assert_eq!((&*line.known, &*line.junk), ("200", "200 x 401"), "{line:?}");
        }
        // The key that is new in the middle of it has to wait for the next fetch, and comes with it.
        let fresh: Vec<&str> = lines.iter().map(|line| line.fresh.as_str()).collect();
        assert_eq!(fresh, ["200", "200", "401", "200", "200"]);
    }

    #[tokio::test]
    async fn good_tokens_pass_an_outage_until_the_keys_are_too_old() {
        let lines = lines("outage").await;
        let mut keys: Vec<&str> = lines.iter().map(|line| line.keys.as_str()).collect();
        keys.dedup();
        assert_eq!(keys, ["fresh", "stale since 02:51:00", "none", "fresh"]);
        for line in &lines {
            let expected = if line.keys == "none" { "503" } else { "200" };
            assert_eq!((&*line.known, &*line.fresh), (expected, expected), "{line:?}");
            assert!(["-", "200 x 503"].contains(&&*line.junk), "{line:?}");
        }
        let mut fetch: Vec<&str> = lines.iter().map(|line| line.fetch.as_str()).collect();
        fetch.dedup();
        assert_eq!(fetch, ["waiting", "running", "waiting", "idle"]);
        let asked: Vec<usize> = lines.iter().map(|line| line.asked).collect();
        assert_eq!(asked, [1, 1, 1, 0, 1, 1, 0, 2, 1, 0, 0, 1, 1]);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_message() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = run_to_its_end("quickstart", &port.to_string()).await;
    let message =
        format!("Error: port {port} is taken; set PORT to another one, or to 0 for any that is free\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), message);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_port_that_is_no_number_is_one_clear_message() {
    let output = run_to_its_end("quickstart", "http").await;
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Error: PORT=http is no port number\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Starts the example, carries out its commands in their order, and says which statuses they showed.
async fn call_as_printed(example: &str) -> BTreeSet<u16> {
    let example = Running::start(example).await;
    let client = client();
    let mut shown = BTreeSet::new();
    for line in example.commands() {
        let (command, status) = Curl::parse(line);
        let answer = carry_out(&client, command).await;
        assert_eq!(answer.status().as_u16(), status, "{line}");
        shown.insert(status);
    }
    shown
}

async fn carry_out(client: &reqwest::Client, command: Curl) -> reqwest::Response {
    // Its own address, or that of a second server.
    assert!(command.url.starts_with("http://127.0.0.1:"), "{}", command.url);
    let mut request = client.request(command.method, command.url);
    for (name, value) in command.headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    builder.timeout(Duration::from_secs(60)).build().unwrap()
}

/// An example that is up. It is killed when this is dropped.
struct Running {
    url: String,
    /// What it printed after its address.
    lines: Vec<String>,
    process: Child,
}

impl Running {
    async fn start(example: &str) -> Self {
        Self::of(command(example, "0").await).await
    }

    async fn of(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(Duration::from_secs(60), output.next_line()).await;
        let first = first.expect("an address in time").unwrap().expect("an address");
        let url = first.strip_prefix("listening on ").unwrap().to_owned();

        // It serves when it has printed everything: after any answer, even a broken connection, all lines are in the pipe.
        let client = client();
        let _ = client.get(&url).send().await;
        let mut lines = Vec::new();
        while let Ok(line) = timeout(Duration::from_millis(300), output.next_line()).await {
            lines.push(line.unwrap().expect("it is still running"));
        }
        Self { url, lines, process }
    }

    /// What it printed, but for the credentials (`NAME=…`).
    fn commands(&self) -> impl Iterator<Item = &str> {
        let is_credential = |line: &&str| {
            let name = line.split_once('=').map_or("", |(name, _)| name);
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        self.lines
            .iter()
            .map(String::as_str)
            .filter(move |line| !is_credential(line))
    }
}

async fn run_to_its_end(example: &str, port: &str) -> Output {
    let output = command(example, port).await.output();
    timeout(Duration::from_secs(60), output)
        .await
        .expect("an end in time")
        .unwrap()
}

async fn command(example: &str, port: &str) -> Command {
    let mut command = Command::new(binary(example).await);
    command
        .env("PORT", port)
        .env_remove("REDIS_URL")
        .kill_on_drop(true);
    command
}

/// The example's binary. `cargo test` builds it beside this one; a run that was told to build nothing but this test gets
/// it built here.
pub(crate) async fn binary(example: &str) -> PathBuf {
    let this = env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).unwrap();
    let binary = folder.join("examples").join(format!("{example}{EXE_SUFFIX}"));
    if !is_up_to_date(&binary, example).unwrap_or(false) {
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", example])
            .args(["--profile", if profile == "debug" { "dev" } else { profile }])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.await.unwrap().success() && binary.exists(),
            "{} is not built",
            binary.display()
        );
    }
    binary
}

/// Whether the binary is younger than every source that cargo noted beside it (`NAME.d`), and was made of ours: a target
/// folder may be shared with another copy of the repository. A test of an old binary would be worse than none.
fn is_up_to_date(binary: &Path, example: &str) -> std::io::Result<bool> {
    let built = binary.metadata()?.modified()?;
    let noted = std::fs::read_to_string(binary.with_file_name(format!("{example}.d")))?;
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    for source in noted.split_whitespace().skip(1) {
        if Path::new(source).metadata()?.modified()? > built {
            return Ok(false);
        }
    }
    Ok(noted.contains(ours))
}

/// A line for each command, and what it says of it.
#[tokio::test]
async fn each_answer_of_consequence_stands_in_its_audit() {
    let example = Running::start("consequence").await;
    let client = client();
    for line in example.commands() {
        let (command, status) = Curl::parse(line);
        let answer = carry_out(&client, command).await;
        assert_eq!(answer.status().as_u16(), status, "{line}");
    }
    let path = example
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("AUDIT_FILE="));
    let path = Path::new(path.unwrap());
    let records = || -> Vec<(String, u64, String)> {
        let text = std::fs::read_to_string(path).unwrap();
        let records = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        // The first request of all was for no route.
        let routed = records.filter(|record| record["route"].is_string());
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        routed
            .map(|record| {
                (
                    word(&record["route"]),
                    record["status"].as_u64().unwrap(),
                    word(&record["reason"]),
                )
            })
            .collect()
    };
    let expected = [
        ("/accounts", 401, "credential_missing"),
        ("/accounts", 200, "ok"),
        ("/accounts/{id}/note", 403, "scope_missing"),
        ("/accounts/{id}/note", 200, "ok"),
        ("/accounts/{id}/note", 401, "token_too_old"),
        ("/transfers", 403, "not_a_user"),
        ("/transfers", 403, "actor_not_accepted"),
        ("/transfers", 401, "authentication_too_weak"),
        ("/transfers", 401, "authentication_too_old"),
        ("/transfers", 200, "ok"),
    ];
    let expected = expected.map(|(route, status, reason)| (route.to_owned(), status, reason.to_owned()));
    for _ in 0..1_000 {
        if records().len() == expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(records(), expected);
    std::fs::remove_file(path).unwrap();
}
