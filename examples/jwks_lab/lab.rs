//! The API, its clients, and the clock; each line of the timeline is what they see at one time.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{CachedKeys, Clock, FetchState, Issuer, JwtLayer, KeyState, RemoteKeys};

use crate::login::{Login, Mood};

const API: &str = "https://api.example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The clock starts at midnight, so that what it shows is the time that has passed.
const MIDNIGHT: SystemTime = SystemTime::UNIX_EPOCH;

pub(crate) struct Lab {
    idp: TestIssuer,
    login: Login,
    issuer: Issuer,
    api: Router,
    /// The public keys that the issuer stands by.
    published: Vec<Value>,
    /// The token that the clients have, and show again and again.
    known: String,
    junk: usize,
    /// How often the issuer had been asked at the line before.
    asked: usize,
}

impl Lab {
    pub(crate) async fn open() -> Result<Self, Box<dyn Error>> {
        let idp = TestIssuer::new("https://login.example.com", API);
        idp.clock().set_date(MIDNIGHT);
        let (login, url) = Login::start(Mood::Fails).await?;

        // A request waits for keys for 1 s at most. Here it may wait for a minute, so that a machine that is busy with
        // something else prints the same timeline.
        let keys = CachedKeys::from(RemoteKeys::jwks_uri(url)).longest_wait(Duration::from_secs(60));
        let issuer = Issuer::builder(idp.name()).audience(API).keys(keys);
        let issuer = issuer.clock(idp.clock().clone()).build()?;
        let api = Router::new()
            .route("/", get(|| async { "hello\n" }))
            .layer(JwtLayer::new(issuer.clone()));

        let mut lab = Self {
            published: Vec::new(),
            known: String::new(),
            junk: 0,
            asked: 0,
            idp,
            login,
            issuer,
            api,
        };
        lab.publish()?;
        lab.clients_renew();
        Ok(lab)
    }

    /// Turns the clock to this time of the day.
    pub(crate) fn at(&mut self, hours: u64, minutes: u64, seconds: u64) -> &mut Self {
        let time = Duration::from_secs((hours * 60 + minutes) * 60 + seconds);
        let passed = passed(self.idp.clock().now());
        self.idp.clock().advance(time.saturating_sub(passed));
        self
    }

    pub(crate) fn issuer_turns(&mut self, mood: Mood) -> &mut Self {
        self.login.turns(mood);
        self
    }

    /// The issuer is well, and publishes what it stands by.
    pub(crate) fn issuer_is_well(&mut self) -> &mut Self {
        let document = json!({ "keys": self.published }).to_string();
        self.issuer_turns(Mood::Publishes(document))
    }

    /// A new key that tokens are signed with from now on, published beside the old ones.
    pub(crate) fn issuer_rotates(&mut self) -> Result<&mut Self, Box<dyn Error>> {
        self.idp.rotate();
        self.publish()
    }

    pub(crate) fn issuer_withdraws_the_oldest_key(&mut self) -> &mut Self {
        self.published.remove(0);
        self.issuer_is_well()
    }

    fn publish(&mut self) -> Result<&mut Self, Box<dyn Error>> {
        let mut document: Value = serde_json::from_str(&self.idp.jwks())?;
        let keys = document.get_mut("keys").and_then(Value::as_array_mut);
        self.published.append(keys.ok_or("a JWKS has keys")?);
        Ok(self.issuer_is_well())
    }

    /// The clients get new tokens, signed with the key of now.
    pub(crate) fn clients_renew(&mut self) -> &mut Self {
        self.known = self.idp.token().expires_in(DAY).sign();
        self
    }

    /// One line: what the clients are answered, how the keys are after that, and how often the issuer was asked for it.
    pub(crate) async fn line(
        &mut self,
        what: &str,
        clients: usize,
        junk: usize,
    ) -> Result<(), Box<dyn Error>> {
        // The clock was turned by hand, so nobody but the first request tells the refresh task that something is due.
        let before = self.send(vec![self.known.clone(); clients]).await?;
        let numbers = self.junk..self.junk + junk;
        self.junk = numbers.end;
        let junk = self
            .send(numbers.map(|number| self.junk_token(number)).collect())
            .await?;
        let after = self.send(vec![self.known.clone(); clients]).await?;
        let fresh = self.send(vec![self.idp.token().sign()]).await?;

        let asked = self.login.asked();
        let new = asked - std::mem::replace(&mut self.asked, asked);
        let known = if before == after {
            after
        } else {
            format!("{before}, {after}")
        };
        let time = show(self.idp.clock().now());
        let (keys, fetch, new) = (self.keys(), self.fetch(), new.to_string());
        Line([&time, what, &keys, &fetch, &new, &known, &fresh, &junk]).print();
        Ok(())
    }

    /// On the one thread that everything here shares, the refresh task has seen its wake-up when this task is on again.
    async fn fetch_has_ended(&self) {
        loop {
            tokio::task::yield_now().await;
            let runs = self.issuer.key_status().fetch == FetchState::Running;
            let hangs = self.login.hangs() && self.login.asked() > self.asked;
            if !runs || hangs {
                return;
            }
        }
    }

    /// A token that is good but for its key, which nobody has.
    fn junk_token(&self, number: usize) -> String {
        let token = self.idp.token().expires_in(DAY);
        token.header("kid", format!("junk-{number}")).sign()
    }

    /// Calls the API with all of these at once, and lets the fetch end that came of it. What it answered, and how often.
    async fn send(&self, tokens: Vec<String>) -> Result<String, Box<dyn Error>> {
        let mut calls = JoinSet::new();
        for token in tokens {
            let request = Request::get("/").header("authorization", format!("Bearer {token}"));
            calls.spawn(self.api.clone().oneshot(request.body(Body::empty())?));
        }
        let mut answers = BTreeMap::<u16, usize>::new();
        while let Some(answer) = calls.join_next().await {
            *answers.entry(answer??.status().as_u16()).or_default() += 1;
        }
        self.fetch_has_ended().await;
        let answers = answers.iter().map(|(status, times)| match times {
            1 => status.to_string(),
            _ => format!("{times} x {status}"),
        });
        let answers: Vec<String> = answers.collect();
        Ok(if answers.is_empty() {
            "-".to_owned()
        } else {
            answers.join(" ")
        })
    }

    fn keys(&self) -> String {
        match self.issuer.key_status().keys {
            KeyState::None => "none".to_owned(),
            KeyState::Fresh => "fresh".to_owned(),
            KeyState::Stale { since } => format!("stale since {}", show(since)),
            other => format!("{other:?}"),
        }
    }

    fn fetch(&self) -> String {
        match self.issuer.key_status().fetch {
            FetchState::Idle => "idle".to_owned(),
            FetchState::Running => "running".to_owned(),
            FetchState::Waiting { retry_at } => {
                let pause = retry_at.duration_since(self.idp.clock().now());
                format!("waiting {:.1} s", pause.unwrap_or_default().as_secs_f64())
            }
            other => format!("{other:?}"),
        }
    }
}

/// Since the clock showed midnight.
fn passed(date: SystemTime) -> Duration {
    date.duration_since(MIDNIGHT).unwrap_or_default()
}

fn show(date: SystemTime) -> String {
    let seconds = passed(date).as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// The columns of a line.
pub(crate) struct Line<'t>(pub(crate) [&'t str; 8]);

impl Line<'_> {
    pub(crate) fn print(&self) {
        let [time, what, keys, fetch, asked, known, fresh, junk] = self.0;
        let line =
            format!("{time:8}  {what:39}  {keys:20}  {fetch:15}  {asked:5}  {known:9}  {fresh:5}  {junk}");
        println!("{}", line.trim_end());
    }
}
