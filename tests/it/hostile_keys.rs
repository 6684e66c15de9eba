//! Requests of somebody who has read the table of keys, or stands between client and server, and has no key.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, Clock, IssuedKey, KeyDigest, KeyRegistry, KeyStore,
    MemoryKeyStore, NewKey,
};

use crate::support::{Answer, KEY, call, record, request, store, whoami};

const HOUR: Duration = Duration::from_secs(3600);

/// A minted key, and layers that are told nothing, something and all about the keys of their store.
async fn service() -> (IssuedKey, [ApiKeyLayer; 3]) {
    let (keys, format) = (
        Arc::new(MemoryKeyStore::new()),
        ApiKeyFormat::new("sk", "live").unwrap(),
    );
    let issued = keys.mint(&format, NewKey::of("robot")).await.unwrap();
    let layer = || ApiKeyLayer::new(Arc::clone(&keys));
    let layers = [
        layer(),
        layer().format(format.clone()),
        layer().minted_only(format),
    ];
    (issued, layers)
}

async fn present(layer: &ApiKeyLayer, headers: &[(&str, &str)]) -> Answer {
    call(&whoami().layer(layer.clone()), request(headers)).await
}

/// The key is let in, and none of these values is, wherever it stands.
async fn only_the_key_is_let_in(values: impl Fn(&IssuedKey) -> Vec<String>) {
    let (issued, layers) = service().await;
    for layer in &layers {
        let good = present(layer, &[("x-api-key", issued.key().expose())]).await;
        assert_eq!(good.status, 200);
        for value in values(&issued) {
            for (name, scheme) in [
                ("x-api-key", ""),
                ("authorization", "Bearer "),
                ("authorization", "ApiKey "),
            ] {
                let answer = present(layer, &[(name, &format!("{scheme}{value}"))]).await;
                let status = answer.status.as_u16();
                assert!(
                    [400, 401].contains(&status),
                    "{name}: {scheme}{value}: {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_the_table_of_keys_holds_opens_nothing() {
    only_the_key_is_let_in(|issued| {
        let (record, digest) = (issued.record(), issued.record().digest().as_bytes());
        let hex = digest.map(|byte| format!("{byte:02x}")).concat();
        vec![
            format!("\\x{hex}"),
            format!("sk_live_{hex}"),
            hex.to_uppercase(),
            hex,
            STANDARD.encode(digest),
            record.id().to_owned(),
            record.start().unwrap().to_owned(),
            record.owner().to_owned(),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_key_with_something_at_it_is_another_value() {
    only_the_key_is_let_in(|issued| {
        let key = issued.key().expose();
        vec![
            format!("{key}="),
            format!("={key}"),
            format!("{key}."),
            format!("{key}%00"),
            format!("\"{key}\""),
            format!("Bearer {key}"),
            key.to_uppercase(),
            key.to_lowercase(),
            key.replace('_', "%5F"),
            key.chars().rev().collect(),
            key[..key.len() - 1].to_owned(),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_key_that_a_proxy_joined_with_itself_is_none() {
    only_the_key_is_let_in(|issued| {
        let key = issued.key().expose();
        [",", ", ", ";", " "]
            .map(|comma| format!("{key}{comma}{key}"))
            .into()
    })
    .await;
}

#[tokio::test]
async fn a_key_under_a_name_like_the_headers_is_not_presented() {
    let (issued, layers) = service().await;
    let key = issued.key().expose();
    for layer in &layers {
        for name in [
            "x_api_key",
            "x-api_key",
            "api-key",
            "x-api-key-id",
            "proxy-authorization",
            "x-authorization",
            "cookie",
        ] {
            for value in [
                key.to_owned(),
                format!("Bearer {key}"),
                format!("x-api-key={key}"),
            ] {
                let answer = present(layer, &[(name, &value)]).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.reason()),
                    (401, "credential_missing"),
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_key_in_the_address_is_not_presented_and_not_repeated() {
    let (issued, layers) = service().await;
    let key = issued.key().expose();
    for address in [
        format!("http://{key}@api.test/"),
        format!("http://{key}:x@api.test/"),
        format!("http://api.test/?x-api-key={key}&access_token={key}"),
    ] {
        for layer in &layers {
            let request = Request::get(&address).body(Body::empty()).unwrap();
            let answer = call(&whoami().layer(layer.clone()), request).await;
            assert_eq!(
                (answer.status.as_u16(), answer.reason()),
                (401, "credential_missing"),
                "{address}"
            );
            assert!(!format!("{answer:?}").contains(key), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn no_method_is_excused_from_a_key() {
    let (_, layers) = service().await;
    for layer in &layers {
        for method in ["OPTIONS", "HEAD", "TRACE", "get", "X"] {
            let request = Request::builder()
                .method(Method::from_bytes(method.as_bytes()).unwrap())
                .uri("/")
                .header("x-http-method-override", "OPTIONS")
                .body(Body::empty())
                .unwrap();
            let answer = call(&whoami().layer(layer.clone()), request).await;
            assert_eq!(answer.status, 401, "{method}");
        }
    }
}

#[tokio::test]
async fn a_good_key_does_not_excuse_a_bad_one_beside_it() {
    let (issued, layers) = service().await;
    let key = issued.key().expose();
    let bearer = format!("Bearer {key}");
    for layer in &layers {
        for headers in [
            [("x-api-key", key), ("x-api-key", "bad")],
            [("x-api-key", "bad"), ("x-api-key", key)],
            [("x-api-key", "bad"), ("authorization", bearer.as_str())],
            [("x-api-key", key), ("authorization", "Bearer bad")],
            [("x-api-key", key), ("authorization", "ApiKey")],
            [("x-api-key", ""), ("authorization", bearer.as_str())],
        ] {
            let answer = present(layer, &headers).await;
            assert_eq!(answer.status, 400, "{headers:?}: {answer:?}");
        }
    }
}

fn clock() -> TestClock {
    TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

#[tokio::test]
async fn a_key_that_another_machines_clock_revokes_tomorrow_is_revoked() {
    let clock = clock();
    for at in [
        clock.now() - HOUR,
        clock.now() + HOUR,
        clock.now() + 1_000_000 * HOUR,
    ] {
        let keys = MemoryKeyStore::from_iter([record(KEY).revoked_at(at).build()]);
        let layer = ApiKeyLayer::new(keys).clock(clock.clone());
        let answer = present(&layer, &[("x-api-key", KEY)]).await;
        assert_eq!(answer.reason(), "api_key_revoked");
    }
}

#[tokio::test]
async fn a_key_that_ends_before_it_begins_is_never_valid() {
    let clock = clock();
    let never = record(KEY)
        .not_before(clock.now() + 2 * HOUR)
        .expires_at(clock.now() + HOUR);
    let layer = ApiKeyLayer::new(MemoryKeyStore::from_iter([never.build()])).clock(clock.clone());
    for _ in 0..40 {
        assert_eq!(present(&layer, &[("x-api-key", KEY)]).await.status, 401);
        clock.advance(HOUR / 10);
    }
}

/// Answers with its one record, whatever it is asked for.
struct Liar(ApiKeyRecord);

impl KeyStore for Liar {
    type Error = Infallible;

    async fn find(&self, _: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        Ok(Some(self.0.clone()))
    }
}

#[tokio::test]
async fn a_record_of_no_key_lets_nobody_in() {
    for digest in [KeyDigest::from_bytes([0; 32]), KeyDigest::of("")] {
        let layer = ApiKeyLayer::new(Liar(ApiKeyRecord::builder("key_1", "robot", digest).build()));
        for (name, value) in [
            ("x-api-key", ""),
            ("x-api-key", "0"),
            ("authorization", ""),
            ("authorization", "Bearer"),
            ("authorization", "Bearer "),
            ("authorization", "ApiKey ="),
        ] {
            let status = present(&layer, &[(name, value)]).await.status.as_u16();
            assert!([400, 401].contains(&status), "{name}: {value:?}: {status}");
        }
    }
}

#[tokio::test]
async fn an_optional_layer_takes_no_bad_key_for_nobody() {
    let keys = MemoryKeyStore::from_iter([record("revoked").revoked().build(), record(KEY).build()]);
    let app = whoami().layer(ApiKeyLayer::new(keys).optional());
    assert_eq!(call(&app, request(&[])).await.json()["method"], "anonymous");
    for (headers, status) in [
        (vec![("x-api-key", "revoked")], 401),
        (vec![("x-api-key", "unknown")], 401),
        (vec![("x-api-key", "")], 400),
        (vec![("x-api-key", KEY), ("x-api-key", KEY)], 400),
        (vec![("authorization", "Bearer")], 400),
    ] {
        let answer = call(&app, request(&headers)).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn an_inner_layer_judges_anew_whatever_an_outer_one_found() {
    let other = MemoryKeyStore::from_iter([record("other").build()]);
    let app = whoami()
        .layer(ApiKeyLayer::new(store()))
        .layer(ApiKeyLayer::new(other).optional());
    for headers in [vec![], vec![("x-api-key", "other")], vec![("x-api-key", KEY)]] {
        let answer = call(&app, request(&headers)).await;
        assert_eq!(answer.status, 401, "{headers:?}: no key is known to both of them");
    }
}
