//! F. What RFC 8725 and its successor ask of whoever reads JWTs.

use std::str::FromStr;

use serde_json::{Value, json};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{
    Algorithm, CachedKeys, FixedKeys, Issuer, JwtLayer, KeySet, Profile, RemoteKeys, ResolvedIssuers, Secret,
    TrustedIssuers,
};

use super::claims::{
    NOW, SECRET, b64, claims, expect, expect_shared, principal, shared, sign_bytes, with_header,
};
use crate::explain;
use crate::resolved::Directory;
use crate::server::{PATIENT, Reply, Server};
use crate::support::{API, READ, bearer, call, idp, whoami};
use crate::telemetry::logged;

const PUBLIC: [Algorithm; 10] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::EdDsa,
];

async fn reason(issuers: impl Into<TrustedIssuers>, token: &str) -> &'static str {
    let issuers = issuers.into();
    let app = whoami().layer(JwtLayer::new(issuers.clone()));
    let reason = call(&app, bearer(token)).await.reason();
    explain::agrees(&issuers, token, reason).await;
    reason
}

/// Two issuers of one service, each limited as it is told.
fn both(first: Issuer, second: Issuer) -> TrustedIssuers {
    TrustedIssuers::new([first, second]).unwrap()
}

#[tokio::test]
async fn f01_nothing_outside_the_list_of_algorithms_is_used() {
    let idp = idp();
    let signed = PUBLIC.map(|algorithm| (algorithm, idp.token().algorithm(algorithm).sign()));
    for listed in PUBLIC {
        let issuer = idp.issuer_builder().algorithms([listed]).build().unwrap();
        let cases = signed.iter().map(|(algorithm, token)| {
            let expected = if *algorithm == listed {
                "ok"
            } else {
                "algorithm_not_accepted"
            };
            (algorithm.as_str(), token.clone(), expected)
        });
        expect(&issuer, cases).await;
    }
    assert!(idp.issuer_builder().algorithms([]).build().is_err());
}

#[tokio::test]
async fn f02_each_issuer_has_a_list_of_algorithms_of_its_own() {
    let (one, other) = (idp(), TestIssuer::new("https://other.test", API));
    let of = |idp: &TestIssuer, algorithm| {
        let builder = idp.issuer_builder().accept_any_scope();
        builder.algorithms([algorithm]).build().unwrap()
    };
    let trusted = both(of(&one, Algorithm::Es256), of(&other, Algorithm::EdDsa));
    for (idp, algorithm, expected) in [
        (&one, Algorithm::Es256, "ok"),
        (&one, Algorithm::EdDsa, "algorithm_not_accepted"),
        (&other, Algorithm::EdDsa, "ok"),
        (&other, Algorithm::Es256, "algorithm_not_accepted"),
    ] {
        let token = idp.token().algorithm(algorithm).sign();
        assert_eq!(reason(trusted.clone(), &token).await, expected, "{algorithm}");
    }
}

#[tokio::test]
async fn f03_outdated_algorithms_have_no_name_here_and_an_issuer_can_change_to_another() {
    for name in [
        "none", "HS1", "RS1", "RS160", "MD5", "RSA1_5", "ES256K", "rs256", "",
    ] {
        assert!(Algorithm::from_str(name).is_err(), "{name}");
    }
    for algorithm in PUBLIC {
        assert_eq!(Algorithm::from_str(algorithm.as_str()), Ok(algorithm));
    }
    let idp = idp();
    for algorithm in [Algorithm::Rs256, Algorithm::Es384, Algorithm::EdDsa] {
        let issuer = idp.issuer_builder().algorithms(PUBLIC).build().unwrap();
        let token = idp.token().algorithm(algorithm).sign();
        assert_eq!(reason(issuer, &token).await, "ok", "{algorithm}");
    }
    let unknown = idp.token().header("alg", "RS1").sign();
    assert_eq!(reason(idp.issuer(), &unknown).await, "algorithm_unknown");
}

#[tokio::test]
async fn f04_a_token_of_which_anything_fails_is_refused_whole() {
    let idp = idp();
    for algorithm in PUBLIC {
        let token = idp.token().algorithm(algorithm).sign();
        let other = idp.token().algorithm(algorithm).subject("mallory").sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (other_input, other_signature) = other.rsplit_once('.').unwrap();
        let zeros = b64(vec![0; signature.len() * 3 / 4]);
        let rows = [
            ("whole", token.clone(), "ok"),
            (
                "other claims",
                format!("{other_input}.{signature}"),
                "signature_invalid",
            ),
            (
                "other signature",
                format!("{input}.{other_signature}"),
                "signature_invalid",
            ),
            ("zeros", format!("{input}.{zeros}"), "signature_invalid"),
        ];
        let issuer = idp.issuer_builder().algorithms(PUBLIC).build().unwrap();
        expect(&issuer, rows).await;
    }
}

#[tokio::test]
async fn f05_only_signed_tokens_are_read_and_never_encrypted_ones() {
    let encrypted = |header: &str| {
        format!(
            "{}.{}.{}.{}.{}",
            b64(header),
            b64("k"),
            b64("iv"),
            b64("x"),
            b64("t")
        )
    };
    expect_shared([
        ("signed", with_header(""), "ok"),
        (
            "RSA-OAEP",
            encrypted(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#),
            "token_malformed",
        ),
        (
            "without a key",
            format!(
                "{}..{}.{}.{}",
                b64(r#"{"alg":"dir","enc":"A256GCM"}"#),
                b64("iv"),
                b64("x"),
                b64("t")
            ),
            "token_malformed",
        ),
        (
            "in three parts",
            sign_bytes(r#"{"alg":"dir","enc":"A256GCM"}"#, claims("")),
            "algorithm_unknown",
        ),
    ])
    .await;
}

/// A token that claims to be by the key `k` and carries this signature.
fn with_signature(algorithm: &str, signature: &[u8]) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#);
    format!("{}.{}.{}", b64(header), b64(claims("")), b64(signature))
}

#[tokio::test]
async fn f06_points_that_are_no_keys_are_refused() {
    let idp = idp();
    let good: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let ec = &good["keys"][0];
    assert_eq!(ec["kty"], "EC");
    let with_y = |y: Value| {
        let mut key = ec.clone();
        key["y"] = y;
        KeySet::from_jwks(&json!({ "keys": [key] }).to_string())
    };
    assert!(with_y(ec["y"].clone()).is_ok());
    for y in [ec["x"].clone(), b64([0; 32]).into(), b64([0xff; 32]).into()] {
        assert!(with_y(y.clone()).is_err(), "{y}");
    }

    // Points of Ed25519 of which anybody can sign. The neutral one verifies itself and zero for every message.
    let ed25519 = |x: &[u8]| json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(x)});
    let point = |first: u8, middle: u8, last: u8| {
        let mut point = [middle; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let neutral = point(1, 0, 0);
    for small in [
        point(0, 0, 0),
        neutral,
        point(1, 0, 0x80),
        point(0xec, 0xff, 0x7f),
        point(0xed, 0xff, 0x7f),
        point(0xee, 0xff, 0xff),
        ORDER_8[0],
        ORDER_8[1],
    ] {
        // A good key beside it, so that the set is one.
        let document = json!({ "keys": [ed25519(&small), ec] }).to_string();
        let set = KeySet::from_jwks(&document).unwrap();
        assert_eq!(set.skipped().len(), 1, "{small:?}");
        assert!(set.skipped()[0].reason.contains("small order"), "{set:?}");
        let issuer = shared().keys(FixedKeys::from(set)).build().unwrap();
        let forged = with_signature("EdDSA", &[neutral, [0; 32]].concat());
        assert_eq!(reason(issuer, &forged).await, "signing_key_unknown");
    }
    let token = idp.token().algorithm(Algorithm::EdDsa).sign();
    assert_eq!(reason(idp.issuer(), &token).await, "ok");
}

/// The points of order eight, without their signs.
const ORDER_8: [[u8; 32]; 2] = [
    [
        38, 232, 149, 143, 194, 178, 39, 176, 69, 195, 244, 137, 242, 239, 152, 240, 213, 223, 172, 5, 211,
        198, 51, 57, 177, 56, 2, 136, 109, 83, 252, 5,
    ],
    [
        199, 23, 106, 112, 61, 77, 216, 79, 186, 60, 11, 118, 13, 16, 103, 15, 42, 32, 83, 250, 44, 57, 204,
        198, 78, 199, 253, 119, 146, 172, 3, 122,
    ],
];

#[tokio::test]
async fn f07_what_is_short_enough_to_be_remembered_is_no_hmac_secret() {
    let idp = idp();
    let with = |secret: &[u8], algorithm| {
        let keys = FixedKeys::secret(Secret::new(secret));
        idp.issuer_builder().keys(keys).algorithms([algorithm]).build()
    };
    for password in ["hunter2", "correct horse battery staple", "0123456789abcdef"] {
        assert!(with(password.as_bytes(), Algorithm::Hs256).is_err(), "{password}");
    }
    assert!(with(&SECRET[..63], Algorithm::Hs512).is_err());
    let issuer = with(&SECRET, Algorithm::Hs512).unwrap();
    let token = idp.token().algorithm(Algorithm::Hs512);
    let token = token.sign_with_secret(&Secret::new(SECRET));
    assert_eq!(reason(issuer, &token).await, "ok");
}

#[tokio::test]
async fn f08_header_and_claims_are_utf8() {
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let header = r#"{"alg":"HS256"}"#;
    let latin: Vec<u8> = claims("\"x\":\"?\",")
        .bytes()
        .map(|byte| if byte == b'?' { 0xe9 } else { byte })
        .collect();
    expect_shared([
        (
            "UTF-8",
            sign_bytes(header, claims("\"x\":\"\u{e9}\u{20ac}\u{1f511}\",")),
            "ok",
        ),
        ("Latin-1", sign_bytes(header, latin), "payload_malformed"),
        (
            "UTF-16",
            sign_bytes(header, utf16(&claims(""))),
            "payload_malformed",
        ),
        (
            "a header in UTF-16",
            sign_bytes(utf16(header), claims("")),
            "header_malformed",
        ),
        (
            "a byte order mark",
            sign_bytes(header, format!("\u{feff}{}", claims(""))),
            "payload_malformed",
        ),
        (
            "half a surrogate pair",
            sign_bytes(header, claims(r#""x":"\ud83d","#)),
            "payload_malformed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn f09_a_key_of_one_issuer_never_verifies_a_token_of_another() {
    let (one, other) = (idp(), TestIssuer::new("https://other.test", API));
    let of = |idp: &TestIssuer| idp.issuer_builder().accept_any_scope().build().unwrap();
    let trusted = both(of(&one), of(&other));
    drop(other.token().sign());
    for (token, expected) in [
        (one.token(), "ok"),
        (other.token(), "ok"),
        // Both call their key `es256-1`.
        (one.token().claim("iss", other.to_string()), "signature_invalid"),
        (other.token().claim("iss", one.to_string()), "signature_invalid"),
        (
            one.token()
                .algorithm(Algorithm::Rs256)
                .claim("iss", other.to_string()),
            "signing_key_unknown",
        ),
    ] {
        assert_eq!(reason(trusted.clone(), &token.sign()).await, expected);
    }
}

#[tokio::test]
async fn f10_a_subject_is_one_of_its_issuer_and_no_client() {
    let (one, other) = (idp(), TestIssuer::new("https://other.test", API));
    let caller = async |idp: &TestIssuer, token: TokenBuilder| principal(idp.issuer(), &token.sign()).await;
    let alice = |idp: &TestIssuer| idp.token().subject("alice").client("app");
    let user = caller(&one, alice(&one)).await;
    assert_eq!(user.identity(), caller(&one, alice(&one)).await.identity());
    assert_eq!((user.subject(), user.is_user()), (Some("alice"), true));
    for stranger in [
        caller(&other, alice(&other)).await,
        caller(&one, alice(&one).subject("Alice")).await,
        caller(&one, alice(&one).client("alice")).await,
        caller(&one, alice(&one).without("sub")).await,
    ] {
        assert_ne!(stranger.identity(), user.identity());
    }
    let strict = one.issuer().with_profile(Profile::rfc9068());
    expect(
        &strict,
        [
            ("named", alice(&one).sign(), "ok"),
            ("nameless", alice(&one).without("sub").sign(), "claim_missing"),
            ("number", alice(&one).claim("sub", 7).sign(), "payload_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn f11_a_token_without_an_audience_is_refused() {
    let idp = idp();
    expect(
        &idp.issuer(),
        [
            ("this", idp.token().sign(), "ok"),
            ("none", idp.token().without("aud").sign(), "claim_missing"),
            (
                "no one",
                idp.token().claim("aud", json!([])).sign(),
                "audience_mismatch",
            ),
            ("another", idp.token().audience("x").sign(), "audience_mismatch"),
        ],
    )
    .await;
}

#[test]
fn f12_nothing_in_a_token_is_used_as_a_path_an_address_or_a_line_of_a_log() {
    let server = Server::start();
    let idp = idp();
    server.serve("/jwks", Reply::json(idp.jwks()));
    let keys = CachedKeys::from(RemoteKeys::jwks_uri(server.url("/jwks"))).longest_wait(PATIENT);
    let issuer = idp.issuer_builder().keys(keys).build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer));
    let url = server.url("/CANARY");
    let kids = [
        "../../CANARY",
        "' OR 'CANARY'='CANARY",
        "CANARY\r\nlevel=info",
        &url,
        "?kid=CANARY",
    ];
    let tokens = kids.map(|kid| (idp.token().header("kid", kid), "signing_key_unknown"));
    let members = ["jku", "x5u"].map(|member| (idp.token().header(member, &url), "ok"));
    let more = [
        (
            idp.token().header("jku", &url).header("kid", &url),
            "signing_key_unknown",
        ),
        (idp.token().claim("iss", &url), "issuer_unknown"),
        (idp.token().header("typ", "CANARY\n"), "type_not_accepted"),
        (idp.token().header("alg", "CANARY\n"), "algorithm_unknown"),
    ];
    for (token, expected) in tokens.into_iter().chain(members).chain(more) {
        let (answer, log) = logged(call(&app, bearer(&token.sign())));
        assert_eq!(answer.reason(), expected);
        assert!(!log.contains("CANARY"), "{log}");
        assert!(!format!("{answer:?}").contains("CANARY"), "{answer:?}");
    }
    let asked = server.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|path| path == "/jwks"),
        "{asked:?}"
    );
}

#[test]
fn f13_nothing_private_is_fetched_for_an_issuer_that_was_found_at_run_time() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    server.serve("/jwks", Reply::json(idp.jwks()));
    let metadata = json!({"issuer": idp.name(), "jwks_uri": server.url("/jwks")}).to_string();
    server.serve("/.well-known/openid-configuration", Reply::json(metadata));
    let issuer = || {
        let keys = CachedKeys::from(RemoteKeys::discover(idp.name())).longest_wait(PATIENT);
        idp.issuer_builder()
            .keys(keys)
            .accept_any_scope()
            .build()
            .unwrap()
    };
    let found = || ResolvedIssuers::new(Directory::of([issuer()]));
    let token = idp.token().sign();
    let (refused, log) = logged(reason(found(), &token));
    assert_eq!(refused, "keys_unavailable");
    assert!(log.contains("the address is not public"), "{log}");
    assert_eq!(server.asked(), [""; 0]);
    // It is the way in which the issuer was found that counts, and who runs the service may decide otherwise.
    assert_eq!(logged(reason(issuer(), &token)).0, "ok");
    let accepting = found().dangerous_accept_private_addresses();
    assert_eq!(logged(reason(accepting, &token)).0, "ok");
}

const OTHER_TYPES: [&str; 12] = [
    "dpop+jwt",
    "DPoP+JWT",
    "application/dpop+jwt",
    "logout+jwt",
    "application/logout+jwt",
    "secevent+jwt",
    "Application/SecEvent+JWT",
    "token-introspection+jwt",
    "application/token-introspection+jwt",
    "statuslist+jwt",
    "id+jwt",
    "",
];

#[tokio::test]
async fn f14_a_type_that_is_there_is_the_expected_one() {
    let idp = idp();
    let typed = |typ: &str| idp.token().header("typ", typ).sign();
    let absent = idp.token().without_header("typ").sign();
    let strict = idp.issuer().with_profile(Profile::rfc9068());
    let legacy = ["JWT", "jwt", "application/jwt"];
    let own = ["at+jwt", "AT+JWT", "application/at+jwt"];
    for (issuer, of_legacy) in [(idp.issuer(), "ok"), (strict, "type_not_accepted")] {
        let refused = OTHER_TYPES.map(|typ| (typ, typed(typ), "type_not_accepted"));
        let others = legacy.map(|typ| (typ, typed(typ), of_legacy));
        let cases = own.map(|typ| (typ, typed(typ), "ok"));
        let absent = ("absent", absent.clone(), of_legacy);
        expect(
            &issuer,
            cases.into_iter().chain(others).chain(refused).chain([absent]),
        )
        .await;
    }
}

#[tokio::test]
async fn f15_no_other_kind_of_token_of_the_same_issuer_passes_for_an_access_token() {
    let idp = idp();
    let plain = || idp.token().header("typ", "JWT").scopes([READ]);
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let rows = [
        ("access token", plain(), "ok"),
        ("ID token", plain().claim("at_hash", "x"), "kind_not_accepted"),
        ("ID token", plain().claim("c_hash", "x"), "kind_not_accepted"),
        (
            "ID token for the client",
            plain().audience("app"),
            "audience_mismatch",
        ),
        (
            "Cognito's ID token",
            plain().claim("token_use", "id"),
            "kind_not_accepted",
        ),
        (
            "Keycloak's ID token",
            plain().claim("typ", "ID"),
            "kind_not_accepted",
        ),
        (
            "refresh token",
            plain().claim("typ", "Refresh"),
            "kind_not_accepted",
        ),
        (
            "offline token",
            plain().claim("typ", "Offline"),
            "kind_not_accepted",
        ),
        (
            "logout token",
            plain().claim("events", event),
            "kind_not_accepted",
        ),
        (
            "logout token by type",
            plain().header("typ", "logout+jwt"),
            "type_not_accepted",
        ),
        (
            "DPoP proof",
            plain().header("typ", "dpop+jwt"),
            "type_not_accepted",
        ),
        (
            "bound token",
            plain().claim("cnf", json!({"jkt": "x"})),
            "proof_missing",
        ),
        (
            "introspection answer",
            plain().header("typ", "token-introspection+jwt"),
            "type_not_accepted",
        ),
    ];
    let cases = rows.map(|(name, token, expected)| (name, token.sign(), expected));
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn f16_nothing_is_derived_or_inflated_for_an_encrypted_token() {
    let costly =
        format!(r#"{{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":{NOW},"p2s":"AAAA","zip":"DEF"}}"#);
    let five = format!(
        "{}.{}.{}.{}.{}",
        b64(&costly),
        b64("k"),
        b64("iv"),
        b64("x"),
        b64("t")
    );
    expect_shared([
        ("in five parts", five, "token_malformed"),
        ("in three", sign_bytes(&costly, claims("")), "algorithm_unknown"),
        // `zip` is no member of a signed token's header: it is ignored, and nothing is inflated.
        ("signed", with_header(r#""zip":"DEF","p2c":4000000000,"#), "ok"),
    ])
    .await;
}
