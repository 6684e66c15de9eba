//! L. What step-up authentication (RFC 9470) asks of a resource server.

use std::time::{Duration, SystemTime};

use axum::Router;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{Acr, Clock, JwtLayer, StepUp, StepUpLayer};

use crate::support::{bearer, call, idp, whoami};

const GOLD: Acr = Acr::from_static("gold");
const SILVER: Acr = Acr::from_static("silver");

fn behind(idp: &TestIssuer, step_up: StepUp) -> Router {
    let layer = StepUpLayer::new(step_up.clock(idp.clock().clone()));
    whoami().layer(layer).layer(JwtLayer::new(idp.issuer()))
}

fn five_minutes() -> StepUp {
    StepUp::recent(Duration::from_secs(300))
}

fn authenticated(idp: &TestIssuer, seconds_ago: u64) -> TokenBuilder {
    let now = idp.clock().now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    idp.token().claim("auth_time", now.as_secs() - seconds_ago)
}

async fn expect(app: &Router, token: TokenBuilder, reason: &str) {
    assert_eq!(call(app, bearer(&token.sign())).await.reason(), reason);
}

#[tokio::test]
async fn l01_too_weak_and_too_old_are_401_with_a_code_of_their_own() {
    let idp = idp();
    let strong = behind(&idp, StepUp::one_of([GOLD]));
    let recent = behind(&idp, five_minutes());
    for (app, token) in [
        (strong, idp.token().claim("acr", "bronze")),
        (recent, authenticated(&idp, 400)),
    ] {
        let answer = call(&app, bearer(&token.sign())).await;
        assert_eq!(answer.status, 401);
        let challenge = answer.challenges().concat();
        assert!(
            challenge.contains("error=\"insufficient_user_authentication\""),
            "{challenge}"
        );
        assert!(!challenge.contains("invalid_token"), "{challenge}");
    }
}

#[tokio::test]
async fn l02_any_one_of_the_classes_suffices_and_all_are_named_in_order() {
    let idp = idp();
    let app = behind(&idp, StepUp::one_of([GOLD, SILVER]));
    for (acr, reason) in [
        ("gold", "ok"),
        ("silver", "ok"),
        ("bronze", "authentication_too_weak"),
        ("GOLD", "authentication_too_weak"),
        ("gold silver", "authentication_too_weak"),
        ("gold,silver", "authentication_too_weak"),
    ] {
        let token = idp.token().claim("acr", acr).sign();
        let answer = call(&app, bearer(&token)).await;
        assert_eq!(answer.reason(), reason, "{acr}");
        if reason != "ok" {
            let challenge = answer.challenges().concat();
            assert!(challenge.contains(", acr_values=\"gold silver\""), "{challenge}");
        }
    }
}

#[tokio::test]
async fn l03_max_age_counts_from_the_moment_that_auth_time_names() {
    let idp = idp();
    let app = behind(&idp, five_minutes());
    let answer = call(&app, bearer(&authenticated(&idp, 299).sign())).await;
    assert_eq!(answer.reason(), "ok");
    let answer = call(&app, bearer(&authenticated(&idp, 301).sign())).await;
    assert_eq!(answer.reason(), "authentication_too_old");
    assert!(answer.challenges().concat().ends_with(", max_age=\"300\""));
    // A token that is fresh says nothing about how long ago its user was there.
    let fresh = authenticated(&idp, 301).issued_at(idp.clock().now());
    expect(&app, fresh, "authentication_too_old").await;
}

#[tokio::test]
async fn l04_what_the_token_does_not_tell_is_not_satisfied() {
    let idp = idp();
    let app = behind(&idp, StepUp::one_of([GOLD]).within(Duration::from_secs(300)));
    expect(&app, idp.token(), "authentication_too_weak").await;
    expect(&app, authenticated(&idp, 0), "authentication_too_weak").await;
    expect(&app, idp.token().claim("acr", "gold"), "authentication_too_old").await;
    expect(&app, authenticated(&idp, 0).claim("acr", "gold"), "ok").await;
}
