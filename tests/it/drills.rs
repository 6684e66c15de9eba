//! Drills: what can go wrong between a service and its issuer, played with a real server on loopback and the HTTP client
//! that comes with the crate. Whatever happens, whoever brings a valid token must not notice.

mod clocks;
mod flood;
mod herd;
mod lifetimes;
#[cfg(target_os = "linux")]
mod memory;
mod outages;
mod races;
mod rotation;
mod timeouts;
mod trouble;
mod unruly;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    AuthError, CachedKeys, Clock, Fetch, FetchError, HttpFetch, Issuer, JwtLayer, Keys,
};

use crate::server::PATIENT;
use crate::support::{API, bearer, call, whoami};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The life of keys whose issuer does not say how long they are good for.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// By then the scheduled refresh is due, and the life is not over.
const REFRESH: Duration = Duration::from_secs(9 * 60);
const COOL_DOWN: Duration = Duration::from_secs(30);

/// An issuer as the service has it configured, and the service.
#[derive(Clone)]
struct Service {
    issuer: Issuer,
    app: Router,
}

impl Service {
    fn new(idp: &TestIssuer, keys: impl Into<Keys>) -> Self {
        Self::with_clock(idp, keys, idp.clock().clone())
    }

    fn with_clock(idp: &TestIssuer, keys: impl Into<Keys>, clock: impl Clock) -> Self {
        let builder = Issuer::builder(idp.name()).audience(API).keys(keys);
        let issuer = builder.clock(clock).build().unwrap();
        Self {
            app: whoami().layer(JwtLayer::new(issuer.clone())),
            issuer,
        }
    }

    async fn reason(&self, token: &str) -> &'static str {
        call(&self.app, bearer(token)).await.reason()
    }
}

/// Waits until something is so, and stops the test if it never is. In between everybody else has a turn.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENT, waiting).await;
    waited.unwrap_or_else(|_| panic!("not until now: {what}"));
}

/// A token that outlives every drill.
fn long_token(idp: &TestIssuer) -> String {
    idp.token().expires_in(DAY * 365).sign()
}

/// One JWKS document with the keys of all of these.
fn together<'d>(documents: impl IntoIterator<Item = &'d String>) -> String {
    let keys = documents.into_iter().flat_map(|document| {
        let document: Value = serde_json::from_str(document).unwrap();
        document["keys"].as_array().unwrap().clone()
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

/// The error and all its causes.
fn chain(error: &AuthError) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

/// The crate's HTTP client, counted. It can be made impatient, so that a test need not wait as long as the client would.
#[derive(Clone)]
struct Counted(Arc<Clients>);

struct Clients {
    patient: HttpFetch,
    hasty: HttpFetch,
    is_hasty: AtomicBool,
    tries: AtomicUsize,
}

impl Counted {
    fn new() -> Self {
        let hasty = reqwest::Client::builder()
            .timeout(Duration::from_millis(200))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        Self(Arc::new(Clients {
            patient: HttpFetch::new(),
            hasty: HttpFetch::with_client(hasty.build().unwrap()),
            is_hasty: AtomicBool::new(false),
            tries: AtomicUsize::new(0),
        }))
    }

    fn tries(&self) -> usize {
        self.0.tries.load(Ordering::SeqCst)
    }

    fn hurry(&self, hurry: bool) {
        self.0.is_hasty.store(hurry, Ordering::SeqCst);
    }
}

impl Fetch for Counted {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        self.0.tries.fetch_add(1, Ordering::SeqCst);
        if self.0.is_hasty.load(Ordering::SeqCst) {
            self.0.hasty.fetch(request).await
        } else {
            self.0.patient.fetch(request).await
        }
    }
}

fn patient(keys: impl Into<CachedKeys>) -> CachedKeys {
    keys.into().longest_wait(PATIENT)
}
