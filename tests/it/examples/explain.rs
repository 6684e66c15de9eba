//! The command that says why a token is refused.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};

use super::binary;
use crate::support::{API, ISSUER, idp};

const USAGE: &str = "usage: explain [--jwks FILE] ISSUER AUDIENCE < TOKEN";

async fn run(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(binary("explain").await)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = timeout(Duration::from_secs(60), process.wait_with_output()).await;
    output.expect("an end in time").unwrap()
}

/// A file of this run, which goes with this value.
struct File(PathBuf);

impl File {
    fn of(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("explain-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What it prints about a token, with the keys in a file, and its status.
async fn explain(idp: &TestIssuer, input: &str) -> (i32, String) {
    let keys = File::of(&idp.jwks());
    let output = run(&["--jwks", keys.path(), ISSUER, API], input).await;
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// A token that lives by the clock of another process.
fn token(idp: &TestIssuer) -> TokenBuilder {
    idp.token().expires_in(Duration::from_secs(3600))
}

async fn says(arguments: &[&str], input: &str, sentence: &str) {
    let output = run(arguments, input).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&format!("explain: {sentence}")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test]
async fn a_good_token_is_0_also_behind_bearer() {
    let idp = idp();
    let token = token(&idp).sign();
    for input in [
        format!("{token}\n"),
        token.clone(),
        format!("bearer  {token}\r\n"),
    ] {
        let (status, text) = explain(&idp, &input).await;
        assert_eq!(status, 0, "{text}");
        assert!(text.starts_with("good: "), "{text}");
        assert!(!text.contains(token.rsplit_once('.').unwrap().1), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_1_and_the_check_is_named() {
    let idp = idp();
    for (token, check, found) in [
        (
            token(&idp).claim("exp", 1_000_000_000).sign(),
            "exp",
            "2001-09-09T01:46:40Z, ",
        ),
        (
            token(&idp).audience("https://x.test").sign(),
            "aud",
            "\"https://x.test\"",
        ),
        ("garbage".to_owned(), "parts", "1; an opaque token or an API key"),
    ] {
        let (status, text) = explain(&idp, &token).await;
        assert_eq!(status, 1, "{text}");
        let mut lines = text.lines().skip_while(|line| !line.starts_with("failed"));
        let (failed, beneath) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(failed["failed".len()..].trim_start().starts_with(check), "{text}");
        assert!(
            beneath.trim_start().starts_with(&format!("found     {found}")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_issuer_is_asked_for_its_keys() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://{}", socket.local_addr().unwrap());
    let idp = TestIssuer::new(&name, API);
    let server = tokio::spawn(axum::serve(socket, idp.router()).into_future());
    let token = token(&idp).sign();
    let output = run(&[&name, API], &token).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    server.abort();
    let _ = server.await;
    let output = run(&[&name, API], &token).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("refused: keys_unavailable: "), "{text}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_2_and_one_sentence() {
    let idp = idp();
    let keys = File::of(&idp.jwks());
    let none = File::of("{}");
    says(&[], "", USAGE).await;
    says(&["--help"], "", USAGE).await;
    says(&["--help", API], "", USAGE).await;
    says(&["--jwks", keys.path(), ISSUER], "", USAGE).await;
    let missing = std::env::temp_dir().join("explain-no-such-file.json");
    let missing = missing.to_str().unwrap();
    let sentence = format!("{missing} cannot be read: ");
    says(&["--jwks", missing, ISSUER, API], "a.b.c", &sentence).await;
    let sentence = format!("{} is no key set: ", none.path());
    says(&["--jwks", none.path(), ISSUER, API], "a.b.c", &sentence).await;
    let sentence = "there is no token on the standard input";
    says(&["--jwks", keys.path(), ISSUER, API], " \n", sentence).await;
    says(&["--jwks", keys.path(), ISSUER, ""], "a.b.c", "audience: ").await;
}
