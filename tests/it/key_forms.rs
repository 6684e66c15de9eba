//! What a layer can say about a key before it asks a store: its form, its checksum, its environment.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use regex_lite::Regex;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, KeyDigest, KeyRegistry, KeyStore, MemoryKeyStore, NewKey,
};

use crate::support::{Answer, call, request, whoami};

/// A store that counts how often it is asked.
#[derive(Default)]
struct Counted {
    keys: MemoryKeyStore,
    asked: AtomicUsize,
}

impl KeyStore for Counted {
    type Error = Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.keys.find(key).await
    }
}

impl Counted {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A key of this form that the store knows.
    async fn mint(&self, form: &ApiKeyFormat) -> String {
        let issued = self.keys.mint(form, NewKey::of("robot")).await.unwrap();
        issued.key().expose().to_owned()
    }
}

fn form(kind: &str, environment: &str) -> ApiKeyFormat {
    ApiKeyFormat::new(kind, environment).unwrap()
}

async fn with(layer: &ApiKeyLayer, key: &str) -> Answer {
    call(&whoami().layer(layer.clone()), request(&[("x-api-key", key)])).await
}

#[tokio::test]
async fn where_only_minted_keys_count_a_wrong_checksum_asks_nobody() {
    let store = Arc::new(Counted::default());
    let live = form("sk", "live");
    let key = store.mint(&live).await;
    let layer = ApiKeyLayer::new(Arc::clone(&store)).minted_only(live);
    assert_eq!(with(&layer, &key).await.status, StatusCode::OK);
    assert_eq!(store.asked(), 1);
    let digits = key.strip_prefix("sk_live_").unwrap();
    let other = if digits.starts_with('0') { 'z' } else { '0' };
    let bad = [
        format!("sk_live_{other}{}", &digits[1..]),
        key[..key.len() - 1].to_owned(),
        format!("{key}0"),
        format!("0{key}"),
        key.to_lowercase().replace("sk_live_0", "sk_live_1"),
        key.replacen("sk_live_", "sk_live__", 1),
        key.replacen("sk_live_", "sklive_", 1),
        key.replacen("sk_live_", "pk_live_", 1),
        key.replacen("sk_live_", "sk_test_", 1), // the checksum covers the words
        key.replacen('_', "-", 1),
        digits.to_owned(),
        "sk_live_".to_owned(),
        "__".to_owned(),
        "made-elsewhere".to_owned(),
        "a.b.c".to_owned(),
    ];
    for key in bad {
        let answer = with(&layer, &key).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (401, "api_key_malformed"),
            "{key}"
        );
    }
    assert_eq!(store.asked(), 1, "the store was asked for none of them");
    let unknown = MemoryKeyStore::new()
        .mint(&form("sk", "live"), NewKey::of("robot"))
        .await
        .unwrap();
    assert_eq!(
        with(&layer, unknown.key().expose()).await.reason(),
        "api_key_unknown"
    );
    assert_eq!(store.asked(), 2, "a good checksum is not yet a known key");
}

#[test]
fn a_checksum_sees_every_changed_letter_and_every_two_that_changed_places() {
    let live = form("sk", "live");
    let key = live.mint().unwrap().expose().to_owned();
    assert!(live.is_well_formed(&key));
    let letters = ('0'..='9').chain('A'..='Z').chain('a'..='z');
    for place in "sk_live_".len()..key.len() {
        for letter in letters
            .clone()
            .filter(|letter| !key[place..].starts_with(*letter))
        {
            let altered = format!("{}{letter}{}", &key[..place], &key[place + 1..]);
            assert!(!live.is_well_formed(&altered), "{altered}");
        }
        let mut swapped = key.clone().into_bytes();
        swapped.swap(place, place - 1);
        let swapped = String::from_utf8(swapped).unwrap();
        assert!(swapped == key || !live.is_well_formed(&swapped), "{swapped}");
    }
}

/// A value with the checksum that a minted key would have: CRC-32 of IEEE 802.3 in six digits of base 62.
fn with_checksum(value: &str) -> String {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
    let bytes = value.bytes();
    let mut rest = !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    let letters: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(letters[rest as usize % 62]);
        rest /= 62;
    }
    value.chars().chain(digits.into_iter().rev()).collect()
}

#[test]
fn a_good_checksum_does_not_make_up_for_another_form() {
    let live = form("sk", "live");
    let of = |digits: &str| with_checksum(&format!("sk_live_{digits}"));
    assert!(live.is_well_formed(&of(&"a".repeat(43))));
    for digits in [
        "a".repeat(42),
        "a".repeat(44),
        String::new(),
        format!("{}-", "a".repeat(42)),
        format!("{}_", "a".repeat(42)),
        format!("_{}", "a".repeat(42)),
        format!("{}\u{e9}", "a".repeat(41)),
    ] {
        assert!(!live.is_well_formed(&of(&digits)), "{digits}");
    }
    for (words, well_formed) in [
        ("sk_live_", true),
        ("pk_live_", false),
        ("sk_test_", false),
        ("SK_live_", false),
        ("_sk_live_", false),
        ("sk__", false),
        ("_live_", false),
        ("sk_live", false),
    ] {
        let key = with_checksum(&format!("{words}{}", "a".repeat(43)));
        assert_eq!(live.is_well_formed(&key), well_formed, "{key}");
    }
}

#[tokio::test]
async fn a_key_of_another_environment_is_refused_and_nobody_asked() {
    let store = Arc::new(Counted::default());
    let (live, test) = (form("sk", "live"), form("sk", "test"));
    // Even if somebody put it into this server's store.
    let (good, foreign) = (store.mint(&live).await, store.mint(&test).await);
    for layer in [
        ApiKeyLayer::new(Arc::clone(&store)).minted_only(live.clone()),
        ApiKeyLayer::new(Arc::clone(&store)).format(live.clone()),
    ] {
        let before = store.asked();
        let answer = with(&layer, &foreign).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (401, "api_key_of_other_environment")
        );
        assert_eq!(store.asked(), before);
        assert_eq!(with(&layer, &good).await.status, StatusCode::OK);
    }
    let untold = ApiKeyLayer::new(Arc::clone(&store));
    assert_eq!(
        with(&untold, &foreign).await.status,
        StatusCode::OK,
        "nobody said what this server is"
    );
}

#[tokio::test]
async fn beside_minted_keys_imported_ones_are_looked_up_as_they_are() {
    let store = Arc::new(Counted::default());
    let live = form("sk", "live");
    // Keys that look nearly like ours, and are another's.
    for key in ["legacy", "sk_live_legacy", "sk_test_legacy", "pk_test_1"] {
        store
            .keys
            .import(KeyDigest::of(key), NewKey::of(key))
            .await
            .unwrap();
        let mixed = ApiKeyLayer::new(Arc::clone(&store)).format(live.clone());
        assert_eq!(with(&mixed, key).await.json()["subject"], key);
        let strict = ApiKeyLayer::new(Arc::clone(&store)).minted_only(live.clone());
        assert_eq!(with(&strict, key).await.reason(), "api_key_malformed");
    }
    let other_kind = store.mint(&form("pk", "test")).await;
    let mixed = ApiKeyLayer::new(Arc::clone(&store)).format(live);
    assert_eq!(
        with(&mixed, &other_kind).await.status,
        StatusCode::OK,
        "another kind has its own environments"
    );
}

#[tokio::test]
async fn a_server_may_have_keys_of_several_kinds() {
    let store = Arc::new(Counted::default());
    let (secret, public) = (form("sk", "live"), form("pk", "live"));
    let layer = ApiKeyLayer::new(Arc::clone(&store))
        .minted_only(secret.clone())
        .minted_only(public.clone());
    for known in [&secret, &public] {
        let key = store.mint(known).await;
        assert_eq!(with(&layer, &key).await.status, StatusCode::OK);
    }
    for (foreign, reason) in [
        (form("pk", "test"), "api_key_of_other_environment"),
        (form("rk", "live"), "api_key_malformed"),
    ] {
        let key = store.mint(&foreign).await;
        assert_eq!(with(&layer, &key).await.reason(), reason);
    }
}

#[tokio::test]
async fn what_is_refused_by_its_form_gets_the_answer_of_every_other_bad_key() {
    let store = Counted::default();
    let foreign = store.mint(&form("sk", "test")).await;
    let layer = ApiKeyLayer::new(store).minted_only(form("sk", "live"));
    let unknown = form("sk", "live").mint().unwrap();
    let mut answers = std::collections::BTreeSet::new();
    for key in [foreign.as_str(), "malformed", unknown.expose()] {
        let answer = with(&layer, key).await;
        answers.insert(format!("{} {:?} {}", answer.status, answer.headers, answer.body));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[test]
fn a_scanner_finds_keys_where_they_should_not_be() {
    let live = form("sk", "live");
    let pattern = Regex::new(&live.scan_pattern()).unwrap();
    let key = live.mint().unwrap().expose().to_owned();
    for text in [
        format!("API_KEY={key}"),
        format!("curl -H 'X-API-Key: {key}' https://api.example.com"),
        format!("{{\"key\":\"{key}\"}}"),
        format!("https://api.example.com/?key={key}&x=1"),
        format!("first line\n{key}\nlast line"),
    ] {
        let found = pattern.find(&text).map(|found| found.as_str());
        assert_eq!(found, Some(key.as_str()), "{text}");
    }
    let test = form("sk", "test").mint().unwrap();
    let longer = format!("{key}A");
    for text in [
        test.expose(),
        &key[..key.len() - 1],
        longer.as_str(),
        "sk_live_",
        "task_live_x",
    ] {
        assert!(!pattern.is_match(text), "{text}");
    }
    // The pattern finds what looks so; the checksum says what was minted.
    let invented = format!("sk_live_{}", "a".repeat(49));
    assert!(pattern.is_match(&invented) && !live.is_well_formed(&invented));
}

#[test]
fn a_double_click_selects_a_whole_key_and_it_splits_in_one_way() {
    let minted = form("sk", "test").mint().unwrap();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    assert!(minted.expose().chars().all(is_word));
    let parts: Vec<_> = minted.expose().split('_').collect();
    assert_eq!(
        (parts[0], parts[1], parts[2].len(), parts.len()),
        ("sk", "test", 49, 3)
    );
}
