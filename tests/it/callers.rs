//! What a principal says of a caller.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{JwtLayer, Principal};

use crate::support::{bearer, call, idp};

async fn caller(idp: &TestIssuer, token: TokenBuilder, describe: fn(Principal) -> Value) -> Value {
    let route = get(move |caller: Principal| async move { describe(caller).to_string() });
    let app = Router::new().route("/", route).layer(JwtLayer::new(idp.issuer()));
    call(&app, bearer(&token.sign())).await.json()
}

#[tokio::test]
async fn a_client_that_acts_for_itself_is_no_user() {
    let idp = idp();
    let token = || idp.token().subject("alice").client("app");
    for (token, user) in [
        (token(), true),
        (token().client("alice"), false),
        (token().without("client_id").claim("azp", "alice"), false),
        (token().without("client_id").claim("appid", "alice"), false),
        (token().claim("gty", "client-credentials"), false),
        (token().claim("idtyp", "app"), false),
        (token().without("sub"), false),
        (token().without("client_id"), true),
        (token().subject("app@clients"), false),
        (token().subject("other@clients"), true),
        (token().claim("preferred_username", "service-account-app"), false),
        (token().claim("preferred_username", "service-account-other"), true),
        (token().claim("tid", "t").claim("oid", "alice"), false),
        (token().claim("tid", "t").claim("oid", "bob"), true),
        (
            token().claim("tid", "t").claim("oid", "alice").claim("scp", "a"),
            true,
        ),
        (token().claim("oid", "alice"), true),
    ] {
        assert_eq!(
            caller(&idp, token, |caller| json!(caller.is_user())).await,
            json!(user)
        );
    }
}

#[tokio::test]
async fn a_client_registered_under_a_users_subject_has_another_identity() {
    let idp = idp();
    let identity = |caller: Principal| json!(format!("{:?}", caller.identity()));
    let user = caller(&idp, idp.token().subject("alice").client("app"), identity).await;
    let client = caller(&idp, idp.token().subject("alice").client("alice"), identity).await;
    assert_ne!(user, client);
}

#[tokio::test]
async fn how_and_when_the_user_authenticated_is_told() {
    let idp = idp();
    let token = idp
        .token()
        .claim("acr", "gold")
        .claim("amr", ["pwd", "otp"])
        .claim("auth_time", 1_000);
    let told = |caller: Principal| {
        let authentication = caller.authentication().unwrap();
        assert_eq!(authentication.time, Some(UNIX_EPOCH + Duration::from_secs(1_000)));
        json!([authentication.context, authentication.methods])
    };
    assert_eq!(caller(&idp, token, told).await, json!(["gold", ["pwd", "otp"]]));
    let nothing = caller(&idp, idp.token(), |caller| {
        json!(caller.authentication().is_none())
    })
    .await;
    assert_eq!(nothing, json!(true));
}

#[tokio::test]
async fn authorization_details_are_told_by_type() {
    #[derive(Deserialize)]
    struct Payment {
        amount: u32,
    }
    let idp = idp();
    let details = json!([{ "type": "payment", "amount": 7 }, { "type": "other" }]);
    let told = |caller: Principal| {
        let details = caller.authorization_details();
        let amounts: Vec<_> = details
            .iter()
            .map(|detail| detail.decode::<Payment>().ok().map(|one| one.amount))
            .collect();
        json!([
            details
                .iter()
                .map(tower_resource_server::AuthorizationDetail::kind)
                .collect::<Vec<_>>(),
            amounts
        ])
    };
    let answer = caller(&idp, idp.token().claim("authorization_details", details), told).await;
    assert_eq!(answer, json!([["payment", "other"], [7, null]]));
}

#[tokio::test]
async fn authorization_details_of_another_form_are_refused() {
    let idp = idp();
    let app = Router::new()
        .route("/", get(|| async {}))
        .layer(JwtLayer::new(idp.issuer()));
    for details in [
        json!({}),
        json!(null),
        json!(["x"]),
        json!([{}]),
        json!([{ "type": 7 }]),
    ] {
        let answer = call(
            &app,
            bearer(&idp.token().claim("authorization_details", &details).sign()),
        )
        .await;
        assert_eq!(answer.reason(), "payload_malformed", "{details}");
    }
}
