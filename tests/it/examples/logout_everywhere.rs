//! `logout_everywhere` with `REDIS_URL`: two processes over a real Redis and a real Valkey.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::Duration;

use http::StatusCode;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::curl::Curl;
use super::{Running, carry_out, client, command};
use crate::redis_server::{RedisServer, engines};

const PATIENCE: Duration = Duration::from_secs(60);

async fn with_engine_at(url: &str) -> Command {
    let mut command = command("logout_everywhere", "0").await;
    command.env("REDIS_URL", url).stderr(Stdio::piped());
    command
}

async fn started(engine: &RedisServer) -> Running {
    let url = format!("redis://{}/", engine.address());
    Running::of(with_engine_at(&url).await).await
}

async fn on_each_engine(test: impl AsyncFn(RedisServer)) {
    for program in engines() {
        println!("{}", program.display());
        test(RedisServer::start(&program)).await;
    }
}

/// The first command with this in its address.
fn printed(example: &Running, part: &str) -> Curl {
    let mut commands = example.commands().map(|line| Curl::parse(line).0);
    commands.find(|command| command.url.contains(part)).unwrap()
}

/// To the process that says it is the second server.
async fn signal(name: &str, example: &Running) {
    let mut ids = example
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("SECOND_PID="));
    let id = ids.next().expect("the id of the second process");
    let kill = format!("kill -{name} {id}");
    let sent = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(sent.unwrap().success(), "{kill}");
}

/// Carries it out until it gives this status: another process hears within milliseconds, but not at once.
async fn until(status: u16, line: &str) {
    let client = client();
    for _ in 0..4_000 {
        if carry_out(&client, Curl::parse(line).0).await.status() == status {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it is not answered so: {line}");
}

#[tokio::test]
async fn every_command_gives_the_status_beside_it_in_two_processes_and_again_in_a_second_run() {
    on_each_engine(async |engine| {
        for _ in 0..2 {
            let example = started(&engine).await;
            let client = client();
            let mut shown = BTreeSet::new();
            for line in example.commands() {
                let (command, status) = Curl::parse(line);
                shown.insert(status);
                // Where the engine is asked itself, the next request notices; and for some seconds a new one is not believed.
                let asks = command.url.ends_with("/transfer");
                if (status == 401 && !asks) || (status == 200 && asks) {
                    until(status, line).await;
                } else {
                    let answer = carry_out(&client, command).await;
                    assert_eq!(answer.status(), status, "{line}");
                }
            }
            assert_eq!(shown, BTreeSet::from([200, 204, 401, 404]));
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_gone_is_told_to_who_revokes() {
    on_each_engine(async |mut engine| {
        let example = started(&engine).await;
        engine.kill9();
        let answer = carry_out(&client(), printed(&example, "/logout/")).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("not known to be withdrawn, ask again"), "{text}");
        assert!(text.contains("the engine of revocations failed: "), "{text}");
    })
    .await;
}

#[tokio::test]
async fn the_second_address_is_that_of_the_other_process() {
    on_each_engine(async |engine| {
        let example = started(&engine).await;
        let client = client();
        signal("STOP", &example).await;
        let there = carry_out(&client, printed(&example, "/me"));
        assert!(timeout(Duration::from_secs(1), there).await.is_err());
        let here = carry_out(&client, printed(&example, "/planet/")).await;
        assert_eq!(here.status(), StatusCode::NOT_FOUND);
        signal("CONT", &example).await;
        let there = carry_out(&client, printed(&example, "/me")).await;
        assert_eq!(there.status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn when_the_second_process_ends_the_first_says_so_and_ends() {
    on_each_engine(async |engine| {
        let example = started(&engine).await;
        signal("KILL", &example).await;
        let output = timeout(PATIENCE, example.process.wait_with_output()).await;
        assert_eq!(
            message_of(&output.expect("an end in time").unwrap()),
            "Error: the second server has ended: signal: 9 (SIGKILL)\n"
        );
    })
    .await;
}

#[tokio::test]
async fn when_the_first_process_is_killed_the_second_ends() {
    on_each_engine(async |engine| {
        let mut example = started(&engine).await;
        let there = printed(&example, "/me").url;
        example.process.kill().await.unwrap();
        let client = client();
        for _ in 0..4_000 {
            if client.get(&there).send().await.is_err() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("the second server still answers");
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_cannot_be_reached_is_one_clear_message() {
    // Port 0 is nobody's.
    let message = message_about("redis://:password@127.0.0.1:0/").await;
    let expected = "Error: REDIS_URL cannot be used: the engine of revocations failed: ";
    assert!(message.starts_with(expected), "{message}");
    assert!(
        !message.contains("password") && message.lines().count() == 1,
        "{message}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_one_clear_message() {
    for address in ["", "password@127.0.0.1", "https://127.0.0.1/"] {
        let message = message_about(address).await;
        let expected = "Error: REDIS_URL is no address that can be used, as redis://127.0.0.1:6379/ is: ";
        assert!(message.starts_with(expected), "{message}");
        assert!(
            !message.contains("password") && message.lines().count() == 1,
            "{message}"
        );
    }
}

async fn message_about(address: &str) -> String {
    let output = with_engine_at(address).await.output();
    let output = timeout(PATIENCE, output).await.expect("an end in time").unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    message_of(&output)
}

fn message_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}
