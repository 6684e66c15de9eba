//! What honest callers notice of a flood of tokens with unknown keys: `cargo bench --bench flood`.
//!
//! One API, with keys from an issuer on loopback. Honest tokens come at a steady pace, in turns one that is known and one
//! that is fresh; in every second round 2,000 junk tokens a second come beside them, 20,000 in all, each with a `kid` of its
//! own. Quiet rounds and rounds with the flood take turns in one run, so only their ratio is a figure.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tower::ServiceExt;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Issuer, JwtLayer};

const API: &str = "https://api.test";
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(1);
const JUNK: usize = 20_000;

struct World {
    idp: TestIssuer,
    app: Router,
    fetches: Arc<AtomicUsize>,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("http://{}", listener.local_addr().unwrap());
        let idp = TestIssuer::new(&name, API);
        let fetches = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&fetches);
        let login = idp.router().layer(axum::middleware::map_request(
            move |request: axum::extract::Request| {
                counted.fetch_add(usize::from(request.uri().path() == "/jwks"), Ordering::Relaxed);
                std::future::ready(request)
            },
        ));
        tokio::spawn(async move { axum::serve(listener, login).await.unwrap() });
        let issuer = Issuer::builder(name).audience(API).build().unwrap();
        issuer.warm_up().await.unwrap();
        let app = Router::new()
            .route("/", get(async || "hello"))
            .layer(JwtLayer::new(issuer));
        Self { idp, app, fetches }
    }

    fn good(&self) -> String {
        self.idp.token().expires_in(Duration::from_secs(3600)).sign()
    }

    fn junk(&self, number: usize) -> String {
        let kid = format!("junk-{number}");
        let token = self.idp.token().header("kid", kid);
        token.expires_in(Duration::from_secs(3600)).sign()
    }

    /// Honest requests for one round: how long those with the known token took, and those with fresh ones.
    async fn round(&self, known: &str, fresh: &[String]) -> [Vec<Duration>; 2] {
        let mut took = [Vec::new(), Vec::new()];
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let start = Instant::now();
        for token in fresh {
            if start.elapsed() > ROUND {
                break;
            }
            pace.tick().await;
            for (place, token) in [known, token].into_iter().enumerate() {
                let start = Instant::now();
                assert_eq!(call(&self.app, token).await, StatusCode::OK);
                took[place].push(start.elapsed());
            }
        }
        took
    }
}

async fn call(app: &Router, token: &str) -> StatusCode {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

/// Two every millisecond.
async fn flood(app: Router, tokens: Vec<String>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for pair in tokens.chunks(2) {
        pace.tick().await;
        for token in pair {
            assert_eq!(call(&app, token).await, StatusCode::UNAUTHORIZED);
        }
    }
}

fn percentile(took: &mut [Duration], hundredth: usize) -> Duration {
    took.sort_unstable();
    took[took.len() * hundredth / 100]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let world = World::start().await;
    let known = world.good();
    let per_round = usize::try_from(ROUND.as_millis()).unwrap();
    let mut junk: Vec<String> = (0..JUNK).map(|number| world.junk(number)).collect();
    let mut took: [[Vec<Duration>; 2]; 2] = Default::default();
    for round in 0..ROUNDS {
        let fresh: Vec<String> = (0..per_round).map(|_| world.good()).collect();
        let is_flooded = round % 2 == 1;
        let sent = is_flooded.then(|| {
            let tokens = junk.split_off(junk.len() - JUNK * 2 / ROUNDS);
            tokio::spawn(flood(world.app.clone(), tokens))
        });
        let measured = world.round(&known, &fresh).await;
        for (all, one) in took[usize::from(is_flooded)].iter_mut().zip(measured) {
            all.extend(one);
        }
        if let Some(sent) = sent {
            sent.await.unwrap();
        }
    }
    assert!(junk.is_empty());
    let [quiet, flooded] = &mut took;
    for (kind, name) in ["known", "fresh"].into_iter().enumerate() {
        for hundredth in [50, 99] {
            let quiet = percentile(&mut quiet[kind], hundredth);
            let flooded = percentile(&mut flooded[kind], hundredth);
            let ratio = flooded.as_secs_f64() / quiet.as_secs_f64();
            println!(
                "{name} token, p{hundredth}: quiet {quiet:?}, in the flood {flooded:?}, ratio {ratio:.2}"
            );
        }
    }
    let fetches = world.fetches.load(Ordering::Relaxed);
    println!("{JUNK} junk tokens made the service fetch {} times", fetches - 1);
}
