//! The heap allocations that a layer adds to a request. `cargo test --test it allocations -- --nocapture` prints them.

use std::convert::Infallible;
use std::sync::Arc;

use allocation_counter::AllocationInfo;
use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, FixedKeys, Issuer, JwtLayer, MemoryKeyStore, ScopeLayer,
};

use crate::support::{API, ISSUER, READ, idp};

/// Allocations of one request through `service`, after one to warm up, above those of making the request.
fn count<S>(mut service: S, header: &str, value: &str) -> u64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let request = || Request::get("/").header(header, value).body(()).unwrap();
    let mut call = |request| drop(service.call(request).now_or_never().expect("no waiting").unwrap());
    call(request());
    let bare: AllocationInfo = allocation_counter::measure(|| drop(request()));
    let whole = allocation_counter::measure(|| call(request()));
    whole.count_total - bare.count_total
}

#[test]
fn the_warm_path_allocates_little() {
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(http_body_util::Empty::<
            bytes::Bytes,
        >::new())))
    });
    let idp = idp();
    let token = format!("Bearer {}", idp.token().scopes([READ]).sign());
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
    let (jwt, api_key) = (JwtLayer::new(issuer), ApiKeyLayer::new(store));

    let figures = [
        ("no layer", count(inner, "authorization", &token), 0),
        ("JWT, fresh", count(jwt.layer(inner), "authorization", &token), 12),
        (
            "JWT, fresh, with a scope",
            count(
                jwt.layer(ScopeLayer::all([READ]).layer(inner)),
                "authorization",
                &token,
            ),
            12,
        ),
        ("API key", count(api_key.layer(inner), "x-api-key", key), 6),
        (
            "JWT in or",
            count(
                jwt.clone().or(api_key.clone()).layer(inner),
                "authorization",
                &token,
            ),
            14,
        ),
        (
            "API key in or",
            count(jwt.or(api_key).layer(inner), "x-api-key", key),
            6,
        ),
    ];
    for (name, allocations, most) in figures {
        println!("{name}: {allocations}");
        assert!(
            allocations <= most,
            "{name}: {allocations} allocations, more than {most}"
        );
    }
}
