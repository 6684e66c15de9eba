//! The heap allocations that a layer adds to a request. `cargo test --test it allocations -- --nocapture` prints them.

use std::convert::Infallible;
use std::sync::Arc;

use allocation_counter::AllocationInfo;
use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, AuditLayer, AuditLog, CachedKeyStore, CallerAddress,
    ChannelSink, FailedAttemptLayer, FailedAttempts, FixedKeys, Issuer, JwtLayer, KeyDigest, KeyStore,
    MemoryKeyStore, NewsState, Quota, RateLimitLayer, RateLimits, ScopeLayer,
};

use crate::support::{API, ISSUER, READ, idp};

/// Allocations of a request with one of these values, after the first warmed the service up, above those of making the
/// request. The fewest, since a few find a table full and have it grow.
fn count<S>(mut service: S, header: &str, values: &[&str]) -> u64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let request = |value: &str| Request::get("/").header(header, value).body(()).unwrap();
    let mut call = |request| drop(service.call(request).now_or_never().expect("no waiting").unwrap());
    call(request(values[0]));
    let above_bare = values[1..].iter().map(|value| {
        let bare: AllocationInfo = allocation_counter::measure(|| drop(request(value)));
        let whole = allocation_counter::measure(|| call(request(value)));
        whole.count_total - bare.count_total
    });
    above_bare.min().unwrap()
}

/// Puts a key into the cache. Nothing else is left to do for it afterwards.
fn warm(cache: &CachedKeyStore<Arc<MemoryKeyStore>>, key: &KeyDigest) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        assert!(cache.find(key).await.unwrap().is_some());
        while cache.status().news != NewsState::None {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn the_warm_path_allocates_little() {
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(http_body_util::Empty::<
            bytes::Bytes,
        >::new())))
    });
    let idp = idp();
    let token = |id: &str| format!("Bearer {}", idp.token().token_id(id).scopes([READ]).sign());
    let tokens: Vec<String> = (1..=40).map(|id: u32| token(&id.to_string())).collect();
    let first = tokens[0].as_str();
    let issuer = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::jwks(&idp.jwks()).unwrap())
        .build()
        .unwrap();
    let minted = ApiKeyFormat::new("sk", "test").unwrap().mint().unwrap();
    let record = ApiKeyRecord::builder("key_1", "robot", *minted.digest())
        .scopes([READ])
        .build();
    let store = Arc::new(MemoryKeyStore::from_iter([record]));
    let key = minted.key().expose_str().unwrap();
    let cached = Arc::new(CachedKeyStore::new(Arc::clone(&store)));
    warm(&cached, minted.digest());
    let (jwt, api_key) = (JwtLayer::new(issuer), ApiKeyLayer::new(store));

    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let (fresh, fresh_again) = tokens.split_at(20);
    let (known, keys) = ([first, first], [key, key]);
    let authorized = jwt.layer(ScopeLayer::all([READ]).layer(inner));
    let either = jwt.clone().or(api_key.clone());

    let (sink, _records) = ChannelSink::new(1);
    let audit = AuditLayer::new(AuditLog::new(sink));
    let attempts = FailedAttempts::builder(CallerAddress::of_x_forwarded_for(1));
    let attempts = FailedAttemptLayer::new(attempts.build().unwrap());
    let limits = RateLimits::builder("free", Quota::per_second(1_000_000));
    let limit = RateLimitLayer::new(limits.build().unwrap());

    // With the most that is accepted. Three of each are the first value in empty extensions; two with each API key the first
    // header of the response.
    let figures = [
        ("no layer", count(inner, "authorization", &known), 0),
        ("JWT, fresh", count(jwt.layer(inner), "authorization", fresh), 6),
        ("JWT, known", count(jwt.layer(inner), "authorization", &known), 3),
        (
            "JWT, known, with a scope",
            count(authorized, "authorization", &known),
            3,
        ),
        (
            "JWT, known, with an audit",
            count(audit.layer(jwt.layer(inner)), "authorization", &known),
            // The record copies what it tells of the caller.
            9,
        ),
        (
            "JWT, known, where failed attempts are counted",
            count(attempts.layer(jwt.layer(inner)), "authorization", &known),
            5,
        ),
        ("API key", count(api_key.layer(inner), "x-api-key", &keys), 5),
        (
            "API key, and counted",
            count(api_key.layer(limit.layer(inner)), "x-api-key", &keys),
            7,
        ),
        (
            "API key, cached",
            count(ApiKeyLayer::new(cached).layer(inner), "x-api-key", &keys),
            5,
        ),
        (
            "JWT in or, fresh",
            count(either.layer(inner), "authorization", fresh_again),
            6,
        ),
        (
            "JWT in or, known",
            count(either.layer(inner), "authorization", &known),
            3,
        ),
        ("API key in or", count(either.layer(inner), "x-api-key", &keys), 5),
    ];
    for (name, allocations, most) in figures {
        println!("{name}: {allocations}");
        assert!(
            allocations <= most,
            "{name}: {allocations} allocations, more than {most}"
        );
    }
}
