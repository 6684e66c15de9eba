//! What operators see of the metrics: a Prometheus exporter is scraped, and what it shows is what the guide documents.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;
use tower_resource_server::testing::{PrincipalBuilder, TestIssuer};
use tower_resource_server::{
    Algorithm, ApiKeyLayer, ApiKeyRecord, AuditLayer, AuditLog, AuditRecord, AuditSink, CachedKeyStore,
    CachedKeys, CallerAddress, FailedAttemptLayer, FailedAttempts, FixedKeys, Issuer, JwtLayer, KeyDigest,
    KeyRegistry, MemoryKeyStore, Quota, RateLimitLayer, RateLimits, RedisRevocations, ResolvedIssuers,
    Revocation, ScopeLayer, Secret, Share, SharedRateLimits, Taken, UsageRecorder,
};

use crate::redis_server::{RedisServer, engines};
use crate::resolved::Directory;
use crate::support::{API, KEY, Slow, WRITE, bearer, call, idp, request, store, whoami};
use crate::telemetry::{Given, settle};

/// What the exporter shows after this work.
pub(crate) fn scraped(work: impl Future<Output = ()>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(work));
    recorder.handle().render()
}

/// A sample: its metric, its labels, its value.
pub(crate) fn samples(scraped: &str) -> Vec<(&str, BTreeMap<&str, &str>, f64)> {
    let lines = scraped
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(sample).collect()
}

fn sample(line: &str) -> (&str, BTreeMap<&str, &str>, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = name.split_once('{').unwrap_or((name, ""));
    let labels = labels
        .trim_end_matches('}')
        .split("\",")
        .filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (name, value.trim_end_matches('"'))
    });
    (name, labels.collect(), value.parse().unwrap())
}

fn value(scraped: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
    let found = samples(scraped).into_iter().find(|(metric, labels, _)| {
        *metric == name
            && wanted
                .iter()
                .all(|(label, value)| labels.get(label) == Some(value))
    });
    found.map_or(0.0, |(_, _, value)| value)
}

/// The rows of the guide's first two tables: cells without backticks.
fn documented() -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let guide = include_str!("../../src/guide/telemetry.md");
    let (_, metrics) = guide.split_once("# Metrics").unwrap();
    let (metrics, _) = metrics.split_once("# Events").unwrap();
    let rows = metrics.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    });
    cells.partition(|cells| cells[0].starts_with("resource_server_"))
}

/// Everything that is counted, once.
async fn everything() {
    let idp = idp();
    decisions(&idp).await;
    keys(&idp).await;
    caches(&idp).await;
    audited().await;
    guessed().await;
    limited().await;
    by_key().await;
    if let Some(program) = engines().first() {
        let server = RedisServer::start(program);
        let list = RedisRevocations::new(server.client());
        list.warm_up().await.unwrap();
        let end = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
        list.revoke(&Revocation::api_key("key_1", end)).await.unwrap();
    }
}

/// Counted here; together with others; and alone, once the others are out of reach.
async fn limited() {
    #[derive(Debug)]
    struct Failing(AtomicUsize);

    impl SharedRateLimits for Failing {
        type Error = std::io::Error;

        async fn take(&self, _: &str, quota: Quota) -> std::io::Result<Taken> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(Taken::granted(quota, quota.interval())),
                1 => Ok(Taken::refused(quota.interval())),
                _ => Err(std::io::Error::other("the network is down")),
            }
        }
    }

    let strangers = RateLimits::builder("strangers", Quota::per_hour(1))
        .anonymous_by(CallerAddress::of_x_forwarded_for(1));
    let app = whoami()
        .layer(RateLimitLayer::new(strangers.build().unwrap()))
        .layer(ApiKeyLayer::new(store()).optional());
    call(&app, request(&[])).await;
    let free = || RateLimits::builder("free", Quota::per_hour(1));
    let together = free().shared(Failing(AtomicUsize::new(0)), Share::one_in(1));
    for (limits, tries) in [(free(), 2), (together, 5)] {
        let limits = RateLimitLayer::new(limits.build().unwrap());
        let app = whoami().layer(limits).layer(ApiKeyLayer::new(store()));
        for _ in 0..tries {
            call(&app, request(&[("x-api-key", KEY)])).await;
        }
    }
}

#[test]
fn what_limits_let_through_and_turn_away_is_counted_by_plan_and_by_who_counts() {
    let shown = scraped(limited());
    let count = |by, outcome| {
        let labels = [("plan", "free"), ("by", by), ("outcome", outcome)];
        value(&shown, "resource_server_rate_limits_total", &labels)
    };
    let counts = ["local", "shared", "alone"].map(|by| (count(by, "passed"), count(by, "limited")));
    assert_eq!(
        counts,
        [(1.0, 1.0), (1.0, 1.0), (0.0, 3.0)],
        "alone it knows what was used together"
    );
    assert!(value(&shown, "resource_server_rate_limits_shared", &[]).abs() < 0.1);
    let table = [("table", "rate_limits")];
    assert!((value(&shown, "resource_server_limited_callers", &table) - 1.0).abs() < 0.1);
}

/// Two records, and room for one.
async fn audited() {
    struct Broken;

    impl AuditSink for Broken {
        type Error = std::io::Error;

        async fn write(&mut self, _: &[AuditRecord]) -> std::io::Result<()> {
            Err(std::io::Error::other("the disk is full"))
        }
    }

    let app = whoami().layer(AuditLayer::new(AuditLog::new(Broken).most_queued(1)));
    for _ in 0..2 {
        call(&app, request(&[])).await;
    }
}

/// One guess that fails, and one that nobody is asked about.
async fn guessed() {
    let address = CallerAddress::of_x_forwarded_for(1);
    let attempts = FailedAttempts::builder(address).quota(Quota::per_day(1));
    let app = whoami()
        .layer(ApiKeyLayer::new(Slow(store())))
        .layer(FailedAttemptLayer::new(attempts.build().unwrap()));
    for _ in 0..2 {
        call(&app, request(&[("x-api-key", "unknown")])).await;
    }
}

async fn decisions(idp: &TestIssuer) {
    let either = whoami().layer(
        JwtLayer::new(idp.issuer())
            .or(ApiKeyLayer::new(store()))
            .optional(),
    );
    let token = idp.token().subject("alice").sign();
    for _ in 0..2 {
        call(&either, bearer(&token)).await;
    }
    call(&either, request(&[])).await;
    call(&either, bearer("a.b.c")).await;
    let scoped = whoami()
        .layer(ScopeLayer::all([WRITE]))
        .layer(ApiKeyLayer::new(store()));
    call(&scoped, request(&[("x-api-key", KEY)])).await;
}

async fn keys(idp: &TestIssuer) {
    let issuer = idp.issuer_builder().keys(CachedKeys::new(Given(idp.jwks())));
    let app = whoami().layer(JwtLayer::new(issuer.build().unwrap()));
    call(&app, bearer(&idp.token().sign())).await;
    settle().await;
}

async fn caches(idp: &TestIssuer) {
    let stored = whoami().layer(ApiKeyLayer::new(CachedKeyStore::new(store())));
    for key in [KEY, KEY, "unknown"] {
        call(&stored, request(&[("x-api-key", key)])).await;
    }
    let issuer = idp.issuer_builder().accept_any_scope().build().unwrap();
    let found = ResolvedIssuers::new(Directory::of([issuer]));
    let found = whoami().layer(JwtLayer::new(found));
    for id in ["1", "2"] {
        call(&found, bearer(&idp.token().token_id(id).sign())).await;
    }
}

/// One key with every outcome.
async fn by_key() {
    let keys = Arc::new(store());
    let usage = UsageRecorder::new(Arc::clone(&keys)).metrics_by_key();
    let app = whoami().layer(ApiKeyLayer::new(Arc::clone(&keys)).usage(usage.clone()));
    call(&app, request(&[("x-api-key", KEY)])).await;
    usage.limited(&PrincipalBuilder::api_key("key_1", "robot").build());
    keys.revoke("key_1").await.unwrap();
    call(&app, request(&[("x-api-key", KEY)])).await;
    usage.flush().await.unwrap();
}

#[test]
fn requests_by_key_are_shown_by_outcome() {
    let text = scraped(by_key());
    let count = |outcome| {
        let labels = [("key_id", "key_1"), ("outcome", outcome)];
        value(&text, "resource_server_api_key_requests_total", &labels)
    };
    assert_eq!(
        (count("accepted"), count("limited"), count("refused")),
        (1.0, 1.0, 1.0)
    );
}

#[test]
fn the_exporter_shows_every_metric_of_the_guide_with_its_labels_and_no_other() {
    let text = scraped(everything());
    let (metrics, labels) = documented();
    let mut expected: BTreeSet<(String, String, String)> = metrics
        .iter()
        .map(|cells| (cells[0].clone(), cells[1].clone(), cells[2].replace(", ", ",")))
        .collect();
    if engines().is_empty() {
        expected.retain(|(name, ..)| !name.contains("_revocation"));
    }
    let kinds: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut shown = BTreeSet::new();
    for (name, its_labels, _) in samples(&text) {
        let words: BTreeSet<_> = its_labels.keys().copied().collect();
        let row = expected.iter().find(|(metric, ..)| metric == name);
        let (_, _, documented) = row.unwrap_or_else(|| panic!("{name} is not documented"));
        let documented: BTreeSet<_> = documented.split(',').filter(|label| !label.is_empty()).collect();
        assert_eq!(words, documented, "{name}");
        shown.insert((name.to_owned(), kinds[name].to_owned()));
        for (label, value) in its_labels {
            let row = labels.iter().find(|cells| cells[0] == label).unwrap();
            let is_free = ["reason", "issuer", "key_id", "plan"].contains(&label);
            let words = row[1].split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            assert!(
                is_free || words.into_iter().any(|word| word == value),
                "{label}={value}"
            );
        }
    }
    let expected: BTreeSet<_> = expected.into_iter().map(|(name, kind, _)| (name, kind)).collect();
    assert_eq!(shown, expected);
}

#[test]
fn every_name_in_the_source_is_in_the_guide() {
    let source = include_str!("../../src/telemetry.rs");
    let (metrics, _) = documented();
    let named = source
        .split('"')
        .filter(|text| text.starts_with("resource_server_"));
    let named: BTreeSet<_> = named.collect();
    let documented: BTreeSet<_> = metrics.iter().map(|cells| &*cells[0]).collect();
    assert_eq!(named, documented);
}

#[test]
fn looks_into_the_caches_are_counted() {
    let text = scraped(everything());
    let count = |cache, outcome| {
        let labels = [("cache", cache), ("outcome", outcome)];
        value(&text, "resource_server_cache_total", &labels)
    };
    // One token that came twice; junk; one each for the keys of an issuer and two tokens of an issuer that was found.
    assert_eq!((count("tokens", "hit"), count("tokens", "miss")), (1.0, 5.0));
    assert_eq!((count("api_keys", "hit"), count("api_keys", "miss")), (1.0, 2.0));
    assert_eq!((count("issuers", "hit"), count("issuers", "miss")), (1.0, 1.0));
}

#[test]
fn failed_attempts_are_counted_and_so_are_those_that_were_not_made() {
    let text = scraped(everything());
    let count = |outcome| {
        value(
            &text,
            "resource_server_failed_attempts_total",
            &[("outcome", outcome)],
        )
    };
    assert_eq!((count("counted"), count("limited")), (1.0, 1.0));
    let held = value(
        &text,
        "resource_server_limited_callers",
        &[("table", "failed_attempts")],
    );
    assert!((held - 1.0).abs() < 0.1, "{held}");
}

#[test]
fn what_had_to_make_room_is_counted() {
    const TOKENS: usize = 2_700;
    let text = scraped(async {
        let secret = || Secret::new([7; 32]);
        let issuer = Issuer::builder("https://idp.test")
            .audience(API)
            .algorithms([Algorithm::Hs256])
            .keys(FixedKeys::secret(secret()))
            .build()
            .unwrap();
        let tokens = whoami().layer(JwtLayer::new(issuer));
        let idp = idp();
        let filling = "x".repeat(9_000);
        for number in 0..TOKENS {
            let token = idp
                .token()
                .claim("filling", &filling)
                .token_id(number.to_string());
            assert_eq!(
                call(&tokens, bearer(&token.sign_with_secret(&secret())))
                    .await
                    .reason(),
                "ok"
            );
        }
        let records = (0..2_000).map(|number: u32| {
            let digest = KeyDigest::of(number.to_string());
            ApiKeyRecord::builder(number.to_string(), "robot", digest).build()
        });
        let store = CachedKeyStore::new(records.collect::<MemoryKeyStore>()).capacity(10);
        let keys = whoami().layer(ApiKeyLayer::new(store));
        for number in 0..2_000 {
            call(&keys, request(&[("x-api-key", &number.to_string())])).await;
        }
    });
    for cache in ["tokens", "api_keys"] {
        let labels = [("cache", cache), ("outcome", "evicted")];
        let evicted = value(&text, "resource_server_cache_total", &labels);
        assert!(evicted > 100.0, "{cache}: {evicted}");
    }
}
