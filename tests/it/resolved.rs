//! Issuers that are found at run time: who is asked, how often, what is remembered, and which addresses are never called.

mod addresses;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{
    CachedKeys, Fault, Issuer, IssuerResolver, JwtLayer, KeySet, KeySetError, KeySource, ResolvedIssuers,
    ScopeLayer, TrustedIssuers,
};

use crate::server::{Gate, PATIENT, Reply, Server};
use crate::support::{API, READ, WRITE, bearer, call, whoami};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(600);

type Fallible = Result<Option<Issuer>, Box<dyn std::error::Error + Send + Sync>>;

/// A list of tenants that does what a test says, and counts who asked for what.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Shared>);

struct Shared {
    tenants: Mutex<HashMap<String, Issuer>>,
    mood: Mutex<Mood>,
    /// Look-ups of names that begin so wait for the gate.
    held: Mutex<(String, Gate)>,
    asked: watch::Sender<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Mood {
    Answers,
    Fails,
    Panics,
}

impl Directory {
    pub(crate) fn of(issuers: impl IntoIterator<Item = Issuer>) -> Self {
        let directory = Self(Arc::new(Shared {
            tenants: Mutex::default(),
            mood: Mutex::new(Mood::Answers),
            held: Mutex::new(("nobody is held".to_owned(), Gate::closed())),
            asked: watch::Sender::default(),
        }));
        issuers.into_iter().for_each(|issuer| directory.add(issuer));
        directory
    }

    fn add(&self, issuer: Issuer) {
        let name = issuer.name().to_owned();
        self.add_as(&name, issuer);
    }

    fn add_as(&self, name: &str, issuer: Issuer) {
        self.0.tenants.lock().unwrap().insert(name.to_owned(), issuer);
    }

    fn remove(&self, name: &str) {
        self.0.tenants.lock().unwrap().remove(name);
    }

    fn is(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    fn hold(&self, names: &str) -> Gate {
        let gate = Gate::closed();
        *self.0.held.lock().unwrap() = (names.to_owned(), gate.clone());
        gate
    }

    fn asked(&self) -> Vec<String> {
        self.0.asked.borrow().clone()
    }

    fn times(&self) -> usize {
        self.0.asked.borrow().len()
    }

    async fn was_asked(&self, times: usize) {
        let mut asked = self.0.asked.subscribe();
        let waited = tokio::time::timeout(PATIENT, asked.wait_for(|all| all.len() >= times)).await;
        waited.expect("it was not asked").unwrap();
    }
}

impl IssuerResolver for Directory {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn resolve(&self, name: &str) -> Fallible {
        self.0.asked.send_modify(|asked| asked.push(name.to_owned()));
        let (held, gate) = self.0.held.lock().unwrap().clone();
        if name.starts_with(&held) {
            gate.pass().await;
        }
        let mood = *self.0.mood.lock().unwrap();
        match mood {
            Mood::Answers => Ok(self.0.tenants.lock().unwrap().get(name).cloned()),
            Mood::Fails => Err("the directory is told to fail".into()),
            Mood::Panics => panic!("the directory is told to panic"),
        }
    }
}

fn tenant(name: &str) -> TestIssuer {
    TestIssuer::new(format!("https://{name}.test"), API)
}

/// The issuer as a resolver may return it.
fn named(idp: &TestIssuer) -> Issuer {
    idp.issuer_builder().accept_any_scope().build().unwrap()
}

fn token_of_nobody(name: &str) -> String {
    tenant(name).token().sign()
}

fn app(issuers: impl Into<TrustedIssuers>) -> Router {
    whoami().layer(JwtLayer::new(issuers))
}

/// One tenant, and a service that finds it.
struct World {
    idp: TestIssuer,
    directory: Directory,
    clock: TestClock,
    app: Router,
}

impl World {
    fn new() -> Self {
        Self::with(|resolved| resolved)
    }

    fn with(settings: impl FnOnce(ResolvedIssuers) -> ResolvedIssuers) -> Self {
        let (idp, clock) = (tenant("alpha"), TestClock::new());
        let directory = Directory::of([named(&idp)]);
        let resolved = ResolvedIssuers::new(directory.clone()).clock(clock.clone());
        Self {
            app: app(settings(resolved)),
            idp,
            directory,
            clock,
        }
    }

    fn token(&self) -> String {
        self.idp.token().sign()
    }

    async fn reason(&self, token: &str) -> &'static str {
        call(&self.app, bearer(token)).await.reason()
    }

    async fn good(&self) -> &'static str {
        self.reason(&self.token()).await
    }

    /// The same request, as a task.
    fn send(&self, token: String) -> JoinHandle<&'static str> {
        let app = self.app.clone();
        tokio::spawn(async move { call(&app, bearer(&token)).await.reason() })
    }
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

// Who is found, and who is not.

#[tokio::test]
async fn a_tenants_token_passes() {
    let world = World::new();
    let answer = call(&world.app, bearer(&world.token())).await;
    assert_eq!(answer.reason(), "ok");
    assert_eq!(answer.json()["issuer"], "https://alpha.test");
    assert_eq!(world.directory.asked(), ["https://alpha.test"]);
    // What was found is remembered, and what it verified too.
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.directory.times(), 1);
}

#[tokio::test]
async fn a_token_of_nobody_is_refused_and_its_name_is_remembered_for_a_minute() {
    let world = World::new();
    let token = token_of_nobody("new");
    let answer = call(&world.app, bearer(&token)).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::UNAUTHORIZED, "issuer_unknown")
    );
    assert!(answer.challenges()[0].contains("invalid_token"), "{answer:?}");
    let idp = tenant("new");
    world.directory.add(named(&idp));
    world.clock.advance(SECOND * 59);
    assert_eq!(world.reason(&idp.token().sign()).await, "issuer_unknown");
    assert_eq!(world.directory.times(), 1);
    world.clock.advance(SECOND);
    assert_eq!(world.reason(&idp.token().sign()).await, "ok");
    assert_eq!(world.directory.times(), 2);
}

#[tokio::test]
async fn how_long_a_name_of_nobody_is_remembered_can_be_set() {
    let world = World::with(|resolved| resolved.refused_for(SECOND * 5));
    for (time, asked) in [(0, 1), (4, 1), (1, 2)] {
        world.clock.advance(SECOND * time);
        assert_eq!(world.reason(&token_of_nobody("new")).await, "issuer_unknown");
        assert_eq!(world.directory.times(), asked);
    }
}

#[tokio::test]
async fn names_are_compared_to_the_letter() {
    let world = World::new();
    for name in [
        "https://alpha.test/",
        "https://ALPHA.test",
        "https://alpha.test:443",
        "alpha.test",
        "",
    ] {
        let token = world.idp.token().claim("iss", name).sign();
        assert_eq!(world.reason(&token).await, "issuer_unknown", "{name}");
    }
    assert_eq!(world.good().await, "ok");
}

#[tokio::test]
async fn a_name_of_more_than_two_kib_never_reaches_the_resolver() {
    let world = World::new();
    let name = |length: usize| format!("https://{}", "a".repeat(length - 8));
    for (length, asked) in [(2049, 0), (8000, 0), (2048, 1)] {
        let token = world.idp.token().claim("iss", name(length)).sign();
        assert_eq!(world.reason(&token).await, "issuer_unknown");
        assert_eq!(world.directory.times(), asked, "{length}");
    }
}

#[tokio::test]
async fn only_what_could_be_a_token_is_looked_up() {
    let world = World::new();
    let token = world.token();
    let [head, claims, _] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!()
    };
    for (token, reason) in [
        ("a.b.c".to_owned(), "token_malformed"),
        (format!("{head}.{claims}."), "token_malformed"),
        (world.idp.token().without("iss").sign(), "claim_missing"),
        (world.idp.token().claim("iss", 7).sign(), "payload_malformed"),
        (
            world.idp.token().header("alg", "none").sign(),
            "algorithm_unknown",
        ),
    ] {
        assert_eq!(world.reason(&token).await, reason);
    }
    assert_eq!(world.directory.times(), 0);
    assert_eq!(world.reason(&token).await, "ok");
}

#[tokio::test]
async fn the_issuer_that_a_token_names_is_called_by_nobody() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    server.serve("/jwks", Reply::json(idp.jwks()));
    let world = World::new();
    assert_eq!(world.reason(&idp.token().sign()).await, "issuer_unknown");
    assert_eq!(world.directory.asked(), [server.url("")]);
    assert_eq!(server.asked(), [""; 0]);
}

// One look-up for many.

#[tokio::test(start_paused = true)]
async fn many_who_wait_for_one_name_cause_one_look_up() {
    let world = World::new();
    let gate = world.directory.hold("https://");
    let requests: Vec<_> = (0..100).map(|_| world.send(world.token())).collect();
    world.directory.was_asked(1).await;
    settle().await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), "ok");
    }
    assert_eq!(world.directory.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_does_not_lose_the_look_up_for_others() {
    let world = World::new();
    let gate = world.directory.hold("https://");
    let first = world.send(world.token());
    world.directory.was_asked(1).await;
    let second = world.send(world.token());
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(second.await.unwrap(), "ok");
    assert_eq!(world.directory.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_names_are_looked_up_at_once() {
    let world = World::new();
    let gate = world.directory.hold("https://junk");
    let junk: Vec<_> = (0..200)
        .map(|number| world.send(token_of_nobody(&format!("junk-{number}"))))
        .collect();
    world.directory.was_asked(64).await;
    settle().await;
    assert_eq!(world.directory.times(), 64);
    gate.open();
    for request in junk {
        assert_eq!(request.await.unwrap(), "issuer_unknown");
    }
    assert_eq!(world.directory.times(), 200);
}

#[tokio::test(start_paused = true)]
async fn junk_does_not_keep_a_tenant_out_whose_time_is_over() {
    let world = World::new();
    assert_eq!(world.good().await, "ok");
    world.clock.advance(LIFE);
    let gate = world.directory.hold("https://junk");
    let junk: Vec<_> = (0..200)
        .map(|number| world.send(token_of_nobody(&format!("junk-{number}"))))
        .collect();
    world.directory.was_asked(1 + 64).await;
    settle().await;
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.directory.times(), 1 + 64 + 1);
    gate.open();
    for request in junk {
        request.await.unwrap();
    }
}

// The resolver in trouble.

#[tokio::test]
async fn a_resolver_that_fails_is_an_outage_and_is_asked_again() {
    let world = World::new();
    world.directory.is(Mood::Fails);
    let answer = call(&world.app, bearer(&world.token())).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "resolver_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.rejection.as_ref().unwrap().fault(), Fault::Upstream);
    assert!(answer.challenges().is_empty(), "{answer:?}");
    assert!(!answer.body.contains("directory"), "{answer:?}");
    world.directory.is(Mood::Answers);
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.directory.times(), 2);
}

#[tokio::test]
async fn a_resolver_that_panics_is_an_outage_and_is_asked_again() {
    let world = World::new();
    world.directory.is(Mood::Panics);
    assert_eq!(world.good().await, "resolver_unavailable");
    world.directory.is(Mood::Answers);
    assert_eq!(world.good().await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_resolver_for_one_second() {
    let world = World::new();
    let gate = world.directory.hold("https://");
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(world.good().await, "resolver_unavailable");
        let waited = start.elapsed();
        assert!(
            (SECOND..SECOND + Duration::from_millis(5)).contains(&waited),
            "{waited:?}"
        );
    }
    // It is still the first look-up, and what it brings is not lost.
    assert_eq!(world.directory.times(), 1);
    gate.open();
    settle().await;
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.directory.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_never_ends_is_given_up_after_five_seconds() {
    let world = World::new();
    world.directory.hold("https://");
    let mut asked = Vec::new();
    for _ in 0..14 {
        assert_eq!(world.good().await, "resolver_unavailable");
        asked.push(world.directory.times());
    }
    assert!(asked.starts_with(&[1, 1, 1, 1]), "{asked:?}");
    assert_eq!(asked.last(), Some(&3), "{asked:?}");
}

#[test]
fn without_a_runtime_the_answer_is_503() {
    let world = World::new();
    let mut answer = Box::pin(world.good());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let answer = answer.as_mut().poll(&mut context);
    assert!(matches!(answer, std::task::Poll::Ready("resolver_unavailable")));
}

#[test]
fn a_look_up_that_died_with_its_runtime_is_made_anew() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let world = World::new();
    let gate = world.directory.hold("https://");
    let first = runtime();
    first.block_on(async {
        drop(world.send(world.token()));
        world.directory.was_asked(1).await;
    });
    drop(first);
    gate.open();
    assert_eq!(runtime().block_on(world.good()), "ok");
    assert_eq!(world.directory.times(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_not_the_one_asked_for_or_leaves_its_scopes_open_is_a_fault_of_ours() {
    let world = World::new();
    let (other, open, good) = (tenant("other"), tenant("open"), tenant("good"));
    world.directory.add_as(other.name(), named(&tenant("another")));
    world.directory.add(open.issuer());
    world
        .directory
        .add(good.issuer_builder().accepted_scopes([READ]).build().unwrap());
    for idp in [&other, &open] {
        let answer = call(&world.app, bearer(&idp.token().sign())).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::INTERNAL_SERVER_ERROR, "issuer_misconfigured"),
            "{idp}"
        );
    }
    let token = good.token().scopes([READ, WRITE]).sign();
    let answer = call(&world.app, bearer(&token)).await;
    assert_eq!(answer.json()["scopes"], serde_json::json!([READ.as_str()]));
}

// How long an issuer is remembered.

#[tokio::test]
async fn the_resolver_is_asked_again_after_ten_minutes() {
    let world = World::new();
    for (time, asked) in [(Duration::ZERO, 1), (LIFE.saturating_sub(SECOND), 1), (SECOND, 2)] {
        world.clock.advance(time);
        assert_eq!(world.good().await, "ok");
        assert_eq!(world.directory.times(), asked);
    }
}

#[tokio::test]
async fn a_tenant_that_was_removed_is_refused_also_with_a_token_that_was_verified_before() {
    let world = World::with(|resolved| resolved.time_to_live(MINUTE));
    let token = world.token();
    assert_eq!(world.reason(&token).await, "ok");
    world.directory.remove(world.idp.name());
    world.clock.advance(SECOND * 59);
    assert_eq!(world.reason(&token).await, "ok");
    world.clock.advance(SECOND);
    assert_eq!(world.reason(&token).await, "issuer_unknown");
    assert_eq!(world.good().await, "issuer_unknown");
}

#[tokio::test]
async fn a_tenant_whose_settings_change_is_judged_by_the_new_ones() {
    let world = World::new();
    let token = world.idp.token().scopes([READ, WRITE]).sign();
    let protected = world.app.clone();
    let scopes = async || call(&protected, bearer(&token)).await.json()["scopes"].clone();
    assert_eq!(scopes().await, serde_json::json!([READ.as_str(), WRITE.as_str()]));
    let limited = world
        .idp
        .issuer_builder()
        .accepted_scopes([READ])
        .build()
        .unwrap();
    world.directory.add(limited);
    world.clock.advance(LIFE);
    assert_eq!(scopes().await, serde_json::json!([READ.as_str()]));
}

#[tokio::test]
async fn while_the_resolver_is_down_known_tenants_pass_until_their_time_is_over() {
    let world = World::new();
    assert_eq!(world.good().await, "ok");
    world.directory.is(Mood::Fails);
    world.clock.advance(LIFE.saturating_sub(SECOND));
    assert_eq!(world.good().await, "ok");
    world.clock.advance(SECOND);
    assert_eq!(world.good().await, "resolver_unavailable");
    world.directory.is(Mood::Answers);
    assert_eq!(world.good().await, "ok");
}

#[tokio::test]
async fn endless_and_no_times_are_no_panic() {
    for time in [Duration::MAX, Duration::ZERO] {
        let world = World::with(|resolved| resolved.time_to_live(time).refused_for(time).capacity(0));
        for _ in 0..2 {
            assert_eq!(world.good().await, "ok");
            assert_eq!(world.reason(&token_of_nobody("new")).await, "issuer_unknown");
        }
    }
}

// Bounds.

/// Makes an issuer for every name, each with a source of its own.
struct Anybody {
    idp: TestIssuer,
    alive: Arc<()>,
    asked: Arc<Mutex<usize>>,
}

struct Source(
    String,
    #[expect(dead_code, reason = "counts the sources that are there")] Arc<()>,
);

impl KeySource for Source {
    type Error = KeySetError;

    async fn load(&self) -> Result<KeySet, KeySetError> {
        KeySet::from_jwks(&self.0)
    }
}

impl IssuerResolver for Anybody {
    type Error = tower_resource_server::ConfigError;

    async fn resolve(&self, name: &str) -> Result<Option<Issuer>, Self::Error> {
        *self.asked.lock().unwrap() += 1;
        let keys = CachedKeys::new(Source(self.idp.jwks(), Arc::clone(&self.alive)));
        let issuer = Issuer::builder(name).audience(API).accept_any_scope();
        issuer.keys(keys.longest_wait(PATIENT)).build().map(Some)
    }
}

#[tokio::test]
async fn issuers_beyond_the_capacity_are_forgotten_and_their_keys_with_them() {
    const TENANTS: usize = 400;
    let (idp, alive, asked) = (tenant("any"), Arc::new(()), Arc::new(Mutex::new(0)));
    let resolver = Anybody {
        idp: idp.clone(),
        alive: Arc::clone(&alive),
        asked: Arc::clone(&asked),
    };
    let app = app(ResolvedIssuers::new(resolver).capacity(10));
    for round in 1..=2 {
        for number in 0..TENANTS {
            let token = idp.token().claim("iss", format!("https://{number}.test")).sign();
            assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
        }
        settle().await;
        // The cache lets go in batches. A source is there as long as the task that asks it.
        let there = Arc::strong_count(&alive);
        assert!(there < 200, "{there} after {round}");
    }
    let asked = *asked.lock().unwrap();
    assert!(asked > TENANTS + TENANTS / 2, "{asked}");
}

#[tokio::test]
async fn issuers_within_the_capacity_are_kept() {
    let (idp, asked) = (tenant("any"), Arc::new(Mutex::new(0)));
    let resolver = Anybody {
        idp: idp.clone(),
        alive: Arc::default(),
        asked: Arc::clone(&asked),
    };
    let app = app(ResolvedIssuers::new(resolver));
    for _ in 0..2 {
        for number in 0..400 {
            let token = idp.token().claim("iss", format!("https://{number}.test")).sign();
            assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
        }
    }
    assert_eq!(*asked.lock().unwrap(), 400);
}

/// Knows nobody.
struct Nobody;

impl IssuerResolver for Nobody {
    type Error = std::convert::Infallible;

    async fn resolve(&self, _: &str) -> Result<Option<Issuer>, Self::Error> {
        Ok(None)
    }
}

#[test]
fn twenty_thousand_junk_names_leave_little_behind() {
    const NAMES: usize = 20_000;
    let name = |number: usize| format!("https://{number:0>2000}.test");
    let app = app(ResolvedIssuers::new(Nobody));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tokens: Vec<_> = (0..NAMES).map(|number| forged(&name(number))).collect();
    let left = allocation_counter::measure(|| {
        runtime.block_on(async {
            for token in &tokens {
                assert_eq!(call(&app, bearer(token)).await.reason(), "issuer_unknown");
            }
        });
    });
    // The names alone have 40 MB.
    assert!(left.bytes_current < 8_000_000, "{} bytes", left.bytes_current);
}

/// A token that nobody signed.
fn forged(issuer: &str) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = serde_json::json!({ "iss": issuer, "sub": "x" }).to_string();
    format!("{}.{}.AAAA", encode(r#"{"alg":"ES256"}"#), encode(&claims))
}

// Beside issuers that are configured.

#[tokio::test]
async fn configured_issuers_come_first_and_are_never_asked_for() {
    let (ours, alpha, stranger) = (tenant("ours"), tenant("alpha"), tenant("stranger"));
    let theirs = TestIssuer::new(ours.name(), API);
    let directory = Directory::of([named(&alpha), named(&theirs)]);
    let known = TrustedIssuers::new([named(&ours)]).unwrap();
    let app = app(known
        .or_resolved(ResolvedIssuers::new(directory.clone()))
        .unwrap());
    let reason = async |token: String| call(&app, bearer(&token)).await.reason();
    assert_eq!(reason(ours.token().sign()).await, "ok");
    // Whoever enters the same name into the directory gains nothing.
    assert_eq!(reason(theirs.token().sign()).await, "signature_invalid");
    assert_eq!(directory.times(), 0);
    assert_eq!(reason(alpha.token().sign()).await, "ok");
    assert_eq!(reason(stranger.token().sign()).await, "issuer_unknown");
    assert_eq!(directory.asked(), [alpha.name(), stranger.name()]);
}

#[test]
fn a_configured_issuer_beside_a_resolver_names_its_scopes() {
    let ours = tenant("ours");
    let or_resolved = |issuer: Issuer| {
        let resolved = ResolvedIssuers::new(Directory::of([]));
        TrustedIssuers::from(issuer).or_resolved(resolved)
    };
    let error = or_resolved(ours.issuer()).unwrap_err().to_string();
    assert!(
        error.contains("accepted_scopes") && error.contains(ours.name()),
        "{error}"
    );
    assert!(or_resolved(named(&ours)).is_ok());
}

#[tokio::test]
async fn a_key_of_one_tenant_verifies_no_token_of_another() {
    let (alpha, beta, ours) = (tenant("alpha"), tenant("beta"), tenant("ours"));
    let directory = Directory::of([named(&alpha), named(&beta)]);
    let known = TrustedIssuers::new([named(&ours)]).unwrap();
    let app = app(known.or_resolved(ResolvedIssuers::new(directory)).unwrap());
    let all = [&alpha, &beta, &ours];
    for signer in all {
        for named in all {
            // Each calls its key `es256-1`.
            let token = signer.token().claim("iss", named.name()).sign();
            let expected = if signer.name() == named.name() {
                "ok"
            } else {
                "signature_invalid"
            };
            let reason = call(&app, bearer(&token)).await.reason();
            assert_eq!(reason, expected, "{signer} as {named}");
        }
    }
}

#[tokio::test]
async fn a_subject_of_one_tenant_is_not_that_of_another_and_scopes_are_limited_by_tenant() {
    let (alpha, beta) = (tenant("alpha"), tenant("beta"));
    let limited = beta.issuer_builder().accepted_scopes([READ]).build().unwrap();
    let resolved = ResolvedIssuers::new(Directory::of([named(&alpha), limited]));
    let protected = whoami()
        .layer(ScopeLayer::all([WRITE]))
        .layer(JwtLayer::new(resolved));
    for (idp, expected) in [(&alpha, "ok"), (&beta, "scope_missing")] {
        let token = idp.token().subject("alice").scopes([READ, WRITE]).sign();
        let answer = call(&protected, bearer(&token)).await;
        assert_eq!(answer.reason(), expected);
        if expected == "ok" {
            assert_eq!(answer.json()["issuer"], idp.name());
        }
    }
}
