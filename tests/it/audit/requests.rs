use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::FutureExt;
use http::{StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, AuditLayer, CallerKind, CallerLayer, Claims, Clock, CredentialFacts, Decision,
    Ending, JwtLayer, KeyDigest, KeyStore, MemoryKeyStore, MemoryRevocations, Principal, Rejection,
    Requirement, Revocation, RevocationCheckLayer, Revocations, ScopeLayer, Standing, StepUp, StepUpLayer,
    TokenAgeLayer,
};

use super::{Audited, told};
use crate::support::{
    Broken, HealthOf, ISSUER, KEY, READ, Slow, WRITE, bearer, call, describe, idp, record, request, store,
    whoami,
};

const MINUTE: Duration = Duration::from_secs(60);

fn with_key(key: &str) -> Request {
    request(&[("x-api-key", key)])
}

fn writes(caller: &Principal) -> Result<(), Rejection> {
    caller.require(&Requirement::all([WRITE]))
}

fn route<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/", get(handler))
}

/// What it is called, a service, a request, and what is told of it.
type Case = (&'static str, Router, Request, &'static str);

/// Who may come in.
fn at_the_door(idp: &TestIssuer) -> Vec<Case> {
    let jwt = JwtLayer::new(idp.issuer());
    let token = || bearer(&idp.token().subject("alice").sign());
    let (keys, slow) = (|| ApiKeyLayer::new(store()), || ApiKeyLayer::new(Slow(store())));
    let nobody = || request(&[]);
    let robot = "allowed ok answered 200 api_key robot -";
    let unknown = "refused api_key_unknown answered 401 - - -";
    let down = "refused store_unavailable answered 503 - - -";
    let missing = "refused credential_missing answered 401 - - -";
    let unreadable = "refused header_unreadable answered 400 - - -";
    let malformed = "refused token_malformed answered 401 - - -";
    let alice = "allowed ok answered 200 jwt alice -";
    let anonymous = "anonymous ok answered 200 - - -";
    let two = whoami().layer(keys()).layer(jwt.clone().optional());
    vec![
        ("token", whoami().layer(jwt.clone()), token(), alice),
        ("key", whoami().layer(keys()), with_key(KEY), robot),
        ("slow key", whoami().layer(slow()), with_key(KEY), robot),
        (
            "anonymous",
            whoami().layer(jwt.clone().optional()),
            nobody(),
            anonymous,
        ),
        ("nothing", whoami().layer(jwt.clone()), nobody(), missing),
        (
            "unreadable",
            whoami().layer(jwt.clone()),
            bearer("a b"),
            unreadable,
        ),
        ("no token", whoami().layer(jwt), bearer("a.b.c"), malformed),
        ("unknown", whoami().layer(keys()), with_key("x"), unknown),
        ("slow, unknown", whoami().layer(slow()), with_key("x"), unknown),
        (
            "store down",
            whoami().layer(ApiKeyLayer::new(Broken)),
            with_key(KEY),
            down,
        ),
        ("two within", two, with_key(KEY), robot),
    ]
}

/// What layers ask of who came in.
fn on_the_way(idp: &TestIssuer) -> Vec<Case> {
    let jwt = JwtLayer::new(idp.issuer());
    let token = || idp.token().subject("alice").token_id("gone").scopes([READ]);
    let token = || bearer(&token().sign());
    let withdrawn = MemoryRevocations::new();
    withdrawn.revoke(&Revocation::token(ISSUER, "gone", idp.clock().now() + MINUTE));
    let scoped = whoami().layer(ScopeLayer::all([WRITE]));
    let revocable = whoami().layer(RevocationCheckLayer::new(withdrawn));
    let aged = whoami().layer(TokenAgeLayer::within(MINUTE));
    let strong = whoami().layer(StepUpLayer::new(StepUp::recent(MINUTE)));
    let keys_only = whoami().layer(CallerLayer::new(CallerKind::api_key()));
    vec![
        (
            "scope",
            scoped.clone().layer(jwt.clone()),
            token(),
            "refused scope_missing answered 403 jwt alice scope=\"orders:write\"",
        ),
        (
            "scope, anonymous",
            scoped.clone().layer(jwt.clone().optional()),
            request(&[]),
            "refused credential_missing answered 401 - - -",
        ),
        (
            "scope, wrong order",
            scoped,
            token(),
            "refused not_authenticated answered 500 - - -",
        ),
        (
            "age",
            aged.layer(ApiKeyLayer::new(store())),
            with_key(KEY),
            "refused claim_missing answered 401 api_key robot token_age=60",
        ),
        (
            "step up",
            strong.layer(jwt.clone()),
            token(),
            "refused authentication_too_old answered 401 jwt alice max_age=60",
        ),
        (
            "kind",
            keys_only.layer(jwt.clone()),
            token(),
            "refused method_not_accepted answered 403 jwt alice method=api_key",
        ),
        (
            "revoked",
            revocable.layer(jwt),
            token(),
            "refused token_revoked answered 401 jwt alice -",
        ),
    ]
}

/// What handlers ask, and what they make of it.
fn in_the_handler(idp: &TestIssuer) -> Vec<Case> {
    let jwt = JwtLayer::new(idp.issuer());
    let token = || bearer(&idp.token().subject("alice").sign());
    let asks = route(|caller: Principal| async move { writes(&caller).map(|()| "done") });
    let hides = route(|caller: Principal| async move {
        match writes(&caller) {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::NOT_FOUND,
        }
    });
    let goes_on = route(|caller: Principal| async move { format!("{}", writes(&caller).is_ok()) });
    let tells_grpc = route(|caller: Principal| async move {
        let status = writes(&caller).map_or("7", |()| "0");
        ([("grpc-status", status)], ())
    });
    let claims = route(|_: Claims<u8>| async {});
    let missing = "refused credential_missing answered 401 - - -";
    let wiring = "refused not_authenticated answered 500 - - -";
    let undeclared = "refused claims_undeclared answered 500 jwt alice -";
    let absent = "refused claims_absent answered 403 api_key robot -";
    let asked = "refused scope_missing answered 403 jwt alice scope=\"orders:write\"";
    let hidden = "refused scope_missing answered 404 jwt alice scope=\"orders:write\"";
    let told_grpc = "refused scope_missing answered 200 jwt alice scope=\"orders:write\"";
    let alice = "allowed ok answered 200 jwt alice -";
    let known = route(|_: Principal| async {}).layer(jwt.clone().optional());
    let of_a_key = claims.clone().layer(ApiKeyLayer::new(store()));
    vec![
        ("extractor", known, request(&[]), missing),
        (
            "no layer",
            route(|_: Option<Principal>| async {}),
            token(),
            wiring,
        ),
        ("claims", claims.layer(jwt.clone()), token(), undeclared),
        ("claims of a key", of_a_key, with_key(KEY), absent),
        ("require", asks.layer(jwt.clone()), token(), asked),
        ("require, hidden", hides.layer(jwt.clone()), token(), hidden),
        ("require, gRPC", tells_grpc.layer(jwt.clone()), token(), told_grpc),
        ("require, and on", goes_on.layer(jwt), token(), alice),
    ]
}

/// What is done by others.
fn elsewhere(idp: &TestIssuer) -> Vec<Case> {
    let jwt = JwtLayer::new(idp.issuer());
    let token = || bearer(&idp.token().subject("alice").sign());
    let fails = route(|| async { StatusCode::BAD_GATEWAY }).layer(jwt.clone());
    let upgrades = route(|| async { StatusCode::SWITCHING_PROTOCOLS }).layer(jwt.clone());
    let to_login = tower::util::MapResponseLayer::new(|_: Response| Redirect::to("/login").into_response());
    let led_away = whoami().layer(jwt.clone()).layer(to_login);
    let grpc = Request::post("/")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(Body::empty())
        .unwrap();
    let login = "refused credential_missing answered 303 - - -";
    let open = "unguarded ok answered 200 - - -";
    let nowhere = "unguarded ok answered 404 - - -";
    let failed = "allowed ok answered 502 jwt alice -";
    let switched = "allowed ok answered 101 jwt alice -";
    let of_grpc = "refused credential_missing answered 200 - - -";
    vec![
        ("another answer", led_away, request(&[]), login),
        ("no layer", route(|| async {}), token(), open),
        ("nowhere", Router::new(), token(), nowhere),
        ("handler fails", fails, token(), failed),
        ("upgrade", upgrades, token(), switched),
        ("gRPC", whoami().layer(jwt), grpc, of_grpc),
    ]
}

fn cases() -> Vec<Case> {
    let idp = idp();
    [at_the_door, on_the_way, in_the_handler, elsewhere]
        .into_iter()
        .flat_map(|of| of(&idp))
        .collect()
}

#[tokio::test]
async fn every_request_has_one_record_that_says_what_was_decided() {
    let mut audited = Audited::new();
    for (name, app, request, expected) in cases() {
        call(&app.layer(audited.layer()), request).await;
        assert_eq!(told(&audited.one().await), expected, "{name}");
    }
}

#[tokio::test]
async fn an_audit_changes_no_answer() {
    let audited = Audited::new();
    for ((name, bare, request, _), (_, app, again, _)) in cases().into_iter().zip(cases()) {
        let (bare, with) = (
            call(&bare, request).await,
            call(&app.layer(audited.layer()), again).await,
        );
        assert_eq!(
            (bare.status, bare.body, bare.headers),
            (with.status, with.body, with.headers),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_record_says_who_it_was_when_and_how_long_it_took() {
    let mut audited = Audited::new();
    let idp = idp();
    let clock = audited.clock.clone();
    let slow = route(move || async move { clock.advance(Duration::from_micros(1234)) });
    let layer = audited
        .layer()
        .route(|request| Some(request.extensions().get::<MatchedPath>()?.as_str().to_owned()))
        .address(|request| Some(request.extensions().get::<ConnectInfo<SocketAddr>>()?.ip()))
        .request_id(|request| Some(request.headers().get("x-request-id")?.to_str().ok()?.to_owned()));
    let app = slow.layer(JwtLayer::new(idp.issuer())).layer(layer);
    let token = idp.token().subject("alice").client("web").token_id("t1");
    let token = token.claim(
        "act",
        serde_json::json!({ "sub": "agent", "iss": "https://other.test" }),
    );
    let mut request = bearer(&token.sign());
    request
        .headers_mut()
        .insert("x-request-id", "r-1".parse().unwrap());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    request.extensions_mut().insert(ConnectInfo(address));
    let came = audited.clock.now();
    call(&app, request).await;

    let record = audited.one().await;
    assert_eq!(
        (record.time(), record.taken()),
        (came, Duration::from_micros(1234))
    );
    assert_eq!(
        (record.http_method().as_str(), record.route()),
        ("GET", Some("/"))
    );
    assert_eq!(
        (record.address(), record.request_id()),
        (Some(address.ip()), Some("r-1"))
    );
    assert_eq!((record.issuer(), record.subject()), (Some(ISSUER), Some("alice")));
    assert_eq!((record.is_user(), record.client()), (Some(true), Some("web")));
    assert_eq!((record.token_id(), record.key_id()), (Some("t1"), None));
    let actor = record.actor().unwrap();
    assert_eq!(
        (actor.subject.as_deref(), actor.issuer.as_deref()),
        (Some("agent"), Some("https://other.test"))
    );
    assert_eq!(record.identity().unwrap().subject(), Some("alice"));
    assert_eq!(
        (record.decision(), record.ending()),
        (Decision::Allowed, Ending::Answered)
    );

    let app = whoami().layer(ApiKeyLayer::new(store())).layer(audited.layer());
    call(&app, with_key(KEY)).await;
    let record = audited.one().await;
    assert_eq!(
        (record.key_id(), record.token_id(), record.is_user()),
        (Some("key_1"), None, Some(false))
    );
    assert_eq!(
        (record.route(), record.address(), record.request_id()),
        (None, None, None)
    );
}

#[tokio::test]
async fn what_a_host_gives_is_cut_and_shows_every_character() {
    let mut audited = Audited::new();
    let layer = audited
        .layer()
        .route(|_| Some(format!("/a\n{}é", "x".repeat(252))))
        .request_id(|_| Some("a\u{1b}[31m\u{2028}\u{202e}b".to_owned()));
    call(&whoami().layer(layer), request(&[])).await;
    let record = audited.one().await;
    assert_eq!(
        record.route(),
        Some(format!("/a\u{fffd}{}", "x".repeat(252)).as_str())
    );
    assert_eq!(record.request_id(), Some("a\u{fffd}[31m\u{fffd}\u{fffd}b"));
}

#[tokio::test]
async fn a_method_of_a_strangers_making_is_cut() {
    let mut audited = Audited::new();
    let request = Request::builder()
        .method("X".repeat(1000).as_str())
        .body(Body::empty())
        .unwrap();
    call(&whoami().layer(audited.layer()), request).await;
    assert_eq!(audited.one().await.http_method().as_str(), "X".repeat(32));
}

#[tokio::test]
async fn of_a_key_that_is_known_and_of_no_use_the_record_has_the_id() {
    let mut audited = Audited::new();
    let keys = [
        ("revoked", record("a").revoked().build()),
        ("expired", record("a").expires_at(std::time::UNIX_EPOCH).build()),
    ];
    for (state, key) in keys {
        let refuses = whoami().layer(ApiKeyLayer::new(MemoryKeyStore::from_iter([key])));
        call(&refuses.layer(audited.layer()), with_key("a")).await;
        let record = audited.one().await;
        assert_eq!(record.reason(), format!("api_key_{state}"));
        assert_eq!((record.key_id(), record.identity()), (Some("key_1"), None));
    }
}

#[tokio::test]
async fn what_is_refused_and_then_tried_in_another_way_is_recorded_as_it_ended() {
    let mut audited = Audited::new();
    let (jwt, keys) = (JwtLayer::new(idp().issuer()), ApiKeyLayer::new(store()));
    let (first, second) = (whoami().layer(jwt), whoami().layer(keys));
    let tries = service_fn(move |request: Request| {
        let (first, second) = (first.clone(), second.clone());
        async move {
            let (parts, _) = request.into_parts();
            let again = Request::from_parts(parts.clone(), Body::empty());
            let answer = first.oneshot(Request::from_parts(parts, Body::empty())).await?;
            match answer.extensions().get::<Rejection>() {
                Some(_) => second.oneshot(again).await,
                None => Ok(answer),
            }
        }
    });
    let service = audited.layer().layer(tries);
    service.clone().oneshot(with_key(KEY)).await.unwrap();
    assert_eq!(
        told(&audited.one().await),
        "allowed ok answered 200 api_key robot -"
    );
    service.oneshot(with_key("x")).await.unwrap();
    assert_eq!(audited.one().await.reason(), "api_key_unknown");
}

#[tokio::test]
async fn of_two_audits_around_a_request_the_outer_one_records() {
    let (mut outer, mut inner) = (Audited::new(), Audited::new());
    let idp = idp();
    let app = whoami()
        .layer(inner.layer())
        .layer(ScopeLayer::all([WRITE]))
        .layer(inner.layer())
        .layer(JwtLayer::new(idp.issuer()))
        .layer(outer.layer());
    call(&app, bearer(&idp.token().sign())).await;
    assert_eq!(outer.one().await.reason(), "scope_missing");
    assert!(inner.all().await.is_empty());
}

#[tokio::test]
async fn an_audit_inside_of_the_authentication_knows_whom_it_let_in() {
    let mut audited = Audited::new();
    let idp = idp();
    let inside = whoami().layer(audited.layer());
    let app = inside.clone().layer(JwtLayer::new(idp.issuer()));
    call(&app, bearer(&idp.token().subject("alice").sign())).await;
    assert_eq!(told(&audited.one().await), "allowed ok answered 200 jwt alice -");
    call(
        &inside.layer(JwtLayer::new(idp.issuer()).optional()),
        request(&[]),
    )
    .await;
    assert_eq!(told(&audited.one().await), "anonymous ok answered 200 - - -");
    let hides = route(|caller: Principal| async move {
        writes(&caller).map_or(StatusCode::NOT_FOUND, |()| StatusCode::OK)
    });
    let app = hides.layer(audited.layer()).layer(JwtLayer::new(idp.issuer()));
    call(&app, bearer(&idp.token().subject("alice").sign())).await;
    let record = told(&audited.one().await);
    assert_eq!(
        record,
        "refused scope_missing answered 404 jwt alice scope=\"orders:write\""
    );
}

#[tokio::test]
async fn extensions_of_a_request_that_ended_hide_no_other_request() {
    let mut audited = Audited::new();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keeps = Arc::clone(&kept);
    let handler = move |request: Request| {
        *keeps.lock().unwrap() = Some(request.extensions().clone());
        async {}
    };
    let app = route(handler).layer(audited.layer());
    call(&app, request(&[])).await;
    audited.one().await;
    let mut again = request(&[]);
    *again.extensions_mut() = kept.lock().unwrap().take().unwrap();
    call(&app, again).await;
    audited.one().await;
}

#[tokio::test]
async fn a_principal_that_outlives_its_request_writes_into_no_record() {
    let mut audited = Audited::new();
    let idp = idp();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keeps = Arc::clone(&kept);
    let handler = move |caller: Principal| {
        *keeps.lock().unwrap() = Some(caller);
        async {}
    };
    let app = route(handler)
        .layer(JwtLayer::new(idp.issuer()))
        .layer(audited.layer());
    call(&app, bearer(&idp.token().sign())).await;
    let caller: Principal = kept.lock().unwrap().take().unwrap();
    writes(&caller).unwrap_err();
    assert_eq!(audited.one().await.reason(), "ok");
    assert!(!format!("{caller:?}").contains("rail"), "{caller:?}");
}

#[derive(Debug, thiserror::Error)]
#[error("no upstream")]
struct NoUpstream;

#[tokio::test]
async fn an_error_of_the_service_is_recorded_and_handed_on() {
    let mut audited = Audited::new();
    let fails = service_fn(|_: Request| async { Err::<Response, _>(NoUpstream) });
    audited
        .layer()
        .layer(fails)
        .oneshot(request(&[]))
        .await
        .unwrap_err();
    assert_eq!(told(&audited.one().await), "unguarded ok failed - - - -");
    let idp = idp();
    let behind = ServiceBuilder::new()
        .layer(audited.layer())
        .layer(JwtLayer::new(idp.issuer()));
    let token = bearer(&idp.token().subject("alice").sign());
    behind.service(fails).oneshot(token).await.unwrap_err();
    assert_eq!(told(&audited.one().await), "allowed ok failed - jwt alice -");
}

/// Never answers.
#[derive(Debug)]
struct Silent;

impl KeyStore for Silent {
    type Error = Infallible;

    async fn find(&self, _: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        pending().await
    }
}

/// Starts a request, and cancels it when it waits.
async fn cancel(app: Router, request: Request) {
    let mut answer = Box::pin(app.oneshot(request));
    poll_fn(|context| {
        assert!(answer.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_request_is_recorded_with_what_was_decided_by_then() {
    let mut audited = Audited::new();
    let undecided = whoami().layer(ApiKeyLayer::new(Silent)).layer(audited.layer());
    cancel(undecided, with_key(KEY)).await;
    assert_eq!(told(&audited.one().await), "undecided ok cancelled - - - -");
    let waits = route(pending::<()>).layer(ApiKeyLayer::new(store()));
    cancel(waits.layer(audited.layer()), with_key(KEY)).await;
    assert_eq!(
        told(&audited.one().await),
        "allowed ok cancelled - api_key robot -"
    );
    let asked = route(|caller: Principal| async move {
        writes(&caller).unwrap_err();
        pending::<()>().await;
    });
    cancel(
        asked.layer(ApiKeyLayer::new(store())).layer(audited.layer()),
        with_key(KEY),
    )
    .await;
    let record = told(&audited.one().await);
    assert_eq!(
        record,
        "refused scope_missing cancelled - api_key robot scope=\"orders:write\""
    );
}

/// Asks for ever.
#[derive(Debug)]
struct NeverTold;

impl Revocations for NeverTold {
    type Error = Infallible;

    fn standing(&self, _: &CredentialFacts<'_>) -> Standing {
        Standing::Good
    }

    async fn confirm(&self, _: &CredentialFacts<'_>) -> Result<Standing, Infallible> {
        pending().await
    }
}

#[tokio::test]
async fn what_ends_while_somebody_is_asked_is_undecided_whoever_ends_it() {
    let mut audited = Audited::new();
    let check = RevocationCheckLayer::new(NeverTold);
    let checked = whoami().layer(check).layer(ApiKeyLayer::new(store()));
    cancel(checked.clone().layer(audited.layer()), with_key(KEY)).await;
    let record = told(&audited.one().await);
    assert_eq!(record, "undecided ok cancelled - api_key robot -");
    // A limit on time between the two answers for it.
    let answers = |app: Router| {
        service_fn(move |request: Request| {
            let app = app.clone();
            async move {
                cancel(app, request).await;
                Ok::<_, Infallible>(StatusCode::REQUEST_TIMEOUT.into_response())
            }
        })
    };
    let service = audited.layer().layer(answers(checked));
    service.oneshot(with_key(KEY)).await.unwrap();
    let record = told(&audited.one().await);
    assert_eq!(record, "undecided ok answered 408 api_key robot -");
    let silent = whoami().layer(ApiKeyLayer::new(Silent));
    audited
        .layer()
        .layer(answers(silent))
        .oneshot(with_key(KEY))
        .await
        .unwrap();
    assert_eq!(told(&audited.one().await), "undecided ok answered 408 - - -");
}

/// Fails once.
#[derive(Debug, Default)]
struct Recovers(AtomicBool);

impl Revocations for Recovers {
    type Error = std::io::Error;

    fn standing(&self, _: &CredentialFacts<'_>) -> Standing {
        Standing::Good
    }

    async fn confirm(&self, _: &CredentialFacts<'_>) -> Result<Standing, std::io::Error> {
        if self.0.swap(true, Ordering::Relaxed) {
            return Ok(Standing::Good);
        }
        Err(std::io::Error::other("for a moment"))
    }
}

#[tokio::test]
async fn what_a_layer_refused_and_let_pass_when_it_was_tried_again_is_allowed() {
    let mut audited = Audited::new();
    let checked = whoami().layer(RevocationCheckLayer::new(Recovers::default()));
    let twice = service_fn(move |request: Request| {
        let checked = checked.clone();
        async move {
            let (parts, _) = request.into_parts();
            let again = Request::from_parts(parts.clone(), Body::empty());
            let first = checked
                .clone()
                .oneshot(Request::from_parts(parts, Body::empty()))
                .await?;
            assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
            checked.oneshot(again).await
        }
    });
    let service = audited.layer().layer(ApiKeyLayer::new(store()).layer(twice));
    service.oneshot(with_key(KEY)).await.unwrap();
    assert_eq!(
        told(&audited.one().await),
        "allowed ok answered 200 api_key robot -"
    );
}

#[tokio::test]
async fn a_request_that_is_never_polled_and_one_that_panics_are_recorded() {
    let mut audited = Audited::new();
    drop(
        whoami()
            .layer(audited.layer())
            .into_service::<Body>()
            .oneshot(request(&[])),
    );
    assert!(audited.all().await.is_empty(), "it never reached the service");
    let service = service_fn(|_: Request| async { Ok::<Response, Infallible>(Response::default()) });
    drop(tower::Service::call(
        &mut audited.layer().layer(service),
        request(&[]),
    ));
    assert_eq!(audited.one().await.ending(), Ending::Cancelled);
    let panics = service_fn(|_: Request| async { panic!("a handler") as Result<Response, Infallible> });
    let call = audited.layer().layer(panics).oneshot(request(&[]));
    AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
    assert_eq!(audited.one().await.ending(), Ending::Cancelled);
}

/// Tells when it is dropped.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn serve(app: Router) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded() {
    let mut audited = Audited::new();
    let (came, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (comes, goes) = (Arc::clone(&came), Arc::clone(&gone));
    let handler = move || async move {
        let _told = Told(goes);
        comes.notify_one();
        pending::<()>().await;
    };
    let app = route(handler)
        .layer(ApiKeyLayer::new(store()))
        .layer(audited.layer());
    let mut client = serve(app).await;
    let text = format!("GET / HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
    client.write_all(text.as_bytes()).await.unwrap();
    came.notified().await;
    drop(client);
    gone.notified().await;
    assert_eq!(
        told(&audited.one().await),
        "allowed ok cancelled - api_key robot -"
    );
}

#[tokio::test]
async fn a_connection_that_is_upgraded_is_recorded_once_and_when_it_is() {
    let mut audited = Audited::new();
    let handler = |mut request: Request| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            let (mut reads, mut writes) = tokio::io::split(io);
            tokio::io::copy(&mut reads, &mut writes).await.unwrap();
        });
        let switch = [("connection", "upgrade"), ("upgrade", "echo")];
        (StatusCode::SWITCHING_PROTOCOLS, switch)
    };
    let app = route(handler)
        .layer(ApiKeyLayer::new(store()))
        .layer(audited.layer());
    let mut client = serve(app).await;
    let text = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
    );
    client.write_all(text.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert_eq!(
        told(&audited.one().await),
        "allowed ok answered 101 api_key robot -"
    );
    client.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    client.read_exact(&mut echo).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut echo).await.unwrap(), 0);
    assert!(audited.all().await.is_empty());
}

#[tokio::test]
async fn calls_of_a_grpc_server_are_recorded_with_the_status_of_their_head() {
    let mut audited = Audited::new();
    let idp = idp();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer: AuditLayer = audited
        .layer()
        .route(|request| Some(request.uri().path().to_owned()));
    let server = Server::builder()
        .layer(layer)
        .layer(JwtLayer::new(idp.issuer()))
        .add_service(HealthOf(|caller| describe(caller).to_string()).server());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = HealthClient::new(channel);
    client.check(HealthCheckRequest::default()).await.unwrap_err();
    let record = audited.one().await;
    assert_eq!(told(&record), "refused credential_missing answered 200 - - -");
    assert_eq!(
        (record.grpc_status(), record.route()),
        (Some(16), Some("/grpc.health.v1.Health/Check"))
    );

    let mut request = tonic::Request::new(HealthCheckRequest::default());
    let token = idp.token().subject("alice").sign();
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    client.check(request).await.unwrap();
    let record = audited.one().await;
    assert_eq!(told(&record), "allowed ok answered 200 jwt alice -");
    assert_eq!(record.grpc_status(), None);
}
