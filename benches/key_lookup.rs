//! What a look-up of an API key costs among 1,000 keys and among 1,000,000: `cargo bench --bench key_lookup`. The whole layer
//! above a store in memory is in `benches/speed`; here are the look-ups alone, and a cache above such a store.
//!
//! The four stores are asked in turns, in one run, for keys in random order, so that the larger ones miss the processor's
//! caches as they would in a service; only the ratios are figures. Needs about 3 GB of memory.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_resource_server::{ApiKeyLayer, ApiKeyRecord, CachedKeyStore, KeyDigest, KeyStore, MemoryKeyStore};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
const ROUNDS: usize = 21;
const LOOK_UPS: usize = 100_000;
const REQUESTS: usize = 20_000;

fn key(number: usize) -> String {
    format!("sk_test_{number:049}")
}

fn store(keys: usize) -> MemoryKeyStore {
    let records = (0..keys).map(|number| {
        ApiKeyRecord::builder(format!("key_{number}"), "robot", KeyDigest::of(key(number))).build()
    });
    records.collect()
}

/// A cache that knows all of them, and nothing is ever asked again in it while this runs.
async fn cached(keys: usize) -> CachedKeyStore<MemoryKeyStore> {
    let day = Duration::from_secs(24 * 60 * 60);
    let cache = CachedKeyStore::new(store(keys))
        .capacity(2 * MANY as u64)
        .fresh(day);
    for number in 0..keys {
        cache.find(&KeyDigest::of(key(number))).await.unwrap().unwrap();
    }
    cache
}

/// Numbers below `end`, in an order that no prefetcher knows.
fn numbers(end: usize, count: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..count).map(|_| random.usize(..end)).collect()
}

/// Nanoseconds for one look-up.
fn look_up(store: &impl KeyStore, digests: &[KeyDigest]) -> f64 {
    let begun = Instant::now();
    let found = digests
        .iter()
        .filter(|digest| matches!(store.find_now(digest), Some(Ok(Some(_)))));
    assert_eq!(found.count(), digests.len());
    begun.elapsed().as_secs_f64() * 1e9 / digests.len() as f64
}

/// Nanoseconds for one request through a layer and a router.
fn request(app: &Router, keys: &[String]) -> f64 {
    let requests: Vec<_> = keys
        .iter()
        .map(|key| {
            Request::get("/")
                .header("x-api-key", key)
                .body(Body::empty())
                .unwrap()
        })
        .collect();
    let begun = Instant::now();
    for request in requests {
        let answer = app.clone().oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    begun.elapsed().as_secs_f64() * 1e9 / keys.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn tell(what: &str, times: [Vec<f64>; 2]) {
    let [few, many] = times.map(median);
    println!("{what:<28} {few:>8.0} ns {many:>8.0} ns   x {:.2}", many / few);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (memory, cache) = ([store(FEW), store(MANY)], [cached(FEW).await, cached(MANY).await]);
    let digests = [FEW, MANY].map(|end| {
        let numbers = numbers(end, LOOK_UPS).into_iter();
        numbers
            .map(|number| KeyDigest::of(key(number)))
            .collect::<Vec<_>>()
    });
    let mut times = [(); 2].map(|()| [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (size, digests) in digests.iter().enumerate() {
            times[0][size].push(look_up(&memory[size], digests));
            times[1][size].push(look_up(&cache[size], digests));
        }
    }
    println!("{:<28} {FEW:>11} {MANY:>11}", "median of rounds, keys:");
    let [from_memory, from_cache] = times;
    tell("memory, look-up", from_memory);
    tell("cache over memory, look-up", from_cache);

    let keys = [FEW, MANY].map(|end| {
        let numbers = numbers(end, REQUESTS).into_iter();
        numbers.map(key).collect::<Vec<_>>()
    });
    let cache = cache.map(|store| {
        let app = Router::new().route("/", get(async || "hello"));
        app.layer(ApiKeyLayer::new(store))
    });
    let mut times = [(); 2].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (size, keys) in keys.iter().enumerate() {
            times[size].push(request(&cache[size], keys));
        }
    }
    tell("cache, whole request", times);
}
