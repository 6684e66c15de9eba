//! Challenges for a realm and a requirement: parts of the input between bytes that no text holds, 0xFF between the realm
//! and each alternative, 0xFE between the scopes of one. Either the values are refused when they are made, or every
//! challenge reads back to the very same ones.

#![no_main]

use http::{HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tower::Layer;
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, JwtLayer, KeyDigest, MemoryKeyStore, Realm, Requirement, Scope, ScopeLayer,
};
use tower_resource_server_fuzz::{
    Answer, GOOD_HEADER, ask, bare, challenge, get, good_claims, header, is_scope_token, issuer, quotable,
    sign,
};

const KEY: &str = "key-of-the-robot";

struct Wanted<'t> {
    realm: &'t str,
    alternatives: Vec<Vec<&'t str>>,
}

fuzz_target!(|data: &[u8]| {
    let Some(wanted) = read(data) else { return };
    let realm = Realm::new(wanted.realm);
    assert_eq!(realm.is_ok(), quotable(wanted.realm));
    let (Ok(realm), Some(requirement)) = (realm, requirement(&wanted.alternatives)) else {
        return;
    };
    let record = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(KEY)).build();
    let keys = ApiKeyLayer::new(MemoryKeyStore::from_iter([record])).realm(realm.clone());
    let jwt = JwtLayer::new(issuer().build().unwrap())
        .realm(realm)
        .longest_token(1 << 20);
    let door = jwt.or(keys);
    let mut service = door.layer(ScopeLayer::new(requirement.clone()).layer(bare()));
    let mut optional = door.optional().layer(ScopeLayer::new(requirement).layer(bare()));

    for request in [None, Some("Bearer a.b.c"), Some("Bearer =")] {
        let request = || request.map_or(get(), |value| header("authorization", value.as_bytes()).unwrap());
        let answer = ask(&mut service, request());
        answer.check(wanted.realm, &["Bearer", "ApiKey"]);
        assert!(!answer.is_accepted());
        assert_eq!(ask(&mut optional, request()).challenges(), answer.challenges());
        let mut grpc = request();
        *grpc.method_mut() = Method::POST;
        *grpc.version_mut() = Version::HTTP_2;
        grpc.headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        let in_grpc = ask(&mut service, grpc);
        assert_eq!(in_grpc.status, 200);
        assert_eq!(in_grpc.challenges(), answer.challenges());
        assert!(in_grpc.body.is_empty());
    }

    check_forbidden(
        &ask(&mut service, header("x-api-key", KEY.as_bytes()).unwrap()),
        "ApiKey",
        &wanted,
        &[],
    );
    let first = &wanted.alternatives[0];
    for held in [&[], &first[..first.len() - 1], first] {
        let scope = json!(held.join(" "));
        let token = sign(GOOD_HEADER, good_claims(&format!(r#""scope":{scope},"#)));
        let request = header("authorization", format!("Bearer {token}").as_bytes()).unwrap();
        let answer = ask(&mut service, request);
        let met = wanted
            .alternatives
            .iter()
            .any(|set| set.iter().all(|word| held.contains(word)));
        if met {
            assert_eq!(answer.status, 200);
        } else {
            check_forbidden(&answer, "Bearer", &wanted, held);
        }
    }
});

fn read(data: &[u8]) -> Option<Wanted<'_>> {
    let mut parts = data.split(|byte| *byte == 0xff);
    let realm = std::str::from_utf8(parts.next()?).ok()?;
    let alternatives = parts.map(scopes).collect::<Option<_>>()?;
    Some(Wanted { realm, alternatives })
}

fn scopes(part: &[u8]) -> Option<Vec<&str>> {
    if part.is_empty() {
        return Some(Vec::new());
    }
    let words = part.split(|byte| *byte == 0xfe);
    words.map(|word| std::str::from_utf8(word).ok()).collect()
}

/// The requirement, if there is one, which there is for legal scopes in sets that are not empty.
fn requirement(alternatives: &[Vec<&str>]) -> Option<Requirement> {
    let mut sets = Vec::new();
    for words in alternatives {
        let mut set = Vec::new();
        for word in words {
            let scope = Scope::new(*word);
            assert_eq!(scope.is_ok(), is_scope_token(word));
            set.push(scope.ok()?);
        }
        sets.push(set);
    }
    let requirement = Requirement::any_of_sets(sets);
    let is_some = !alternatives.is_empty() && alternatives.iter().all(|set| !set.is_empty());
    assert_eq!(requirement.is_ok(), is_some);
    requirement.ok()
}

/// A 403 carries one challenge, of the caller's scheme, with all that the first alternative asks for.
fn check_forbidden(answer: &Answer, scheme: &str, wanted: &Wanted<'_>, held: &[&str]) {
    assert_eq!(answer.status, 403, "{}", answer.reason());
    let [text] = answer.challenges()[..] else {
        panic!("not one challenge")
    };
    let (own, parameters) = challenge(text);
    let first = &wanted.alternatives[0];
    let all = first.join(" ");
    assert_eq!(own, scheme);
    assert_eq!(parameters[0], ("realm", wanted.realm));
    assert_eq!(parameters[1], ("error", "insufficient_scope"));
    assert_eq!(parameters[2].0, "error_description");
    assert_eq!(parameters[3..], [("scope", &*all)]);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let missing: Vec<&str> = first
        .iter()
        .filter(|word| !held.contains(word))
        .copied()
        .collect();
    assert_eq!(body["missing_scopes"], json!(missing));
}
