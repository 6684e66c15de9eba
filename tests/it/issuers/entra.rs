//! Microsoft Entra ID: "Access token claims reference", "ID token claims reference" and "Access tokens in the Microsoft
//! identity platform" in its documentation.

use axum::Router;
use serde_json::{Value, json};
use tower_resource_server::testing::TokenBuilder;
use tower_resource_server::{FixedKeys, Issuer, IssuerBuilder, RemoteKeys, ScopeSource, WithAudience};

use super::{IDP, app, app_with_keys, caller, keys, reason, token};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER_TENANT: &str = "82229342-1101-4ab6-817b-70c0747630f3";
/// Whose users have personal accounts.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const TEMPLATE: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
const API: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
const APP: &str = "75dbe77f-10a3-4e59-85fd-8c127544f17c";

fn v2_issuer(tenant: &str) -> String {
    TEMPLATE.replace("{tenantid}", tenant)
}

/// The guide's recipe for one tenant, version 2.
fn recipe() -> IssuerBuilder<WithAudience> {
    Issuer::builder("https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0")
        .audience(API)
        .client_claim("azp")
        .scopes_from([ScopeSource::scp(), ScopeSource::path(["roles"])])
}

/// The guide's recipe for several tenants.
fn recipe_of_tenants() -> IssuerBuilder<WithAudience> {
    Issuer::builder("https://login.microsoftonline.com/{tenantid}/v2.0")
        .tenants([TENANT])
        .keys(RemoteKeys::jwks_uri(
            "https://login.microsoftonline.com/organizations/discovery/v2.0/keys",
        ))
        .audience(API)
        .client_claim("azp")
        .scopes_from([ScopeSource::scp(), ScopeSource::path(["roles"])])
}

/// The guide's recipe for one tenant, version 1.
fn recipe_v1() -> IssuerBuilder<WithAudience> {
    Issuer::builder("https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/")
        .keys(RemoteKeys::jwks_uri(
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/discovery/keys",
        ))
        .audience("api://6e74172b-be56-4843-9ff4-e66a39bb12e3")
        .client_claim("appid")
        .scopes_from([ScopeSource::scp(), ScopeSource::path(["roles"])])
}

fn v2_token() -> TokenBuilder {
    let claims = json!({
        "aud": API,
        "iss": v2_issuer(TENANT),
        "azp": APP,
        "azpacr": "0",
        "name": "Abe Lincoln",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "abeli@example.com",
        "rh": "I",
        "scp": "Orders.Read Orders.Write",
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": TENANT,
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
        "ver": "2.0",
    });
    token(Some("JWT"), claims)
}

fn v1_token() -> TokenBuilder {
    let claims = json!({
        "aud": format!("api://{API}"),
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "acr": "1",
        "amr": ["pwd"],
        "appid": APP,
        "appidacr": "0",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "scp": "Orders.Read",
        "sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA",
        "tid": TENANT,
        "unique_name": "abeli@example.com",
        "uti": "FVsGxYXI30-TuikuuUoFAA",
        "ver": "1.0",
    });
    token(Some("JWT"), claims).header("x5t", "i6lGk3FZzxRcUb2C3nEQ7syHJlY")
}

/// A daemon's, which has an application role and no user.
fn of_application(token: TokenBuilder) -> TokenBuilder {
    let object = "02223b6b-aa1d-42d4-9ec0-1b2bb9194438";
    ["scp", "name", "preferred_username", "unique_name"]
        .into_iter()
        .fold(token, TokenBuilder::without)
        .claim("sub", object)
        .claim("oid", object)
        .claim("roles", ["Orders.Read.All"])
}

/// For an application that is registered as client and API in one, so that its audience is the API's.
fn id_token() -> TokenBuilder {
    ["azp", "azpacr", "scp"]
        .into_iter()
        .fold(v2_token(), TokenBuilder::without)
        .claim("nonce", "n")
}

#[tokio::test]
async fn an_access_token_of_version_2_names_a_user_and_its_client() {
    let expected = json!({
        "issuer": v2_issuer(TENANT),
        "subject": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "client": APP,
        "scopes": ["Orders.Read", "Orders.Write"],
        "user": true,
        "id": null,
    });
    assert_eq!(caller(&app(recipe()), v2_token()).await, expected);
    assert_eq!(caller(&app(recipe_of_tenants()), v2_token()).await, expected);
}

#[tokio::test]
async fn an_access_token_of_version_1_names_a_user_and_its_client() {
    let expected = json!({
        "issuer": format!("https://sts.windows.net/{TENANT}/"),
        "subject": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA",
        "client": APP,
        "scopes": ["Orders.Read"],
        "user": true,
        "id": null,
    });
    assert_eq!(caller(&app(recipe_v1()), v1_token()).await, expected);
}

#[tokio::test]
async fn each_version_has_its_own_issuer() {
    assert_eq!(reason(&app(recipe()), v1_token()).await, "issuer_unknown");
    assert_eq!(reason(&app(recipe_v1()), v2_token()).await, "issuer_unknown");
    let without_slash = v1_token().claim("iss", format!("https://sts.windows.net/{TENANT}"));
    assert_eq!(reason(&app(recipe_v1()), without_slash).await, "issuer_unknown");
}

#[tokio::test]
async fn an_application_is_no_user_and_its_roles_are_its_scopes() {
    for (recipe, token) in [(recipe(), v2_token as fn() -> _), (recipe_v1(), v1_token)] {
        let app = app(recipe);
        let application = caller(&app, of_application(token())).await;
        assert_eq!(
            (
                &application["user"],
                &application["scopes"],
                &application["client"]
            ),
            (&json!(false), &json!(["Orders.Read.All"]), &json!(APP))
        );
        let told = of_application(token()).claim("oid", "x").claim("idtyp", "app");
        assert_eq!(caller(&app, told).await["user"], json!(false));
        // A user's roles do not add to what the user granted.
        let user = caller(&app, token().claim("roles", ["Orders.Admin"])).await;
        assert_eq!(user["user"], json!(true));
        assert!(
            !user["scopes"]
                .as_array()
                .unwrap()
                .contains(&json!("Orders.Admin"))
        );
    }
}

#[tokio::test]
async fn tokens_of_another_kind_or_for_somebody_else_are_refused() {
    for app in [app(recipe()), app(recipe_of_tenants())] {
        for (token, expected) in [
            (id_token(), "claim_missing"),
            (id_token().claim("at_hash", "x"), "kind_not_accepted"),
            (id_token().claim("c_hash", "x"), "kind_not_accepted"),
            (
                v2_token().audience("00000003-0000-0000-c000-000000000000"),
                "audience_mismatch",
            ),
            (
                v2_token()
                    .claim("iss", v2_issuer(OTHER_TENANT))
                    .claim("tid", OTHER_TENANT),
                "issuer_unknown",
            ),
        ] {
            assert_eq!(reason(&app, token).await, expected);
        }
    }
}

#[tokio::test]
async fn tokens_are_accepted_from_the_trusted_tenants_only() {
    let judged = recipe_of_tenants().tenants_where(|tenant| tenant == TENANT);
    for app in [app(recipe_of_tenants()), app(judged)] {
        assert_eq!(reason(&app, v2_token()).await, "ok");
        assert_eq!(
            reason(&app, v2_token().claim("tid", OTHER_TENANT)).await,
            "issuer_unknown"
        );
        assert_eq!(reason(&app, v2_token().without("tid")).await, "claim_missing");
        for other in [
            v2_issuer(OTHER_TENANT),
            v2_issuer("{tenantid}"),
            v2_issuer(""),
            v2_issuer(&format!("{TENANT}/x")),
            TEMPLATE.to_owned(),
        ] {
            assert_eq!(
                reason(&app, v2_token().claim("iss", &other)).await,
                "issuer_unknown",
                "{other}"
            );
        }
    }
}

/// The tests' keys, each published once for every issuer that is given.
fn published_for(issuers: &[Value]) -> FixedKeys {
    keys();
    let mut document: Value = serde_json::from_str(&IDP.jwks()).unwrap();
    let published = document["keys"].as_array().unwrap().clone();
    let entries = issuers.iter().flat_map(|issuer| {
        published.iter().cloned().map(move |mut key| {
            key["issuer"] = issuer.clone();
            key
        })
    });
    document["keys"] = entries.collect();
    FixedKeys::jwks(&document.to_string()).unwrap()
}

#[tokio::test]
async fn a_key_signs_only_for_the_tenant_that_it_is_published_for() {
    let with = |issuers: &[Value]| app_with_keys(recipe_of_tenants().keys(published_for(issuers)));
    let (all, mine, consumers) = (
        json!(TEMPLATE),
        json!(v2_issuer(TENANT)),
        json!(v2_issuer(CONSUMERS)),
    );
    for (issuers, expected) in [
        (vec![all.clone()], "ok"),
        (vec![mine.clone()], "ok"),
        // The documents of version 1 do not say.
        (vec![Value::Null], "ok"),
        (vec![consumers.clone(), mine], "ok"),
        (vec![Value::Null, consumers.clone()], "ok"),
        (vec![consumers.clone()], "signing_key_foreign"),
        (
            vec![json!("https://sts.windows.net/{tenantid}/")],
            "signing_key_foreign",
        ),
        (vec![json!(7)], "signing_key_foreign"),
        (vec![json!("")], "signing_key_foreign"),
    ] {
        assert_eq!(reason(&with(&issuers), v2_token()).await, expected, "{issuers:?}");
    }
    let app: Router = app_with_keys(recipe().keys(published_for(&[consumers])));
    assert_eq!(
        reason(&app, v2_token()).await,
        "ok",
        "the member has no meaning for issuers that share no keys"
    );
}
