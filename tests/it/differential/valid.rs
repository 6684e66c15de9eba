//! Claims that a strict issuer may well write, with everything in them that an API has no opinion on.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::keys::{ALGORITHMS, issuer_of};
use super::peers::LEEWAY;
use crate::support::API;

#[derive(Debug, Clone)]
pub(super) struct Valid {
    pub(super) algorithm: &'static str,
    pub(super) header: Value,
    pub(super) claims: Value,
}

pub(super) fn valid(now: u64) -> impl Strategy<Value = Valid> {
    let header = (
        select(&ALGORITHMS[..]),
        select(&["at+jwt", "JWT", "application/at+jwt", ""][..]),
        any::<bool>(),
    );
    (header, claims(now), extra_claims()).prop_map(|((key, typ, named), mut claims, extra)| {
        let (algorithm, kid) = key;
        let mut header = json!({});
        if !typ.is_empty() {
            header["typ"] = typ.into();
        }
        // Two keys are published for ES256, so it has to say which.
        if named || algorithm == "ES256" {
            header["kid"] = kid.into();
        }
        claims.insert("iss".to_owned(), issuer_of(algorithm).into());
        claims.extend(extra);
        let claims = claims.into();
        Valid {
            algorithm,
            header,
            claims,
        }
    })
}

fn claims(now: u64) -> impl Strategy<Value = Map<String, Value>> {
    let audience = select(vec![
        json!(API),
        json!([API]),
        json!(["x", API]),
        json!([API, "x"]),
    ]);
    let past = || {
        prop_oneof![
            Just(Value::Null),
            date((now - 1_000)..=(now + LEEWAY - 1)),
            Just(json!(now + LEEWAY))
        ]
    };
    let text = || prop_oneof![Just(Value::Null), any::<String>().prop_map(Value::from)];
    let scope = prop_oneof![
        Just(Value::Null),
        "[a-z:]{1,8}( [a-z!~/]{1,8}){0,4}".prop_map(Value::from)
    ];
    (
        audience,
        date((now - LEEWAY + 1)..=(now + 100_000)),
        past(),
        past(),
        text(),
        text(),
        scope,
    )
        .prop_map(|(aud, exp, nbf, iat, sub, jti, scope)| {
            let claims = [
                ("aud", aud),
                ("exp", exp),
                ("nbf", nbf),
                ("iat", iat),
                ("sub", sub),
                ("jti", jti),
                ("scope", scope),
            ];
            let present = claims.into_iter().filter(|(_, value)| !value.is_null());
            present.map(|(name, value)| (name.to_owned(), value)).collect()
        })
}

/// Whole seconds, and halves.
fn date(seconds: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Value> {
    (seconds, any::<bool>()).prop_map(|(whole, half)| {
        let exact = f64::from(u32::try_from(whole).unwrap());
        if half { json!(exact + 0.5) } else { json!(whole) }
    })
}

/// Private claims: any name that is nobody else's, any value.
fn extra_claims() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let name = || any::<String>().prop_map(|name| format!("https://x.test/{name}"));
    let value = leaf.prop_recursive(4, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    });
    prop::collection::btree_map(name(), value, 0..4).prop_map(|members| members.into_iter().collect())
}
