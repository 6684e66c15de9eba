//! What routes ask of callers beside a credential: every demand, asked of every kind of caller, by a layer over HTTP, by a layer
//! over gRPC, and inside a handler.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use http::{HeaderMap, Version};
use serde_json::json;
use tower::ServiceExt;
use tower_resource_server::testing::{TestClock, TestIssuer, TokenBuilder};
use tower_resource_server::{
    Acr, ApiKeyLayer, CallerKind, CallerLayer, Clock, Demand, JwtLayer, MemoryRevocations, Principal,
    Rejection, Requirement, Revocation, RevocationCheckLayer, RouteRequirement, ScopeLayer, StepUp,
    StepUpLayer, TokenAge, TokenAgeLayer,
};

use crate::support::{Answer, ISSUER, KEY, READ, WRITE, call, idp, request, store, whoami};

const GOLD: Acr = Acr::from_static("gold");
const SILVER: Acr = Acr::from_static("silver");
const MINUTE: Duration = Duration::from_secs(60);

/// In the order of the columns below.
const CALLERS: [&str; 8] = [
    "anonymous",
    "key",
    "user",
    "client",
    "delegated",
    "stale",
    "weak",
    "silent",
];

/// A row for each demand, a column for each caller: `ok`, or the reason of the refusal.
const LATTICE: &str = "
                 anonymous           key                      user                client                   delegated           stale                   weak                     silent
age              credential_missing  claim_missing            ok                  ok                       ok                  token_too_old           ok                       claim_missing
strong           credential_missing  authentication_too_weak  ok                  authentication_too_weak  ok                  ok                      authentication_too_weak  authentication_too_weak
recent           credential_missing  authentication_too_old   ok                  authentication_too_old   ok                  authentication_too_old  ok                       authentication_too_old
strong+recent    credential_missing  authentication_too_weak  ok                  authentication_too_weak  ok                  authentication_too_old  authentication_too_weak  authentication_too_weak
api_key          credential_missing  ok                       method_not_accepted method_not_accepted      method_not_accepted method_not_accepted     method_not_accepted      method_not_accepted
token            credential_missing  method_not_accepted      ok                  ok                       ok                  ok                      ok                       ok
user             credential_missing  not_a_user               ok                  not_a_user               ok                  ok                      ok                       ok
client           credential_missing  client_not_accepted      ok                  client_not_accepted      ok                  ok                      ok                       ok
other_client     credential_missing  client_not_accepted      client_not_accepted client_not_accepted      client_not_accepted client_not_accepted     client_not_accepted      client_not_accepted
undelegated      credential_missing  ok                       ok                  ok                       actor_not_accepted  ok                      ok                       ok
actor            credential_missing  actor_not_accepted       actor_not_accepted  actor_not_accepted       ok                  actor_not_accepted      actor_not_accepted       actor_not_accepted
read             credential_missing  ok                       ok                  ok                       ok                  ok                      ok                       ok
write            credential_missing  scope_missing            scope_missing       scope_missing            scope_missing       scope_missing           scope_missing            scope_missing
write|read       credential_missing  ok                       ok                  ok                       ok                  ok                      ok                       ok
";

/// What can be asked by a layer and inside a handler alike.
fn demand(name: &str, clock: &TestClock) -> Arc<dyn Demand> {
    let strong = StepUp::one_of([GOLD, SILVER]).clock(clock.clone());
    match name {
        "age" => Arc::new(TokenAge::within(MINUTE).clock(clock.clone())),
        "strong" => Arc::new(strong),
        "recent" => Arc::new(StepUp::recent(5 * MINUTE).clock(clock.clone())),
        "strong+recent" => Arc::new(strong.within(5 * MINUTE)),
        "api_key" => Arc::new(CallerKind::api_key()),
        "token" => Arc::new(CallerKind::token()),
        "user" => Arc::new(CallerKind::user()),
        "client" => Arc::new(CallerKind::client_of(ISSUER, ["mobile", "web"])),
        "other_client" => Arc::new(CallerKind::client_of("https://other.test", ["web", "batch"])),
        "undelegated" => Arc::new(CallerKind::undelegated()),
        "actor" => Arc::new(CallerKind::actor_of(ISSUER, ["agent"])),
        "read" => Arc::new(Requirement::all([READ])),
        "write" => Arc::new(Requirement::all([READ, WRITE])),
        "write|read" => Arc::new(Requirement::all([WRITE]).or_all([READ])),
        other => panic!("{other}"),
    }
}

/// The same as a layer.
fn asked_by_layer(name: &str, clock: &TestClock) -> Router {
    let strong = StepUp::one_of([GOLD, SILVER]).clock(clock.clone());
    let kind = |kind| whoami().layer(CallerLayer::new(kind));
    match name {
        "age" => whoami().layer(TokenAgeLayer::within(MINUTE).clock(clock.clone())),
        "strong" => whoami().layer(StepUpLayer::new(strong)),
        "recent" => whoami().layer(StepUpLayer::new(StepUp::recent(5 * MINUTE).clock(clock.clone()))),
        "strong+recent" => whoami().layer(StepUpLayer::new(strong.within(5 * MINUTE))),
        "api_key" => kind(CallerKind::api_key()),
        "token" => kind(CallerKind::token()),
        "user" => kind(CallerKind::user()),
        "client" => kind(CallerKind::client_of(ISSUER, ["mobile", "web"])),
        "other_client" => kind(CallerKind::client_of("https://other.test", ["web", "batch"])),
        "undelegated" => kind(CallerKind::undelegated()),
        "actor" => kind(CallerKind::actor_of(ISSUER, ["agent"])),
        "read" => whoami().layer(ScopeLayer::all([READ])),
        "write" => whoami().layer(ScopeLayer::all([READ, WRITE])),
        "write|read" => whoami().layer(ScopeLayer::new(Requirement::all([WRITE]).or_all([READ]))),
        other => panic!("{other}"),
    }
}

fn credential_of(caller: &str, idp: &TestIssuer) -> Option<(&'static str, String)> {
    let now = idp.clock().now();
    let seconds = |time: std::time::SystemTime| {
        let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    let token = || idp.token().scopes([READ]).client("web").token_id("t-1");
    let user = || token().subject("alice").claim("auth_time", seconds(now));
    let signed = |token: TokenBuilder| Some(("authorization", format!("Bearer {}", token.sign())));
    let earlier = now - 10 * MINUTE;
    match caller {
        "anonymous" => None,
        "key" => Some(("x-api-key", KEY.to_owned())),
        "user" => signed(user().claim("acr", "gold")),
        "client" => signed(token().subject("batch").client("batch")),
        "delegated" => signed(
            user()
                .claim("acr", "silver")
                .claim("act", json!({ "sub": "agent" })),
        ),
        "stale" => signed(
            user()
                .claim("acr", "gold")
                .issued_at(earlier)
                .claim("auth_time", seconds(earlier)),
        ),
        "weak" => signed(user().claim("acr", "bronze")),
        "silent" => signed(token().subject("alice").without("iat")),
        other => panic!("{other}"),
    }
}

fn authenticated(idp: &TestIssuer, app: Router) -> Router {
    let either = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store()));
    app.layer(either.optional())
}

fn as_request(credential: Option<&(&str, String)>) -> Request {
    let headers: Vec<_> = credential.iter().map(|(name, value)| (*name, &**value)).collect();
    request(&headers)
}

/// The rows: a demand, and the reason for each caller.
fn lattice() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut rows = LATTICE.lines().filter(|row| !row.is_empty());
    let callers: Vec<_> = rows.next().unwrap().split_whitespace().collect();
    assert_eq!(callers, CALLERS);
    rows.map(|row| {
        let mut words = row.split_whitespace();
        (words.next().unwrap(), words.collect())
    })
    .collect()
}

/// Status, gRPC code and challenges.
fn expected(reason: &str, demand: &str, caller: &str) -> (u16, &'static str, Vec<String>) {
    let plain = |scheme: &str| format!("{scheme} realm=\"api\"");
    let with = |scheme: &str, rest: &str| format!("{scheme} realm=\"api\", {rest}");
    let error = |code: &str, detail: &str| format!("error=\"{code}\", error_description=\"{detail}\"");
    let of_token = |rest: String| vec![with("Bearer", &rest), plain("ApiKey")];
    match reason {
        "ok" => (200, "0", vec![]),
        "credential_missing" => (401, "16", vec![plain("Bearer"), plain("ApiKey")]),
        "claim_missing" if caller == "key" => {
            let rest = error("invalid_token", "the credential is not valid here");
            (401, "16", vec![plain("Bearer"), with("ApiKey", &rest)])
        }
        "claim_missing" => (
            401,
            "16",
            of_token(error("invalid_token", "the credential is not valid here")),
        ),
        "token_too_old" => (
            401,
            "16",
            of_token(error("invalid_token", "the token is too old for this resource")),
        ),
        "authentication_too_weak" | "authentication_too_old" => {
            let detail = match reason {
                "authentication_too_weak" => "this resource asks for a stronger authentication of the user",
                _ => "this resource asks for a more recent authentication of the user",
            };
            let wanted = match demand {
                "strong" => ", acr_values=\"gold silver\"",
                "recent" => ", max_age=\"300\"",
                _ => ", acr_values=\"gold silver\", max_age=\"300\"",
            };
            let rest = error("insufficient_user_authentication", detail) + wanted;
            (401, "16", of_token(rest))
        }
        "scope_missing" => {
            let rest = error("insufficient_scope", "the credential does not cover this request");
            let rest = rest + ", scope=\"orders:read orders:write\"";
            let scheme = if caller == "key" { "ApiKey" } else { "Bearer" };
            (403, "7", vec![with(scheme, &rest)])
        }
        _ => (403, "7", vec![]),
    }
}

fn challenges(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("www-authenticate").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_demand_gives_every_caller_its_answer_over_http_and_grpc_and_in_a_handler() {
    let idp = idp();
    for (name, reasons) in lattice() {
        let app = authenticated(&idp, asked_by_layer(name, idp.clock()));
        for (caller, reason) in CALLERS.into_iter().zip(reasons) {
            let about = format!("{name} of {caller}");
            let credential = credential_of(caller, &idp);
            let (status, grpc_code, expected) = expected(reason, name, caller);
            let answer = call(&app, as_request(credential.as_ref())).await;
            assert_eq!(
                (answer.status.as_u16(), answer.reason()),
                (status, reason),
                "{about}"
            );
            assert_eq!(answer.challenges(), expected, "{about}");
            let wanted = answer.rejection.as_ref().and_then(Rejection::requirement);
            let asked = demand(name, idp.clock()).to_string();
            let is_asked = !["ok", "credential_missing"].contains(&reason);
            assert_eq!(wanted, is_asked.then_some(&*asked), "{about}");

            if reason != "ok" {
                let grpc = over_grpc(&app, credential.as_ref()).await;
                assert_eq!(grpc["grpc-status"], grpc_code, "{about}");
                assert_eq!(challenges(&grpc), expected, "{about}");
            }
            in_a_handler(&idp, name, credential.as_ref(), &answer).await;
        }
    }
}

async fn over_grpc(app: &Router, credential: Option<&(&str, String)>) -> HeaderMap {
    let mut request = as_request(credential);
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = Version::HTTP_2;
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers().clone()
}

/// The same answer, but for anonymous callers, for whom a handler has no principal to ask.
async fn in_a_handler(idp: &TestIssuer, name: &str, credential: Option<&(&str, String)>, by_layer: &Answer) {
    let Some(credential) = credential else {
        return;
    };
    let demand = demand(name, idp.clock());
    let handler = move |caller: Principal| async move { caller.require(&*demand).map(|()| "let in") };
    let app = Router::new().route("/", axum::routing::get(handler));
    let answer = call(&authenticated(idp, app), as_request(Some(credential))).await;
    assert_eq!(answer.reason(), by_layer.reason(), "{name}");
    assert_eq!(answer.status, by_layer.status, "{name}");
    assert_eq!(answer.challenges(), by_layer.challenges(), "{name}");
}

#[tokio::test]
async fn without_an_authentication_in_front_every_demand_is_a_wiring_mistake() {
    let idp = idp();
    for (name, _) in lattice() {
        for caller in CALLERS {
            let credential = credential_of(caller, &idp);
            let answer = call(
                &asked_by_layer(name, idp.clock()),
                as_request(credential.as_ref()),
            )
            .await;
            assert_eq!(
                (answer.status.as_u16(), answer.reason()),
                (500, "not_authenticated")
            );
            assert!(answer.challenges().is_empty());
        }
    }
}

#[tokio::test]
async fn demands_are_stacked_and_all_of_them_are_asked() {
    let idp = idp();
    let revocations = MemoryRevocations::new();
    let app = whoami()
        .layer(StepUpLayer::new(
            StepUp::one_of([GOLD]).clock(idp.clock().clone()),
        ))
        .layer(ScopeLayer::all([READ]))
        .layer(CallerLayer::new(CallerKind::undelegated()))
        .layer(CallerLayer::new(CallerKind::user()))
        .layer(TokenAgeLayer::within(MINUTE).clock(idp.clock().clone()))
        .layer(RevocationCheckLayer::new(revocations.clone()));
    let app = authenticated(&idp, app);
    for (caller, reason) in [
        ("anonymous", "credential_missing"),
        ("key", "claim_missing"),
        ("user", "ok"),
        ("client", "not_a_user"),
        ("delegated", "actor_not_accepted"),
        ("stale", "token_too_old"),
        ("weak", "authentication_too_weak"),
    ] {
        let answer = call(&app, as_request(credential_of(caller, &idp).as_ref())).await;
        assert_eq!(answer.reason(), reason, "{caller}");
    }
    let later = idp.clock().now() + 60 * MINUTE;
    revocations.revoke(&Revocation::token(ISSUER, "t-1", later));
    let answer = call(&app, as_request(credential_of("user", &idp).as_ref())).await;
    assert_eq!(answer.reason(), "token_revoked");
}

#[tokio::test]
async fn a_demand_is_met_up_to_its_very_second_and_by_a_clock_that_is_a_little_behind() {
    let idp = idp();
    let start = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let seconds = start
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let step_up = StepUp::recent(5 * MINUTE).clock(idp.clock().clone());
    let app = authenticated(&idp, whoami().layer(StepUpLayer::new(step_up)));
    for (ahead, advanced, reason) in [
        (0, 300, "ok"),
        (0, 301, "authentication_too_old"),
        (300, 0, "ok"),
        (301, 0, "authentication_too_old"),
    ] {
        idp.clock().set_date(start);
        let token = idp
            .token()
            .expires_in(60 * MINUTE)
            .claim("auth_time", seconds + ahead)
            .sign();
        idp.clock().advance(Duration::from_secs(advanced));
        let credential = ("authorization", format!("Bearer {token}"));
        let answer = call(&app, as_request(Some(&credential))).await;
        assert_eq!(answer.reason(), reason, "{ahead} {advanced}");
    }
}

#[tokio::test]
async fn an_actor_and_a_client_are_known_by_their_issuer_too() {
    let idp = idp();
    let kinds = [
        CallerKind::actor_of(ISSUER, ["agent"]),
        CallerKind::actor_of("https://other.test", ["agent"]),
    ];
    let [ours, theirs] = kinds.map(|kind| authenticated(&idp, whoami().layer(CallerLayer::new(kind))));
    for (act, by_ours, by_theirs) in [
        (json!({ "sub": "agent" }), "ok", "actor_not_accepted"),
        (
            json!({ "sub": "agent", "iss": "https://other.test" }),
            "actor_not_accepted",
            "ok",
        ),
        (
            json!({ "client_id": "agent" }),
            "actor_not_accepted",
            "actor_not_accepted",
        ),
        // Who acted before decides nothing.
        (
            json!({ "sub": "x", "act": { "sub": "agent" } }),
            "actor_not_accepted",
            "actor_not_accepted",
        ),
    ] {
        let token = idp.token().claim("act", act).sign();
        let credential = ("authorization", format!("Bearer {token}"));
        assert_eq!(call(&ours, as_request(Some(&credential))).await.reason(), by_ours);
        assert_eq!(
            call(&theirs, as_request(Some(&credential))).await.reason(),
            by_theirs
        );
    }
}

#[tokio::test]
async fn a_requirement_can_be_computed_from_the_request_and_is_closed_for_what_it_does_not_know() {
    let idp = idp();
    let write = Arc::new(Requirement::all([WRITE]));
    let layer = ScopeLayer::per_request(move |target| match (target.method.as_str(), target.path()) {
        ("GET", "/orders") => Requirement::all([READ]).into(),
        ("POST", "/orders") => (&write).into(),
        ("GET", "/me") => RouteRequirement::AnyCaller,
        _ => RouteRequirement::Nobody,
    });
    let routes = ["/orders", "/me", "/admin"];
    let app = routes.into_iter().fold(Router::new(), |app, path| {
        app.route(path, axum::routing::any(async || "let in"))
    });
    let app = authenticated(&idp, app.layer(layer));
    let token = format!("Bearer {}", idp.token().scopes([READ]).sign());
    for (method, path, reason) in [
        ("GET", "/orders", "ok"),
        ("POST", "/orders", "scope_missing"),
        ("GET", "/me", "ok"),
        ("POST", "/me", "route_closed"),
        ("GET", "/admin", "route_closed"),
        ("GET", "/me?x=/orders", "ok"),
    ] {
        let request = |credential: Option<&str>| {
            let builder = Request::builder().method(method).uri(path);
            let builder = match credential {
                Some(token) => builder.header("authorization", token),
                None => builder,
            };
            builder.body(axum::body::Body::empty()).unwrap()
        };
        let answer = call(&app, request(Some(&token))).await;
        assert_eq!(answer.reason(), reason, "{method} {path}");
        assert_eq!(answer.status.as_u16(), if reason == "ok" { 200 } else { 403 });
        let nobody = call(&app, request(None)).await;
        assert_eq!(nobody.reason(), "credential_missing", "{method} {path}");
    }
}

#[tokio::test]
async fn a_grpc_method_has_its_own_requirement() {
    let idp = idp();
    let layer = ScopeLayer::per_request(|target| match target.grpc_method() {
        Some(("shop.Orders", "List")) => Requirement::all([READ]).into(),
        Some(("shop.Orders", _)) => Requirement::all([WRITE]).into(),
        _ => RouteRequirement::Nobody,
    });
    let app = Router::new().fallback(async || "let in").layer(layer);
    let app = authenticated(&idp, app);
    let token = format!("Bearer {}", idp.token().scopes([READ]).sign());
    for (path, reason) in [
        ("/shop.Orders/List", "ok"),
        ("/shop.Orders/Delete", "scope_missing"),
        ("/shop.Orders/", "route_closed"),
        ("/shop.Orders", "route_closed"),
        ("//shop.Orders/List", "route_closed"),
        ("/x/shop.Orders/List", "route_closed"),
        ("/shop.Orders/List/", "route_closed"),
        ("/shop.orders/List", "route_closed"),
    ] {
        let request = Request::post(path)
            .header("authorization", &token)
            .body(axum::body::Body::empty());
        let answer = call(&app, request.unwrap()).await;
        assert_eq!(answer.reason(), reason, "{path}");
    }
}

#[test]
fn a_class_that_would_break_a_challenge_is_none() {
    for text in ["", " ", "two words", "quote\"", "back\\slash", "ü", "line\n"] {
        assert!(Acr::new(text).is_err(), "{text:?}");
    }
    let class = Acr::new("https://refeds.org/profile/mfa").unwrap();
    assert_eq!(class.as_str(), "https://refeds.org/profile/mfa");
}
