//! What operators see: events, counters, and their names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower_resource_server::{
    ApiKeyLayer, AuthError, CachedKeys, JwtLayer, KeySet, KeySource, ScopeLayer, ScopeSet,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    Broken, Down, KEY, READ, Slow, WRITE, bearer, call, idp, record, request, store, whoami,
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
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || logged(work));
    let snapshot = snapshotter.snapshot().into_vec();
    let lines = snapshot.into_iter().filter_map(|(key, _, _, value)| {
        let (name, labels) = key.key().clone().into_parts();
        let labels: Vec<String> = labels
            .iter()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let DebugValue::Counter(count) = value else {
            return None;
        };
        Some(format!("{}{{{}}} {count}", name.as_str(), labels.join(",")))
    });
    lines.collect()
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
struct Given(String);

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
    let app = whoami().layer(ApiKeyLayer::new(keys));
    let log_of = |key| logged(async { call(&app, request(&[("x-api-key", key)])).await }).1;
    assert!(log_of("revoked").contains("reason=\"api_key_revoked\""));
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
        AuthError::ApiKeyRevoked,
        AuthError::ApiKeyExpired,
        AuthError::ApiKeyNotYetValid,
        AuthError::ScopeMissing(ScopeSet::empty()),
        AuthError::ClaimsAbsent,
        AuthError::KeysUnavailable {
            retry_after: Duration::ZERO,
            source: cause(),
        },
        AuthError::StoreUnavailable(cause()),
        AuthError::NotAuthenticated,
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
