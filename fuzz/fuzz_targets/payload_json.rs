//! The claims of a token that is signed as it should be. The model says for all claims whether they are accepted, and what
//! the principal is.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tower::Layer;
use tower_resource_server::{JwtLayer, Principal, Profile, ScopeSource};
use tower_resource_server_fuzz::{
    API, GOOD_HEADER, ISSUER, Json, NOW, ask, bare, header, is_scope_token, issuer, sign,
};

/// The end of the year 9999.
const LATEST: f64 = 253_402_300_800.0;

static DEFAULT: LazyLock<JwtLayer> = LazyLock::new(|| {
    let issuer = issuer().claims::<Map<String, Value>>().build().unwrap();
    JwtLayer::new(issuer).longest_token(1 << 20)
});
static RFC9068: LazyLock<JwtLayer> = LazyLock::new(|| {
    let issuer = issuer().profile(Profile::rfc9068()).build().unwrap();
    JwtLayer::new(issuer).longest_token(1 << 20)
});
static ROLES: LazyLock<JwtLayer> = LazyLock::new(|| {
    let places = [
        ScopeSource::path(["realm_access", "roles"]),
        ScopeSource::scp(),
        ScopeSource::scope(),
    ];
    JwtLayer::new(issuer().scopes_from(places).build().unwrap()).longest_token(1 << 20)
});

fuzz_target!(|data: &[u8]| {
    if data.is_empty() {
        return;
    }
    let token = format!("Bearer {}", sign(GOOD_HEADER, data));
    let json = Json::read(data);
    let ask = |layer: &JwtLayer| {
        let mut service = layer.layer(bare());
        let request = || header("authorization", token.as_bytes()).unwrap();
        let answer = ask(&mut service, request());
        answer.check("api", &["Bearer"]);
        let again = ask(&mut service, request());
        assert_eq!(again.reason(), answer.reason(), "judged anew, and otherwise");
        answer
    };

    let answer = ask(&DEFAULT);
    let good = json.as_ref().is_some_and(is_good);
    // A value that is read by itself may stand a little deeper than one that nobody reads.
    let odd = json
        .as_ref()
        .is_some_and(|json| (17..=20).contains(&json.depth()));
    assert!(answer.is_accepted() == good || odd, "{}", answer.reason());
    if let (Some(caller), Some(json)) = (&answer.principal, &json) {
        check_principal(caller, json);
        let claims = caller.claims::<Map<String, Value>>().unwrap();
        assert_eq!(*claims, serde_json::from_slice(data).unwrap());
    }

    let complete = json.as_ref().is_some_and(|json| {
        ["sub", "client_id", "iat", "jti"]
            .iter()
            .all(|name| json.has(name))
    });
    assert_eq!(ask(&RFC9068).is_accepted(), answer.is_accepted() && complete);

    let by_roles = ask(&ROLES);
    // The claim `scope` may be an array where it is not what the scopes are read from.
    let list_of_scopes = json
        .as_ref()
        .is_some_and(|json| matches!(json.get("scope"), Some(Json::Array(_))));
    assert!(answer.is_accepted() || !by_roles.is_accepted() || list_of_scopes);
    if let (Some(caller), Some(json)) = (&by_roles.principal, &json) {
        assert_eq!(scopes_of(caller), roles(json));
    }
});

/// RFC 7519 section 4.1, RFC 8693 section 4, RFC 9068 section 2.2, RFC 9396 section 9.1, and the signs of other kinds.
fn is_good(json: &Json) -> bool {
    let text_if_there = |name: &str| json.get(name).is_none_or(|value| value.text().is_some());
    let date_if_there = |name: &str| json.get(name).is_none_or(|value| date(value).is_some());
    let begun = |name: &str| {
        json.get(name)
            .and_then(date)
            .is_none_or(|date| date <= NOW as f64)
    };
    let texts = ["sub", "jti", "client_id", "azp", "acr", "scope"];
    let other_kinds = ["events", "at_hash", "c_hash"];
    json.is_object()
        && json.is_strict(256)
        && json.depth() <= 16
        && texts.into_iter().all(text_if_there)
        && ["nbf", "iat", "auth_time"].into_iter().all(date_if_there)
        && ["nbf", "iat"].into_iter().all(begun)
        && json
            .get("amr")
            .is_none_or(|amr| matches!(amr, Json::Array(_)) && amr.texts().is_some())
        && json.get("act").is_none_or(is_actor)
        && json
            .get("cnf")
            .is_none_or(|cnf| cnf.is_object() && !cnf.has("jkt") && !cnf.has("x5t#S256"))
        && json.get("authorization_details").is_none_or(are_details)
        && !other_kinds.iter().any(|name| json.has(name))
        && json
            .get("token_use")
            .is_none_or(|value| value.text() == Some("access"))
        && !matches!(
            json.get("typ").and_then(Json::text),
            Some("ID" | "Refresh" | "Offline" | "Logout")
        )
        && json.get("iss").and_then(Json::text) == Some(ISSUER)
        && json
            .get("aud")
            .and_then(Json::texts)
            .is_some_and(|aud| aud.contains(&API))
        && json.get("exp").and_then(date).is_some_and(|exp| exp > NOW as f64)
}

fn date(value: &Json) -> Option<f64> {
    value.number().filter(|number| (0.0..LATEST).contains(number))
}

fn is_actor(act: &Json) -> bool {
    let text_if_there = |name| act.get(name).is_none_or(|value: &Json| value.text().is_some());
    act.is_object() && ["sub", "iss", "client_id"].into_iter().all(text_if_there)
}

fn are_details(details: &Json) -> bool {
    let has_type = |one: &Json| one.is_object() && one.get("type").and_then(Json::text).is_some();
    matches!(details, Json::Array(details) if details.iter().all(has_type))
}

fn check_principal(caller: &Principal, json: &Json) {
    let text = |name| json.get(name).and_then(Json::text);
    assert_eq!(caller.issuer(), Some(ISSUER));
    assert_eq!(caller.subject(), text("sub"));
    assert_eq!(caller.token_id(), text("jti"));
    assert_eq!(
        caller.client(),
        text("client_id").or(text("azp")).or(text("appid"))
    );
    let words = text("scope").unwrap_or_default().split(' ');
    assert_eq!(
        scopes_of(caller),
        words.filter(|word| is_scope_token(word)).collect::<Vec<_>>()
    );
    let is_client = caller.subject().is_none_or(|subject| {
        ["client_id", "azp", "appid"]
            .iter()
            .any(|name| text(name) == Some(subject))
    });
    assert!(!(is_client && caller.is_user()), "a client passes for a user");
    assert!(caller.expires_at().unwrap() > UNIX_EPOCH + Duration::from_secs(NOW));
    let details = json.get("authorization_details");
    let count = match details {
        Some(Json::Array(details)) => details.len(),
        _ => 0,
    };
    assert_eq!(caller.authorization_details().len(), count);
    let outermost = json.get("act").and_then(|act| act.get("sub"));
    let actor = caller.actor().and_then(|actor| actor.subject.as_deref());
    assert_eq!(actor, outermost.and_then(Json::text));
}

fn scopes_of(caller: &Principal) -> Vec<&str> {
    caller.scopes().iter().collect()
}

/// The words of the first place that is there: of a string between its spaces, of a list one for each string.
fn roles(json: &Json) -> Vec<&str> {
    let nested = json.get("realm_access").and_then(|access| access.get("roles"));
    let words = match nested.or(json.get("scp")).or(json.get("scope")) {
        Some(Json::Text(text)) => text.split(' ').collect(),
        Some(list) => list.texts().unwrap_or_default(),
        None => Vec::new(),
    };
    words.into_iter().filter(|word| is_scope_token(word)).collect()
}
