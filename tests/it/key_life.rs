//! How long fetched keys live: what the issuer says, what is asked before their end, and what is in use after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{
    CachedKeys, Clock, Fetch, FetchError, FetchState, Issuer, JwtLayer, KeySet, KeySource, KeyState,
    RemoteKeys,
};

use crate::server::{Gate, PATIENT};
use crate::support::{API, bearer, call, idp, whoami};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

type Answered = Result<Response<Bytes>, FetchError>;

/// An HTTP client without a network: answers what the test wrote, in order, the last one for ever.
#[derive(Clone)]
struct Wire(Arc<Shared>);

struct Shared {
    answers: Mutex<VecDeque<Reply>>,
    asked: watch::Sender<Vec<http::HeaderMap>>,
}

/// A status, headers, and a body.
#[derive(Clone)]
struct Reply(u16, Vec<(&'static str, String)>, String);

impl Reply {
    fn keys(idp: &TestIssuer) -> Self {
        Self(200, Vec::new(), idp.jwks())
    }

    fn status(status: u16) -> Self {
        Self(status, Vec::new(), String::new())
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.1.push((name, value.to_owned()));
        self
    }
}

impl Wire {
    fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(Arc::new(Shared {
            answers: Mutex::new(replies.into_iter().collect()),
            asked: watch::Sender::default(),
        }))
    }

    fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.0.answers.lock().unwrap() = replies.into_iter().collect();
    }

    fn keys(&self) -> CachedKeys {
        let keys = RemoteKeys::jwks_uri("https://as.test/jwks").fetch(self.clone());
        CachedKeys::from(keys).longest_wait(PATIENT)
    }

    fn times(&self) -> usize {
        self.0.asked.borrow().len()
    }

    /// The value of a header of the request of this number, counted from 1, once it has come.
    async fn asked_with(&self, number: usize, name: &str) -> Option<String> {
        let mut asked = self.0.asked.subscribe();
        let waited = tokio::time::timeout(PATIENT, asked.wait_for(|all| all.len() >= number)).await;
        let all = waited.expect("it was not asked").unwrap();
        all[number - 1]
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }
}

impl Fetch for Wire {
    async fn fetch(&self, request: Request<()>) -> Answered {
        let mut answers = self.0.answers.lock().unwrap();
        let Reply(status, headers, body) = answers.front().cloned().expect("an answer");
        if answers.len() > 1 {
            answers.pop_front();
        }
        drop(answers);
        self.0
            .asked
            .send_modify(|asked| asked.push(request.headers().clone()));
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(body.into()).unwrap())
    }
}

/// A source whose answer is fixed when it is asked, and may be held back.
#[derive(Clone)]
struct Held(Arc<HeldBack>);

struct HeldBack {
    next: Mutex<(String, Gate)>,
    loads: watch::Sender<usize>,
}

impl Held {
    fn of(jwks: &str) -> Self {
        let open = Gate::closed();
        open.open();
        Self(Arc::new(HeldBack {
            next: Mutex::new((jwks.to_owned(), open)),
            loads: watch::Sender::default(),
        }))
    }

    /// What is asked from now on is answered with these keys, and not before the gate is opened.
    fn hold(&self, jwks: &str) -> Gate {
        let gate = Gate::closed();
        *self.0.next.lock().unwrap() = (jwks.to_owned(), gate.clone());
        gate
    }

    fn say(&self, jwks: &str) {
        self.hold(jwks).open();
    }

    fn times(&self) -> usize {
        *self.0.loads.borrow()
    }

    async fn was_loaded(&self, times: usize) {
        let mut loads = self.0.loads.subscribe();
        let waited = tokio::time::timeout(PATIENT, loads.wait_for(|loads| *loads >= times)).await;
        waited.expect("it was not loaded").unwrap();
    }
}

impl KeySource for Held {
    type Error = tower_resource_server::KeySetError;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        let (jwks, gate) = self.0.next.lock().unwrap().clone();
        self.0.loads.send_modify(|loads| *loads += 1);
        gate.pass().await;
        KeySet::from_jwks(&jwks)
    }
}

struct World {
    idp: TestIssuer,
    issuer: Issuer,
    app: Router,
}

impl World {
    fn new(idp: &TestIssuer, keys: CachedKeys) -> Self {
        let builder = Issuer::builder(idp.name()).audience(API);
        let issuer = builder.keys(keys).clock(idp.clock().clone()).build().unwrap();
        Self {
            idp: idp.clone(),
            app: whoami().layer(JwtLayer::new(issuer.clone())),
            issuer,
        }
    }

    /// What a good token gets now.
    async fn good(&self) -> &'static str {
        let token = self.idp.token().expires_in(DAY * 30).sign();
        call(&self.app, bearer(&token)).await.reason()
    }

    /// The status once it is neither running nor, after a request, about to.
    async fn settled(&self) -> tower_resource_server::KeyStatus {
        loop {
            tokio::task::yield_now().await;
            let status = self.issuer.key_status();
            if status.fetch != FetchState::Running {
                return status;
            }
        }
    }

    /// Lets time pass, lets the task see it, and says whether it asked.
    async fn asks_after(&self, wire: &Wire, time: Duration) -> bool {
        let before = wire.times();
        self.idp.clock().advance(time);
        assert_eq!(self.good().await, "ok");
        self.settled().await;
        wire.times() > before
    }
}

// The life that the issuer gives its keys.

#[tokio::test]
async fn keys_are_renewed_at_about_80_percent_of_the_life_that_the_issuer_gives() {
    for (says, life) in [
        ("max-age=3600", HOUR),
        ("public, max-age=\"3600\"", HOUR),
        ("MAX-AGE=3600 , must-revalidate", HOUR),
        ("max-age=7200, max-age=3600", HOUR),
        ("max-age=0", MINUTE),
        ("max-age=999999999999999999999999", DAY),
        ("max-age=604800", DAY),
        ("max-age=-5", MINUTE * 10),
        ("max-age=soon", MINUTE * 10),
        ("s-maxage=5, no-cache", MINUTE * 10),
        ("", MINUTE * 10),
    ] {
        let idp = idp();
        let wire = Wire::answering([Reply::keys(&idp).with("cache-control", says)]);
        let world = World::new(&idp, wire.keys());
        assert_eq!(world.good().await, "ok");
        assert!(!world.asks_after(&wire, life * 71 / 100).await, "{says}");
        assert!(world.asks_after(&wire, life * 18 / 100).await, "{says}");
    }
}

#[tokio::test]
async fn the_time_that_an_answer_spent_in_caches_is_part_of_its_life() {
    let idp = idp();
    let reply = Reply::keys(&idp)
        .with("cache-control", "max-age=3600")
        .with("age", "3000");
    let wire = Wire::answering([reply]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert!(!world.asks_after(&wire, MINUTE * 7).await);
    assert!(world.asks_after(&wire, MINUTE * 2).await);
}

#[tokio::test]
async fn a_fleet_does_not_ask_all_at_once() {
    let mut renewed = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let idp = idp();
        let wire = Wire::answering([Reply::keys(&idp).with("cache-control", "max-age=10000")]);
        let world = World::new(&idp, wire.keys());
        assert_eq!(world.good().await, "ok");
        let mut after = 7100;
        idp.clock().advance(SECOND * after);
        while !world.asks_after(&wire, SECOND * 50).await {
            after += 50;
        }
        assert!((7100..=8850).contains(&after), "{after}");
        renewed.insert(after);
    }
    assert!(renewed.len() > 3, "{renewed:?}");
}

#[tokio::test]
async fn the_limits_of_a_life_can_be_set() {
    let idp = idp();
    let wire = Wire::answering([
        Reply::keys(&idp).with("cache-control", "max-age=1"),
        Reply::keys(&idp).with("cache-control", "max-age=999999"),
    ]);
    let world = World::new(&idp, wire.keys().shortest_life(HOUR).longest_life(HOUR * 2));
    assert_eq!(world.good().await, "ok");
    assert!(!world.asks_after(&wire, MINUTE * 42).await);
    assert!(world.asks_after(&wire, MINUTE * 12).await);
    assert!(!world.asks_after(&wire, MINUTE * 84).await);
    assert!(world.asks_after(&wire, MINUTE * 24).await);
}

#[test]
fn limits_that_make_no_sense_do_not_build() {
    let idp = idp();
    let keys = || Wire::answering([Reply::keys(&idp)]).keys();
    for (keys, setter) in [
        (keys().shortest_life(HOUR).longest_life(MINUTE), "longest_life"),
        (keys().shortest_life(Duration::ZERO), "shortest_life"),
        (keys().time_to_live(Duration::ZERO), "time_to_live"),
        (keys().cool_down(Duration::ZERO), "cool_down"),
    ] {
        let error = Issuer::builder("https://as.test")
            .audience(API)
            .keys(keys)
            .build()
            .unwrap_err();
        assert!(error.to_string().contains(setter), "{error}");
    }
}

#[tokio::test]
async fn a_source_of_ones_own_says_how_long_its_keys_are_good() {
    struct Own(String);

    impl KeySource for Own {
        type Error = tower_resource_server::KeySetError;

        async fn load(&self) -> Result<KeySet, Self::Error> {
            Ok(KeySet::from_jwks(&self.0)?.fresh_for(HOUR * 3))
        }
    }

    let idp = idp();
    let world = World::new(&idp, CachedKeys::new(Own(idp.jwks())).longest_wait(PATIENT));
    assert_eq!(world.good().await, "ok");
    idp.clock().advance(SECOND * (3 * 3600 - 1));
    assert_eq!(world.issuer.key_status().keys, KeyState::Fresh);
    idp.clock().advance(SECOND);
    assert!(matches!(world.issuer.key_status().keys, KeyState::Stale { .. }));
}

// Conditional requests.

#[tokio::test]
async fn a_document_that_was_not_modified_lives_on() {
    let idp = idp();
    let wire = Wire::answering([
        Reply::keys(&idp)
            .with("etag", "\"v1\"")
            .with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        Reply::status(304).with("cache-control", "max-age=3600"),
        Reply::status(304),
    ]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert_eq!(wire.asked_with(1, "if-none-match").await, None);
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    assert_eq!(
        wire.asked_with(2, "if-none-match").await.as_deref(),
        Some("\"v1\"")
    );
    let since = wire.asked_with(2, "if-modified-since").await;
    assert_eq!(since.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(world.issuer.key_status().keys, KeyState::Fresh);
    // The 304 gave a longer life, and a 304 that says nothing keeps it. It is asked with the validator of before.
    assert!(!world.asks_after(&wire, MINUTE * 42).await);
    assert!(world.asks_after(&wire, MINUTE * 12).await);
    assert_eq!(
        wire.asked_with(3, "if-none-match").await.as_deref(),
        Some("\"v1\"")
    );
    assert!(!world.asks_after(&wire, MINUTE * 42).await);
}

#[tokio::test]
async fn a_not_modified_without_a_copy_is_an_outage() {
    let idp = idp();
    let wire = Wire::answering([Reply::status(304)]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "keys_unavailable");
}

#[tokio::test]
async fn a_broken_document_under_the_name_of_a_good_one_is_not_kept() {
    let idp = idp();
    let good = Reply::keys(&idp).with("etag", "\"v1\"");
    let truncated = Reply(200, good.1.clone(), good.2[..good.2.len() / 2].to_owned());
    let wire = Wire::answering([good.clone(), truncated, good]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    assert!(matches!(world.settled().await.fetch, FetchState::Waiting { .. }));
    assert!(world.asks_after(&wire, SECOND).await);
    assert_eq!(wire.asked_with(3, "if-none-match").await, None);
    assert_eq!(world.settled().await.fetch, FetchState::Idle);
}

#[tokio::test]
async fn a_new_version_is_asked_for_by_its_own_name() {
    let idp = idp();
    let wire = Wire::answering([
        Reply::keys(&idp).with("etag", "\"v1\""),
        Reply::keys(&idp).with("etag", "\"v2\""),
        Reply::keys(&idp),
    ]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    assert_eq!(
        wire.asked_with(3, "if-none-match").await.as_deref(),
        Some("\"v2\"")
    );
}

// What is in use after the life.

#[tokio::test]
async fn keys_stay_in_use_for_an_hour_past_their_life_and_no_longer() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp)]);
    let world = World::new(&idp, wire.keys());
    let born = idp.clock().now();
    assert_eq!(world.issuer.key_status().keys, KeyState::None);
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.issuer.key_status().keys, KeyState::Fresh);
    wire.then([Reply::status(500)]);
    idp.clock().advance(MINUTE * 10);
    assert_eq!(world.good().await, "ok");
    let since = born + MINUTE * 10;
    assert_eq!(world.issuer.key_status().keys, KeyState::Stale { since });
    idp.clock().advance(SECOND * 3599);
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.issuer.key_status().keys, KeyState::Stale { since });
    assert!(world.issuer.key_status().is_usable());
    idp.clock().advance(SECOND);
    assert_eq!(world.good().await, "keys_unavailable");
    assert_eq!(world.issuer.key_status().keys, KeyState::None);
    assert!(!world.issuer.key_status().is_usable());
    // And they come back with the issuer.
    wire.then([Reply::keys(&idp)]);
    idp.clock().advance(MINUTE);
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.issuer.key_status().keys, KeyState::Fresh);
}

#[tokio::test]
async fn a_token_that_was_verified_before_does_not_outlive_the_keys() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp), Reply::status(500)]);
    let world = World::new(&idp, wire.keys());
    let token = idp.token().expires_in(DAY).sign();
    for _ in 0..2 {
        assert_eq!(call(&world.app, bearer(&token)).await.reason(), "ok");
    }
    idp.clock().advance(MINUTE * 70);
    assert_eq!(
        call(&world.app, bearer(&token)).await.reason(),
        "keys_unavailable"
    );
}

#[tokio::test]
async fn how_long_stale_keys_are_used_can_be_set() {
    for (bound, last) in [(Duration::ZERO, MINUTE * 10), (DAY * 3, DAY * 3 + MINUTE * 10)] {
        let idp = idp();
        let wire = Wire::answering([Reply::keys(&idp), Reply::status(500)]);
        let world = World::new(&idp, wire.keys().stale_for(bound));
        assert_eq!(world.good().await, "ok");
        idp.clock().advance(last.saturating_sub(SECOND));
        assert_eq!(world.good().await, "ok", "{bound:?}");
        world.settled().await;
        idp.clock().advance(SECOND);
        assert_eq!(world.good().await, "keys_unavailable", "{bound:?}");
    }
}

// The other axis.

#[tokio::test]
async fn the_state_of_the_fetch_is_told() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp), Reply::status(500)]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.issuer.key_status().fetch, FetchState::Idle);
    assert_eq!(world.good().await, "ok");
    assert_eq!(world.settled().await.fetch, FetchState::Idle);
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    let FetchState::Waiting { retry_at } = world.settled().await.fetch else {
        panic!("it does not wait")
    };
    let pause = retry_at.duration_since(idp.clock().now()).unwrap();
    assert!((SECOND * 9 / 10..=SECOND).contains(&pause), "{pause:?}");
}

#[test]
fn fixed_keys_are_fresh_and_nothing_is_fetched_for_them() {
    let idp = idp();
    let keys = tower_resource_server::FixedKeys::jwks(&idp.jwks()).unwrap();
    let issuer = Issuer::builder(idp.name())
        .audience(API)
        .keys(keys)
        .build()
        .unwrap();
    assert_eq!(issuer.key_status().keys, KeyState::Fresh);
    assert_eq!(issuer.key_status().fetch, FetchState::Idle);
}

// What the issuer asks for.

#[tokio::test]
async fn a_pause_that_the_issuer_asks_for_is_kept_up_to_ten_minutes() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let plus_90 = "Sun, 06 Nov 1994 08:51:07 GMT";
    for (status, headers, pause) in [
        (429, vec![("retry-after", "120")], 120),
        (503, vec![("retry-after", "120")], 120),
        (503, vec![("retry-after", plus_90), ("date", date)], 90),
        (429, vec![("retry-after", "86400")], 600),
        (429, vec![("retry-after", "99999999999999999999999999")], 600),
        (429, vec![("retry-after", "0")], 1),
        (429, vec![("retry-after", "-1")], 1),
        (429, vec![("retry-after", "soon")], 1),
        (429, vec![("retry-after", plus_90)], 1),
        (429, vec![("retry-after", date), ("date", plus_90)], 1),
        (500, vec![("retry-after", "120")], 1),
        (429, vec![], 1),
    ] {
        let idp = idp();
        let reply = headers
            .iter()
            .fold(Reply::status(status), |reply, (name, value)| {
                reply.with(name, value)
            });
        let wire = Wire::answering([reply]);
        let world = World::new(&idp, wire.keys());
        let token = idp.token().expires_in(HOUR).sign();
        let answer = call(&world.app, bearer(&token)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            answer.header("retry-after"),
            Some(pause.to_string().as_str()),
            "{headers:?}"
        );
        wire.then([Reply::keys(&idp)]);
        if pause > 1 {
            idp.clock().advance(SECOND * (pause - 1));
            assert_eq!(
                call(&world.app, bearer(&token)).await.reason(),
                "keys_unavailable"
            );
            assert_eq!(wire.times(), 1);
        }
        idp.clock().advance(SECOND);
        assert_eq!(
            call(&world.app, bearer(&token)).await.reason(),
            "ok",
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_key_does_not_break_the_pause_that_the_issuer_asked_for() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp), Reply::status(429).with("retry-after", "300")]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    let token = idp
        .token()
        .header("kid", serde_json::json!("x"))
        .expires_in(HOUR)
        .sign();
    idp.clock().advance(MINUTE * 2);
    let answer = call(&world.app, bearer(&token)).await;
    assert_eq!(answer.reason(), "keys_unavailable");
    assert_eq!(answer.header("retry-after"), Some("180"));
    assert_eq!(wire.times(), 2);
}

// The budget for unknown keys.

#[tokio::test]
async fn a_key_that_was_fetched_for_in_vain_leaves_the_budget_to_others() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp)]);
    let world = World::new(&idp, wire.keys().time_to_live(DAY));
    assert_eq!(world.good().await, "ok");
    let with = |kid: &str| {
        idp.token()
            .header("kid", serde_json::json!(kid))
            .expires_in(DAY)
            .sign()
    };
    let mistake = with("of-another-environment");
    let mut fetched_at = Vec::new();
    // Every ten seconds for twenty minutes.
    for tick in 0..120 {
        let before = wire.times();
        assert_eq!(
            call(&world.app, bearer(&mistake)).await.reason(),
            "signing_key_unknown"
        );
        if wire.times() > before {
            fetched_at.push(tick * 10);
        }
        idp.clock().advance(SECOND * 10);
    }
    assert_eq!(fetched_at, [0, 60, 180, 420, 900]);
    // Somebody else's new key is fetched for at once.
    let before = wire.times();
    assert_eq!(
        call(&world.app, bearer(&with("y"))).await.reason(),
        "signing_key_unknown"
    );
    assert_eq!(wire.times(), before + 1);
}

#[tokio::test]
async fn a_new_set_makes_every_key_worth_a_fetch_again() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp)]);
    let world = World::new(&idp, wire.keys().time_to_live(DAY));
    let token = idp
        .token()
        .header("kid", serde_json::json!("x"))
        .expires_in(DAY)
        .sign();
    assert_eq!(world.good().await, "ok");
    assert_eq!(
        call(&world.app, bearer(&token)).await.reason(),
        "signing_key_unknown"
    );
    idp.rotate();
    wire.then([Reply::keys(&idp)]);
    idp.clock().advance(SECOND * 30);
    assert_eq!(world.good().await, "ok");
    idp.clock().advance(SECOND * 30);
    let before = wire.times();
    assert_eq!(
        call(&world.app, bearer(&token)).await.reason(),
        "signing_key_unknown"
    );
    assert_eq!(wire.times(), before + 1);
}

#[tokio::test]
async fn a_scheduled_fetch_does_not_use_up_the_budget() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp)]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    assert!(world.asks_after(&wire, MINUTE * 9).await);
    // The issuer rotates right after the scheduled fetch.
    idp.rotate();
    wire.then([Reply::keys(&idp)]);
    assert_eq!(world.good().await, "ok");
}

#[tokio::test]
async fn who_joined_a_fetch_that_began_too_early_has_another() {
    let idp = idp();
    let (first, old) = (idp.jwks(), idp.token().expires_in(DAY).sign());
    let source = Held::of(&first);
    let world = World::new(&idp, CachedKeys::new(source.clone()).longest_wait(PATIENT));
    assert_eq!(call(&world.app, bearer(&old)).await.reason(), "ok");
    // The schedule asks; what it will be told is another set, from a moment before the rotation.
    let between = first.replace("\"keys\":[", "\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},");
    assert_ne!(between, first);
    let gate = source.hold(&between);
    idp.clock().advance(MINUTE * 9);
    assert_eq!(call(&world.app, bearer(&old)).await.reason(), "ok");
    source.was_loaded(2).await;
    idp.rotate();
    let new = idp.token().expires_in(DAY).sign();
    let mut request = std::pin::pin!(call(&world.app, bearer(&new)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(request.as_mut().poll(&mut context).is_pending());
    source.say(&idp.jwks());
    gate.open();
    assert_eq!(request.await.reason(), "ok");
    assert_eq!(source.times(), 3);
}

#[tokio::test]
async fn a_failed_fetch_for_an_unknown_key_does_not_put_off_the_schedule() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp), Reply::status(500)]);
    let world = World::new(&idp, wire.keys());
    assert_eq!(world.good().await, "ok");
    for junk in 0..12 {
        let kid = serde_json::json!(format!("junk-{junk}"));
        let token = idp.token().header("kid", kid).expires_in(HOUR).sign();
        assert_eq!(
            call(&world.app, bearer(&token)).await.reason(),
            "keys_unavailable"
        );
        idp.clock().advance(SECOND * 30);
    }
    assert_eq!(wire.times(), 13);
    assert_eq!(world.settled().await.fetch, FetchState::Idle);
    wire.then([Reply::keys(&idp)]);
    idp.clock().advance(MINUTE * 3);
    assert_eq!(world.good().await, "ok");
    world.settled().await;
    assert_eq!(wire.times(), 14);
}

// Without any request.

/// Tells the runtime's time, so that a test whose runtime skips idle time sees what the task does by itself.
#[derive(Debug)]
struct RuntimeClock(tokio::time::Instant, TestClock);

impl Clock for RuntimeClock {
    fn now(&self) -> SystemTime {
        self.1.now() + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_without_any_request() {
    let idp = idp();
    let wire = Wire::answering([Reply::keys(&idp).with("cache-control", "max-age=600")]);
    let clock = RuntimeClock(tokio::time::Instant::now(), idp.clock().clone());
    let builder = Issuer::builder(idp.name()).audience(API).keys(wire.keys());
    let issuer = builder.clock(clock).build().unwrap();
    issuer.warm_up().await.unwrap();
    tokio::time::sleep(DAY).await;
    let expected = DAY.as_secs() / 480;
    let times = u64::try_from(wire.times()).unwrap();
    assert!(
        (expected * 9 / 10..=expected * 12 / 10).contains(&times),
        "{times}"
    );
    assert_eq!(issuer.key_status().keys, KeyState::Fresh);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_is_asked_with_growing_pauses_and_found_again_without_any_request() {
    let idp = idp();
    let wire = Wire::answering([Reply::status(500)]);
    let clock = RuntimeClock(tokio::time::Instant::now(), idp.clock().clone());
    let builder = Issuer::builder(idp.name()).audience(API).keys(wire.keys());
    let issuer = builder.clock(clock).build().unwrap();
    issuer.warm_up().await.unwrap_err();
    tokio::time::sleep(HOUR).await;
    // 1 s doubling to 1 min, each up to a tenth shorter.
    assert!((60..=75).contains(&wire.times()), "{}", wire.times());
    wire.then([Reply::keys(&idp)]);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(issuer.key_status().keys, KeyState::Fresh);
}

#[tokio::test(start_paused = true)]
async fn warming_up_waits_for_a_slow_issuer() {
    struct Slow(String);

    impl KeySource for Slow {
        type Error = tower_resource_server::KeySetError;

        async fn load(&self) -> Result<KeySet, Self::Error> {
            tokio::time::sleep(SECOND * 8).await;
            KeySet::from_jwks(&self.0)
        }
    }

    let idp = idp();
    let builder = Issuer::builder(idp.name())
        .audience(API)
        .keys(CachedKeys::new(Slow(idp.jwks())));
    let issuer = builder.build().unwrap();
    issuer.warm_up().await.unwrap();
}
