//! Guessing is slowed down, and nobody is locked out.

mod bounds;
mod keys;
mod tokens;
mod wiring;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyRecord, CallerAddress, FailedAttemptLayer, FailedAttempts, KeyDigest, KeyStore, MemoryKeyStore,
    Quota,
};

use crate::server::Gate;
use crate::support::{Answer, Down, call, request, store};

const MINUTE: Duration = Duration::from_secs(60);
const CALLER: &str = "192.0.2.1";
const NEIGHBOUR: &str = "192.0.2.2";

/// A count of failed attempts, and the clock that it goes by.
struct Limit {
    attempts: FailedAttempts,
    clock: TestClock,
}

impl Limit {
    /// So many failures a minute, by the last entry of `X-Forwarded-For`.
    fn of(failures: u32) -> Self {
        let clock = TestClock::new();
        let attempts = FailedAttempts::builder(CallerAddress::of_x_forwarded_for(1))
            .quota(Quota::per_minute(failures))
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { attempts, clock }
    }

    fn layer(&self) -> FailedAttemptLayer {
        FailedAttemptLayer::new(self.attempts.clone())
    }
}

/// The request, as one that came from this address.
fn from(address: &str, mut request: Request) -> Request {
    let address = HeaderValue::from_str(address).unwrap();
    request.headers_mut().insert("x-forwarded-for", address);
    request
}

fn with_key(key: &str) -> Request {
    from(CALLER, request(&[("x-api-key", key)]))
}

async fn reason(app: &Router, request: Request) -> &'static str {
    call(app, request).await.reason()
}

/// 429 that says when to come again, and asks for no other credential.
#[track_caller]
fn assert_limited(answer: &Answer, seconds: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (429, "too_many_failed_attempts"),
        "{answer:?}"
    );
    assert_eq!(answer.header("retry-after"), Some(seconds));
    assert!(answer.challenges().is_empty(), "{answer:?}");
    assert_eq!(answer.json()["detail"], "too many failed attempts for now");
}

/// A store that has to be waited for, and counts how often it is asked. It knows [`KEY`], and of the key `down` nothing.
#[derive(Clone)]
struct Asked {
    times: Arc<AtomicUsize>,
    gate: Gate,
    known: Arc<MemoryKeyStore>,
}

impl Asked {
    fn new() -> Self {
        let asked = Self::held();
        asked.gate.open();
        asked
    }

    /// Nobody is answered before the gate is opened.
    fn held() -> Self {
        Self {
            times: Arc::default(),
            gate: Gate::closed(),
            known: Arc::new(store()),
        }
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

impl KeyStore for Asked {
    type Error = Down;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Down> {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.gate.pass().await;
        if *key == KeyDigest::of("down") {
            return Err(Down);
        }
        let Ok(found) = self.known.find(key).await;
        Ok(found)
    }
}
