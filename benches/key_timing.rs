//! Whether the time of a refusal tells why a key was refused: `cargo bench --bench key_timing`.
//!
//! 20,000 requests each with an unknown, a revoked, an expired and an altered key (a good key with one letter changed), in
//! random order, through the whole layer over a store in memory. In the process, where nothing hides a difference: once with 100
//! keys of each class that are tried again and again, and once with a key for each request, so that every record is cold. And
//! as a caller sees it at best, over HTTP on loopback.
//! Each class is compared with the unknown keys by Welch's t-test, on the samples below the pooled 95th percentile, as
//! dudect does (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", 2017): |t| above 4.5 is a difference
//! that could be seen. Unknown keys are measured twice over, to show what chance does.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, KeyDigest, MemoryKeyStore};

const SAMPLES: usize = 20_000;
const CLASSES: [&str; 5] = ["unknown", "unknown, again", "revoked", "expired", "altered"];
const VISIBLE: f64 = 4.5;

/// So many keys of each class, and a store that knows those of them that somebody made.
fn prepare(keys: usize) -> (MemoryKeyStore, Vec<(usize, String)>) {
    let (store, format) = (MemoryKeyStore::new(), ApiKeyFormat::new("sk", "test").unwrap());
    let mut requests = Vec::new();
    for number in 0..keys {
        for (class, name) in CLASSES.iter().enumerate() {
            let minted = format.mint().unwrap();
            let mut key = minted.expose().to_owned();
            let record = ApiKeyRecord::builder(format!("key_{number}_{class}"), "robot", KeyDigest::of(&key));
            match *name {
                "revoked" => store.insert(record.revoked().build()),
                "expired" => store.insert(record.expires_at(UNIX_EPOCH + Duration::from_secs(1)).build()),
                "altered" => {
                    store.insert(record.build());
                    let other = if key.ends_with('0') { "1" } else { "0" };
                    key.replace_range(key.len() - 1.., other);
                }
                _ => {}
            }
            requests.extend(std::iter::repeat_n((class, key), SAMPLES / keys));
        }
    }
    fastrand::shuffle(&mut requests);
    (store, requests)
}

/// How a request gets to the layer.
enum Way {
    InProcess(Router),
    Http(TcpStream),
}

impl Way {
    fn http(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Http(stream)
    }

    fn measure(&mut self, key: &str) -> f64 {
        match self {
            Self::InProcess(app) => {
                let request = Request::get("/")
                    .header("x-api-key", key)
                    .body(Body::empty())
                    .unwrap();
                let service = app.clone();
                let begun = Instant::now();
                let answer = service.oneshot(request).now_or_never().unwrap().unwrap();
                let time = begun.elapsed().as_nanos() as f64;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
                time
            }
            Self::Http(stream) => {
                let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\r\n");
                let mut answer = [0; 2048];
                let begun = Instant::now();
                stream.write_all(request.as_bytes()).unwrap();
                let length = stream.read(&mut answer).unwrap();
                let time = begun.elapsed().as_nanos() as f64;
                let answer = &answer[..length];
                assert!(
                    answer.starts_with(b"HTTP/1.1 401 ") && answer.ends_with(b"}"),
                    "in one piece"
                );
                time
            }
        }
    }
}

fn mean_and_variance(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0))
}

fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean, variance), (other_mean, other_variance)) = (mean_and_variance(one), mean_and_variance(other));
    let error = (variance / one.len() as f64 + other_variance / other.len() as f64).sqrt();
    (mean - other_mean) / error
}

fn main() {
    compare("in the process, warm", 100, Way::InProcess);
    compare("in the process, cold", SAMPLES, Way::InProcess);
    compare("over HTTP on loopback", 100, Way::http);
}

fn compare(title: &str, keys: usize, way: fn(Router) -> Way) {
    let (store, requests) = prepare(keys);
    let mut way = way(Router::new()
        .route("/", get(async || "hello"))
        .layer(ApiKeyLayer::new(store)));
    for (_, key) in requests.iter().take(2_000) {
        way.measure(key); // until everything is warm
    }
    let mut samples = CLASSES.map(|_| Vec::with_capacity(SAMPLES));
    for (class, key) in &requests {
        samples[*class].push(way.measure(key));
    }
    let mut all: Vec<f64> = samples.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() / 100 * 95];
    println!(
        "{title}: {keys} keys of each class, {SAMPLES} samples each, those below {limit:.0} ns compared"
    );
    println!("{:<16} {:>8} {:>13} {:>10}", "class", "median", "mean", "t");
    let unknown: Vec<f64> = samples[0].iter().copied().filter(|time| *time < limit).collect();
    for (class, times) in CLASSES.iter().zip(&mut samples) {
        times.sort_by(f64::total_cmp);
        let below: Vec<f64> = times.iter().copied().filter(|time| *time < limit).collect();
        let (median, (mean, _), t) = (
            times[times.len() / 2],
            mean_and_variance(&below),
            welch(&below, &unknown),
        );
        let verdict = if t.abs() > VISIBLE {
            "visible"
        } else {
            "not visible"
        };
        println!("{class:<16} {median:>5.0} ns {mean:>10.1} ns {t:>10.2} {verdict}");
    }
    println!();
}
