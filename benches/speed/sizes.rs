//! What grows with a configuration, and should not.

use std::rc::Rc;

use serde_json::{Value, json};
use tower_resource_server::{Algorithm, FixedKeys, Issuer, JwtLayer, KeySet, TrustedIssuers};

use crate::case::Case;
use crate::login::{API, Login, READ, Tokens, WRITE};

/// One, ten and a hundred issuers, and as many keys of one as a set may hold. The issuer or the key that counts is the
/// last of them.
pub(crate) fn cases(tokens: &Tokens) -> Vec<Case> {
    let issuers = [1, 10, 100].map(|count| sized("issuers", count, tokens, among_issuers));
    let keys = [1, 100, most_keys()].map(|count| sized("keys", count, tokens, among_keys));
    issuers.into_iter().chain(keys).flatten().collect()
}

/// Fresh tokens and known ones, each beside the same with one.
fn sized(what: &str, count: usize, tokens: &Tokens, layer: fn(&Login, usize) -> JwtLayer) -> [Case; 2] {
    let (for_fresh, for_known) = (Rc::clone(tokens), Rc::clone(tokens));
    let fresh = Case::new(format!("{what}/{count}"), move || {
        let tokens = Rc::clone(&for_fresh);
        for_fresh.to_strangers(move || layer(&tokens, count))
    });
    let known = Case::new(format!("{what}/{count}/known"), move || {
        for_known.to_acquaintances(&layer(&for_known, count))
    });
    if count == 1 {
        return [fresh, known];
    }
    [
        fresh.limit(format!("{what}/1")),
        known.limit(format!("{what}/1/known")),
    ]
}

fn issuer(name: &str, jwks: &str) -> Issuer {
    let issuer = Issuer::builder(name).audience(API).algorithms([Algorithm::Rs256]);
    let issuer = issuer.keys(FixedKeys::jwks(jwks).unwrap());
    issuer.accepted_scopes([READ, WRITE]).build().unwrap()
}

fn among_issuers(login: &Login, count: usize) -> JwtLayer {
    let jwks = login.idp.jwks();
    let others = (1..count).map(|number| issuer(&format!("https://login-{number}.example.com/"), &jwks));
    let all = others.chain([issuer(login.idp.name(), &jwks)]);
    JwtLayer::new(TrustedIssuers::new(all).unwrap())
}

fn among_keys(login: &Login, count: usize) -> JwtLayer {
    JwtLayer::new(issuer(login.idp.name(), &crowd(&login.idp.jwks(), count)))
}

/// A key set in which the last key of this one is the last of so many.
fn crowd(jwks: &str, count: usize) -> String {
    let set: Value = serde_json::from_str(jwks).unwrap();
    let own = set["keys"].as_array().unwrap().last().unwrap();
    let others = (1..count).map(|number| {
        let mut other = own.clone();
        other["kid"] = format!("other-{number}").into();
        other
    });
    json!({ "keys": others.chain([own.clone()]).collect::<Vec<_>>() }).to_string()
}

/// A thousand, or as many as a set may hold.
fn most_keys() -> usize {
    let holds = |count: &usize| {
        let key =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        KeySet::from_jwks(&crowd(&json!({ "keys": [key] }).to_string(), *count)).is_ok()
    };
    [1_000, 500, 200].into_iter().find(holds).unwrap()
}
