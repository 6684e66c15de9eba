use futures_util::future::join_all;

use super::{HOUR, READ, WRITE, found, start};
use crate::api_key::{ApiKeyRecord, ApiKeyRecordBuilder, KeyDigest, KeyStore};

/// What [`KeyStore`] promises. `make` makes a store that knows these records and no others.
///
/// # Panics
///
/// If a promise is broken.
pub async fn key_store<S: KeyStore>(make: impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    an_unknown_key_is_none_and_no_error(&make).await;
    a_record_comes_back_as_it_was_stored(&make).await;
    a_record_comes_back_whether_the_key_is_valid_or_not(&make).await;
    every_bit_of_a_digest_counts(&make).await;
    any_bytes_are_a_digest(&make).await;
    words_come_back_whatever_they_are(&make).await;
    many_askers_get_each_its_own(&make).await;
}

fn record(id: &str, key: &str) -> ApiKeyRecordBuilder {
    ApiKeyRecord::builder(id, "robot", KeyDigest::of(key)).scopes([READ])
}

async fn an_unknown_key_is_none_and_no_error<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    let unknown = KeyDigest::of("unknown");
    assert_eq!(
        found(&make(vec![]).await, &unknown).await,
        None,
        "an empty store knows nothing"
    );
    let store = make(vec![record("key_1", "one").build()]).await;
    assert_eq!(
        found(&store, &unknown).await,
        None,
        "a key that is not there is not found"
    );
    assert_eq!(
        found(&store, &unknown).await,
        None,
        "nor when it is asked for again"
    );
}

async fn a_record_comes_back_as_it_was_stored<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    let full = record("key_1", "one")
        .name("nightly run")
        .start("sk_live_abcd")
        .scopes([WRITE, READ])
        .created_at(start())
        .not_before(start() + HOUR)
        .expires_at(start() + 2 * HOUR)
        .revoked_at(start() + 3 * HOUR)
        .last_used_at(start() + 4 * HOUR)
        .uses(9_007_199_254_740_993) // more than a double can count
        .limited(9_007_199_254_740_991)
        .refused(9_007_199_254_740_989)
        .rotated_from("key_0")
        .rotated_to("key_2")
        .plan("gold")
        .metadata([("team", "billing"), ("ticket", "OPS-1")])
        .revision(9_007_199_254_740_995)
        .build();
    let bare = ApiKeyRecord::builder("key_2", "another robot", KeyDigest::of("two")).build();
    let store = make(vec![full.clone(), bare.clone()]).await;
    for stored in [full, bare] {
        let back = found(&store, stored.digest()).await.expect("the key is there");
        assert_eq!(
            back.to_builder(),
            stored.to_builder(),
            "{} comes back whole",
            stored.id()
        );
        assert_eq!(
            back.scopes().as_str(),
            stored.scopes().as_str(),
            "with its scopes in their order"
        );
    }
}

async fn a_record_comes_back_whether_the_key_is_valid_or_not<S: KeyStore>(
    make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S,
) {
    let records = vec![
        record("key_1", "revoked").revoked_at(start()).build(),
        record("key_2", "expired").expires_at(start()).build(),
        record("key_3", "early")
            .not_before(start() + 1_000_000 * HOUR)
            .build(),
    ];
    let store = make(records.clone()).await;
    for stored in records {
        let back = found(&store, stored.digest()).await;
        assert_eq!(back, Some(stored), "the layer judges, and the log tells why");
    }
}

async fn every_bit_of_a_digest_counts<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    let stored = record("key_1", "one").build();
    let store = make(vec![stored.clone()]).await;
    for bit in [0, 7, 8, 100, 127, 128, 248, 255] {
        let mut bytes = *stored.digest().as_bytes();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let other = found(&store, &KeyDigest::from_bytes(bytes)).await;
        assert_eq!(other, None, "a digest that differs in bit {bit} is another key's");
    }
}

async fn any_bytes_are_a_digest<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    let mut quoted = [0; 32];
    quoted
        .iter_mut()
        .zip(b"\\x00'\"\0%_\n\xff\xfe")
        .for_each(|(byte, odd)| *byte = *odd);
    let odd = [[0; 32], [0xff; 32], [b'\''; 32], quoted];
    let records: Vec<_> = (1..)
        .zip(odd)
        .map(|(number, bytes)| {
            let digest = KeyDigest::from_bytes(bytes);
            ApiKeyRecord::builder(format!("key_{number}"), "robot", digest).build()
        })
        .collect();
    let store = make(records.clone()).await;
    for stored in records {
        assert_eq!(
            found(&store, stored.digest()).await,
            Some(stored),
            "a digest is bytes and no text"
        );
    }
}

async fn words_come_back_whatever_they_are<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    for (number, word) in [
        "Zoë O'Neil",
        "'); DROP TABLE api_keys;--",
        "a\"b\\c%d_e",
        "🦀",
        "null",
    ]
    .into_iter()
    .enumerate()
    {
        let stored = ApiKeyRecord::builder(format!("key_{number}"), word, KeyDigest::of(word))
            .name(word)
            .plan(word)
            .metadata([(word, word), ("", ""), ("lines", "one\ntwo")])
            .build();
        let store = make(vec![stored.clone()]).await;
        assert_eq!(
            found(&store, stored.digest()).await,
            Some(stored),
            "{word:?} is only a word"
        );
    }
}

async fn many_askers_get_each_its_own<S: KeyStore>(make: &impl AsyncFn(Vec<ApiKeyRecord>) -> S) {
    let records: Vec<_> = (0..50)
        .map(|number| record(&format!("key_{number}"), &format!("key {number}")).build())
        .collect();
    let store = make(records.clone()).await;
    let answers = join_all(records.iter().map(|stored| found(&store, stored.digest()))).await;
    for (stored, answer) in records.iter().zip(answers) {
        assert_eq!(
            answer.as_ref(),
            Some(stored),
            "who asks at the same time gets its own answer"
        );
    }
}
