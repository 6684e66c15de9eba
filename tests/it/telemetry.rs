//! What operators see: events, counters, and their names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, AuthError, CachedKeyStore, CachedKeys, JwtLayer, KeySet, KeySource, ResolvedIssuers,
    ScopeLayer, ScopeSet, TrustedIssuers,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::resolved::Directory;
use crate::support::{
    API, Broken, Down, KEY, READ, Slow, WRITE, bearer, call, idp, record, request, store, whoami,
};

/// The lines of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs the future and gives what it returned, and what was logged meanwhile, at every level.
pub(crate) fn logged<T>(work: impl Future<Output = T>) -> (T, String) {
    // Somebody listens everywhere. Otherwise an event that another test meets for the first time, just while this one's
    // subscriber is made, could be taken to interest nobody.
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let _already = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    });
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .without_time()
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = tracing::subscriber::with_default(subscriber, || runtime.block_on(work));
    (result, log.text())
}

/// `name{label=value,…} count`, for every counter that moved.
fn counted(work: impl Future<Output = ()>) -> BTreeSet<String> {
    let lines = measured(work)
        .into_iter()
        .filter_map(|(name, value)| match value {
            DebugValue::Counter(count) => Some(format!("{name} {count}")),
            _ => None,
        });
    lines.collect()
}

/// `name{label=value,…}` and the value, for every metric that was set.
pub(crate) fn measured(work: impl Future<Output = ()>) -> Vec<(String, DebugValue)> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || logged(work));
    let snapshot = snapshotter.snapshot().into_vec();
    let lines = snapshot.into_iter().map(|(key, _, _, value)| {
        let (name, labels) = key.key().clone().into_parts();
        let labels: Vec<String> = labels
            .iter()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        (format!("{}{{{}}}", name.as_str(), labels.join(",")), value)
    });
    lines.collect()
}

/// Lets the tasks that keep keys do what they have to do now.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn scoped(layer: ApiKeyLayer) -> Router {
    whoami().layer(ScopeLayer::all([WRITE])).layer(layer)
}

#[test]
fn every_decision_is_counted_with_outcome_method_and_reason() {
    let counters = counted(async {
        let idp = idp();
        let either = whoami().layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())));
        let optional = whoami().layer(JwtLayer::new(idp.issuer()).optional());
        for _ in 0..2 {
            call(&either, bearer(&idp.token().sign())).await;
        }
        call(&either, request(&[("x-api-key", KEY)])).await;
        call(&either, request(&[])).await;
        call(&either, bearer("a.b.c")).await;
        call(&either, bearer("unknown")).await;
        call(&either, request(&[("x-api-key", "a b")])).await;
        call(&optional, request(&[])).await;
    });
    let decisions = counters.into_iter().filter(|line| line.contains("_decisions_"));
    let counters: BTreeSet<_> = decisions.collect();
    let expected = [
        "resource_server_decisions_total{outcome=accepted,method=jwt,reason=ok} 2",
        "resource_server_decisions_total{outcome=accepted,method=api_key,reason=ok} 1",
        "resource_server_decisions_total{outcome=refused,method=none,reason=credential_missing} 1",
        "resource_server_decisions_total{outcome=refused,method=jwt,reason=token_malformed} 1",
        "resource_server_decisions_total{outcome=refused,method=api_key,reason=api_key_unknown} 1",
        "resource_server_decisions_total{outcome=refused,method=none,reason=header_unreadable} 1",
        "resource_server_decisions_total{outcome=anonymous,method=none,reason=ok} 1",
    ];
    assert_eq!(counters, expected.map(str::to_owned).into());
}

#[test]
fn a_refusal_for_want_of_scope_is_counted_beside_the_authentication() {
    let counters = counted(async {
        call(&scoped(ApiKeyLayer::new(store())), request(&[("x-api-key", KEY)])).await;
        call(
            &scoped(ApiKeyLayer::new(Slow(store()))),
            request(&[("x-api-key", KEY)]),
        )
        .await;
        call(&whoami().layer(ScopeLayer::all([READ])), request(&[])).await;
    });
    let expected = [
        "resource_server_decisions_total{outcome=accepted,method=api_key,reason=ok} 2",
        "resource_server_decisions_total{outcome=refused,method=api_key,reason=scope_missing} 2",
        "resource_server_decisions_total{outcome=refused,method=none,reason=not_authenticated} 1",
    ];
    assert_eq!(counters, expected.map(str::to_owned).into());
}

/// Gives an issuer's keys.
pub(crate) struct Given(pub(crate) String);

impl KeySource for Given {
    type Error = Down;

    async fn load(&self) -> Result<KeySet, Down> {
        KeySet::from_jwks(&self.0).map_err(|_| Down)
    }
}

#[test]
fn fetches_of_keys_are_counted_by_their_outcome() {
    let counters = counted(async {
        let idp = idp();
        for keys in [CachedKeys::new(Given(idp.jwks())), CachedKeys::new(Broken)] {
            let issuer = idp.issuer_builder().keys(keys).build().unwrap();
            let app = whoami().layer(JwtLayer::new(issuer));
            call(&app, bearer(&idp.token().sign())).await;
        }
    });
    let fetches: Vec<_> = counters
        .iter()
        .filter(|line| line.contains("key_fetches"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        fetches,
        [
            "resource_server_key_fetches_total{outcome=failed} 1",
            "resource_server_key_fetches_total{outcome=ok} 1"
        ]
    );
    let refused = "resource_server_decisions_total{outcome=refused,method=jwt,reason=keys_unavailable} 1";
    assert!(counters.contains(refused), "{counters:?}");
}

#[test]
fn look_ups_of_a_cached_store_are_counted_by_their_outcome() {
    let counters = counted(async {
        let known = whoami().layer(ApiKeyLayer::new(CachedKeyStore::new(store())));
        for key in [KEY, KEY, KEY, "unknown", "unknown"] {
            call(&known, request(&[("x-api-key", key)])).await;
        }
        let broken = whoami().layer(ApiKeyLayer::new(CachedKeyStore::new(Broken)));
        call(&broken, request(&[("x-api-key", KEY)])).await;
    });
    let loads: Vec<_> = counters
        .iter()
        .filter(|line| line.contains("api_key_loads"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        loads,
        [
            "resource_server_api_key_loads_total{outcome=failed} 1",
            "resource_server_api_key_loads_total{outcome=found} 1",
            "resource_server_api_key_loads_total{outcome=unknown} 1"
        ]
    );
}

/// The states of the gauges of this name that are 1; each of the others must be 0.
fn states(metric: &str, issuer: &str, work: impl Future<Output = ()>) -> (Vec<String>, BTreeSet<String>) {
    let start = format!("{metric}{{issuer={issuer},state=");
    let (mut on, mut all) = (Vec::new(), BTreeSet::new());
    for (name, value) in measured(work) {
        let Some(state) = name.strip_prefix(&start) else {
            continue;
        };
        let state = state.trim_end_matches('}').to_owned();
        let DebugValue::Gauge(value) = value else {
            panic!("{name} is no gauge")
        };
        assert!(value == 0.0 || value == 1.0, "{name} is {value}");
        if value == 1.0 {
            on.push(state.clone());
        }
        assert!(all.insert(state), "{name} is there twice");
    }
    (on, all)
}

/// Gives keys until it is told to fail, or to hang.
#[derive(Clone)]
struct Told(String, Arc<Mutex<What>>);

#[derive(Clone, Copy)]
enum What {
    Give,
    Fail,
    Hang,
}

impl Told {
    fn new(jwks: String) -> Self {
        Self(jwks, Arc::new(Mutex::new(What::Give)))
    }

    fn to(&self, what: What) {
        *self.1.lock().unwrap() = what;
    }
}

impl KeySource for Told {
    type Error = Down;

    async fn load(&self) -> Result<KeySet, Down> {
        let what = *self.1.lock().unwrap();
        match what {
            What::Give => KeySet::from_jwks(&self.0).map_err(|_| Down),
            What::Fail => Err(Down),
            What::Hang => std::future::pending().await,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A service whose keys live for ten minutes and are then used for an hour, and which is asked after each of these times,
/// from which on its source does that.
async fn aging(steps: &[(What, Duration)]) {
    let idp = idp();
    let source = Told::new(idp.jwks());
    let issuer = idp.issuer_builder().keys(CachedKeys::new(source.clone()));
    let app = whoami().layer(JwtLayer::new(issuer.build().unwrap()));
    let token = idp.token().expires_in(MINUTE * 600).sign();
    call(&app, bearer(&token)).await;
    settle().await;
    for (what, time) in steps {
        source.to(*what);
        idp.clock().advance(*time);
        call(&app, bearer(&token)).await;
        settle().await;
    }
}

#[test]
fn the_state_of_the_keys_is_a_gauge_for_each_state() {
    for (steps, expected) in [
        (&[][..], "fresh"),
        (&[(What::Give, MINUTE * 9)], "fresh"),
        (&[(What::Fail, MINUTE * 9)], "fresh"),
        (&[(What::Fail, MINUTE * 10)], "stale"),
        (&[(What::Fail, MINUTE * 10), (What::Give, MINUTE)], "fresh"),
        (&[(What::Fail, MINUTE * 70)], "none"),
        (&[(What::Fail, MINUTE * 70), (What::Give, MINUTE)], "fresh"),
    ] {
        let (on, all) = states("resource_server_key_state", "https://idp.test", aging(steps));
        assert_eq!(on, [expected]);
        assert_eq!(all, documented("resource_server_key_state"));
    }
}

#[test]
fn the_state_of_the_fetch_is_a_gauge_for_each_state() {
    for (steps, expected) in [
        (&[][..], "idle"),
        (&[(What::Fail, MINUTE * 9)], "waiting"),
        (&[(What::Hang, MINUTE * 9)], "running"),
        (&[(What::Fail, MINUTE * 9), (What::Give, MINUTE)], "idle"),
    ] {
        let (on, all) = states(
            "resource_server_key_fetch_state",
            "https://idp.test",
            aging(steps),
        );
        assert_eq!(on, [expected]);
        assert_eq!(all, documented("resource_server_key_fetch_state"));
    }
}

#[test]
fn keys_that_age_are_events() {
    let stale = " WARN tower_resource_server::telemetry: keys stale issuer=\"https://idp.test\"";
    let too_old = "ERROR tower_resource_server::telemetry: keys too old issuer=\"https://idp.test\"";
    for (steps, expected) in [
        (&[(What::Fail, MINUTE * 9)][..], &[][..]),
        (&[(What::Give, MINUTE * 10)], &[stale]),
        (&[(What::Fail, MINUTE * 10), (What::Fail, MINUTE)], &[stale]),
        (
            &[(What::Fail, MINUTE * 10), (What::Fail, MINUTE * 60)],
            &[stale, too_old],
        ),
        (&[(What::Fail, MINUTE * 70), (What::Fail, MINUTE)], &[too_old]),
        (
            &[
                (What::Fail, MINUTE * 10),
                (What::Give, MINUTE),
                (What::Fail, MINUTE * 10),
            ],
            &[stale, stale],
        ),
    ] {
        let log = logged(aging(steps)).1;
        let aged = |line: &&str| line.contains("keys stale") || line.contains("keys too old");
        let lines: Vec<_> = log.lines().filter(aged).collect();
        assert_eq!(lines, expected, "{log}");
    }
}

#[test]
fn issuers_that_are_found_at_run_time_have_no_gauges() {
    let metrics = measured(async {
        let (known, found) = (idp(), TestIssuer::new("https://found.test", API));
        let issuer = |idp: &TestIssuer| {
            let keys = CachedKeys::new(Told::new(idp.jwks()));
            idp.issuer_builder()
                .keys(keys)
                .accept_any_scope()
                .build()
                .unwrap()
        };
        let resolved = ResolvedIssuers::new(Directory::of([issuer(&found)]));
        let issuers = TrustedIssuers::new([issuer(&known)]).unwrap();
        let app = whoami().layer(JwtLayer::new(issuers.or_resolved(resolved).unwrap()));
        for idp in [&known, &found] {
            assert_eq!(call(&app, bearer(&idp.token().sign())).await.reason(), "ok");
        }
        settle().await;
    });
    let has = |text: &str| metrics.iter().any(|(name, _)| name.contains(text));
    assert!(has("key_state{issuer=https://idp.test"), "{metrics:?}");
    assert!(!has("found.test"), "{metrics:?}");
    let fetches = (
        "resource_server_key_fetches_total{outcome=ok}".to_owned(),
        DebugValue::Counter(2),
    );
    assert!(metrics.contains(&fetches), "{metrics:?}");
}

/// The states that the guide lists for this metric.
fn documented(metric: &str) -> BTreeSet<String> {
    let guide = include_str!("../../src/guide/telemetry.md");
    let row = |start: &str| guide.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(row(&format!("| `{metric}` | gauge |")).contains("`issuer`, `state`"));
    let (keys, fetches) = row("| `state` |").split_once("for fetches").unwrap();
    let fetches = fetches.split_once(": see").unwrap().0;
    let cell = if metric.contains("fetch") {
        fetches
    } else {
        keys.trim_start_matches("| `state`")
    };
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names in the first column of the guide's tables under this heading.
fn listed(heading: &str) -> BTreeSet<String> {
    let guide = include_str!("../../src/guide/telemetry.md");
    let (_, section) = guide.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split_once("\n# ").map_or(section, |(section, _)| section);
    let names = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

/// The table of the source names what the guide does: metrics and events, no more and no fewer.
#[test]
fn the_guide_lists_every_metric_and_event() {
    let source = include_str!("../../src/telemetry.rs");
    let (_, names) = source.split_once("mod names {").unwrap();
    let (names, rest) = names.split_once("\n}").unwrap();
    let quoted = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.contains("cfg("));
        let parts = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
        parts.map(str::to_owned).collect()
    };
    assert_eq!(quoted(names), listed("Metrics"));
    let of_limits = include_str!("../../src/telemetry/limits.rs");
    let events = rest
        .lines()
        .chain(of_limits.lines())
        .filter(|line| line.contains("tracing::") && line.contains('"'));
    let events: BTreeSet<String> = events.flat_map(quoted).collect();
    assert_eq!(events, listed("Events"));
}

#[test]
fn labels_never_hold_anything_of_a_request() {
    let counters = counted(async {
        let idp = idp();
        let app = whoami()
            .layer(ScopeLayer::all([WRITE]))
            .layer(JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store())));
        for name in ["sub", "iss", "aud", "jti", "client_id", "scope"] {
            call(&app, bearer(&idp.token().claim(name, "zzMARKzz").sign())).await;
        }
        call(&app, bearer(&idp.token().header("kid", "zzMARKzz").sign())).await;
        call(&app, request(&[("x-api-key", "zzMARKzz")])).await;
    });
    assert!(counters.len() > 3, "{counters:?}");
    assert!(!format!("{counters:?}").contains("zzMARKzz"), "{counters:?}");
}

#[test]
fn a_clients_mistake_is_a_debug_event_and_a_fault_of_ours_a_louder_one() {
    let bad_key = || request(&[("x-api-key", "wrong")]);
    let cases = [
        (
            whoami().layer(ApiKeyLayer::new(store())),
            "DEBUG tower_resource_server::telemetry: request refused reason=\"api_key_unknown\" status=401 \
             error=the API key is unknown",
        ),
        (
            whoami().layer(ApiKeyLayer::new(Broken)),
            " WARN tower_resource_server::telemetry: request refused reason=\"store_unavailable\" status=503 \
             error=the key store is out of reach error.sources=[the database is down]",
        ),
        (
            whoami().layer(ScopeLayer::all([READ])),
            "ERROR tower_resource_server::telemetry: request refused reason=\"not_authenticated\" status=500 \
             error=no authentication layer stands in front of this layer or extractor",
        ),
    ];
    for (app, expected) in cases {
        let (_, log) = logged(async { call(&app, bad_key()).await });
        assert_eq!(log.trim_end(), expected);
    }
}

#[test]
fn a_request_that_passes_is_not_logged() {
    let app = whoami().layer(ApiKeyLayer::new(store()));
    let (answer, log) = logged(async { call(&app, request(&[("x-api-key", KEY)])).await });
    assert!(answer.status.is_success());
    assert_eq!(log, "");
}

#[test]
fn the_log_tells_apart_what_the_answer_does_not() {
    let keys = store();
    keys.insert(record("revoked").revoked().build());
    let odd = tower_resource_server::KeyDigest::of("odd");
    let odd = tower_resource_server::ApiKeyRecord::builder("key_2", "two\nlines", odd);
    keys.insert(odd.revoked().build());
    let app = whoami().layer(ApiKeyLayer::new(keys));
    let log_of = |key| logged(async { call(&app, request(&[("x-api-key", key)])).await }).1;
    let revoked = log_of("revoked");
    assert!(revoked.contains("reason=\"api_key_revoked\""), "{revoked}");
    // Whose key it was is told, so that somebody can be told; and nothing that a store holds makes a line of its own.
    assert!(
        revoked.contains(r#"the API key "key_1" of "robot" was revoked"#),
        "{revoked}"
    );
    let odd = log_of("odd");
    assert!(
        odd.contains(r#"of "two\nlines" was revoked"#) && odd.lines().count() == 1,
        "{odd}"
    );
    assert!(log_of("unknown").contains("reason=\"api_key_unknown\""));
}

#[test]
fn fetches_of_keys_are_logged_with_their_issuer() {
    let idp = idp();
    let log_of = |keys| {
        let issuer = idp.issuer_builder().keys(keys).build().unwrap();
        let app = whoami().layer(JwtLayer::new(issuer));
        logged(async { call(&app, bearer(&idp.token().sign())).await }).1
    };
    let fetched = log_of(CachedKeys::new(Given(idp.jwks())));
    assert_eq!(
        fetched.trim_end(),
        "DEBUG tower_resource_server::telemetry: keys fetched issuer=\"https://idp.test\" keys=1 skipped=0"
    );
    let failed = log_of(CachedKeys::new(Broken));
    assert!(
        failed.contains(
            " WARN tower_resource_server::telemetry: keys not fetched issuer=\"https://idp.test\" \
             error=the database is down"
        ),
        "{failed}"
    );
}

/// One of each.
fn all_errors() -> Vec<AuthError> {
    let cause = || "cause".into();
    vec![
        AuthError::CredentialMissing,
        AuthError::HeaderUnreadable,
        AuthError::CredentialEmpty,
        AuthError::CredentialRepeated,
        AuthError::TokenTooLong,
        AuthError::TokenMalformed,
        AuthError::HeaderMalformed("x"),
        AuthError::CriticalExtension,
        AuthError::TypeNotAccepted,
        AuthError::KindNotAccepted("events"),
        AuthError::ProofMissing,
        AuthError::TokenRevoked,
        AuthError::RevocationsUnavailable(cause()),
        AuthError::RevocationsUnheard {
            retry_after: Duration::ZERO,
        },
        AuthError::TokenTooOld,
        AuthError::AlgorithmUnknown,
        AuthError::AlgorithmNotAccepted,
        AuthError::PayloadMalformed("x"),
        AuthError::ClaimMissing("x"),
        AuthError::IssuerUnknown,
        AuthError::SigningKeyUnknown,
        AuthError::SigningKeyAmbiguous,
        AuthError::SigningKeyForeign,
        AuthError::SignatureInvalid,
        AuthError::AudienceMismatch,
        AuthError::SubjectNotAccepted,
        AuthError::TokenExpired,
        AuthError::TokenNotYetValid,
        AuthError::TokenFromFuture,
        AuthError::ClaimsUndecodable(String::new()),
        AuthError::ApiKeyMalformed,
        AuthError::ApiKeyUnknown,
        AuthError::ApiKeyRevoked {
            id: "key_1".into(),
            owner: "robot".into(),
        },
        AuthError::ApiKeyExpired {
            id: "key_1".into(),
            owner: "robot".into(),
        },
        AuthError::ApiKeyOfOtherEnvironment,
        AuthError::ApiKeyNotYetValid {
            id: "key_1".into(),
            owner: "robot".into(),
        },
        AuthError::ScopeMissing(ScopeSet::empty()),
        AuthError::ClaimsAbsent,
        AuthError::AuthenticationTooWeak,
        AuthError::AuthenticationTooOld,
        AuthError::MethodNotAccepted,
        AuthError::NotAUser,
        AuthError::ClientNotAccepted,
        AuthError::ActorNotAccepted,
        AuthError::RouteClosed,
        AuthError::RateLimited {
            plan: "free".into(),
            retry_after: Duration::ZERO,
        },
        AuthError::TooManyFailedAttempts {
            retry_after: Duration::ZERO,
        },
        AuthError::KeysUnavailable {
            retry_after: Duration::ZERO,
            source: cause(),
        },
        AuthError::ResolverUnavailable(cause()),
        AuthError::StoreUnavailable(cause()),
        AuthError::NotAuthenticated,
        AuthError::AlreadyAuthenticated,
        AuthError::IssuerMisconfigured("x"),
        AuthError::ClaimsUndeclared,
    ]
}

#[test]
fn every_error_has_a_reason_and_a_text_of_its_own() {
    let errors = all_errors();
    // Whoever adds a variant adds it above: each has exactly one such attribute.
    let variants = include_str!("../../src/error/auth.rs")
        .matches("#[error(")
        .count();
    assert_eq!(errors.len(), variants);
    let reasons: BTreeSet<_> = errors.iter().map(AuthError::reason).collect();
    let texts: BTreeSet<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!((reasons.len(), texts.len()), (variants, variants));
    for reason in reasons {
        let is_code = reason
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_code && !reason.is_empty(), "{reason:?}");
    }
}

#[test]
fn the_guide_lists_every_reason_with_its_status_and_no_other() {
    let rows = include_str!("../../src/guide/telemetry.md").lines();
    let cells = |row: &str| {
        row.split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect::<Vec<_>>()
    };
    let listed: BTreeSet<_> = rows
        .map(cells)
        .filter(|cells| cells.len() > 3 && cells[2].parse::<u16>().is_ok())
        .map(|cells| (cells[1].clone(), cells[2].clone()))
        .collect();
    let status = |error: &AuthError| error.kind().status().as_u16().to_string();
    let real = all_errors()
        .iter()
        .map(|error| (error.reason().to_owned(), status(error)))
        .collect();
    assert_eq!(listed, real);
}

#[test]
fn every_text_is_one_clause_that_does_not_repeat_its_cause() {
    for error in all_errors() {
        let text = error.to_string();
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
        let has_cause = std::error::Error::source(&error).is_some();
        assert!(!has_cause || !text.contains("cause"), "{text}");
    }
}
