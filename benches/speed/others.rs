//! API keys, scopes, and two kinds of credential.

use std::cell::LazyCell;
use std::convert::Infallible;
use std::hint;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, Request};
use tower::{Layer, Service};
use tower_resource_server::testing::PrincipalBuilder;
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, JwtLayer, KeyDigest, MemoryKeyStore, MemoryRevocations, Principal, Quota,
    RateLimitLayer, RateLimits, Revocation, ScopeLayer,
};

use crate::case::{Answer, Case, Measured, Presented, Work, bare, call, time};
use crate::login::{Login, READ, Tokens, hashes};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A store, and how many keys it has; made when it is first asked for.
type Keys = Rc<LazyCell<(usize, Arc<MemoryKeyStore>), Box<dyn FnOnce() -> (usize, Arc<MemoryKeyStore>)>>>;

fn key(number: usize) -> String {
    format!("sk_test_{number:049}")
}

fn keys(count: usize) -> Keys {
    Rc::new(LazyCell::new(Box::new(move || {
        let record = |number| {
            ApiKeyRecord::builder(format!("key_{number}"), "robot", KeyDigest::of(key(number))).build()
        };
        (count, Arc::new((0..count).map(record).collect()))
    })))
}

/// Keys in an order that no prefetcher knows, so that a large store misses the processor's caches as it would in a service.
fn at_random(count: usize) -> impl Iterator<Item = String> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..count.min(100_000)).map(move |_| key(random.usize(..count)))
}

pub(crate) fn api_keys() -> Vec<Case> {
    let (few, many) = (keys(1_000), keys(1_000_000));
    let case = |id: &str, keys: &Keys| {
        let keys = Rc::clone(keys);
        let case = Case::new(id, move || {
            let (count, store) = &**keys;
            let layer = ApiKeyLayer::new(Arc::clone(store));
            Measured::calls(layer.layer(bare()), Presented::new(X_API_KEY, at_random(*count)))
        });
        case.limit("api_key/sha256")
    };
    vec![
        Case::new("api_key/sha256", || hashes((0..100).map(key))),
        case("api_key/1k", &few),
        case("api_key/1m", &many),
        Case::new("api_key/memory", || Measured::alone(memory())),
    ]
}

/// One read that no cache of the processor can answer, and that the next one has to wait for: what a large store cannot be
/// spared, so often as it looks somewhere else.
fn memory() -> Work {
    const PLACES: usize = 1 << 25; // of 8 bytes each
    // A generator of full period: each place leads to another one, and all of them are on one round trip.
    let next = |place: usize| {
        (place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407))
            % PLACES
    };
    let places: Vec<usize> = (0..PLACES).map(next).collect();
    let mut at = 0;
    Box::new(move |times| {
        let spent = time(times, || at = places[at]);
        hint::black_box(at);
        spent
    })
}

/// Both kinds of credential, each beside the layer that knows its kind alone.
pub(crate) fn either(tokens: &Tokens) -> [Case; 2] {
    let either = |tokens: &Login| {
        let (_, store) = &**keys(1_000);
        let jwt = JwtLayer::new(tokens.issuer());
        jwt.or(ApiKeyLayer::new(Arc::clone(store))).layer(bare())
    };
    let (with_token, with_key) = (Rc::clone(tokens), Rc::clone(tokens));
    [
        Case::new("or/jwt_known", move || {
            Measured::calls(either(&with_token), with_token.known())
        })
        .limit("jwt/RS256/known"),
        Case::new("or/api_key", move || {
            let presented = Presented::new(X_API_KEY, at_random(1_000));
            Measured::calls(either(&with_key), presented)
        })
        .limit("api_key/1k"),
    ]
}

/// A known token, where so many other tokens of its issuer are withdrawn.
pub(crate) fn revocations(tokens: &Tokens) -> [Case; 3] {
    [("0", 0), ("1k", 1_000), ("1m", 1_000_000)].map(|(name, count)| {
        let tokens = Rc::clone(tokens);
        let case = Case::new(format!("revocations/{name}"), move || {
            let revocations = MemoryRevocations::new();
            let never = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
            for number in 0..count {
                let order = Revocation::token(tokens.idp.name(), format!("{number:036}"), never);
                revocations.revoke(&order);
            }
            tokens.to_acquaintances(&JwtLayer::new(tokens.issuer()).revocations(revocations))
        });
        case.limit("jwt/RS256/known")
    })
}

/// A rate limit above nothing, asked about so many principals in turns. None of them is ever over it.
pub(crate) fn rate_limits() -> [Case; 2] {
    [("1", 1), ("100k", 100_000)].map(|(name, count)| {
        Case::new(format!("rate_limit/{name}"), move || {
            let limits = RateLimits::builder("free", Quota::per_second(u32::MAX));
            let layer = RateLimitLayer::new(limits.build().unwrap());
            Measured {
                floor: Some(with_principals(count, bare())),
                ..Measured::alone(with_principals(count, layer.layer(bare())))
            }
        })
    })
}

/// A scope layer above nothing, asked about a principal that is there already.
pub(crate) fn scope() -> Case {
    Case::new("scope", || Measured {
        floor: Some(with_principal(bare())),
        ..Measured::alone(with_principal(ScopeLayer::all([READ]).layer(bare())))
    })
}

fn with_principal<S>(service: S) -> Work
where
    S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
{
    with_principals(1, service)
}

/// One principal after the other, in an order that no prefetcher knows.
fn with_principals<S>(count: usize, mut service: S) -> Work
where
    S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
{
    let principal = |number| {
        PrincipalBuilder::token("https://login.example.com/", format!("alice-{number}"))
            .scopes([READ])
            .build()
    };
    let principals: Vec<Principal> = (0..count).map(principal).collect();
    let mut random = fastrand::Rng::with_seed(1);
    Box::new(move |times| {
        time(times, || {
            let mut request = Request::new(());
            let caller = &principals[random.usize(..principals.len())];
            request.extensions_mut().insert(caller.clone());
            call(&mut service, request);
        })
    })
}
