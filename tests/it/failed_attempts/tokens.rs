use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use bytes::Bytes;
use http::Response;
use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{
    ApiKeyLayer, CachedKeys, Fetch, FetchError, Issuer, IssuerResolver, JwtLayer, RemoteKeys, ResolvedIssuers,
};

use super::{Asked, CALLER, Limit, MINUTE, NEIGHBOUR, assert_limited, from, reason, with_key};
use crate::support::{API, ISSUER, KEY, bearer, call, idp, request, whoami};

/// An HTTP client that has one document, and counts how often it is asked for it.
#[derive(Clone)]
struct Document {
    text: Option<String>,
    times: Arc<AtomicUsize>,
}

impl Document {
    fn of(idp: &TestIssuer) -> Self {
        Self {
            text: Some(idp.jwks()),
            times: Arc::default(),
        }
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

impl Fetch for Document {
    async fn fetch(&self, _: http::Request<()>) -> Result<Response<Bytes>, FetchError> {
        self.times.fetch_add(1, Ordering::Relaxed);
        match &self.text {
            Some(text) => Ok(Response::new(Bytes::from(text.clone()))),
            None => Err(FetchError::TooLarge),
        }
    }
}

/// An issuer whose keys are fetched, a service that trusts it, and a count that its clock does not turn.
struct World {
    idp: TestIssuer,
    document: Document,
    limit: Limit,
    app: Router,
}

impl World {
    fn new(failures: u32) -> Self {
        let idp = idp();
        let document = Document::of(&idp);
        Self::with(failures, idp, document)
    }

    fn with(failures: u32, idp: TestIssuer, document: Document) -> Self {
        let keys = CachedKeys::from(RemoteKeys::jwks_uri("https://idp.test/jwks").fetch(document.clone()));
        let issuer = idp.issuer_builder().keys(keys).build().unwrap();
        let limit = Limit::of(failures);
        let app = whoami().layer(JwtLayer::new(issuer)).layer(limit.layer());
        Self {
            idp,
            document,
            limit,
            app,
        }
    }

    fn token(&self) -> Request {
        from(CALLER, bearer(&self.idp.token().sign()))
    }

    /// Signed with a key of this name, which the issuer does not have.
    fn of_kid(&self, kid: &str) -> Request {
        from(CALLER, bearer(&self.idp.token().header("kid", kid).sign()))
    }

    async fn reason(&self, request: Request) -> &'static str {
        reason(&self.app, request).await
    }
}

fn junk() -> Request {
    from(CALLER, bearer("a.b.c"))
}

fn forged(idp: &TestIssuer) -> Request {
    let token = idp.token().sign();
    let (rest, _) = token.rsplit_once('.').unwrap();
    let other = idp.token().token_id("other").sign();
    let (_, signature) = other.rsplit_once('.').unwrap();
    from(CALLER, bearer(&format!("{rest}.{signature}")))
}

#[tokio::test]
async fn over_the_limit_tokens_are_judged_with_the_keys_in_memory() {
    let world = World::new(2);
    let known = world.idp.token().token_id("known").sign();
    assert_eq!(world.reason(from(CALLER, bearer(&known))).await, "ok");
    assert_eq!(world.reason(junk()).await, "token_malformed");
    assert_eq!(world.reason(junk()).await, "token_malformed");
    for _ in 0..3 {
        assert_eq!(world.reason(from(CALLER, bearer(&known))).await, "ok");
        assert_eq!(world.reason(world.token()).await, "ok");
        assert_eq!(world.reason(junk()).await, "token_malformed");
        assert_eq!(world.reason(forged(&world.idp)).await, "signature_invalid");
        let of_stranger = TestIssuer::new("https://stranger.test", API).token().sign();
        assert_eq!(
            world.reason(from(CALLER, bearer(&of_stranger))).await,
            "issuer_unknown"
        );
    }
    assert_eq!(world.document.times(), 1);
}

#[tokio::test]
async fn over_the_limit_nothing_is_fetched_for_an_unknown_key() {
    let world = World::new(2);
    assert_eq!(world.reason(world.token()).await, "ok");
    assert_eq!(world.reason(world.of_kid("vain")).await, "signing_key_unknown");
    assert_eq!(world.document.times(), 2);
    assert_eq!(world.reason(junk()).await, "token_malformed");
    // It is known that there is none, and that for now nobody asks for another.
    assert_eq!(world.reason(world.of_kid("vain")).await, "signing_key_unknown");
    assert_eq!(world.reason(world.of_kid("new")).await, "signing_key_unknown");
    world.idp.clock().advance(MINUTE / 2);
    assert_limited(&call(&world.app, world.of_kid("new")).await, "30");
    assert_eq!(world.reason(world.of_kid("vain")).await, "signing_key_unknown");
    assert_eq!(world.document.times(), 2);
    // The one fetch that the issuer has for unknown keys was not spent.
    let neighbour = from(NEIGHBOUR, world.of_kid("new"));
    assert_eq!(world.reason(neighbour).await, "signing_key_unknown");
    assert_eq!(world.document.times(), 3);
}

#[tokio::test]
async fn over_the_limit_nobody_has_the_first_keys_fetched() {
    let world = World::new(1);
    assert_eq!(world.reason(junk()).await, "token_malformed");
    assert_limited(&call(&world.app, world.token()).await, "60");
    assert_eq!(world.document.times(), 0);
    assert_eq!(world.reason(from(NEIGHBOUR, world.token())).await, "ok");
    assert_eq!(world.document.times(), 1);
    assert_eq!(world.reason(world.token()).await, "ok");
}

#[tokio::test]
async fn tokens_whose_keys_cannot_be_had_count_for_nothing() {
    let idp = idp();
    let document = Document {
        text: None,
        times: Arc::default(),
    };
    let world = World::with(1, idp, document);
    for _ in 0..3 {
        assert_eq!(world.reason(world.token()).await, "keys_unavailable");
        world.idp.clock().advance(MINUTE * 2);
    }
    assert_eq!(world.document.times(), 3);
    assert_eq!(world.reason(junk()).await, "token_malformed");
    assert_limited(&call(&world.app, world.token()).await, "60");
    // While a pause holds, that it does is known.
    world.limit.clock.advance(MINUTE);
    assert_eq!(world.reason(world.token()).await, "keys_unavailable");
    assert_eq!(world.reason(junk()).await, "token_malformed");
    assert_eq!(world.reason(world.token()).await, "keys_unavailable");
    assert_eq!(world.document.times(), 4);
}

/// A list of one issuer that counts who asks.
#[derive(Clone)]
struct Directory {
    issuer: Issuer,
    times: Arc<AtomicUsize>,
}

impl Directory {
    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

impl IssuerResolver for Directory {
    type Error = Infallible;

    async fn resolve(&self, name: &str) -> Result<Option<Issuer>, Infallible> {
        self.times.fetch_add(1, Ordering::Relaxed);
        Ok((name == ISSUER).then(|| self.issuer.clone()))
    }
}

/// An issuer that is found at run time, whose keys must be fetched.
fn resolved(idp: &TestIssuer, document: &Document, clock: &TestClock) -> (Directory, ResolvedIssuers) {
    let keys = CachedKeys::from(RemoteKeys::jwks_uri("https://idp.test/jwks").fetch(document.clone()));
    let issuer = idp.issuer_builder().accept_any_scope().keys(keys);
    let directory = Directory {
        issuer: issuer.build().unwrap(),
        times: Arc::default(),
    };
    let issuers = ResolvedIssuers::new(directory.clone()).clock(clock.clone());
    (directory, issuers)
}

#[tokio::test]
async fn over_the_limit_no_resolver_is_asked_about_an_unknown_issuer() {
    let (idp, limit, clock) = (idp(), Limit::of(1), TestClock::new());
    let document = Document::of(&idp);
    let (directory, issuers) = resolved(&idp, &document, &clock);
    let app = whoami().layer(JwtLayer::new(issuers)).layer(limit.layer());
    let of = |name: &str| from(CALLER, bearer(&TestIssuer::new(name, API).token().sign()));
    let good = || from(CALLER, bearer(&idp.token().sign()));
    // Two questions, to the resolver and to the issuer, are one attempt; and it was a good one.
    assert_eq!(reason(&app, good()).await, "ok");
    assert_eq!(reason(&app, of("https://nobody.test")).await, "issuer_unknown");
    assert_eq!(directory.times(), 2);
    assert_limited(&call(&app, of("https://other.test")).await, "60");
    // These are remembered.
    assert_eq!(reason(&app, of("https://nobody.test")).await, "issuer_unknown");
    assert_eq!(reason(&app, good()).await, "ok");
    assert_eq!((directory.times(), document.times()), (2, 1));
    // Until they are not.
    clock.advance(MINUTE * 20);
    assert_limited(&call(&app, of("https://nobody.test")).await, "60");
    assert_limited(&call(&app, good()).await, "60");
    assert_eq!(directory.times(), 2);
}

#[tokio::test]
async fn over_the_limit_either_credential_is_judged_by_what_is_in_memory() {
    let (idp, asked) = (idp(), Asked::new());
    let (jwt, keys) = (JwtLayer::new(idp.issuer()), ApiKeyLayer::new(asked.clone()));
    let good = || from(CALLER, bearer(&idp.token().sign()));
    for layer in [jwt.clone().or(keys.clone()), keys.or(jwt)] {
        let limit = Limit::of(2);
        let app = whoami().layer(layer.clone()).layer(limit.layer());
        let optional = whoami().layer(layer.optional()).layer(limit.layer());
        assert_eq!(reason(&app, with_key(KEY)).await, "ok");
        assert_eq!(reason(&app, with_key("guess")).await, "api_key_unknown");
        assert_eq!(reason(&app, forged(&idp)).await, "signature_invalid");
        let before = asked.times();
        for app in [app, optional] {
            assert_eq!(reason(&app, good()).await, "ok");
            assert_eq!(reason(&app, forged(&idp)).await, "signature_invalid");
            assert_limited(&call(&app, with_key(KEY)).await, "30");
            assert_limited(&call(&app, from(CALLER, bearer("guess"))).await, "30");
        }
        assert_eq!(asked.times(), before);
    }
}

#[tokio::test]
async fn whoever_comes_without_a_credential_where_none_is_needed_is_let_in() {
    let (idp, limit) = (idp(), Limit::of(1));
    let optional = JwtLayer::new(idp.issuer()).optional();
    let app = whoami().layer(optional).layer(limit.layer());
    assert_eq!(reason(&app, junk()).await, "token_malformed");
    for _ in 0..3 {
        let answer = call(&app, from(CALLER, request(&[]))).await;
        assert_eq!(answer.json()["method"], "anonymous");
    }
}
