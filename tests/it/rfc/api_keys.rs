//! Section O: API keys, from making one to withdrawing it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, CachedKeyStore, Clock, KeyDigest, KeyRegistry, KeyStore,
    MemoryKeyStore, NewKey, Principal, Quota, RateLimitLayer, RateLimits, RegistryError, UsageRecorder,
};

use crate::support::{Answer, Broken, READ, call, request, whoami};
use crate::telemetry::logged;

const HOUR: Duration = Duration::from_secs(3600);

fn format() -> ApiKeyFormat {
    ApiKeyFormat::new("sk", "live").unwrap()
}

async fn mint(keys: &MemoryKeyStore) -> (String, String) {
    let issued = keys
        .mint(&format(), NewKey::of("robot").scopes([READ]))
        .await
        .unwrap();
    (issued.record().id().to_owned(), issued.key().expose().to_owned())
}

async fn with(layer: &ApiKeyLayer, headers: &[(&str, &str)]) -> Answer {
    call(&whoami().layer(layer.clone()), request(headers)).await
}

async fn with_key(layer: &ApiKeyLayer, key: &str) -> Answer {
    with(layer, &[("x-api-key", key)]).await
}

#[test]
fn o01_a_key_has_256_random_bits() {
    let keys: std::collections::BTreeSet<String> = (0..1_000)
        .map(|_| format().mint().unwrap().expose().to_owned())
        .collect();
    assert_eq!(keys.len(), 1_000);
    // 43 digits in base 62 hold every number of 32 bytes; each digit takes many values, the first the six there can be.
    for place in 0..43 {
        let values: std::collections::BTreeSet<u8> =
            keys.iter().map(|key| key.as_bytes()[8 + place]).collect();
        assert!(
            values.len() >= if place == 0 { 5 } else { 60 },
            "place {place}: {values:?}"
        );
    }
}

#[tokio::test]
async fn o02_only_a_sha_256_digest_is_stored_and_it_is_stored_once() {
    let keys = MemoryKeyStore::new();
    let (id, key) = mint(&keys).await;
    let record = keys.get(&id).await.unwrap().unwrap();
    assert_eq!(
        *record.digest().as_bytes(),
        <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&key))
    );
    let again = keys.import(KeyDigest::of(&key), NewKey::of("thief")).await;
    assert!(matches!(again, Err(RegistryError::Taken)), "{again:?}");
    let other = keys.import(KeyDigest::of("another"), NewKey::of("robot")).await;
    assert!(other.is_ok(), "{other:?}");
}

#[tokio::test]
async fn o03_kind_environment_and_checksum_stand_in_the_key_and_garbage_asks_nobody() {
    let keys = Arc::new(MemoryKeyStore::new());
    let (_, key) = mint(&keys).await;
    assert!(key.starts_with("sk_live_") && key.len() == 8 + 43 + 6);
    let layer = ApiKeyLayer::new(Arc::clone(&keys)).minted_only(format());
    assert_eq!(with_key(&layer, &key).await.status, StatusCode::OK);
    // Over a store that fails when it is asked, garbage is 401 all the same, and what could be a key is 503.
    let broken = ApiKeyLayer::new(Broken).minted_only(format());
    assert_eq!(with_key(&broken, "garbage").await.reason(), "api_key_malformed");
    assert_eq!(with_key(&broken, &key).await.reason(), "store_unavailable");
}

#[tokio::test]
async fn o04_a_short_start_is_kept_for_people() {
    let keys = MemoryKeyStore::new();
    let (id, key) = mint(&keys).await;
    let record = keys.get(&id).await.unwrap().unwrap();
    assert_eq!(record.start(), Some(&key[..12]));
    let imported = keys
        .import(KeyDigest::of("sk_live_foreign"), NewKey::of("robot"))
        .await
        .unwrap();
    assert_eq!(
        imported.start(),
        None,
        "nobody knows which part of it may be shown"
    );
}

#[tokio::test]
async fn o05_every_bad_key_gets_one_answer_and_the_log_its_reason() {
    let (keys, clock) = (Arc::new(MemoryKeyStore::new()), TestClock::new());
    let (revoked, revoked_key) = mint(&keys).await;
    keys.revoke(&revoked).await.unwrap();
    let (expired, expired_key) = mint(&keys).await;
    keys.expire(&expired, clock.now()).await.unwrap();
    let (_, good) = mint(&keys).await;
    let unknown = format().mint().unwrap().expose().to_owned();
    let foreign = ApiKeyFormat::new("sk", "test")
        .unwrap()
        .mint()
        .unwrap()
        .expose()
        .to_owned();
    clock.advance(HOUR);
    let layer = ApiKeyLayer::new(keys).minted_only(format()).clock(clock);
    assert_eq!(with_key(&layer, &good).await.status, StatusCode::OK);
    let mut answers = std::collections::BTreeSet::new();
    for (key, reason) in [
        (revoked_key.as_str(), "api_key_revoked"),
        (&expired_key, "api_key_expired"),
        (&unknown, "api_key_unknown"),
        (&foreign, "api_key_of_other_environment"),
        ("malformed", "api_key_malformed"),
    ] {
        let answer = with_key(&layer, key).await;
        assert_eq!(answer.reason(), reason);
        answers.insert(format!("{} {:?} {}", answer.status, answer.headers, answer.body));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn o06_a_key_in_two_places_or_twice_in_one_is_400() {
    let keys = MemoryKeyStore::new();
    let (_, key) = mint(&keys).await;
    let (layer, bearer) = (ApiKeyLayer::new(keys), format!("Bearer {key}"));
    assert_eq!(
        with(&layer, &[("authorization", &bearer)]).await.status,
        StatusCode::OK
    );
    for twice in [
        [("x-api-key", key.as_str()), ("authorization", &bearer)],
        [("x-api-key", &key), ("x-api-key", &key)],
        [("authorization", &bearer), ("authorization", &bearer)],
    ] {
        let answer = with(&layer, &twice).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::BAD_REQUEST, "credential_repeated")
        );
    }
}

#[tokio::test]
async fn o07_the_key_can_be_removed_before_the_request_goes_on() {
    let keys = Arc::new(MemoryKeyStore::new());
    let (_, key) = mint(&keys).await;
    let handler = async |headers: http::HeaderMap| headers.contains_key("x-api-key").to_string();
    let app = |layer| {
        axum::Router::new()
            .route("/", axum::routing::get(handler))
            .layer(layer)
    };
    let layer = ApiKeyLayer::new(keys);
    let request = || request(&[("x-api-key", key.as_str())]);
    assert_eq!(call(&app(layer.clone()), request()).await.body, "true");
    assert_eq!(
        call(&app(layer.strip_credential()), request()).await.body,
        "false"
    );
}

#[tokio::test]
async fn o08_a_key_in_the_query_is_not_read() {
    let keys = MemoryKeyStore::new();
    let (_, key) = mint(&keys).await;
    let app = whoami().layer(ApiKeyLayer::new(keys));
    for name in ["api_key", "apikey", "key", "X-API-Key", "access_token"] {
        let uri = format!("/?{name}={key}");
        let request = http::Request::get(uri).body(axum::body::Body::empty()).unwrap();
        let answer = call(&app, request).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::UNAUTHORIZED, "credential_missing")
        );
    }
}

#[tokio::test]
async fn o09_that_a_key_is_unknown_is_remembered_for_a_short_time() {
    let (store, clock) = (Arc::new(MemoryKeyStore::new()), TestClock::new());
    let cache = Arc::new(CachedKeyStore::new(Arc::clone(&store)).clock(clock.clone()));
    let digest = KeyDigest::of("not yet");
    assert_eq!(cache.find(&digest).await.unwrap(), None);
    // The store would say otherwise by now; it is not asked.
    store.import(digest, NewKey::of("robot")).await.unwrap();
    assert_eq!(cache.find(&digest).await.unwrap(), None);
    clock.advance(Duration::from_secs(5));
    assert!(cache.find(&digest).await.unwrap().is_some());
    // How many a second are looked up, and how many are remembered, is bounded: see `key_stores::flood`.
    let mut asked = 0;
    for number in 0..300 {
        asked += u32::from(cache.find(&KeyDigest::of(format!("junk {number}"))).await.is_ok());
    }
    assert_eq!(asked, 200);
}

#[tokio::test]
async fn o10_a_known_key_is_fresh_for_ten_seconds_and_forgotten_when_it_is_revoked() {
    let (store, clock) = (Arc::new(MemoryKeyStore::new()), TestClock::new());
    let cache = CachedKeyStore::new(Arc::clone(&store)).clock(clock.clone());
    let ids = [mint(&store).await, mint(&store).await];
    let is_revoked = async |key: &str| {
        let found = cache.find(&KeyDigest::of(key)).await.unwrap().unwrap();
        found.is_revoked()
    };
    for (_, key) in &ids {
        assert!(!is_revoked(key).await);
    }
    // Through the cache: at once. Past it: when the entry is no longer fresh.
    cache.revoke(&ids[0].0).await.unwrap();
    store.revoke(&ids[1].0).await.unwrap();
    assert!(is_revoked(&ids[0].1).await);
    clock.advance(Duration::from_millis(7_999));
    assert!(!is_revoked(&ids[1].1).await);
    clock.advance(Duration::from_millis(2_001));
    assert!(is_revoked(&ids[1].1).await);
}

#[tokio::test]
async fn o11_two_keys_live_while_one_takes_the_others_place() {
    let clock = TestClock::new();
    let keys = Arc::new(MemoryKeyStore::new().clock(clock.clone()));
    let (id, old) = mint(&keys).await;
    let layer = ApiKeyLayer::new(Arc::clone(&keys)).clock(clock.clone());
    let next = keys.rotate(&id, &format(), 24 * HOUR).await.unwrap();
    let new = next.key().expose();
    for key in [old.as_str(), new] {
        assert_eq!(with_key(&layer, key).await.status, StatusCode::OK);
    }
    let third = keys.rotate(next.record().id(), &format(), HOUR).await;
    assert!(matches!(third, Err(RegistryError::TwoLive { .. })), "{third:?}");
    clock.advance(24 * HOUR);
    assert_eq!(with_key(&layer, &old).await.reason(), "api_key_expired");
    assert_eq!(with_key(&layer, new).await.status, StatusCode::OK);
}

#[tokio::test]
async fn o12_uses_are_counted_one_by_one_and_written_beside_the_request() {
    let keys = Arc::new(MemoryKeyStore::new());
    let (id, key) = mint(&keys).await;
    let usage = UsageRecorder::new(Arc::clone(&keys));
    let layer = ApiKeyLayer::new(Arc::clone(&keys)).usage(usage.clone());
    let callers = (0..8).map(|_| {
        let (layer, key) = (layer.clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..25 {
                assert_eq!(with_key(&layer, &key).await.status, StatusCode::OK);
            }
        })
    });
    futures_util::future::join_all(callers.collect::<Vec<_>>()).await;
    let uses = async || keys.get(&id).await.unwrap().unwrap().uses();
    assert_eq!(uses().await, 0);
    usage.flush().await.unwrap();
    assert_eq!(uses().await, 200);
}

#[tokio::test]
async fn o13_who_is_limited_gets_429_with_retry_after_and_never_401() {
    let keys = Arc::new(MemoryKeyStore::new());
    let (_, key) = mint(&keys).await;
    let limits = RateLimits::builder("free", Quota::per_hour(2))
        .per_key()
        .build()
        .unwrap();
    let app = whoami()
        .layer(RateLimitLayer::new(limits))
        .layer(ApiKeyLayer::new(keys));
    for turn in 0..10 {
        let answer = call(&app, request(&[("x-api-key", &key)])).await;
        let status = if turn < 2 {
            StatusCode::OK
        } else {
            StatusCode::TOO_MANY_REQUESTS
        };
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after").is_some(), turn >= 2);
        assert!(answer.challenges().is_empty());
    }
}

#[tokio::test]
async fn o14_a_401_carries_a_challenge_for_keys() {
    let answer = with(&ApiKeyLayer::new(MemoryKeyStore::new()), &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.challenges(),
        [r#"Bearer realm="api""#, r#"ApiKey realm="api""#]
    );
    let answer = with_key(&ApiKeyLayer::new(MemoryKeyStore::new()), "unknown").await;
    assert!(
        answer
            .challenges()
            .iter()
            .any(|one| one.starts_with("ApiKey realm=")),
        "{answer:?}"
    );
}

#[test]
fn o15_the_principal_names_the_keys_id_and_neither_log_nor_debug_shows_the_key() {
    let (said, log) = logged(async {
        let keys = MemoryKeyStore::new();
        let (id, key) = mint(&keys).await;
        let (lost, lost_key) = mint(&keys).await;
        keys.revoke(&lost).await.unwrap();
        let handler = async |caller: Principal| {
            assert!(caller.key_id().is_some_and(|id| id.starts_with("key_")));
            format!("{} {caller:?}", caller.key_id().unwrap())
        };
        let layer = ApiKeyLayer::new(keys);
        let printed = format!("{layer:?}");
        let app = axum::Router::new()
            .route("/", axum::routing::get(handler))
            .layer(layer);
        let good = call(&app, request(&[("x-api-key", &key)])).await;
        assert!(good.body.starts_with(&id), "{good:?}");
        let bad = call(&app, request(&[("x-api-key", &lost_key)])).await;
        assert_eq!(bad.reason(), "api_key_revoked");
        (format!("{printed} {} {bad:?}", good.body), [key, lost_key])
    });
    let (printed, keys) = said;
    assert!(log.contains("api_key_revoked"), "{log}");
    for key in keys {
        assert!(!log.contains(&key[12..]) && !printed.contains(&key[12..]));
    }
    let record = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of("secret")).build();
    assert!(format!("{record:?} {:?}", record.digest()).contains("key_1"));
    assert_eq!(format!("{:?}", record.digest()), "KeyDigest([redacted])");
}
