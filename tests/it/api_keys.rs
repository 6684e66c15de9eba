//! API keys: what a store sees, when a key counts, and what one looks like.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use http::StatusCode;
use sha2::{Digest, Sha256};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, Clock, KeyDigest, KeyStore, MemoryKeyStore, MintedKey, Secret,
};

use crate::support::{Answer, Broken, Down, KEY, Slow, call, record, request, store, whoami};

async fn with_key(app: &Router, key: &str) -> Answer {
    call(app, request(&[("x-api-key", key)])).await
}

/// Keeps what it is asked, and knows everybody's key to be somebody's.
#[derive(Debug, Default)]
struct Nosy {
    asked: Mutex<Vec<[u8; 32]>>,
    answer: Option<ApiKeyRecord>,
}

impl KeyStore for Nosy {
    type Error = Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        self.asked.lock().unwrap().push(*key.as_bytes());
        Ok(self.answer.clone())
    }
}

#[tokio::test]
async fn a_store_sees_the_sha_256_digest_of_a_key_and_asks_once() {
    let nosy = Arc::new(Nosy::default());
    let app = whoami().layer(ApiKeyLayer::new(Arc::clone(&nosy)));
    with_key(&app, KEY).await;
    assert_eq!(
        *nosy.asked.lock().unwrap(),
        [<[u8; 32]>::from(Sha256::digest(KEY))]
    );
}

#[tokio::test]
async fn a_store_that_answers_with_another_keys_record_lets_nobody_in() {
    let nosy = Nosy {
        answer: Some(record("somebody-elses").build()),
        ..Nosy::default()
    };
    let answer = with_key(&whoami().layer(ApiKeyLayer::new(nosy)), KEY).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::UNAUTHORIZED, "api_key_unknown")
    );
}

#[tokio::test]
async fn a_store_that_only_has_find_is_waited_for() {
    let app = whoami().layer(ApiKeyLayer::new(Slow(store())));
    assert_eq!(with_key(&app, KEY).await.json()["subject"], "robot");
    assert_eq!(with_key(&app, "wrong").await.reason(), "api_key_unknown");
}

#[tokio::test]
async fn a_store_out_of_order_is_503() {
    let answer = with_key(&whoami().layer(ApiKeyLayer::new(Broken)), KEY).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// Fails at once.
#[derive(Debug)]
struct BrokenNow;

impl KeyStore for BrokenNow {
    type Error = Down;

    async fn find(&self, _: &KeyDigest) -> Result<Option<ApiKeyRecord>, Down> {
        unreachable!("find_now has answered")
    }

    fn find_now(&self, _: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Down>> {
        Some(Err(Down))
    }
}

#[tokio::test]
async fn a_store_that_fails_at_once_is_503_too_and_not_asked_again() {
    let answer = with_key(&whoami().layer(ApiKeyLayer::new(BrokenNow)), KEY).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
    );
}

#[tokio::test]
async fn a_value_longer_than_any_key_is_refused_without_asking() {
    let nosy = Arc::new(Nosy::default());
    let app = whoami().layer(ApiKeyLayer::new(Arc::clone(&nosy)));
    let answer = with_key(&app, &"k".repeat(513)).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::UNAUTHORIZED, "api_key_malformed")
    );
    assert_eq!(nosy.asked.lock().unwrap().len(), 0);
    let answer = with_key(&app, &"k".repeat(512)).await;
    assert_eq!(answer.reason(), "api_key_unknown");
    assert_eq!(nosy.asked.lock().unwrap().len(), 1);
}

fn clock() -> TestClock {
    TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

#[tokio::test]
async fn every_bad_key_gets_the_same_answer_and_a_reason_of_its_own() {
    let clock = clock();
    let hour = Duration::from_secs(3600);
    let store = MemoryKeyStore::from_iter([
        record("revoked").revoked().build(),
        record("expired").expires_at(clock.now()).build(),
        record("early").not_before(clock.now() + hour).build(),
        record(KEY).build(),
    ]);
    let altered = KEY.replace('r', "R");
    let long = "k".repeat(513);
    let bad = [
        ("revoked", "api_key_revoked"),
        ("expired", "api_key_expired"),
        ("early", "api_key_not_yet_valid"),
        ("unknown", "api_key_unknown"),
        (altered.as_str(), "api_key_unknown"),
        (long.as_str(), "api_key_malformed"),
    ];
    let app = whoami().layer(ApiKeyLayer::new(store).clock(clock));
    assert_eq!(with_key(&app, KEY).await.status, StatusCode::OK);
    let mut answers = BTreeSet::new();
    for (key, reason) in bad {
        let answer = with_key(&app, key).await;
        assert_eq!(answer.reason(), reason);
        answers.insert(format!("{} {:?} {}", answer.status, answer.headers, answer.body));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn a_key_is_valid_from_its_first_moment_until_its_last() {
    let clock = clock();
    let minute = Duration::from_secs(60);
    let record = record(KEY)
        .not_before(clock.now() + minute)
        .expires_at(clock.now() + 2 * minute)
        .build();
    let layer = ApiKeyLayer::new(MemoryKeyStore::from_iter([record])).clock(clock.clone());
    let app = whoami().layer(layer);
    let nanosecond = Duration::from_nanos(1);
    let almost = Duration::from_nanos(59_999_999_999);
    for (step, reason) in [
        (almost, "api_key_not_yet_valid"),
        (nanosecond, "ok"),
        (almost, "ok"),
        (nanosecond, "api_key_expired"),
    ] {
        clock.advance(step);
        assert_eq!(with_key(&app, KEY).await.reason(), reason);
    }
}

#[tokio::test]
async fn what_changes_in_the_store_counts_for_the_next_request() {
    let store = Arc::new(MemoryKeyStore::new());
    let app = whoami().layer(ApiKeyLayer::new(Arc::clone(&store)));
    assert_eq!(with_key(&app, KEY).await.reason(), "api_key_unknown");
    store.insert(record(KEY).build());
    assert_eq!(with_key(&app, KEY).await.reason(), "ok");
    store.insert(record(KEY).revoked().build());
    assert_eq!(with_key(&app, KEY).await.reason(), "api_key_revoked");
    store.remove(&KeyDigest::of(KEY));
    assert_eq!(with_key(&app, KEY).await.reason(), "api_key_unknown");
}

#[tokio::test]
async fn the_principal_of_a_key_is_its_owner_and_names_the_record() {
    let clock = clock();
    let (made, end) = (
        UNIX_EPOCH + Duration::from_secs(9),
        clock.now() + Duration::from_secs(9),
    );
    let record = record(KEY).created_at(made).expires_at(end).build();
    let layer = ApiKeyLayer::new(MemoryKeyStore::from_iter([record])).clock(clock);
    let handler = move |caller: tower_resource_server::Principal| async move {
        assert_eq!(caller.issued_at(), Some(made));
        assert_eq!(caller.expires_at(), Some(end));
        format!(
            "{:?} {:?} {:?}",
            caller.subject(),
            caller.key_id(),
            caller.token_id()
        )
    };
    let app = Router::new().route("/", axum::routing::get(handler)).layer(layer);
    assert_eq!(
        with_key(&app, KEY).await.body,
        r#"Some("robot") Some("key_1") None"#
    );
}

#[tokio::test]
async fn keys_made_elsewhere_of_any_visible_ascii_are_read_from_their_own_header() {
    let visible: String = ('!'..='~').collect();
    for key in [visible.as_str(), "a,b", "\"quoted\"", "a.b.c", "=", "Bearer", "0"] {
        let app = whoami().layer(ApiKeyLayer::new(MemoryKeyStore::from_iter([record(key).build()])));
        let answer = with_key(&app, key).await;
        assert_eq!(answer.status, StatusCode::OK, "{key}: {answer:?}");
    }
}

fn mint() -> MintedKey {
    ApiKeyFormat::new("sk", "test").unwrap().mint().unwrap()
}

fn text(minted: &MintedKey) -> String {
    minted.key().expose_str().unwrap().to_owned()
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn from_base62(digits: &str) -> u64 {
    digits.bytes().fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            other => panic!("{other} is no digit"),
        };
        number * 62 + u64::from(value)
    })
}

#[test]
fn a_minted_key_is_a_prefix_43_digits_and_their_checksum() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    for _ in 0..50 {
        let key = text(&mint());
        let random = key.strip_prefix("sk_test_").unwrap();
        assert_eq!(random.len(), 43 + 6);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        let (body, checksum) = key.split_at(key.len() - 6);
        assert_eq!(from_base62(checksum), u64::from(crc32(body.as_bytes())), "{key}");
    }
}

#[test]
fn minted_keys_are_distinct_and_their_digits_all_vary() {
    let keys: BTreeSet<String> = (0..200).map(|_| text(&mint())).collect();
    assert_eq!(keys.len(), 200);
    for place in 8..8 + 43 {
        let digits: BTreeSet<u8> = keys.iter().map(|key| key.as_bytes()[place]).collect();
        // The first digit stands for 2^256 / 62^42, which is about 6.
        assert!(digits.len() > 2, "place {place}: {digits:?}");
    }
}

#[tokio::test]
async fn a_minted_key_opens_what_its_digest_was_stored_for() {
    let minted = mint();
    assert_eq!(*minted.digest(), KeyDigest::of(text(&minted)));
    assert_eq!(minted.start(), &text(&minted)[..12]);
    let record = ApiKeyRecord::builder("key_9", "robot", *minted.digest()).build();
    let app = whoami().layer(ApiKeyLayer::new(MemoryKeyStore::from_iter([record])));
    assert_eq!(with_key(&app, &text(&minted)).await.status, StatusCode::OK);
}

#[test]
fn the_words_of_a_prefix_are_short_and_plain() {
    for (kind, environment, problems) in [
        ("sk", "live", 0),
        ("a", "0123456789abcdef", 0),
        ("", "live", 1),
        ("SK", "live", 1),
        ("s_k", "live", 1),
        ("sk", "0123456789abcdefg", 1),
        ("s k", "l\u{ef}ve", 2),
    ] {
        let found = ApiKeyFormat::new(kind, environment).map_or_else(|error| error.problems().len(), |_| 0);
        assert_eq!(found, problems, "{kind} {environment}");
    }
}

#[test]
fn neither_key_nor_digest_is_printed() {
    let minted = mint();
    let key = text(&minted);
    let digest = *minted.digest();
    let hex = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat();
    let record = ApiKeyRecord::builder("key_9", "robot", digest);
    let store = MemoryKeyStore::from_iter([record.clone().build()]);
    let printed = format!(
        "{minted:?} {:?} {digest:?} {record:?} {:?} {store:?} {:#?}",
        minted.key(),
        record.clone().build(),
        ApiKeyLayer::new(store_of(&minted)),
    );
    assert!(!printed.contains(&key[minted.start().len()..]), "{printed}");
    assert!(!printed.contains(&hex) && !printed.contains(&format!("{:?}", digest.as_bytes())));
    assert_eq!(format!("{digest:?}"), "KeyDigest([redacted])");
    assert_eq!(format!("{:?}", minted.key()), "[redacted]");
}

fn store_of(minted: &MintedKey) -> MemoryKeyStore {
    MemoryKeyStore::from_iter([ApiKeyRecord::builder("key_9", "robot", *minted.digest()).build()])
}

#[test]
fn secrets_are_equal_when_their_bytes_are() {
    assert_eq!(Secret::new("abc"), Secret::new(*b"abc"));
    for other in ["abd", "ab", "abcd", ""] {
        assert_ne!(Secret::new("abc"), Secret::new(other));
    }
}
