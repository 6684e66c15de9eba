//! Says why a token is refused, check by check: for the person at the keyboard.
//!
//! ```sh
//! cargo run --example explain -- https://login.example.com/ https://api.example.com < token
//! cargo run --example explain -- --jwks keys.json https://login.example.com/ https://api.example.com < token
//! ```
//!
//! The first form asks the issuer for its keys; the second reads them from a file and opens no socket. The token comes from
//! the standard input, so that it stays out of the shell's history and of the list of processes; `Bearer ` may stand before
//! it. The status is 0 for a good token, 1 for one that is refused, also because
//! the issuer's keys cannot be had, and 2 for a command that cannot be understood.
//!
//! Everything that it does not take as an argument is as in `Issuer::builder`. Where your service says more there (a profile,
//! algorithms, scopes), say the same in `issuer`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells people what it found, or what is wrong"
)]

use std::env;
use std::io::{self, Read};
use std::process::ExitCode;

use tower_resource_server::{FixedKeys, Issuer};

const USAGE: &str = "usage: explain [--jwks FILE] ISSUER AUDIENCE < TOKEN";

/// Longer than any token, so that a wrong file is noticed and not read.
const MOST_BYTES: u64 = 1024 * 1024;

#[tokio::main]
async fn main() -> ExitCode {
    match explain().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("explain: {sentence}");
            ExitCode::from(2)
        }
    }
}

async fn explain() -> Result<bool, String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let issuer = match arguments[..] {
        ["--jwks", file, name, audience] => issuer(name, audience, Some(file))?,
        [name, audience] if !name.starts_with('-') => issuer(name, audience, None)?,
        _ => return Err(USAGE.to_owned()),
    };
    let token = token()?;
    // A request waits for keys for a second; a person waits longer. What goes wrong here is told below.
    let _ = issuer.warm_up().await;
    let explanation = issuer.explain(&token).await;
    println!("{explanation}");
    Ok(explanation.verdict().is_ok())
}

fn issuer(name: &str, audience: &str, jwks: Option<&str>) -> Result<Issuer, String> {
    let mut issuer = Issuer::builder(name).audience(audience);
    if let Some(file) = jwks {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
        let keys = FixedKeys::jwks(&text).map_err(|error| format!("{file} is no key set: {error}"))?;
        issuer = issuer.keys(keys);
    }
    issuer.build().map_err(|problems| problems.to_string())
}

fn token() -> Result<String, String> {
    let mut text = String::new();
    let read = io::stdin().take(MOST_BYTES).read_to_string(&mut text);
    read.map_err(|error| format!("the token cannot be read from the standard input: {error}"))?;
    let text = text.trim();
    let bare = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        _ => text,
    };
    if bare.is_empty() {
        return Err(format!("there is no token on the standard input; {USAGE}"));
    }
    Ok(bare.to_owned())
}
