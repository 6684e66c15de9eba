//! A token that was verified before is cheaper, and never better than a fresh one.

use std::time::{Duration, SystemTime};

use axum::Router;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Clock, JwtLayer, MemoryRevocations, Profile, Revocation, TokenAgeLayer};

use crate::support::{API, ISSUER, bearer, call, idp, whoami};

fn app(jwt: JwtLayer) -> Router {
    whoami().layer(jwt)
}

/// When the tokens of these tests have long expired.
fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

async fn reason(app: &Router, token: &str) -> &'static str {
    call(app, bearer(token)).await.reason()
}

#[tokio::test]
async fn a_known_token_dies_with_its_expiry() {
    let idp = idp();
    let app = app(JwtLayer::new(
        idp.issuer_builder().leeway(Duration::ZERO).build().unwrap(),
    ));
    let token = idp.token().expires_in(Duration::from_secs(60)).sign();
    assert_eq!(reason(&app, &token).await, "ok");
    idp.clock().advance(Duration::from_secs(59));
    assert_eq!(reason(&app, &token).await, "ok");
    idp.clock().advance(Duration::from_secs(1));
    assert_eq!(reason(&app, &token).await, "token_expired");
}

#[tokio::test]
async fn a_known_token_is_from_the_future_again_when_the_clock_is_set_back() {
    let idp = idp();
    let app = app(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    assert_eq!(reason(&app, &token).await, "ok");
    idp.clock()
        .set_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    assert_eq!(reason(&app, &token).await, "token_from_future");
}

#[tokio::test]
async fn a_known_token_dies_with_the_key_that_verified_it() {
    let idp = idp();
    let app = app(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    assert_eq!(reason(&app, &token).await, "ok");
    idp.rotate();
    assert_eq!(reason(&app, &token).await, "signing_key_unknown");
}

#[tokio::test]
async fn a_known_token_with_another_signature_is_not_known() {
    let idp = idp();
    let app = app(JwtLayer::new(idp.issuer()));
    let (token, other) = (idp.token().sign(), idp.token().subject("mallory").sign());
    assert_eq!(reason(&app, &token).await, "ok");
    let (input, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(
        reason(&app, &format!("{input}.{signature}")).await,
        "signature_invalid"
    );
}

#[tokio::test]
async fn a_token_that_one_layer_knows_is_judged_by_the_rules_of_another() {
    let idp = idp();
    let lax = app(JwtLayer::new(idp.issuer()));
    let strict = app(JwtLayer::new(idp.issuer().with_profile(Profile::rfc9068())));
    let elsewhere = app(JwtLayer::new(idp.issuer().with_audience("https://other.test")));
    let token = idp.token().header("typ", "JWT").sign();
    assert_eq!(reason(&lax, &token).await, "ok");
    assert_eq!(reason(&strict, &token).await, "type_not_accepted");
    assert_eq!(reason(&elsewhere, &token).await, "audience_mismatch");
}

#[tokio::test]
async fn a_known_token_is_refused_by_the_first_request_after_its_revocation() {
    let idp = idp();
    let revocations = MemoryRevocations::new();
    let app = app(JwtLayer::new(idp.issuer()).revocations(revocations.clone()));
    let token = idp.token().token_id("t-1").sign();
    let other = idp.token().token_id("t-2").sign();
    assert_eq!(reason(&app, &token).await, "ok");
    revocations.revoke(&Revocation::token(ISSUER, "t-1", later()));
    assert_eq!(reason(&app, &token).await, "token_revoked");
    assert_eq!(reason(&app, &other).await, "ok");
}

#[tokio::test]
async fn tokens_below_a_subjects_version_are_refused_and_nobody_elses() {
    let idp = idp();
    let revocations = MemoryRevocations::new();
    let app = app(JwtLayer::new(idp.issuer()).revocations(revocations.clone()));
    revocations.revoke(&Revocation::version(ISSUER, "user_7", 3, later()));
    let token = || idp.token().subject("user_7");
    for (token, expected) in [
        (token().sign(), "token_revoked"),
        (token().claim("token_version", 2).sign(), "token_revoked"),
        (token().claim("token_version", "3").sign(), "token_revoked"),
        (token().claim("token_version", 3.5).sign(), "token_revoked"),
        (token().claim("token_version", 3).sign(), "ok"),
        (idp.token().subject("user_8").sign(), "ok"),
        (idp.token().without("sub").sign(), "claim_missing"),
    ] {
        assert_eq!(reason(&app, &token).await, expected);
    }
}

#[tokio::test]
async fn a_token_without_the_id_that_a_revocation_needs_is_refused_unless_that_is_relaxed() {
    let idp = idp();
    let token = idp.token().without("jti").sign();
    let strict = app(JwtLayer::new(idp.issuer()).revocations(MemoryRevocations::new()));
    assert_eq!(reason(&strict, &token).await, "claim_missing");
    let relaxed = MemoryRevocations::new().accept_tokens_without_id();
    assert_eq!(
        reason(&app(JwtLayer::new(idp.issuer()).revocations(relaxed)), &token).await,
        "ok"
    );
}

#[tokio::test]
async fn a_token_without_a_subject_passes_a_version_only_if_that_is_relaxed() {
    let idp = idp();
    let token = idp.token().without("sub").sign();
    let strict = MemoryRevocations::new();
    let relaxed = MemoryRevocations::new().accept_tokens_without_subject();
    for (revocations, expected) in [(strict, "claim_missing"), (relaxed, "ok")] {
        revocations.revoke(&Revocation::version(ISSUER, "user_7", 3, later()));
        let app = app(JwtLayer::new(idp.issuer()).revocations(revocations));
        assert_eq!(reason(&app, &token).await, expected);
    }
}

#[tokio::test]
async fn an_entry_counts_until_its_token_is_refused_for_its_expiry() {
    let idp = idp();
    let revocations = MemoryRevocations::with_clock(idp.clock().clone());
    let issuer = idp
        .issuer_builder()
        .leeway(Duration::from_secs(300))
        .build()
        .unwrap();
    let app = app(JwtLayer::new(issuer).revocations(revocations.clone()));
    let sixty = Duration::from_secs(60);
    let expires_at = idp.clock().now() + sixty;
    revocations.revoke(&Revocation::token(ISSUER, "t-1", expires_at));
    revocations.revoke(&Revocation::subject(ISSUER, "bob", idp.clock().now(), expires_at));
    let hers = idp.token().token_id("t-1").expires_in(sixty).sign();
    let his = idp.token().subject("bob").expires_in(sixty).sign();
    let others = idp.token().subject("eve").expires_in(sixty).sign();
    for (wait, withdrawn, good) in [
        (0, "token_revoked", "ok"),
        (60, "token_revoked", "ok"),
        (299, "token_revoked", "ok"),
        (1, "token_expired", "token_expired"),
    ] {
        idp.clock().advance(Duration::from_secs(wait));
        for (token, expected) in [(&hers, withdrawn), (&his, withdrawn), (&others, good)] {
            assert_eq!(reason(&app, token).await, expected, "after {wait} s more");
        }
    }
}

#[tokio::test]
async fn another_issuers_token_of_the_same_id_stands() {
    let (idp, other) = (idp(), TestIssuer::new("https://other.test", API));
    let revocations = MemoryRevocations::new();
    revocations.revoke(&Revocation::token(ISSUER, "t-1", later()));
    let guarded = |idp: &TestIssuer| app(JwtLayer::new(idp.issuer()).revocations(revocations.clone()));
    assert_eq!(
        reason(&guarded(&idp), &idp.token().token_id("t-1").sign()).await,
        "token_revoked"
    );
    assert_eq!(
        reason(&guarded(&other), &other.token().token_id("t-1").sign()).await,
        "ok"
    );
}

#[tokio::test]
async fn a_route_may_ask_for_a_young_token() {
    let idp = idp();
    let fresh = TokenAgeLayer::within(Duration::from_secs(60)).clock(idp.clock().clone());
    let app = whoami().layer(fresh).layer(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    assert_eq!(reason(&app, &token).await, "ok");
    assert_eq!(
        reason(&app, &idp.token().without("iat").sign()).await,
        "claim_missing"
    );
    idp.clock().advance(Duration::from_secs(59));
    assert_eq!(reason(&app, &token).await, "ok");
    idp.clock().advance(Duration::from_secs(2));
    let answer = call(&app, bearer(&token)).await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (401, "token_too_old"));
    assert!(
        answer.challenges()[0].contains(r#"error="invalid_token""#),
        "{answer:?}"
    );
}
