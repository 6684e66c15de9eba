//! What can be asked for on the command line.

use std::time::Duration;

use lexopt::prelude::*;
use tower_resource_server::{NewKey, ReportLimits, Scope};

pub(crate) const HELP: &str = "\
api_keys mint --owner NAME --scope S [--scope S …] [--name NAME] [--expires-in 90d] [--env live|test]
api_keys list [--owner NAME]
api_keys rotate ID --grace 24h
api_keys revoke ID
api_keys report [--older-than 90d] [--unused-for 90d]
api_keys serve [--port 3000] [--env live|test]

Each takes --json. Keys are kept in api_keys.sqlite, or in PostgreSQL if DATABASE_URL is set.";

pub(crate) enum Command {
    Mint { wanted: NewKey, environment: String },
    List { owner: Option<String> },
    Rotate { id: String, grace: Duration },
    Revoke { id: String },
    Report { limits: ReportLimits },
    Serve { port: u16, environment: String },
    Help,
}

/// What the arguments say, and whether the answer is for a program.
pub(crate) fn arguments() -> Result<(Command, bool), lexopt::Error> {
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
