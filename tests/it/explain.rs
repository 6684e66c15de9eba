//! `Issuer::explain` says why a token is refused, and never otherwise than the judge.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};
use tower_resource_server::testing::{TestClock, TestIssuer, TokenBuilder};
use tower_resource_server::{
    Algorithm, AuthError, CachedKeys, Check, CheckState, Explanation, FixedKeys, Issuer, IssuerBuilder,
    Profile, ScopeSource, Secret, TrustedIssuers, WithAudience,
};

use crate::support::{API, Broken, ISSUER, READ, WRITE, idp};

/// The reasons of refusals that are not about one token and its issuer: no credential was read, another kind of it was, or
/// somebody else asks more. The others are for `explain`.
const OF_OTHERS: &[&str] = &[
    "credential_missing",
    "header_unreadable",
    "credential_empty",
    "credential_repeated",
    "token_revoked",
    "token_too_old",
    "authentication_too_weak",
    "authentication_too_old",
    "method_not_accepted",
    "not_a_user",
    "client_not_accepted",
    "actor_not_accepted",
    "route_closed",
    "rate_limited",
    "too_many_failed_attempts",
    "api_key_malformed",
    "api_key_of_other_environment",
    "api_key_unknown",
    "api_key_revoked",
    "api_key_expired",
    "api_key_not_yet_valid",
    "scope_missing",
    "claims_absent",
    "resolver_unavailable",
    "store_unavailable",
    "revocations_unavailable",
    "revocations_unheard",
    "not_authenticated",
    "already_authenticated",
    "issuer_misconfigured",
    "claims_undeclared",
];

const TELEMETRY: &str = include_str!("../../src/guide/telemetry.md");

/// What a layer with these issuers said of the token is what is explained, in a check that can end so; and nothing is shown
/// that should not be. For the tests of the judge, which hand every token that they judge on to here.
pub(crate) async fn agrees(issuers: &TrustedIssuers, token: &str, reason: &str) {
    let mut all = issuers.iter();
    if let (Some(issuer), None) = (all.next(), all.next())
        && !OF_OTHERS.contains(&reason)
    {
        check_of(issuer, token, reason).await;
    }
}

async fn check_of(issuer: &Issuer, token: &str, reason: &str) -> Option<Check> {
    let explanation = issuer.explain(token).await;
    let told = explanation.verdict().err().map_or("ok", AuthError::reason);
    assert_eq!(told, reason, "{explanation}");
    let states: Vec<CheckState> = explanation.checks().iter().map(|check| check.state).collect();
    let failed = explanation.failed().cloned();
    if let Some(failed) = &failed {
        assert!(failed.reasons.contains(&reason), "{explanation}");
        let place = explanation.checks().iter().position(|check| check == failed);
        let (before, rest) = states.split_at(place.unwrap());
        assert!(
            before.iter().all(|state| *state == CheckState::Passed),
            "{explanation}"
        );
        assert!(
            rest[1..].iter().all(|state| *state == CheckState::NotReached),
            "{explanation}"
        );
    } else {
        assert_eq!(reason, "ok");
        assert!(
            states.iter().all(|state| *state == CheckState::Passed),
            "{explanation}"
        );
    }
    shows_no_more_than_it_should(&explanation, token);
    failed
}

fn shows_no_more_than_it_should(explanation: &Explanation, token: &str) {
    let text = explanation.to_string();
    assert_eq!(text.lines().count(), 1 + 2 * explanation.checks().len(), "{text}");
    assert!(
        text.chars().all(|one| one == '\n' || !one.is_control()),
        "{text:?}"
    );
    let debug = format!("{explanation:?}");
    for part in token.split('.').filter(|part| part.len() >= 16) {
        assert!(!text.contains(part) && !debug.contains(part), "{text}");
    }
}

async fn explained(issuer: &Issuer, token: &str) -> Explanation {
    let explanation = issuer.explain(token).await;
    shows_no_more_than_it_should(&explanation, token);
    explanation
}

fn named<'e>(explanation: &'e Explanation, name: &str) -> &'e Check {
    let check = explanation.checks().iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("no check {name:?} in {explanation}"))
}

fn found<'e>(explanation: &'e Explanation, name: &str) -> &'e str {
    &named(explanation, name).found
}

fn expected<'e>(explanation: &'e Explanation, name: &str) -> &'e str {
    &named(explanation, name).expected
}

#[derive(Debug, Deserialize)]
struct Staff {
    #[allow(dead_code, reason = "only its presence matters")]
    staff_number: u32,
}

type Case = (&'static str, &'static str, Issuer, String);

/// A token for each check and each reason that it can end in.
fn cases() -> Vec<Case> {
    let idp = idp();
    let case = |check, reason, token: String| (check, reason, idp.issuer(), token);
    let token = || idp.token();
    let mut cases = vec![
        case("length", "token_too_long", "a".repeat(16 * 1024 + 1)),
        case("parts", "token_malformed", "a.b".to_owned()),
        case("header", "header_malformed", token().header("alg", 5).sign()),
        case(
            "crit",
            "critical_extension",
            token().header("crit", ["x"]).header("cty", "JWT").sign(),
        ),
        case(
            "kid, cty",
            "header_malformed",
            token().header("cty", "JWT").without_header("alg").sign(),
        ),
        case("alg", "header_malformed", token().without_header("alg").sign()),
        case(
            "alg",
            "algorithm_unknown",
            token().header("alg", "none").claim("exp", "x").sign(),
        ),
        case("claims", "payload_malformed", token().claim("exp", "x").sign()),
        case(
            "iss",
            "claim_missing",
            token().without("iss").without("aud").sign(),
        ),
        case(
            "iss",
            "issuer_unknown",
            token().claim("iss", "https://x.test").sign(),
        ),
        case(
            "typ",
            "type_not_accepted",
            token().header("typ", "dpop+jwt").sign(),
        ),
        case(
            "key",
            "signing_key_unknown",
            token().header("kid", "nobody's").sign(),
        ),
        case(
            "key",
            "signing_key_ambiguous",
            token()
                .algorithm(Algorithm::EdDsa)
                .header("kid", "es256-1")
                .sign(),
        ),
        case("signature", "signature_invalid", forged(&idp)),
        case(
            "kind",
            "kind_not_accepted",
            token().claim("events", json!({})).without("aud").sign(),
        ),
        case(
            "cnf",
            "proof_missing",
            token().claim("cnf", json!({"jkt": "x"})).sign(),
        ),
        case(
            "aud",
            "claim_missing",
            token().without("aud").without("exp").sign(),
        ),
        case(
            "aud",
            "audience_mismatch",
            token().audience("x").claim("exp", 1).sign(),
        ),
        case("exp", "claim_missing", token().without("exp").sign()),
        case("exp", "token_expired", token().claim("exp", 1).sign()),
        case(
            "nbf",
            "token_not_yet_valid",
            token().claim("nbf", 100_000_000_000_u64).sign(),
        ),
        case(
            "iat",
            "token_from_future",
            token().claim("iat", 100_000_000_000_u64).sign(),
        ),
        case(
            "scopes",
            "payload_malformed",
            token().claim("scope", ["a"]).sign(),
        ),
    ];
    cases.extend(cases_of_settings(&idp));
    cases.extend(cases_of_tenants(&idp));
    cases
}

fn cases_of_settings(idp: &TestIssuer) -> Vec<Case> {
    let token = || idp.token();
    let case = |check, reason, issuer: IssuerBuilder<WithAudience>, token: TokenBuilder| {
        (check, reason, issuer.build().unwrap(), token.sign())
    };
    let settings = || idp.issuer_builder();
    let ed = token().algorithm(Algorithm::EdDsa);
    vec![
        case(
            "accepted alg",
            "algorithm_not_accepted",
            settings().algorithms([Algorithm::Es256]),
            ed,
        ),
        case(
            "key",
            "keys_unavailable",
            settings().keys(CachedKeys::new(Broken)),
            token(),
        ),
        case(
            "required claims",
            "claim_missing",
            settings().profile(Profile::rfc9068()),
            token().without("jti").without("aud"),
        ),
        case(
            "sub",
            "claim_missing",
            settings().subjects(["bob"]),
            token().without("sub"),
        ),
        case(
            "sub",
            "subject_not_accepted",
            settings().subjects(["bob"]),
            token(),
        ),
        case("client", "claim_missing", settings().client_claim("cid"), token()),
        case(
            "client",
            "payload_malformed",
            settings().client_claim("cid"),
            token().claim("cid", 5).claim("scope", ["a"]),
        ),
        case(
            "token id",
            "payload_malformed",
            settings().token_id_claim("uti"),
            token().claim("uti", 5).claim("scope", ["a"]),
        ),
        case(
            "claims type",
            "claims_undecodable",
            settings().claims::<Staff>(),
            token(),
        ),
    ]
}

fn cases_of_tenants(idp: &TestIssuer) -> Vec<Case> {
    let keys = |tenant: &str| {
        let mut jwks: Value = serde_json::from_str(&idp.jwks()).unwrap();
        jwks["keys"][0]["issuer"] = format!("{ISSUER}/{tenant}").into();
        FixedKeys::jwks(&jwks.to_string()).unwrap()
    };
    let issuer = |keys| {
        let issuer = Issuer::builder(format!("{ISSUER}/{{tenantid}}")).audience(API);
        let issuer = issuer.tenants(["one", "two"]).clock(idp.clock().clone());
        issuer.keys(keys).build().unwrap()
    };
    let token = || {
        idp.token()
            .claim("iss", format!("{ISSUER}/one"))
            .claim("tid", "one")
    };
    vec![
        (
            "tenant",
            "claim_missing",
            issuer(keys("one")),
            token().without("tid").without("exp").sign(),
        ),
        (
            "tenant",
            "issuer_unknown",
            issuer(keys("one")),
            token().claim("tid", "two").sign(),
        ),
        (
            "tenant",
            "signing_key_foreign",
            issuer(keys("two")),
            token().sign(),
        ),
        (
            "iss",
            "issuer_unknown",
            issuer(keys("one")),
            token()
                .claim("iss", format!("{ISSUER}/three"))
                .without("tid")
                .sign(),
        ),
    ]
}

/// A token with the signature of another.
fn forged(idp: &TestIssuer) -> String {
    let (mine, other) = (idp.token().sign(), idp.token().subject("admin").sign());
    let (input, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = mine.rsplit_once('.').unwrap();
    format!("{input}.{signature}")
}

// What it says is what the judge says.

#[tokio::test]
async fn each_check_is_named_with_each_reason_that_it_can_end_in() {
    let mut seen = BTreeSet::new();
    for (check, reason, issuer, token) in cases() {
        let failed = check_of(&issuer, &token, reason).await.unwrap();
        assert_eq!(
            (failed.name, failed.state),
            (check, CheckState::Failed),
            "{reason}"
        );
        seen.insert((check, reason));
    }
    let explanation = idp().issuer().explain("").await;
    let all = explanation.checks().iter();
    let all = all.flat_map(|check| check.reasons.iter().map(|reason| (check.name, *reason)));
    // A version that cannot be read is one that the strict reading of all claims let through; none is known.
    let possible = all.filter(|one| *one != ("token version", "payload_malformed"));
    assert_eq!(seen, possible.collect());
}

#[tokio::test]
async fn there_is_a_check_for_each_reason_that_a_token_can_be_refused_with() {
    let rows = TELEMETRY.lines().skip_while(|line| *line != "# Reason codes");
    let codes = rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`'));
    let codes: BTreeSet<&str> = codes.map(|(code, _)| code).collect();
    assert!(codes.len() > 40 && OF_OTHERS.iter().all(|code| codes.contains(code)));

    let explanation = idp().issuer().explain("").await;
    let checks = explanation.checks().iter();
    let explained: BTreeSet<&str> = checks.flat_map(|check| check.reasons).copied().collect();
    let others: BTreeSet<&str> = OF_OTHERS.iter().copied().collect();
    assert!(explained.is_disjoint(&others));
    assert_eq!(&explained | &others, codes);
}

#[tokio::test]
async fn a_good_token_passes_every_check_and_the_last_line_says_who_it_is() {
    let idp = idp();
    let token = idp.token().subject("alice").scopes([READ]).sign();
    let explanation = explained(&idp.issuer(), &token).await;
    assert!(
        explanation.verdict().is_ok() && explanation.failed().is_none(),
        "{explanation}"
    );
    assert!(
        explanation
            .checks()
            .iter()
            .all(|check| check.state == CheckState::Passed)
    );
    let last = explanation.checks().last().unwrap();
    assert_eq!(
        (last.name, &*last.found),
        ("principal", r#"subject "alice", a user; client "test-client""#)
    );
}

#[tokio::test]
async fn what_was_not_reached_is_shown_all_the_same() {
    let idp = idp();
    let token = idp
        .token()
        .header("typ", "x")
        .audience("https://other.test")
        .sign();
    let explanation = explained(&idp.issuer(), &token).await;
    let aud = named(&explanation, "aud");
    assert_eq!(aud.state, CheckState::NotReached);
    assert_eq!(
        (&*aud.expected, &*aud.found),
        (r#""https://api.test""#, r#""https://other.test""#)
    );
    assert_eq!(found(&explanation, "signature"), "not checked");
    assert_eq!(found(&explanation, "principal"), "nobody");
}

#[tokio::test]
async fn a_reason_common_to_several_checks_is_the_first_ones() {
    let idp = idp();
    // Wrong in every way that claims can be; then one thing after the other is put right.
    let issuer = idp.issuer_builder().profile(Profile::rfc9068()).subjects(["bob"]);
    let issuer = issuer.client_claim("cid").build().unwrap();
    let mut token = ["iss", "jti", "aud", "exp"]
        .iter()
        .fold(idp.token(), |token, claim| token.without(claim));
    for (check, claim, value) in [
        ("iss", "iss", ISSUER),
        ("required claims", "jti", "x"),
        ("aud", "aud", API),
        ("sub", "sub", "bob"),
        ("exp", "exp", ""),
    ] {
        let explanation = explained(&issuer, &token.clone().sign()).await;
        assert_eq!(explanation.failed().unwrap().name, check, "{explanation}");
        token = match claim {
            "exp" => token.expires_in(Duration::from_secs(60)),
            _ => token.claim(claim, value),
        };
    }
    let explanation = explained(&issuer, &token.sign()).await;
    assert_eq!(explanation.failed().unwrap().name, "client", "{explanation}");
}

// What is expected, and what was found.

#[tokio::test]
async fn dates_are_told_beside_the_clock_and_the_leeway() {
    let clock = TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let idp = idp();
    let issuer = idp.issuer_builder().clock(clock.clone()).build().unwrap();
    let token = idp
        .token()
        .claim("exp", 1_799_999_700)
        .claim("nbf", 1_800_090_000)
        .without("iat");
    let explanation = explained(&issuer, &token.sign()).await;
    let now = "now is 2027-01-15T08:00:00Z, leeway 30 s";
    assert_eq!(
        expected(&explanation, "exp"),
        format!("later than 2027-01-15T07:59:30Z ({now})")
    );
    assert_eq!(found(&explanation, "exp"), "2027-01-15T07:55:00Z, 5 min ago");
    let latest = format!("absent, or 2027-01-15T08:00:30Z at the latest ({now})");
    assert_eq!(expected(&explanation, "nbf"), latest);
    assert_eq!(found(&explanation, "nbf"), "2027-01-16T09:00:00Z, in 1 d 1 h");
    assert_eq!(
        (expected(&explanation, "iat"), found(&explanation, "iat")),
        (&*latest, "absent")
    );

    clock.set_date(UNIX_EPOCH - Duration::from_secs(1));
    let explanation = explained(&issuer, &idp.token().sign()).await;
    assert_eq!(explanation.failed().unwrap().name, "nbf");
    assert!(
        expected(&explanation, "nbf").contains("past 1970"),
        "{explanation}"
    );
}

#[tokio::test]
async fn several_audiences_are_told_on_both_sides() {
    let idp = idp();
    let issuer = idp.issuer_builder().audience("urn:b").build().unwrap();
    let token = idp.token().claim("aud", ["x", "y"]).sign();
    let explanation = explained(&issuer, &token).await;
    assert_eq!(
        expected(&explanation, "aud"),
        r#"one of "https://api.test", "urn:b""#
    );
    assert_eq!(found(&explanation, "aud"), r#"["x", "y"]"#);
}

#[tokio::test]
async fn clients_instead_of_an_audience_are_told() {
    let idp = idp();
    let issuer = Issuer::builder(ISSUER)
        .clients_instead_of_audience(["web"])
        .keys(FixedKeys::jwks(&idp.jwks()).unwrap())
        .clock(idp.clock().clone());
    let token = idp.token().claim("token_use", "access").sign();
    let explanation = explained(&issuer.build().unwrap(), &token).await;
    assert_eq!(
        expected(&explanation, "aud"),
        r#"no aud, a token_use of "access", and a client_id of "web""#
    );
    assert_eq!(
        found(&explanation, "aud"),
        r#"aud "https://api.test", token_use "access", client_id "test-client""#
    );
}

#[tokio::test]
async fn a_slash_too_many_in_iss_is_seen_at_once() {
    let idp = idp();
    let token = idp.token().claim("iss", format!("{ISSUER}/")).sign();
    let explanation = explained(&idp.issuer(), &token).await;
    let failed = explanation.failed().unwrap();
    assert_eq!(failed.name, "iss");
    assert_eq!(
        (&*failed.expected, &*failed.found),
        (r#""https://idp.test""#, r#""https://idp.test/""#)
    );
}

#[tokio::test]
async fn a_kid_stands_beside_the_names_of_the_issuers_keys() {
    let idp = idp();
    let token = idp.token().header("kid", "old").sign();
    let mut jwks: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let mut nameless = jwks["keys"][0].clone();
    nameless.as_object_mut().unwrap().remove("kid");
    let keys = jwks["keys"].as_array_mut().unwrap();
    keys.extend([json!({"kty": "oct", "k": "AAAA"}), nameless]);
    let keys = FixedKeys::jwks(&jwks.to_string()).unwrap();
    let issuer = idp.issuer_builder().keys(keys).build().unwrap();
    let explanation = explained(&issuer, &token).await;
    assert_eq!(
        found(&explanation, "key"),
        r#"kid "old"; the issuer has "es256-1" (ES256); left out, counted from 0: no. 1 (it is a symmetric key)"#
    );
}

#[tokio::test]
async fn a_shared_secret_is_not_shown() {
    let secret = "CanaryCanaryCanaryCanaryCanary00";
    let issuer = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new(secret)));
    let issuer = issuer.build().unwrap();
    let explanation = explained(&issuer, &idp().token().sign_with_secret(&Secret::new([1; 32]))).await;
    assert_eq!(explanation.failed().unwrap().name, "signature");
    assert_eq!(
        found(&explanation, "key"),
        "kid absent; the issuer has one without a name (HS256)"
    );
    assert!(!format!("{explanation}{explanation:?}").contains(secret));
}

#[tokio::test]
async fn keys_out_of_reach_are_told_with_the_cause() {
    let idp = idp();
    let issuer = idp
        .issuer_builder()
        .keys(CachedKeys::new(Broken))
        .build()
        .unwrap();
    let explanation = explained(&issuer, &idp.token().header("kid", "one").sign()).await;
    let failed = explanation.failed().unwrap();
    assert_eq!((failed.name, failed.state), ("key", CheckState::Failed));
    assert_eq!(
        failed.found,
        r#"kid "one"; the issuer's keys are out of reach: the database is down"#
    );
    let text = explanation.to_string();
    assert!(
        text.starts_with(
            "refused: keys_unavailable: the issuer's keys are out of reach: the database is down\n"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_is_fetched_for_a_token_that_needs_no_key() {
    let idp = idp();
    let issuer = idp
        .issuer_builder()
        .keys(CachedKeys::new(Broken))
        .build()
        .unwrap();
    let explanation = explained(&issuer, &idp.token().header("typ", "x").sign()).await;
    assert!(found(&explanation, "key").ends_with("the issuer has no keys in memory"));
    let status = issuer.key_status();
    assert_eq!(
        status.fetch,
        tower_resource_server::FetchState::Idle,
        "{status:?}"
    );
}

#[tokio::test]
async fn scopes_that_the_issuer_may_not_grant_are_told() {
    let idp = idp();
    let issuer = idp.issuer_builder().accepted_scopes([READ]);
    let issuer = issuer.scopes_from([ScopeSource::scope(), ScopeSource::path(["realm_access", "roles"])]);
    let explanation = explained(
        &issuer.build().unwrap(),
        &idp.token().scopes([READ, WRITE]).sign(),
    )
    .await;
    assert_eq!(
        expected(&explanation, "scopes"),
        r#"words from "scope", or else "realm_access.roles"; of these count "orders:read""#
    );
    assert_eq!(
        found(&explanation, "scopes"),
        r#""orders:read"; left out, since this issuer may not grant them: "orders:write""#
    );
}

#[tokio::test]
async fn a_claim_of_another_type_is_named() {
    let idp = idp();
    let explanation = explained(&idp.issuer(), &idp.token().claim("exp", "tomorrow").sign()).await;
    assert_eq!(explanation.failed().unwrap().name, "claims");
    assert_eq!(found(&explanation, "claims"), r#""exp" is a string"#);
    assert_eq!(found(&explanation, "exp"), r#""tomorrow""#);
    assert_eq!(found(&explanation, "scopes"), "cannot be read");
}

#[tokio::test]
async fn what_is_no_token_is_called_what_it_is() {
    let issuer = idp().issuer();
    for (token, words) in [
        ("", "1; an opaque token or an API key, but no signed token"),
        (
            "sk_test_0",
            "1; an opaque token or an API key, but no signed token",
        ),
        ("a.b.c.d.e", "5; an encrypted token has so many"),
        ("e30.e30", "2"),
        ("e30.e30.", "3; the signature: empty"),
        ("e30.=.e30", "3; the claims: not base64url"),
        ("é.e30.e30", "3; the header: not base64url"),
    ] {
        let explanation = explained(&issuer, token).await;
        assert_eq!(explanation.failed().unwrap().name, "parts", "{token:?}");
        assert_eq!(found(&explanation, "parts"), words, "{token:?}");
    }
}

// What is not shown.

#[tokio::test]
async fn a_strangers_text_is_quoted_escaped_and_cut() {
    let idp = idp();
    let line = "x\npassed       aud\u{1b}[2J\u{202e}\u{7f}";
    let token = idp
        .token()
        .subject(line)
        .claim("iss", line.repeat(100))
        .header("kid", line);
    let explanation = explained(&idp.issuer(), &token.sign()).await;
    assert_eq!(
        found(&explanation, "sub"),
        r#""x\npassed       aud\u{1b}[2J\u{202e}\u{7f}""#
    );
    assert!(found(&explanation, "iss").len() < 300, "{explanation}");
    assert!(found(&explanation, "iss").ends_with(" bytes)"), "{explanation}");
}

#[tokio::test]
async fn many_claims_and_deep_ones_make_no_long_text() {
    let idp = idp();
    let mut deep = json!(1);
    for _ in 0..9 {
        deep = json!([deep.clone(), deep]);
    }
    let many = (0..200).fold(idp.token(), |token, number| {
        token.claim(format!("c{number}"), number)
    });
    for token in [many, idp.token().claim("tid", &deep).claim("sub", &deep)] {
        let text = explained(&idp.issuer(), &token.sign()).await.to_string();
        assert!(text.len() < 10_000, "{text}");
    }
}

#[tokio::test]
async fn the_key_that_a_token_is_bound_to_is_not_shown() {
    let idp = idp();
    let canary = "CanaryCanaryCanary";
    for cnf in [
        json!({"jkt": canary}),
        json!({"jwk": {"k": canary}}),
        json!(canary),
    ] {
        let token = idp
            .token()
            .claim("cnf", cnf)
            .header("jwk", json!({"x": canary}))
            .sign();
        let explanation = explained(&idp.issuer(), &token).await;
        assert!(
            !format!("{explanation}{explanation:?}").contains(canary),
            "{explanation}"
        );
    }
}

#[tokio::test]
async fn an_explanation_prints_as_a_list_that_is_aligned() {
    let idp = idp();
    let text = explained(&idp.issuer(), &idp.token().audience("x").sign())
        .await
        .to_string();
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "refused: audience_mismatch: the token is meant for another audience"
    );
    let column = |line: &str, word: &str| line.find(word).unwrap_or_else(|| panic!("{line}"));
    for check in lines.collect::<Vec<_>>().chunks(2) {
        assert_eq!(column(check[0], "expected  "), 30, "{}", check[0]);
        assert_eq!(column(check[1], "found     "), 30, "{}", check[1]);
    }
    let line = r#"failed       aud              expected  "https://api.test""#;
    assert!(text.lines().any(|one| one == line), "{text}");
}

#[tokio::test]
async fn the_whole_text_of_a_good_token() {
    let secret = Secret::new([7; 32]);
    let clock = TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let issuer = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(secret.clone()))
        .clock(clock)
        .build()
        .unwrap();
    let token = idp()
        .token()
        .subject("alice")
        .scopes([READ])
        .claim("token_version", 3);
    let token = token
        .claim("iat", 1_800_000_000 - 60)
        .claim("exp", 1_800_000_000 + 240);
    let text = explained(&issuer, &token.sign_with_secret(&secret))
        .await
        .to_string();
    assert_eq!(text, GOOD);
}

const GOOD: &str = r#"good: the token passes every check of this issuer
passed       length           expected  16384 bytes or fewer
                              found     331 bytes
passed       parts            expected  header, claims and signature in base64url without padding, with dots between
                              found     3
passed       header           expected  a JSON object: no member twice, each of its type
                              found     an object with "alg", "typ"
passed       crit             expected  no extension (crit, b64)
                              found     none
passed       kid, cty         expected  a kid of 512 bytes or fewer, and no token inside (cty)
                              found     no kid, cty absent
passed       alg              expected  a signature algorithm that is known here
                              found     "HS256"
passed       claims           expected  a JSON object: no member twice, each of its type
                              found     an object with "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_version"
passed       iss              expected  "https://idp.test"
                              found     "https://idp.test"
passed       typ              expected  at+jwt, JWT, or absent
                              found     "at+jwt"
passed       accepted alg     expected  HS256
                              found     "HS256"
passed       key              expected  exactly one key of the issuer for this kid and alg
                              found     kid absent; the issuer has one without a name (HS256)
passed       signature        expected  made with this key over this header and these claims
                              found     it was
passed       kind             expected  no events, at_hash or c_hash, no token_use but access, no typ of ID, Refresh, Offline or Logout
                              found     none
passed       cnf              expected  no binding to a key (jkt, x5t#S256), since no proof of it is checked
                              found     absent
passed       required claims  expected  no others than the checks below ask for
                              found     sub, client_id, iat, jti
passed       tenant           expected  nothing: this issuer has no tenants
                              found     absent
passed       aud              expected  "https://api.test"
                              found     "https://api.test"
passed       sub              expected  anybody or nobody
                              found     "alice"
passed       exp              expected  later than 2027-01-15T07:59:30Z (now is 2027-01-15T08:00:00Z, leeway 30 s)
                              found     2027-01-15T08:04:00Z, in 4 min
passed       nbf              expected  absent, or 2027-01-15T08:00:30Z at the latest (now is 2027-01-15T08:00:00Z, leeway 30 s)
                              found     absent
passed       iat              expected  absent, or 2027-01-15T08:00:30Z at the latest (now is 2027-01-15T08:00:00Z, leeway 30 s)
                              found     2027-01-15T07:59:00Z, 1 min ago
passed       client           expected  client_id, azp or appid, if one is there
                              found     "test-client"
passed       token id         expected  a string in "jti", if it is there
                              found     "test-token"
passed       scopes           expected  words from "scope"; all of them count
                              found     "orders:read"
passed       token version    expected  a whole number in "token_version", if it is there
                              found     3
passed       claims type      expected  nothing: no type was declared
                              found     nothing is decoded
passed       principal        expected  every check passed
                              found     subject "alice", a user; client "test-client""#;

#[tokio::test]
async fn each_setting_is_told_in_words() {
    let settings = || idp().issuer_builder();
    let rfc9068 = Profile::rfc9068();
    let lax = Profile::default().dangerous_accept_id_tokens();
    for (issuer, check, words) in [
        (settings().profile(rfc9068), "typ", "at+jwt"),
        (
            settings().profile(rfc9068.accept_missing_type()),
            "typ",
            "at+jwt, or absent",
        ),
        (
            settings().profile(rfc9068),
            "required claims",
            "sub, client_id, iat, jti",
        ),
        (
            settings().profile(lax),
            "kind",
            "no events, no at_hash or c_hash but strings, no token_use but access or id, \
             no typ of Refresh, Offline or Logout",
        ),
        (settings().algorithms([Algorithm::Es256]), "accepted alg", "ES256"),
        (settings().subjects(["b", "a"]), "sub", r#"one of "a", "b""#),
        (
            settings().subjects_where(|_| true),
            "sub",
            "those that a function accepts",
        ),
        (settings().client_claim("cid"), "client", r#"a string in "cid""#),
        (
            settings().token_id_claim("uti"),
            "token id",
            r#"a string in "uti", if it is there"#,
        ),
        (
            settings().token_version_claim("ver"),
            "token version",
            r#"a whole number in "ver", if it is there"#,
        ),
        (
            settings().claims::<Staff>(),
            "claims type",
            "what the declared type decodes from",
        ),
    ] {
        let explanation = issuer.build().unwrap().explain("").await;
        assert_eq!(expected(&explanation, check), words);
    }
    let (.., issuer, token) = cases_of_tenants(&idp()).remove(2);
    let explanation = explained(&issuer, &token).await;
    assert_eq!(
        expected(&explanation, "iss"),
        r#""https://idp.test/{tenantid}", of the tenants: one of "one", "two""#
    );
    assert_eq!(
        expected(&explanation, "tenant"),
        "a tid that is the tenant in iss, and a key that signs for it"
    );
    assert_eq!(
        found(&explanation, "tenant"),
        r#""one"; the key signs for another tenant"#
    );
}

#[tokio::test]
async fn each_kind_of_sign_and_value_is_told_in_words() {
    let idp = idp();
    let id_token = idp
        .token()
        .claim("at_hash", "h")
        .claim("token_use", "id")
        .claim("typ", "ID");
    let explanation = explained(&idp.issuer(), &id_token.sign()).await;
    assert_eq!(
        found(&explanation, "kind"),
        r#"at_hash, token_use "id", typ "ID""#
    );
    for (value, words) in [
        (json!(null), "null"),
        (json!(true), "true"),
        (json!(1.5), "1.5"),
        (json!([]), "[none]"),
        (json!(["a", 1, [2], {"b": 3}]), r#"["a", 1, an array, an object]"#),
        (json!({"b": {"c": 3}}), r#"an object with "b""#),
    ] {
        let explanation = explained(&idp.issuer(), &idp.token().claim("sub", value).sign()).await;
        assert_eq!(found(&explanation, "sub"), words);
    }
    for (value, kind) in [
        (json!(null), "null"),
        (json!(true), "true or false"),
        (json!(1), "a number"),
        (json!("a"), "a string"),
        (json!([]), "an array"),
    ] {
        let explanation = explained(&idp.issuer(), &idp.token().claim("cnf", value).sign()).await;
        assert_eq!(found(&explanation, "claims"), format!("\"cnf\" is {kind}"));
        assert_eq!(found(&explanation, "cnf"), format!("a cnf that is {kind}"));
    }
    let explanation = explained(&idp.issuer(), "e30.W10.AA").await;
    assert_eq!(found(&explanation, "claims"), "no JSON object");
    assert_eq!(found(&explanation, "sub"), "cannot be read");
    let twice = "eyJhbGciOiJFUzI1NiIsImFsZyI6IkVTMjU2In0.e30.AA"; // {"alg":"ES256","alg":"ES256"}
    let explanation = explained(&idp.issuer(), twice).await;
    assert_eq!(explanation.failed().unwrap().name, "header");
    assert_eq!(
        found(&explanation, "header"),
        r#"a member twice, or too many of them, in an object with "alg""#
    );
}

#[tokio::test]
async fn a_caller_is_told_as_what_it_is() {
    let idp = idp();
    for (token, words) in [
        (
            idp.token().subject("robot").client("robot"),
            r#"subject "robot", not a user; client "robot""#,
        ),
        (
            idp.token().without("sub").without("client_id"),
            "no subject, not a user; no client",
        ),
    ] {
        let explanation = explained(&idp.issuer(), &token.sign()).await;
        assert_eq!(found(&explanation, "principal"), words);
    }
}
