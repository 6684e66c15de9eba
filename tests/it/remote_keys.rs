//! Keys that are fetched: when, how often, and what a caller is told while they cannot be had.

use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, AuthError, CachedKeys, Fault, Fetch, FetchError, Issuer, IssuerBuilder, JwtLayer, KeySet,
    KeySource, Keys, Profile, RemoteKeys, TrustedIssuers, WithAudience,
};

use crate::server::{Gate, PATIENT, Reply, Server};
use crate::support::{API, Answer, ISSUER, bearer, call, whoami};

const OIDC: &str = "/.well-known/openid-configuration";
const RFC8414: &str = "/.well-known/oauth-authorization-server";
const TTL: Duration = Duration::from_secs(600);
const COOL_DOWN: Duration = Duration::from_secs(30);
const INSTANT: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn app(issuer: &Issuer) -> Router {
    whoami().layer(JwtLayer::new(issuer.clone()))
}

fn app_of(keys: impl Into<Keys>, idp: &TestIssuer) -> Router {
    app(&builder(idp).keys(keys).build().unwrap())
}

fn builder(idp: &TestIssuer) -> IssuerBuilder<WithAudience> {
    let builder = Issuer::builder(idp.to_string()).audience(API);
    builder.clock(idp.clock().clone())
}

fn patient(keys: impl Into<CachedKeys>) -> CachedKeys {
    keys.into().longest_wait(PATIENT)
}

async fn reason(app: &Router, token: &str) -> &'static str {
    call(app, bearer(token)).await.reason()
}

/// 503 with `Retry-After`, and not a word that the token were bad. The seconds.
#[track_caller]
fn assert_unavailable(answer: &Answer) -> u64 {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.reason(), "keys_unavailable");
    assert_eq!(answer.rejection.as_ref().unwrap().fault(), Fault::Upstream);
    assert!(answer.challenges().is_empty(), "{answer:?}");
    answer.header("retry-after").unwrap().parse().unwrap()
}

/// An issuer on loopback.
struct World {
    server: Server,
    idp: TestIssuer,
}

impl World {
    fn new() -> Self {
        Self::at("")
    }

    /// An issuer whose name ends in this path; its metadata are nowhere yet.
    fn at(path: &str) -> Self {
        let server = Server::start();
        let idp = TestIssuer::new(server.url(path), API);
        let world = Self { server, idp };
        world.publish();
        world
    }

    fn publish(&self) {
        self.server.serve("/jwks", Reply::json(self.idp.jwks()));
    }

    fn metadata(&self) -> Value {
        json!({"issuer": self.idp.to_string(), "jwks_uri": self.server.url("/jwks")})
    }

    fn serve_metadata(&self, path: &str) {
        self.server.serve(path, Reply::json(self.metadata().to_string()));
    }

    fn by_url(&self) -> CachedKeys {
        patient(RemoteKeys::jwks_uri(self.server.url("/jwks")))
    }

    fn by_discovery(&self) -> CachedKeys {
        patient(RemoteKeys::discover(self.idp.to_string()))
    }

    fn app(&self) -> Router {
        app_of(self.by_url(), &self.idp)
    }
}

/// A source that does what a test says, and counts.
#[derive(Clone)]
struct Source(Arc<Script>);

struct Script {
    next: Mutex<Next>,
    gate: Mutex<Gate>,
    loads: watch::Sender<usize>,
}

#[derive(Clone)]
enum Next {
    Keys(String),
    Fail,
    Panic,
}

impl Source {
    fn of(idp: &TestIssuer) -> Self {
        let source = Self::new(Next::Fail);
        source.publish(idp);
        source
    }

    fn failing() -> Self {
        Self::new(Next::Fail)
    }

    fn new(next: Next) -> Self {
        let gate = Gate::closed();
        gate.open();
        Self(Arc::new(Script {
            next: Mutex::new(next),
            gate: Mutex::new(gate),
            loads: watch::channel(0).0,
        }))
    }

    fn publish(&self, idp: &TestIssuer) {
        self.then(Next::Keys(idp.jwks()));
    }

    fn then(&self, next: Next) {
        *self.0.next.lock().unwrap() = next;
    }

    /// Loads that start from now on wait until the gate is opened.
    fn hold(&self) -> Gate {
        let gate = Gate::closed();
        *self.0.gate.lock().unwrap() = gate.clone();
        gate
    }

    fn loads(&self) -> usize {
        *self.0.loads.borrow()
    }

    async fn was_loaded(&self, times: usize) {
        let mut loads = self.0.loads.subscribe();
        let enough = loads.wait_for(|loads| *loads >= times);
        let waited = tokio::time::timeout(PATIENT, enough).await;
        waited.expect("it was not loaded").unwrap();
    }
}

impl KeySource for Source {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        let gate = self.0.gate.lock().unwrap().clone();
        let next = self.0.next.lock().unwrap().clone();
        self.0.loads.send_modify(|loads| *loads += 1);
        gate.pass().await;
        match next {
            Next::Keys(text) => Ok(KeySet::from_jwks(&text)?),
            Next::Fail => Err("the source is told to fail".into()),
            Next::Panic => panic!("the source is told to panic"),
        }
    }
}

fn cached(source: &Source) -> CachedKeys {
    CachedKeys::new(source.clone()).longest_wait(PATIENT)
}

fn idp() -> TestIssuer {
    TestIssuer::new(ISSUER, API)
}

/// A token of a key that is published nowhere yet.
fn rotated_token(idp: &TestIssuer) -> String {
    idp.rotate();
    idp.token().expires_in(TTL * 2).sign()
}

fn token_with_kid(idp: &TestIssuer, kid: &str) -> String {
    idp.token().header("kid", kid).sign()
}

// The first use.

#[tokio::test]
async fn nothing_is_fetched_when_an_issuer_is_built() {
    let world = World::new();
    let issuer = builder(&world.idp).build().unwrap();
    let other = issuer.with_profile(Profile::rfc9068()).with_audience("other");
    drop(app(&issuer).layer(JwtLayer::new(other)));
    assert_eq!(world.server.asked(), [""; 0]);
}

#[test]
fn an_issuer_is_built_where_there_is_no_runtime() {
    let world = World::new();
    let issuer = builder(&world.idp).build();
    drop(app(&issuer.unwrap()));
    assert_eq!(world.server.asked(), [""; 0]);
}

#[tokio::test]
async fn nothing_is_fetched_for_a_request_that_names_no_issuer_of_ours() {
    let world = World::new();
    let app = world.app();
    let stranger = TestIssuer::new("https://stranger.test", API);
    assert_eq!(reason(&app, &stranger.token().sign()).await, "issuer_unknown");
    assert_eq!(reason(&app, "a.b.c").await, "token_malformed");
    assert_eq!(call(&app, bearer("")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.server.asked(), [""; 0]);
}

#[tokio::test]
async fn a_hundred_first_requests_fetch_once() {
    let world = World::new();
    world.serve_metadata(OIDC);
    let gate = Gate::closed();
    let reply = Reply::json(world.idp.jwks()).held_by(&gate);
    world.server.serve("/jwks", reply);
    let app = app_of(world.by_discovery(), &world.idp);
    let token = world.idp.token().sign();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (app, token) = (app.clone(), token.clone());
            tokio::spawn(async move { reason(&app, &token).await })
        })
        .collect();
    world.server.was_asked("/jwks", 1).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), "ok");
    }
    assert_eq!(world.server.asked(), [OIDC, "/jwks"]);
}

#[tokio::test]
async fn warming_up_fetches_and_requests_do_not() {
    let world = World::new();
    let issuer = builder(&world.idp).keys(world.by_url()).build().unwrap();
    issuer.warm_up().await.unwrap();
    issuer.warm_up().await.unwrap();
    assert_eq!(world.server.hits("/jwks"), 1);
    assert_eq!(reason(&app(&issuer), &world.idp.token().sign()).await, "ok");
    assert_eq!(world.server.hits("/jwks"), 1);
}

#[tokio::test]
async fn warming_up_tells_a_failure() {
    let world = World::new();
    world.server.serve("/jwks", Reply::status(500));
    let issuer = builder(&world.idp).keys(world.by_url()).build().unwrap();
    let error = issuer.warm_up().await.unwrap_err();
    assert!(matches!(error, AuthError::KeysUnavailable { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("500"), "{cause}");
}

#[tokio::test]
async fn warming_up_several_issuers_loads_each() {
    let (a, b) = (
        TestIssuer::new("https://a.test", API),
        TestIssuer::new("https://b.test", API),
    );
    let (of_a, of_b) = (Source::of(&a), Source::of(&b));
    let built = |idp: &TestIssuer, source: &Source| {
        let builder = builder(idp).keys(cached(source)).accept_any_scope();
        builder.build().unwrap()
    };
    let trusted = TrustedIssuers::new([built(&a, &of_a), built(&b, &of_b)]).unwrap();
    trusted.warm_up().await.unwrap();
    assert_eq!((of_a.loads(), of_b.loads()), (1, 1));
    let app = whoami().layer(JwtLayer::new(trusted));
    assert_eq!(reason(&app, &a.token().sign()).await, "ok");
    assert_eq!(reason(&app, &b.token().sign()).await, "ok");
    let forged = a.token().claim("iss", "https://b.test").sign();
    assert_eq!(reason(&app, &forged).await, "signature_invalid");
}

#[tokio::test]
async fn variants_of_an_issuer_share_its_keys() {
    let idp = idp();
    let source = Source::of(&idp);
    let issuer = builder(&idp).keys(cached(&source)).build().unwrap();
    let strict = issuer.with_profile(Profile::rfc9068());
    let other = issuer.with_audience("other");
    let plain = idp.token().header("typ", "JWT").sign();
    assert_eq!(reason(&app(&issuer), &plain).await, "ok");
    assert_eq!(reason(&app(&strict), &plain).await, "type_not_accepted");
    assert_eq!(reason(&app(&other), &plain).await, "audience_mismatch");
    assert_eq!(reason(&app(&strict), &idp.token().sign()).await, "ok");
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn a_cancelled_request_does_not_stop_the_load() {
    let world = World::new();
    let gate = Gate::closed();
    let reply = Reply::json(world.idp.jwks()).held_by(&gate);
    world.server.serve("/jwks", reply);
    let (app, token) = (world.app(), world.idp.token().sign());
    let request = tokio::spawn({
        let (app, token) = (app.clone(), token.clone());
        async move { reason(&app, &token).await }
    });
    world.server.was_asked("/jwks", 1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(world.server.hits("/jwks"), 1);
}

// Discovery.

#[tokio::test]
async fn the_keys_are_found_by_openid_connect_discovery() {
    let world = World::new();
    world.serve_metadata(OIDC);
    let app = app_of(world.by_discovery(), &world.idp);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    assert_eq!(world.server.asked(), [OIDC, "/jwks"]);
}

#[tokio::test]
async fn the_keys_are_found_by_the_metadata_of_rfc_8414() {
    let world = World::new();
    world.serve_metadata(RFC8414);
    let app = app_of(world.by_discovery(), &world.idp);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    assert_eq!(world.server.asked(), [OIDC, RFC8414, "/jwks"]);
}

#[tokio::test]
async fn an_issuer_with_a_path_is_found_at_each_of_its_three_places() {
    let places = [
        format!("/tenant/a{OIDC}"),
        format!("{RFC8414}/tenant/a"),
        format!("{OIDC}/tenant/a"),
    ];
    for name in ["/tenant/a", "/tenant/a/"] {
        for tried in 1..=places.len() {
            let world = World::at(name);
            world.serve_metadata(&places[tried - 1]);
            let app = app_of(world.by_discovery(), &world.idp);
            assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
            let asked = world.server.asked();
            assert_eq!(asked[..tried], places[..tried], "{name}");
            assert_eq!(asked[tried..], ["/jwks"], "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_test_issuer_serves_is_found() {
    // Its router answers at the paths that discovery asks for.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://{}/tenant", listener.local_addr().unwrap());
    let idp = TestIssuer::new(name, API);
    let router = idp.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let app = app_of(patient(RemoteKeys::discover(idp.to_string())), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn by_default_an_issuer_is_discovered() {
    let world = World::new();
    world.serve_metadata(OIDC);
    let issuer = builder(&world.idp).build().unwrap();
    // The default wait is one second; a slow machine may need a second attempt.
    while issuer.warm_up().await.is_err() {
        world.idp.clock().advance(PATIENT);
    }
    assert_eq!(reason(&app(&issuer), &world.idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn metadata_that_name_another_issuer_are_not_used() {
    let others = |name: &str| {
        let last = name.rsplit(':').next().unwrap();
        [
            format!("{name}/"),
            name.replace("http", "HTTP"),
            name.replace("127.0.0.1", "localhost"),
            name.replace(last, "1"),
            format!("{name}/tenant"),
            String::new(),
            "https://evil.test".to_owned(),
        ]
    };
    let world = World::new();
    for other in others(&world.idp.to_string()) {
        let mut metadata = world.metadata();
        metadata["issuer"] = other.clone().into();
        world.server.serve(OIDC, Reply::json(metadata.to_string()));
        let app = app_of(world.by_discovery(), &world.idp);
        let answer = call(&app, bearer(&world.idp.token().sign())).await;
        assert_unavailable(&answer);
        assert_eq!(world.server.hits("/jwks"), 0, "{other}");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_of_an_issuer_matters() {
    for (configured, published) in [("", "/"), ("/", "")] {
        let world = World::at(configured);
        let mut metadata = world.metadata();
        metadata["issuer"] = world.server.url(published).into();
        world.server.serve(OIDC, Reply::json(metadata.to_string()));
        let app = app_of(world.by_discovery(), &world.idp);
        assert_unavailable(&call(&app, bearer(&world.idp.token().sign())).await);
        world.serve_metadata(OIDC);
        world.idp.clock().advance(SECOND);
        assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_used_are_an_outage() {
    let world = World::new();
    let (name, jwks) = (world.idp.to_string(), world.server.url("/jwks"));
    let port = jwks.split(':').nth(2).unwrap().to_owned();
    let with = |uri: Value| json!({"issuer": name, "jwks_uri": uri}).to_string();
    let replies = [
        Reply::status(500),
        Reply::status(404),
        Reply::status(204),
        Reply::status(302).header("location", world.server.url("/elsewhere")),
        Reply::json(""),
        Reply::json("<html>"),
        Reply::json("null"),
        Reply::json("{}"),
        Reply::json(json!([name, jwks]).to_string()),
        Reply::json(json!({"issuer": name}).to_string()),
        Reply::json(json!({"jwks_uri": jwks}).to_string()),
        Reply::json(with(Value::Null)),
        Reply::json(with(json!([jwks]))),
        Reply::json(with("/jwks".into())),
        Reply::json(with("http://192.0.2.1/jwks".into())),
        Reply::json(with("ftp://127.0.0.1/jwks".into())),
        Reply::json(with("file:///etc/passwd".into())),
        Reply::json(with(format!("http://user:pass@127.0.0.1:{port}/jwks").into())),
        Reply::json(with(format!("{jwks}#x").into())),
        Reply::json(world.metadata().to_string() + "x"),
    ];
    for reply in replies {
        world.server.serve(OIDC, reply);
        let app = app_of(world.by_discovery(), &world.idp);
        assert_unavailable(&call(&app, bearer(&world.idp.token().sign())).await);
    }
    assert_eq!(world.server.hits("/jwks"), 0);
    assert_eq!(world.server.hits("/elsewhere"), 0);
}

#[tokio::test]
async fn a_jwks_uri_that_changes_is_followed() {
    let world = World::new();
    world.serve_metadata(OIDC);
    let app = app_of(world.by_discovery(), &world.idp);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    let token = rotated_token(&world.idp);
    world.server.serve("/new", Reply::json(world.idp.jwks()));
    let metadata = json!({"issuer": world.idp.to_string(), "jwks_uri": world.server.url("/new")});
    world.server.serve(OIDC, Reply::json(metadata.to_string()));
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!((world.server.hits("/jwks"), world.server.hits("/new")), (1, 1));
}

#[tokio::test]
async fn a_rediscovery_that_fails_keeps_the_keys() {
    let world = World::new();
    world.serve_metadata(OIDC);
    let app = app_of(world.by_discovery(), &world.idp);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    let mut metadata = world.metadata();
    metadata["issuer"] = "https://evil.test".into();
    world.server.serve(OIDC, Reply::json(metadata.to_string()));
    world.idp.clock().advance(TTL);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    world.server.was_asked("/jwks", 2).await;
    // And a key that is published where it always was is found.
    let token = rotated_token(&world.idp);
    world.publish();
    assert_eq!(reason(&app, &token).await, "ok");
}

// The document.

#[tokio::test]
async fn a_document_that_cannot_be_used_is_an_outage() {
    let world = World::new();
    let good = world.idp.jwks();
    let large = good.replacen('{', &format!("{{{}", " ".repeat(1 << 20)), 1);
    let just_too_large = good.clone() + &" ".repeat(512 * 1024 + 1 - good.len());
    let keys = &good[..good.len() - 1];
    let replies = [
        Reply::status(500),
        Reply::status(401),
        Reply::status(404),
        Reply::status(429),
        Reply::status(201),
        Reply::status(304),
        Reply::json(""),
        Reply::json("<html>"),
        Reply::json("[]"),
        Reply::json("{}"),
        Reply::json(r#"{"keys":[]}"#),
        Reply::json(r#"{"keys":[{"kty":"AKP"}]}"#),
        Reply::json(keys),
        Reply::json(good.clone() + "x"),
        Reply::json(large),
        Reply::json(just_too_large),
    ];
    let mut hits = 0;
    for reply in replies {
        world.server.serve("/jwks", reply);
        assert_unavailable(&call(&world.app(), bearer(&world.idp.token().sign())).await);
        hits += 1;
        assert_eq!(world.server.hits("/jwks"), hits);
    }
}

#[tokio::test]
async fn a_document_of_512_kib_is_read() {
    let world = World::new();
    let good = world.idp.jwks();
    let large = good.clone() + &" ".repeat(512 * 1024 - good.len());
    world.server.serve("/jwks", Reply::json(large));
    assert_eq!(reason(&world.app(), &world.idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn the_content_type_of_the_document_does_not_matter() {
    let world = World::new();
    let reply = Reply::json(world.idp.jwks()).header("content-type", "text/html");
    world.server.serve("/jwks", reply);
    assert_eq!(reason(&world.app(), &world.idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let world = World::new();
        let there = world.server.url("/elsewhere");
        world.server.serve("/elsewhere", Reply::json(world.idp.jwks()));
        let redirect = Reply::status(status).header("location", there);
        world.server.serve("/jwks", redirect);
        assert_unavailable(&call(&world.app(), bearer(&world.idp.token().sign())).await);
        assert_eq!(world.server.asked(), ["/jwks"]);
    }
}

#[tokio::test]
async fn one_odd_key_does_not_spoil_the_set() {
    let world = World::new();
    let mut document: Value = serde_json::from_str(&world.idp.jwks()).unwrap();
    let keys = document["keys"].as_array_mut().unwrap();
    keys.insert(
        0,
        json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"}),
    );
    keys.push(json!({"kty": "RSA", "kid": 1}));
    world.server.serve("/jwks", Reply::json(document.to_string()));
    assert_eq!(reason(&world.app(), &world.idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn nobody_listening_is_an_outage() {
    let world = World::new();
    let (app, token) = (world.app(), world.idp.token().sign());
    drop(world.server);
    assert_unavailable(&call(&app, bearer(&token)).await);
}

#[tokio::test]
async fn a_symmetric_key_in_the_document_forges_nothing() {
    let world = World::new();
    let mut document: Value = serde_json::from_str(&world.idp.jwks()).unwrap();
    let secret = [7; 32];
    let published =
        json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"});
    document["keys"].as_array_mut().unwrap().push(published);
    world.server.serve("/jwks", Reply::json(document.to_string()));
    let forged = world.idp.token().header("kid", "s");
    let forged = forged.sign_with_secret(&tower_resource_server::Secret::new(secret));
    assert_eq!(reason(&world.app(), &forged).await, "algorithm_not_accepted");
}

// The time to live.

#[tokio::test]
async fn keys_are_used_for_ten_minutes() {
    let world = World::new();
    let app = world.app();
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    world.idp.clock().advance(TTL.saturating_sub(INSTANT));
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    // An unknown key would wait for a refresh that had begun, and fetches once itself.
    assert_eq!(
        reason(&app, &token_with_kid(&world.idp, "x")).await,
        "signing_key_unknown"
    );
    assert_eq!(world.server.hits("/jwks"), 2);
}

#[tokio::test]
async fn a_refresh_runs_once_in_the_background_while_requests_pass() {
    let world = World::new();
    let app = world.app();
    let old = world.idp.token().expires_in(TTL * 2).sign();
    assert_eq!(reason(&app, &old).await, "ok");
    let gate = Gate::closed();
    let old_set = world.idp.jwks();
    let new = rotated_token(&world.idp);
    let mut both: Value = serde_json::from_str(&old_set).unwrap();
    let new_set: Value = serde_json::from_str(&world.idp.jwks()).unwrap();
    both["keys"]
        .as_array_mut()
        .unwrap()
        .extend(new_set["keys"].as_array().unwrap().clone());
    let reply = Reply::json(both.to_string()).held_by(&gate);
    world.server.serve("/jwks", reply);
    world.idp.clock().advance(TTL);
    for _ in 0..20 {
        assert_eq!(reason(&app, &old).await, "ok");
    }
    world.server.was_asked("/jwks", 2).await;
    for _ in 0..20 {
        assert_eq!(reason(&app, &old).await, "ok");
    }
    assert_eq!(world.server.hits("/jwks"), 2);
    gate.open();
    assert_eq!(reason(&app, &new).await, "ok");
    assert_eq!(reason(&app, &old).await, "ok");
    assert_eq!(world.server.hits("/jwks"), 2);
}

#[tokio::test]
async fn a_request_with_a_known_key_never_waits_for_a_refresh() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let _never = source.hold();
    idp.clock().advance(TTL);
    let token = idp.token().sign();
    let mut request = pin!(call(&app, bearer(&token)));
    // The first poll already has the answer.
    let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(answer) = polled else {
        panic!("it waits")
    };
    assert_eq!(answer.reason(), "ok");
}

#[tokio::test]
async fn a_failing_refresh_keeps_the_keys_and_is_tried_again_later() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.then(Next::Fail);
    let mut loads = 1;
    idp.clock().advance(TTL);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
        loads += 1;
        source.was_loaded(loads).await;
        // The load ends by itself; whoever asks then does not start another.
        tokio::task::yield_now().await;
        for _ in 0..10 {
            assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
        }
        assert_eq!(source.loads(), loads);
        // By chance the pause is up to a tenth shorter.
        let shortest = SECOND * pause * 9 / 10;
        idp.clock().advance(shortest.saturating_sub(INSTANT));
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
        tokio::task::yield_now().await;
        assert_eq!(source.loads(), loads, "{pause}");
        idp.clock().advance(SECOND * pause / 10 + INSTANT);
    }
}

#[tokio::test]
async fn a_bad_document_never_replaces_a_good_one() {
    let world = World::new();
    let app = world.app();
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    let bad = [
        "<html>",
        "{}",
        "[]",
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
    ];
    for (index, text) in bad.into_iter().enumerate() {
        world.server.serve("/jwks", Reply::json(text));
        world.idp.clock().advance(TTL);
        assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok", "{text}");
        // This one waits for the refresh.
        assert_unavailable(&call(&app, bearer(&token_with_kid(&world.idp, "x"))).await);
        assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok", "{text}");
        assert_eq!(world.server.hits("/jwks"), index + 2);
    }
}

#[tokio::test]
async fn a_key_that_is_withdrawn_stops_verifying() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    let old = idp.token().expires_in(TTL * 2).sign();
    assert_eq!(reason(&app, &old).await, "ok");
    let new = rotated_token(&idp);
    source.publish(&idp);
    assert_eq!(reason(&app, &new).await, "ok");
    assert_eq!(reason(&app, &old).await, "signing_key_unknown");
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_stops_verifying_also_without_a_new_token() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    let old = idp.token().expires_in(TTL * 2).sign();
    assert_eq!(reason(&app, &old).await, "ok");
    idp.rotate();
    source.publish(&idp);
    idp.clock().advance(TTL);
    assert_eq!(reason(&app, &old).await, "ok");
    // It is not among the keys when the refresh has ended, and is worth one more look.
    source.was_loaded(2).await;
    tokio::task::yield_now().await;
    assert_eq!(reason(&app, &old).await, "signing_key_unknown");
}

// Unknown keys.

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let world = World::new();
    let app = world.app();
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    let token = rotated_token(&world.idp);
    world.publish();
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(world.server.hits("/jwks"), 2);
}

#[tokio::test]
async fn many_who_need_a_new_key_wait_for_one_fetch() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let token = rotated_token(&idp);
    source.publish(&idp);
    let gate = source.hold();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (app, token) = (app.clone(), token.clone());
            tokio::spawn(async move { reason(&app, &token).await })
        })
        .collect();
    source.was_loaded(2).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), "ok");
    }
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn junk_is_worth_one_fetch_in_a_cool_down() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    for expected in [2, 3, 4] {
        for junk in 0..50 {
            let token = token_with_kid(&idp, &format!("junk-{junk}"));
            let answer = call(&app, bearer(&token)).await;
            assert_eq!(answer.reason(), "signing_key_unknown");
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(source.loads(), expected);
        idp.clock().advance(COOL_DOWN.saturating_sub(INSTANT));
        let reason = reason(&app, &token_with_kid(&idp, "junk")).await;
        assert_eq!((reason, source.loads()), ("signing_key_unknown", expected));
        idp.clock().advance(INSTANT);
    }
}

#[tokio::test]
async fn junk_does_not_stop_honest_requests_or_the_refresh() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    let old = idp.token().expires_in(TTL * 2).sign();
    assert_eq!(reason(&app, &old).await, "ok");
    idp.clock().advance(TTL.saturating_sub(SECOND));
    source.then(Next::Fail);
    assert_unavailable(&call(&app, bearer(&token_with_kid(&idp, "junk"))).await);
    assert_eq!(source.loads(), 2);
    assert_eq!(reason(&app, &old).await, "ok");
    source.publish(&idp);
    idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &old).await, "ok");
    source.was_loaded(3).await;
}

#[tokio::test]
async fn a_kid_never_reaches_the_issuer() {
    let world = World::new();
    let app = world.app();
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
    for kid in [
        "../../x",
        "http://127.0.0.1/x",
        "?kid=1",
        "a b",
        "x\r\nhost: evil",
    ] {
        let token = token_with_kid(&world.idp, kid);
        assert_eq!(reason(&app, &token).await, "signing_key_unknown", "{kid}");
        world.idp.clock().advance(COOL_DOWN);
    }
    assert_eq!(world.server.asked(), ["/jwks"; 6]);
}

#[tokio::test]
async fn while_a_fetch_for_an_unknown_key_has_failed_the_answer_is_503() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.then(Next::Fail);
    let token = rotated_token(&idp);
    // Nobody may look again before the cool-down is over, and that is what callers are told.
    let answer = call(&app, bearer(&token)).await;
    assert_eq!(assert_unavailable(&answer), 30);
    idp.clock().advance(SECOND * 10);
    let answer = call(&app, bearer(&token)).await;
    assert_eq!(assert_unavailable(&answer), 20);
    assert_eq!(source.loads(), 2);
    source.publish(&idp);
    idp.clock().advance(SECOND * 20);
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(source.loads(), 3);
}

#[tokio::test]
async fn a_token_with_a_known_kid_and_a_bad_signature_fetches_nothing() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let token = idp.token().sign();
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", "A".repeat(86));
    assert_eq!(reason(&app, &forged).await, "signature_invalid");
    let other = idp.token().header("alg", "ES512").sign();
    assert_eq!(reason(&app, &other).await, "algorithm_not_accepted");
    assert_eq!(source.loads(), 1);
}

// Outages.

#[tokio::test]
async fn without_any_keys_the_answer_is_503_and_attempts_become_rarer() {
    let idp = idp();
    let source = Source::failing();
    let app = app_of(cached(&source), &idp);
    let (mut loads, token) = (0, idp.token().expires_in(TTL).sign());
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        let answer = call(&app, bearer(&token)).await;
        assert!((pause * 9 / 10..=pause).contains(&assert_unavailable(&answer)));
        loads += 1;
        assert_eq!(source.loads(), loads);
        // By chance the pause is up to a tenth shorter.
        let shortest = Duration::from_secs(pause) * 9 / 10;
        idp.clock().advance(shortest.saturating_sub(INSTANT));
        assert!(assert_unavailable(&call(&app, bearer(&token)).await) <= pause / 10 + 1);
        assert_eq!(source.loads(), loads);
        idp.clock().advance(Duration::from_secs(pause) / 10 + INSTANT);
    }
    source.publish(&idp);
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(source.loads(), loads + 1);
}

#[tokio::test]
async fn after_a_recovery_the_pauses_begin_anew() {
    let idp = idp();
    let source = Source::failing();
    let app = app_of(cached(&source), &idp);
    for pause in [1, 2, 4] {
        let answer = call(&app, bearer(&idp.token().sign())).await;
        assert_eq!(assert_unavailable(&answer), pause);
        idp.clock().advance(Duration::from_secs(pause));
    }
    source.publish(&idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.then(Next::Fail);
    idp.clock().advance(TTL);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let answer = call(&app, bearer(&token_with_kid(&idp, "x"))).await;
    assert_eq!(assert_unavailable(&answer), 1);
}

#[tokio::test]
async fn an_issuer_that_recovers_is_found_again() {
    let world = World::new();
    world.server.serve("/jwks", Reply::status(503));
    let app = world.app();
    let answer = call(&app, bearer(&world.idp.token().sign())).await;
    assert_eq!(assert_unavailable(&answer), 1);
    world.publish();
    world.idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_one_second_at_most() {
    let idp = idp();
    let source = Source::of(&idp);
    let _never = source.hold();
    let app = app_of(CachedKeys::new(source.clone()), &idp);
    let start = tokio::time::Instant::now();
    let answer = call(&app, bearer(&idp.token().sign())).await;
    assert_eq!(assert_unavailable(&answer), 1);
    let waited = start.elapsed();
    assert!((SECOND..SECOND * 2).contains(&waited), "{waited:?}");
    assert_eq!(source.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_waits_for_one_second_at_most() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(CachedKeys::new(source.clone()), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let _never = source.hold();
    let start = tokio::time::Instant::now();
    assert_unavailable(&call(&app, bearer(&token_with_kid(&idp, "x"))).await);
    let waited = start.elapsed();
    assert!((SECOND..SECOND * 2).contains(&waited), "{waited:?}");
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_is_given_up() {
    let idp = idp();
    let source = Source::of(&idp);
    let _never = source.hold();
    let app = app_of(CachedKeys::new(source.clone()), &idp);
    assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
    source.hold().open();
    // Those who come meanwhile wait for the same load.
    assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
    assert_eq!(source.loads(), 1);
    tokio::time::advance(SECOND * 15).await;
    assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
    idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn a_hanging_server_is_an_outage_and_recovers() {
    let world = World::new();
    let gate = Gate::closed();
    let reply = Reply::json(world.idp.jwks()).held_by(&gate);
    world.server.serve("/jwks", reply);
    let keys = RemoteKeys::jwks_uri(world.server.url("/jwks"));
    let keys = CachedKeys::from(keys).longest_wait(Duration::from_millis(50));
    let app = app_of(keys, &world.idp);
    let token = world.idp.token().sign();
    assert_unavailable(&call(&app, bearer(&token)).await);
    world.server.was_asked("/jwks", 1).await;
    gate.open();
    // The load that nobody waits for any more is still under way, and its keys are used.
    while reason(&app, &token).await != "ok" {}
    assert_eq!(world.server.hits("/jwks"), 1);
}

#[tokio::test]
async fn a_source_that_panics_wedges_nothing() {
    let idp = idp();
    let source = Source::failing();
    source.then(Next::Panic);
    let app = app_of(cached(&source), &idp);
    let answer = call(&app, bearer(&idp.token().sign())).await;
    assert_eq!(assert_unavailable(&answer), 1);
    // It counts as a failure, so it is not asked again at once.
    assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
    assert_eq!(source.loads(), 1);
    source.publish(&idp);
    idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
}

#[tokio::test]
async fn a_source_that_panics_while_keys_are_in_use_leaves_them() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.then(Next::Panic);
    idp.clock().advance(TTL);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    assert_unavailable(&call(&app, bearer(&token_with_kid(&idp, "x"))).await);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.publish(&idp);
    idp.clock().advance(COOL_DOWN);
    assert_eq!(
        reason(&app, &token_with_kid(&idp, "x")).await,
        "signing_key_unknown"
    );
}

// Runtimes that come and go.

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn when_the_runtime_of_a_load_has_gone_the_next_use_starts_it_anew() {
    let world = World::new();
    let gate = Gate::closed();
    let reply = Reply::json(world.idp.jwks()).held_by(&gate);
    world.server.serve("/jwks", reply);
    let (app, token) = (world.app(), world.idp.token().sign());
    let first = runtime();
    first.block_on(async {
        let (app, token) = (app.clone(), token.clone());
        tokio::spawn(async move { reason(&app, &token).await });
        world.server.was_asked("/jwks", 1).await;
    });
    drop(first);
    gate.open();
    // At once: nobody has failed, so nobody has to wait.
    let answer = runtime().block_on(reason(&app, &token));
    assert_eq!((answer, world.server.hits("/jwks")), ("ok", 2));
}

#[test]
fn keys_that_were_loaded_on_a_runtime_that_has_gone_are_refreshed_on_the_next() {
    let world = World::new();
    let app = world.app();
    assert_eq!(runtime().block_on(reason(&app, &world.idp.token().sign())), "ok");
    for hits in [2, 3] {
        let old = world.idp.token().expires_in(TTL * 2).sign();
        let new = rotated_token(&world.idp);
        world.publish();
        world.idp.clock().advance(TTL / 2);
        runtime().block_on(async {
            assert_eq!(reason(&app, &old).await, "ok");
            assert_eq!(reason(&app, &new).await, "ok");
        });
        assert_eq!(world.server.hits("/jwks"), hits);
    }
}

#[test]
fn a_refresh_that_died_with_its_runtime_is_started_anew() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(runtime().block_on(reason(&app, &idp.token().sign())), "ok");
    let _never = source.hold();
    idp.clock().advance(TTL);
    runtime().block_on(async {
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
        source.was_loaded(2).await;
    });
    source.hold().open();
    runtime().block_on(async {
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
        source.was_loaded(3).await;
    });
}

/// Polls once, outside any runtime that lives; gives up after a while, so that a dead-lock is a failure and no hang.
fn poll_once(app: Router, token: String, enter: Option<tokio::runtime::Handle>) -> Option<Answer> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _entered = enter.as_ref().map(tokio::runtime::Handle::enter);
        let request = pin!(call(&app, bearer(&token)));
        let polled = request.poll(&mut Context::from_waker(Waker::noop()));
        let answer = match polled {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        sender.send(answer).ok();
    });
    receiver.recv_timeout(PATIENT).expect("it hangs or panics")
}

#[test]
fn without_a_runtime_the_answer_is_503() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    let answer = poll_once(app.clone(), idp.token().sign(), None).unwrap();
    assert_unavailable(&answer);
    assert_eq!(runtime().block_on(reason(&app, &idp.token().sign())), "ok");
    assert_eq!(poll_once(app, idp.token().sign(), None).unwrap().reason(), "ok");
}

#[test]
fn a_runtime_that_is_shut_down_already_blocks_nobody() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    let gone = runtime();
    let handle = gone.handle().clone();
    drop(gone);
    let answer = poll_once(app.clone(), idp.token().sign(), Some(handle)).unwrap();
    assert_unavailable(&answer);
    assert_eq!(runtime().block_on(reason(&app, &idp.token().sign())), "ok");
}

// What users bring along.

#[tokio::test]
async fn a_source_of_ones_own_gives_the_keys() {
    struct Fixed(String);

    impl KeySource for Fixed {
        type Error = tower_resource_server::KeySetError;

        async fn load(&self) -> Result<KeySet, Self::Error> {
            KeySet::from_jwks(&self.0)
        }
    }

    let idp = idp();
    let keys = CachedKeys::new(Fixed(idp.jwks())).longest_wait(PATIENT);
    assert_eq!(reason(&app_of(keys, &idp), &idp.token().sign()).await, "ok");
}

type Seen = Arc<Mutex<Vec<Request<()>>>>;
type Answered = Result<Response<Bytes>, FetchError>;

/// A client without a network.
struct OwnClient {
    seen: Seen,
    answer: fn(&str) -> Answered,
    jwks: String,
}

impl Fetch for OwnClient {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        self.seen.lock().unwrap().push(request);
        (self.answer)(&self.jwks)
    }
}

fn own_client(idp: &TestIssuer, answer: fn(&str) -> Answered) -> (Router, Seen) {
    let seen = Arc::default();
    let client = OwnClient {
        seen: Arc::clone(&seen),
        answer,
        jwks: idp.jwks(),
    };
    let keys = RemoteKeys::jwks_uri("https://as.test/keys?v=1").fetch(client);
    (app_of(patient(keys), idp), seen)
}

#[tokio::test]
async fn a_client_of_ones_own_fetches_the_keys() {
    let idp = idp();
    let (app, seen) = own_client(&idp, |jwks| Ok(Response::new(jwks.to_owned().into())));
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let seen = seen.lock().unwrap();
    let [request] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(request.method(), "GET");
    assert_eq!(request.uri(), "https://as.test/keys?v=1");
    let accepted = request.headers()["accept"].to_str().unwrap();
    assert!(accepted.contains("application/jwk-set+json"), "{accepted}");
}

#[tokio::test]
async fn what_a_client_of_ones_own_brings_is_checked() {
    let answers: [fn(&str) -> Answered; 4] = [
        |jwks| Ok(Response::new((jwks.to_owned() + &" ".repeat(512 * 1024)).into())),
        |jwks| {
            let response = Response::builder().status(302).body(jwks.to_owned().into());
            Ok(response.unwrap())
        },
        |_| Err(FetchError::Transport("no route".into())),
        |jwks| {
            let utf16: Vec<u8> = jwks.encode_utf16().flat_map(u16::to_le_bytes).collect();
            Ok(Response::new(utf16.into()))
        },
    ];
    for answer in answers {
        let idp = idp();
        let (app, seen) = own_client(&idp, answer);
        assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_reqwest_client_of_ones_own_fetches_the_keys() {
    let world = World::new();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let fetch = tower_resource_server::HttpFetch::with_client(client);
    let keys = RemoteKeys::jwks_uri(world.server.url("/jwks")).fetch(fetch);
    let app = app_of(patient(keys), &world.idp);
    assert_eq!(reason(&app, &world.idp.token().sign()).await, "ok");
}

/// Runs another test of this file in a process whose environment names a proxy.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = Server::start();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "remote_keys::the_keys_are_found_by_openid_connect_discovery",
    ]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, proxy.url(""));
    }
    for name in ["NO_PROXY", "no_proxy"] {
        child.env_remove(name);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.asked(), [""; 0]);
}

// Settings.

#[tokio::test]
async fn the_time_to_live_can_be_set() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source).time_to_live(SECOND * 5), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    idp.clock().advance(SECOND * 7 / 2);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    tokio::task::yield_now().await;
    assert_eq!(source.loads(), 1);
    idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.was_loaded(2).await;
}

#[tokio::test]
async fn the_cool_down_can_be_set() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source).cool_down(SECOND * 5), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    for (index, (pause, loads)) in [(0, 2), (4, 2), (1, 3), (4, 3), (1, 4)].into_iter().enumerate() {
        idp.clock().advance(SECOND * pause);
        let token = token_with_kid(&idp, &format!("x{index}"));
        assert_eq!(reason(&app, &token).await, "signing_key_unknown");
        assert_eq!(source.loads(), loads);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_can_be_set() {
    let idp = idp();
    let source = Source::of(&idp);
    let _never = source.hold();
    let app = app_of(CachedKeys::new(source).longest_wait(SECOND * 3), &idp);
    let start = tokio::time::Instant::now();
    assert_unavailable(&call(&app, bearer(&idp.token().sign())).await);
    let waited = start.elapsed();
    assert!((SECOND * 3..SECOND * 4).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn endless_times_are_no_panic() {
    let idp = idp();
    let source = Source::of(&idp);
    let keys = CachedKeys::new(source.clone())
        .time_to_live(Duration::MAX)
        .cool_down(Duration::MAX)
        .longest_wait(Duration::MAX);
    let app = app_of(keys, &idp);
    idp.clock().advance(SECOND);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    for _ in 0..2 {
        idp.clock().advance(TTL * 1000);
        assert_eq!(
            reason(&app, &token_with_kid(&idp, "x")).await,
            "signing_key_unknown"
        );
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    }
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn a_date_that_jumps_does_not_touch_the_keys() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    let now = std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    for date in [now, std::time::UNIX_EPOCH + TTL * 100_000, now + TTL * 100_000] {
        idp.clock().set_date(date);
        assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    }
    tokio::task::yield_now().await;
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn dropping_every_layer_drops_the_source() {
    struct Counted(Arc<AtomicUsize>, Source);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl KeySource for Counted {
        type Error = Box<dyn std::error::Error + Send + Sync>;

        async fn load(&self) -> Result<KeySet, Self::Error> {
            KeySource::load(&self.1).await
        }
    }

    let (idp, drops) = (idp(), Arc::new(AtomicUsize::new(0)));
    let source = Counted(Arc::clone(&drops), Source::of(&idp));
    let app = app_of(CachedKeys::new(source).longest_wait(PATIENT), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    drop(app);
    tokio::task::yield_now().await;
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

/// However the threads interleave, nobody who was late starts another load.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_on_many_threads_load_once() {
    for _ in 0..300 {
        let idp = idp();
        let source = Source::of(&idp);
        let app = app_of(cached(&source), &idp);
        for loads in 1..=2 {
            let token = idp.token().sign();
            let requests: Vec<_> = (0..16)
                .map(|_| {
                    let (app, token) = (app.clone(), token.clone());
                    tokio::spawn(async move { reason(&app, &token).await })
                })
                .collect();
            for request in requests {
                assert_eq!(request.await.unwrap(), "ok");
            }
            source.was_loaded(loads).await;
            assert_eq!(source.loads(), loads);
            idp.clock().advance(TTL);
        }
    }
}

#[tokio::test]
async fn an_endless_cool_down_is_told_without_harm() {
    let idp = idp();
    let source = Source::of(&idp);
    let app = app_of(cached(&source).cool_down(Duration::MAX), &idp);
    assert_eq!(reason(&app, &idp.token().sign()).await, "ok");
    source.then(Next::Fail);
    let answer = call(&app, bearer(&token_with_kid(&idp, "x"))).await;
    // The schedule will have asked again by then.
    assert!(assert_unavailable(&answer) <= TTL.as_secs());
}

/// A source that has nothing and counts who asks.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl KeySource for Asked {
    type Error = std::io::Error;

    async fn load(&self) -> Result<KeySet, std::io::Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(std::io::Error::other("no keys"))
    }
}

#[tokio::test]
async fn a_token_that_no_key_could_save_makes_nobody_fetch_one() {
    let (idp, source) = (crate::support::idp(), Asked::default());
    let app = app(&builder(&idp)
        .keys(CachedKeys::new(source.clone()))
        .build()
        .unwrap());
    for (token, reason) in [
        (idp.token().algorithm(Algorithm::Es512), "algorithm_not_accepted"),
        (idp.token().header("typ", "logout+jwt"), "type_not_accepted"),
    ] {
        assert_eq!(call(&app, bearer(&token.sign())).await.reason(), reason);
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 0);
}
