//! The JOSE header of a token that is signed as it should be. The model says for every header whether it is accepted.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower::Layer;
use tower_resource_server::{JwtLayer, Profile};
use tower_resource_server_fuzz::{Json, ask, bare, good_claims, header, issuer, media_type_is, sign};

static DEFAULT: LazyLock<JwtLayer> = LazyLock::new(|| {
    let issuer = issuer().build().unwrap();
    JwtLayer::new(issuer).longest_token(1 << 20)
});
static RFC9068: LazyLock<JwtLayer> = LazyLock::new(|| {
    let issuer = issuer().profile(Profile::rfc9068()).build().unwrap();
    JwtLayer::new(issuer).longest_token(1 << 20)
});

fuzz_target!(|data: &[u8]| {
    // A part of no bytes is refused before it is read.
    if data.is_empty() {
        return;
    }
    let claims = good_claims(r#""client_id":"app","iat":1,"jti":"id","#);
    let token = format!("Bearer {}", sign(data, claims));
    let json = Json::read(data);
    for (layer, strict) in [(&*DEFAULT, false), (&*RFC9068, true)] {
        let mut service = layer.layer(bare());
        let answer = ask(&mut service, header("authorization", token.as_bytes()).unwrap());
        answer.check("api", &["Bearer"]);
        let expected = json.as_ref().is_some_and(|json| is_good(json, strict));
        let depth = json.as_ref().map_or(0, Json::depth);
        // What stands in a `jwk` is counted anew, so a little more than 16 may be accepted.
        let may_be_either = expected && (17..=20).contains(&depth);
        let expected = expected && depth <= 16;
        assert!(
            answer.is_accepted() == expected || may_be_either,
            "{}",
            answer.reason()
        );
        let again = ask(&mut service, header("authorization", token.as_bytes()).unwrap());
        assert_eq!(again.reason(), answer.reason(), "judged anew, and otherwise");
    }
});

/// Members that are texts, also those that are never used.
const TEXTS: [&str; 7] = ["kid", "typ", "cty", "jku", "x5u", "x5t", "x5t#S256"];

/// RFC 7515 section 4, RFC 8725 sections 3.1 and 3.11, RFC 7797 section 7, RFC 9068 section 2.1.
fn is_good(json: &Json, strict: bool) -> bool {
    let text_if_there = |name| json.get(name).is_none_or(|value| value.text().is_some());
    let typ = json.get("typ").and_then(Json::text);
    json.is_object()
        && json.is_strict(256)
        && json.get("alg").and_then(Json::text) == Some("HS256")
        && !json.has("crit")
        && !json.has("b64")
        && TEXTS.into_iter().all(text_if_there)
        && json.get("jwk").is_none_or(Json::is_object)
        && json
            .get("x5c")
            .is_none_or(|chain| matches!(chain, Json::Array(_)) && chain.texts().is_some())
        && json
            .get("kid")
            .and_then(Json::text)
            .is_none_or(|kid| kid.len() <= 512)
        && !json
            .get("cty")
            .and_then(Json::text)
            .is_some_and(|cty| media_type_is(cty, "jwt"))
        && match typ {
            None => !strict,
            Some(typ) => media_type_is(typ, "at+jwt") || !strict && media_type_is(typ, "jwt"),
        }
}
