//! The text of a token. It is judged as it is, and once more with the signature that its first two parts should have, so
//! that an odd spelling is not refused for its signature alone.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower::Layer;
use tower_resource_server::JwtLayer;
use tower_resource_server_fuzz::{
    API, Answer, ISSUER, Json, NOW, ask, b64, bare, header, issuer, lenient, sign_parts, token_word,
};

const LONGEST: usize = 16 * 1024;

static JWT: LazyLock<JwtLayer> = LazyLock::new(|| JwtLayer::new(issuer().build().unwrap()));

fuzz_target!(|data: &[u8]| {
    let Ok(token) = std::str::from_utf8(data) else {
        return;
    };
    judge(token);
    let mut parts = token.splitn(3, '.');
    if let (Some(header), Some(payload)) = (parts.next(), parts.next()) {
        judge(&sign_parts(header, payload));
    }
});

fn answer(token: &str) -> Option<Answer> {
    let request = header("authorization", format!("Bearer {token}").as_bytes())?;
    let answer = ask(&mut JWT.layer(bare()), request);
    answer.check("api", &["Bearer"]);
    Some(answer)
}

fn is_accepted(token: &str) -> bool {
    answer(token).is_some_and(|answer| answer.is_accepted())
}

fn judge(token: &str) {
    let Some(answer) = answer(token) else { return };
    if !token_word(token.trim_start_matches(' ').as_bytes()) {
        assert_eq!(answer.status, 400);
    } else if token.trim_start_matches(' ').len() > LONGEST {
        assert_eq!(answer.reason(), "token_too_long");
    }
    if answer.is_accepted() {
        check_accepted(token.trim_start_matches(' '));
    }
}

fn check_accepted(token: &str) {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, payload, signature] = parts[..] else {
        panic!("{} parts", parts.len())
    };
    for part in [head, payload, signature] {
        assert_eq!(b64(lenient(part)), part, "this is not how the bytes are written");
    }
    assert_eq!(token, sign_parts(head, payload), "signed by somebody else");
    let (head_json, claims) = (Json::read(&lenient(head)), Json::read(&lenient(payload)));
    let (head_json, claims) = (head_json.expect("a header"), claims.expect("claims"));
    assert_eq!(head_json.get("alg").and_then(Json::text), Some("HS256"));
    assert_eq!(claims.get("iss").and_then(Json::text), Some(ISSUER));
    assert!(
        claims
            .get("aud")
            .and_then(Json::texts)
            .is_some_and(|aud| aud.contains(&API))
    );
    assert!(
        claims
            .get("exp")
            .and_then(Json::number)
            .is_some_and(|exp| exp > NOW as f64)
    );
    assert!(head_json.is_strict(256) && claims.is_strict(256));
    refuses_other_spellings(head, payload, signature);
}

/// Other texts for the same bytes: signed anew where they are part of what is signed.
fn refuses_other_spellings(head: &str, payload: &str, signature: &str) {
    for other in spellings(head) {
        refuse(&sign_parts(&other, payload));
    }
    for other in spellings(payload) {
        refuse(&sign_parts(head, &other));
    }
    for other in spellings(signature) {
        refuse(&format!("{head}.{payload}.{other}"));
    }
    let token = format!("{head}.{payload}.{signature}");
    for other in [
        format!("{token}."),
        format!(".{token}"),
        format!("{head}..{payload}.{signature}"),
        format!("{head}.{payload}"),
        format!("{head}.{payload}."),
        format!("{payload}.{head}.{signature}"),
        format!("{token}A"),
        token.to_ascii_lowercase(),
    ] {
        refuse(&other);
    }
}

/// Spellings of a part that mean the same bytes to a careless reader.
fn spellings(part: &str) -> Vec<String> {
    let mut others = vec![format!("{part}="), format!("{part}=="), format!("{part}%3D")];
    if part.contains(['-', '_']) {
        others.push(part.replace('-', "+").replace('_', "/"));
    }
    let (start, last) = part.split_at(part.len() - 1);
    let alphabet = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_");
    for letter in alphabet
        .map(char::from)
        .filter(|letter| !last.starts_with(*letter))
    {
        let other = format!("{start}{letter}");
        if lenient(&other) == lenient(part) {
            others.push(other);
        }
    }
    others
}

fn refuse(token: &str) {
    assert!(!is_accepted(token), "a second spelling is accepted: {token}");
}
