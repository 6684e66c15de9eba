//! What no single row spells out: what a token's members may be, and by what tokens of another kind are told.

use serde_json::{Value, json};
use tower_resource_server::{Issuer, Profile};

use super::claims::{expect, expect_shared, with_claim, with_header};
use crate::support::idp;

const NO_STRINGS: [&str; 6] = ["null", "1", "true", "{}", "[]", r#"["x"]"#];

#[tokio::test]
async fn a_registered_header_member_that_is_not_used_has_its_type_all_the_same() {
    let strings = ["jku", "x5u", "x5t", "x5t#S256"].map(|name| (name, &NO_STRINGS[..]));
    let no_chains: &[&str] = &["null", r#""AA==""#, "{}", "[1]", r#"["AA==",null]"#];
    let no_keys: &[&str] = &["null", r#""x""#, "1", "[]", r#"{"kty":"EC","kty":"EC"}"#];
    let mut cases = Vec::new();
    for (name, values) in strings.into_iter().chain([("x5c", no_chains), ("jwk", no_keys)]) {
        for value in values {
            let member = format!("{name:?}:{value},");
            cases.push((member.clone(), with_header(&member), "header_malformed"));
        }
    }
    let good = [
        r#""jku":"https://evil.test/","#,
        r#""x5u":"https://evil.test/","#,
        r#""x5t":"AA","#,
        r#""x5t#S256":"AA","#,
        r#""x5c":["AA=="],"#,
        r#""jwk":{"kty":"EC","d":[{}]},"#,
    ];
    cases.extend(good.map(|member| (member.to_owned(), with_header(member), "ok")));
    expect_shared(cases).await;
}

#[tokio::test]
async fn a_claim_about_the_login_or_the_grant_has_its_type() {
    let no_lists: &[&str] = &["null", "1", r#""pwd""#, "{}", "[1]", r#"["pwd",null]"#];
    let no_dates: &[&str] = &["null", "true", r#""1800000000""#, "-1", "1e300", "[]"];
    let no_actors: &[&str] = &[
        "null",
        "[]",
        r#"{"sub":null}"#,
        r#"{"client_id":1}"#,
        r#"{"sub":"a","sub":"b"}"#,
    ];
    let no_details: &[&str] = &["null", "{}", r#""x""#, "[null]", r#"[{"type":1}]"#];
    let no_keys: &[&str] = &["null", "[]", r#""jkt""#, r#"{"kid":"a","kid":"a"}"#];
    let mut cases = Vec::new();
    for (name, values) in [
        ("azp", &NO_STRINGS[..]),
        ("acr", &NO_STRINGS[..]),
        ("amr", no_lists),
        ("auth_time", no_dates),
        ("act", no_actors),
        ("authorization_details", no_details),
        ("cnf", no_keys),
    ] {
        for value in values {
            let case = format!("{name}: {value}");
            cases.push((case, with_claim(name, value), "payload_malformed"));
        }
    }
    let good = [
        ("azp", r#""app""#),
        ("acr", r#""mfa""#),
        ("amr", r#"["pwd"]"#),
        ("auth_time", "1799999999.5"),
        ("act", r#"{"sub":"a"}"#),
        ("authorization_details", r#"[{"type":"x"}]"#),
        ("cnf", r#"{"kid":"a"}"#),
    ];
    cases.extend(good.map(|(name, value)| (name.to_owned(), with_claim(name, value), "ok")));
    expect_shared(cases).await;
}

/// Every profile there is, and whether ID tokens pass in it.
fn profiles() -> [(Profile, bool); 4] {
    [
        (Profile::default(), false),
        (Profile::rfc9068(), false),
        (Profile::rfc9068().accept_missing_type(), false),
        (Profile::default().dangerous_accept_id_tokens(), true),
    ]
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_refused_in_every_profile() {
    let idp = idp();
    let rows: [(Value, &str); 12] = [
        (json!({"jkt": "x"}), "proof_missing"),
        (json!({"jkt": ""}), "proof_missing"),
        (json!({"jkt": 1}), "proof_missing"),
        (json!({"jkt": null}), "proof_missing"),
        (json!({"x5t#S256": "x"}), "proof_missing"),
        (json!({"x5t#S256": null}), "proof_missing"),
        (json!({"kid": "a", "jkt": "x"}), "proof_missing"),
        (json!({"jwk": {"kty": "EC"}, "x5t#S256": "x"}), "proof_missing"),
        (json!({"jwk": {"kty": "EC"}}), "ok"),
        (json!({"jwe": "x", "jku": "https://x.test", "kid": "a"}), "ok"),
        (json!({"JKT": "x", "x5t#s256": "x", "new": null}), "ok"),
        (json!({}), "ok"),
    ];
    for (profile, _) in profiles() {
        let cases = rows.clone().map(|(cnf, expected)| {
            let token = idp.token().claim("cnf", &cnf).sign();
            (cnf.to_string(), token, expected)
        });
        expect(&idp.issuer().with_profile(profile), cases).await;
    }
}

#[tokio::test]
async fn the_words_of_other_kinds_are_refused_in_every_profile() {
    const REFUSED: &str = "kind_not_accepted";
    let idp = idp();
    for (profile, id_tokens) in profiles() {
        let of_id_tokens = if id_tokens { "ok" } else { REFUSED };
        let rows = [
            ("events", json!({}), REFUSED),
            ("events", json!(null), REFUSED),
            ("events", json!([[{}]]), REFUSED),
            ("at_hash", json!("x"), of_id_tokens),
            ("c_hash", json!("x"), of_id_tokens),
            ("at_hash", json!(null), REFUSED),
            ("c_hash", json!(["x"]), REFUSED),
            ("token_use", json!("access"), "ok"),
            ("token_use", json!("id"), of_id_tokens),
            ("token_use", json!("refresh"), REFUSED),
            ("token_use", json!("Access"), REFUSED),
            ("token_use", json!(""), REFUSED),
            ("token_use", json!(["access"]), REFUSED),
            ("token_use", json!(null), REFUSED),
            ("typ", json!("ID"), of_id_tokens),
            ("typ", json!("Refresh"), REFUSED),
            ("typ", json!("Offline"), REFUSED),
            ("typ", json!("Logout"), REFUSED),
            ("typ", json!("Bearer"), "ok"),
            ("typ", json!(null), "ok"),
        ];
        let cases = rows.map(|(name, value, expected)| {
            let token = idp.token().claim(name, &value).sign();
            (format!("{name}: {value}"), token, expected)
        });
        expect(&idp.issuer().with_profile(profile), cases).await;
    }
}

#[tokio::test]
async fn a_good_hash_does_not_make_up_for_an_odd_one() {
    let idp = idp();
    let issuer: Issuer = idp
        .issuer()
        .with_profile(Profile::default().dangerous_accept_id_tokens());
    let hashes =
        |first: Value, second: Value| idp.token().claim("at_hash", first).claim("c_hash", second).sign();
    expect(
        &issuer,
        [
            ("both", hashes(json!("a"), json!("b")), "ok"),
            ("odd first", hashes(json!(1), json!("b")), "kind_not_accepted"),
            ("odd last", hashes(json!("a"), json!({})), "kind_not_accepted"),
        ],
    )
    .await;
}
