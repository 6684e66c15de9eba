//! What mutation testing found unguarded: values that stand exactly at a limit, and reasons that could be taken for each
//! other. `.cargo/mutants.toml` says how it is run.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tower_resource_server::{Algorithm, JwtLayer, KeySet, KeySetError};

use crate::support::{bearer, call, idp, whoami};

#[test]
fn a_document_that_is_no_json_and_one_that_is_no_key_set_are_told_apart() {
    for (text, expected) in [
        (r#"{"keys":["#, "it is not JSON"),
        (r#"{"keys":[]}}"#, "it is not JSON"),
        (r#"{"keys":7}"#, "it is not an object with one array `keys`"),
        (r#"[{"keys":[]}]"#, "it is not an object with one array `keys`"),
    ] {
        match KeySet::from_jwks(text) {
            Err(KeySetError::NotAKeySet(said)) => assert_eq!(said, expected, "{text}"),
            other => panic!("{other:?} for {text}"),
        }
    }
}

#[test]
fn an_rsa_exponent_has_up_to_four_bytes() {
    let idp = idp();
    idp.token().algorithm(Algorithm::Rs256).sign();
    let mut document: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let keys = document["keys"].as_array_mut().unwrap();
    let rsa = keys.iter_mut().find(|key| key["kty"] == "RSA").unwrap();
    // 0x80000001
    rsa["e"] = json!("gAAAAQ");
    let set = KeySet::from_jwks(&document.to_string()).unwrap();
    assert_eq!((set.len(), set.skipped()), (2, &[][..]));
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

/// Counts the tokens that were judged afresh: a known one's claims are not decoded again. One test alone uses it.
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        DECODED.fetch_add(1, Ordering::SeqCst);
        Ok(Self)
    }
}

#[tokio::test]
async fn the_tokens_of_many_clients_are_known_side_by_side() {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Counted>().build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer));
    // Together two megabytes, in tokens as long as may be, since few are made sooner.
    let tokens: Vec<String> = (0..170)
        .map(|client| {
            idp.token()
                .client(format!("client-{client}"))
                .claim("groups", "g".repeat(8_500))
                .sign()
        })
        .collect();
    for round in ["fresh", "known", "still known"] {
        for token in &tokens {
            assert_eq!(call(&app, bearer(token)).await.reason(), "ok", "{round}");
        }
    }
    assert_eq!(DECODED.load(Ordering::SeqCst), tokens.len());
}
