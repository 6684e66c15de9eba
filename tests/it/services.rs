//! The layers as Tower services.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::routing::get;
use http::{Method, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use tower::layer::util::Identity;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, JwtLayer, KeyDigest, KeyStore, Principal, Rejection, ScopeLayer,
};

use crate::support::{Broken, KEY, READ, Slow, WRITE, bearer, call, idp, request, store, whoami};

#[tokio::test]
async fn a_good_token_reaches_the_handler_as_a_principal() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let answer = call(&app, bearer(&idp.token().subject("alice").sign())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["subject"], "alice");
}

/// Is ready after having been asked three times, is not ready when cloned, and does not bear being called unready.
#[derive(Debug, Default)]
struct Picky {
    asked: usize,
    calls: Arc<AtomicUsize>,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            asked: 0,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<B> Service<http::Request<B>> for Picky {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.asked += 1;
        if self.asked < 3 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        assert!(self.asked >= 3, "called without having been polled ready");
        self.asked = 0;
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::default()))
    }
}

fn with_key(key: &str) -> Request {
    request(&[("x-api-key", key)])
}

/// Good, bad, absent and good again, through one service that is polled ready each time and never cloned.
async fn use_over_and_over<L>(layer: L)
where
    L: Layer<Picky>,
    L::Service: Service<Request, Response: Send, Error = Infallible>,
{
    let picky = Picky::default();
    let calls = Arc::clone(&picky.calls);
    let mut service = layer.layer(picky);
    for round in 1..=3 {
        for request in [with_key("wrong"), with_key(KEY), request(&[]), with_key("a b")] {
            service.ready().await.unwrap().call(request).await.unwrap();
        }
        assert_eq!(calls.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_was_polled_ready() {
    use_over_and_over(ApiKeyLayer::new(store())).await;
}

#[tokio::test]
async fn the_service_that_is_called_after_waiting_is_the_one_that_was_polled_ready() {
    use_over_and_over(ApiKeyLayer::new(Slow(store()))).await;
}

#[tokio::test]
async fn the_service_behind_a_scope_layer_is_the_one_that_was_polled_ready() {
    let layers = |store| {
        ServiceBuilder::new()
            .layer(ApiKeyLayer::new(store))
            .layer(ScopeLayer::all([READ]))
            .into_inner()
    };
    use_over_and_over(layers(store())).await;
    let slow = ServiceBuilder::new()
        .layer(ApiKeyLayer::new(Slow(store())))
        .layer(ScopeLayer::all([READ]));
    use_over_and_over(slow.into_inner()).await;
}

#[tokio::test]
async fn a_clone_taken_while_another_is_ready_asks_for_itself() {
    let mut first = ApiKeyLayer::new(Slow(store())).layer(Picky::default());
    ServiceExt::<Request>::ready(&mut first).await.unwrap();
    let second = first.clone();
    first.call(with_key(KEY)).await.unwrap();
    second.oneshot(with_key(KEY)).await.unwrap();
}

/// Whether a service can be made ready without waiting for anybody.
fn is_free<S: Service<Request>>(service: &mut S) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(service.poll_ready(&mut context), Poll::Ready(Ok(())))
}

/// One request at a time may be inside `inner`.
fn one_at_a_time<L>(layer: L) -> impl Service<Request, Error = Infallible, Future: Send> + Clone
where
    L: Layer<tower::limit::ConcurrencyLimit<Picked>>,
    L::Service: Service<Request, Error = Infallible, Future: Send> + Clone,
{
    layer.layer(ConcurrencyLimitLayer::new(1).layer(Picked))
}

/// Always ready, always 200.
#[derive(Debug, Clone)]
struct Picked;

impl Service<Request> for Picked {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

/// After every answer the one place is free for somebody else, although the service that answered is still there.
async fn assert_gives_its_place_back<S>(service: S)
where
    S: Service<Request, Error = Infallible, Future: Send> + Clone,
{
    let mut used = service.clone();
    for request in [
        with_key(KEY),
        with_key("wrong"),
        with_key("a b"),
        request(&[]),
        with_key(KEY),
    ] {
        let text = format!("{:?}", request.headers());
        assert!(is_free(&mut used), "before {text}");
        assert!(used.call(request).await.is_ok());
        assert!(is_free(&mut service.clone()), "after {text}");
    }
}

#[tokio::test]
async fn a_concurrency_limit_of_one_never_locks_up_on_the_direct_path() {
    assert_gives_its_place_back(one_at_a_time(ApiKeyLayer::new(store()))).await;
    assert_gives_its_place_back(one_at_a_time(ApiKeyLayer::new(store()).optional())).await;
}

#[tokio::test]
async fn a_concurrency_limit_of_one_never_locks_up_on_the_waiting_path() {
    assert_gives_its_place_back(one_at_a_time(ApiKeyLayer::new(Slow(store())))).await;
    assert_gives_its_place_back(one_at_a_time(ApiKeyLayer::new(Broken))).await;
}

#[tokio::test]
async fn a_concurrency_limit_of_one_never_locks_up_behind_a_scope_layer() {
    let scoped = ServiceBuilder::new()
        .layer(ApiKeyLayer::new(store()))
        .layer(ScopeLayer::all([WRITE]));
    assert_gives_its_place_back(one_at_a_time(scoped.into_inner())).await;
    assert_gives_its_place_back(one_at_a_time(ScopeLayer::all([WRITE]))).await;
}

#[tokio::test]
async fn many_requests_at_once_all_pass_one_at_a_time() {
    let service = one_at_a_time(ApiKeyLayer::new(Slow(store())));
    let answers = (0..64).map(|number| {
        let request = with_key(if number % 3 == 0 { "wrong" } else { KEY });
        service.clone().oneshot(request)
    });
    let mut answers: Vec<_> = answers.map(Box::pin).collect();
    // Everybody is asked in turn, as a runtime would; three turns are enough for the slow store, one more for each place.
    for _ in 0..64 * 4 {
        let mut context = Context::from_waker(Waker::noop());
        answers.retain_mut(|answer| answer.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(answers.len(), 0, "some wait for ever");
}

/// Never answers.
#[derive(Debug)]
struct Stuck;

impl KeyStore for Stuck {
    type Error = Infallible;

    async fn find(&self, _: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        pending().await
    }
}

#[tokio::test]
async fn a_cancelled_request_leaves_nothing_behind() {
    let store = Arc::new(Stuck);
    let carried = Arc::new(());
    let service = one_at_a_time(ApiKeyLayer::new(Arc::clone(&store)));
    let idle = Arc::strong_count(&store);
    let mut used = service.clone();
    assert!(is_free(&mut used));
    let mut request = with_key(KEY);
    request.extensions_mut().insert(Arc::clone(&carried));
    let mut answer = Box::pin(used.call(request));
    let mut context = Context::from_waker(Waker::noop());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    assert!(
        !is_free(&mut service.clone()),
        "the place is taken while the request waits"
    );
    assert_eq!(Arc::strong_count(&carried), 2);

    drop(answer);
    assert!(is_free(&mut service.clone()));
    assert_eq!(Arc::strong_count(&carried), 1);
    assert_eq!(Arc::strong_count(&store), idle);
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through_untouched() {
    let failing = service_fn(|_: Request| ready(Err::<Response<Full<Bytes>>, _>("broken inside")));
    for slow in [false, true] {
        let layer = if slow {
            ApiKeyLayer::new(Slow(store()))
        } else {
            ApiKeyLayer::new(store())
        };
        let service = ServiceBuilder::new()
            .layer(layer)
            .layer(ScopeLayer::all([READ]))
            .service(failing);
        assert_eq!(service.oneshot(with_key(KEY)).await.unwrap_err(), "broken inside");
    }
}

/// Cannot be made ready.
#[derive(Debug, Clone)]
struct Closed;

impl Service<Request> for Closed {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Err("closed"))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        panic!("a closed service was called")
    }
}

#[tokio::test]
async fn an_error_of_readiness_passes_through_untouched() {
    let mut authenticate = ApiKeyLayer::new(store()).layer(Closed);
    assert_eq!(authenticate.ready().await.unwrap_err(), "closed");
    let mut authorize = ScopeLayer::all([READ]).layer(Closed);
    assert_eq!(authorize.ready().await.unwrap_err(), "closed");
}

#[tokio::test]
async fn the_layers_nest_at_every_level_of_a_router() {
    let idp = idp();
    let key = || ApiKeyLayer::new(store());
    let jwt = || JwtLayer::new(idp.issuer());
    let handler = |caller: Principal| async move { caller.subject().unwrap().to_owned() };
    let app = Router::new()
        .route(
            "/",
            get(handler)
                .layer::<_, Infallible>(ScopeLayer::all([READ]))
                .layer(key()),
        )
        .route(
            "/jwt",
            get(handler)
                .layer::<_, Infallible>(jwt().optional())
                .layer(Identity::new()),
        )
        .route_layer(ScopeLayer::any([READ, WRITE]))
        .route_layer(jwt().or(key()))
        .layer(key().optional());
    let app = Router::new().nest("/api", app).layer(jwt().or(key()).optional());
    let mut request = with_key(KEY);
    *request.uri_mut() = "/api".parse().unwrap();
    assert_eq!(call(&app, request).await.body, "robot");
    let mut request = bearer(&idp.token().sign());
    *request.uri_mut() = "/api/jwt".parse().unwrap();
    let answer = call(&app, request).await;
    assert_eq!(
        answer.reason(),
        "api_key_unknown",
        "the layer for keys judges bearer values too"
    );
}

#[tokio::test]
async fn a_service_that_is_no_router_needs_nothing_else() {
    let inner = service_fn(|request: http::Request<String>| async move {
        let subject = request
            .extensions()
            .get::<Principal>()
            .unwrap()
            .subject()
            .unwrap()
            .to_owned();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(subject)))
    });
    let service = ServiceBuilder::new()
        .layer(ApiKeyLayer::new(store()))
        .service(inner);
    let request = http::Request::get("/")
        .header("x-api-key", KEY)
        .body(String::new())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "robot");
}

/// A call with the head of a gRPC request, changed as a test wants it.
fn grpc(key: &str, content_type: &str, version: Version, method: Method) -> Request {
    let mut request = request(&[("x-api-key", key), ("content-type", content_type)]);
    *request.version_mut() = version;
    *request.method_mut() = method;
    request
}

fn grpc_call(key: &str) -> Request {
    grpc(key, "application/grpc", Version::HTTP_2, Method::POST)
}

type Answer = Response<tower_resource_server::ResponseBody<Full<Bytes>>>;

async fn answer_of<L>(layer: L, request: Request) -> Answer
where
    L: Layer<Picked>,
    L::Service: Service<Request, Response = Answer, Error = Infallible>,
{
    layer.layer(Picked).oneshot(request).await.unwrap()
}

fn text<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// gRPC's answer to a refusal: 200, the status in the headers, the stream ended by them.
fn assert_trailers_only(answer: &Answer, code: &str, message: &str) {
    use http_body::Body;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer, "content-type"), Some("application/grpc"));
    assert_eq!(text(answer, "grpc-status"), Some(code));
    assert_eq!(text(answer, "grpc-message"), Some(message));
    assert!(answer.body().is_end_stream());
    assert_eq!(answer.body().size_hint().exact(), Some(0));
    assert!(answer.extensions().get::<Rejection>().is_some());
}

#[tokio::test]
async fn a_grpc_call_is_refused_in_the_language_of_grpc() {
    let key = || ApiKeyLayer::new(store());
    let mut nothing = grpc_call(KEY);
    nothing.headers_mut().remove("x-api-key");
    let answer = answer_of(key(), nothing).await;
    assert_trailers_only(&answer, "16", "this resource asks for a credential");
    let answer = answer_of(key(), grpc_call("wrong")).await;
    assert_trailers_only(&answer, "16", "the credential is not valid here");
    let answer = answer_of(key(), grpc_call("a b")).await;
    assert_trailers_only(&answer, "3", "the header with the credential cannot be read");
    let answer = answer_of(ApiKeyLayer::new(Broken), grpc_call(KEY)).await;
    assert_trailers_only(&answer, "14", "the credential cannot be checked for now");
    assert_eq!(text(&answer, "retry-after"), Some("1"));
    let answer = answer_of(ScopeLayer::all([WRITE]), grpc_call(KEY)).await;
    assert_trailers_only(&answer, "13", "the service is misconfigured");
}

#[tokio::test]
async fn a_grpc_caller_whose_scopes_do_not_suffice_is_denied_and_not_unauthenticated() {
    let service = ServiceBuilder::new()
        .layer(ApiKeyLayer::new(store()))
        .layer(ScopeLayer::all([WRITE]))
        .service(Picked);
    let answer = service.oneshot(grpc_call(KEY)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "7");
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"scope="orders:write""#), "{challenge}");
    assert!(http_body::Body::is_end_stream(answer.body()));
}

#[tokio::test]
async fn a_grpc_refusal_carries_the_challenges_as_metadata() {
    let answer = answer_of(ApiKeyLayer::new(store()), grpc_call("wrong")).await;
    let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 2);
}

#[tokio::test]
async fn what_looks_like_grpc_is_told_by_method_version_and_content_type() {
    let (post, get, two, one) = (Method::POST, Method::GET, Version::HTTP_2, Version::HTTP_11);
    for (content_type, version, method, answers_in) in [
        ("application/grpc", two, &post, "application/grpc"),
        ("application/grpc+proto", two, &post, "application/grpc"),
        ("application/grpc+json", two, &post, "application/grpc"),
        ("application/grpc; charset=utf-8", two, &post, "application/grpc"),
        ("Application/GRPC", two, &post, "application/grpc"),
        ("application/grpc-web", two, &post, "application/grpc-web"),
        ("application/grpc-web", one, &post, "application/grpc-web"),
        ("application/grpc-web+proto", one, &post, "application/grpc-web"),
        (
            "application/grpc-web-text",
            one,
            &post,
            "application/grpc-web-text",
        ),
        (
            "application/grpc-web-text+proto",
            one,
            &post,
            "application/grpc-web-text",
        ),
        ("application/grpc", one, &post, "application/problem+json"),
        ("application/grpc+proto", one, &post, "application/problem+json"),
        ("application/grpc", two, &get, "application/problem+json"),
        ("application/grpc-web", one, &get, "application/problem+json"),
        ("application/grpcfoo", two, &post, "application/problem+json"),
        ("application/grpc-webfoo", two, &post, "application/problem+json"),
        ("application/grpc-foo", two, &post, "application/problem+json"),
        ("application/json", two, &post, "application/problem+json"),
        ("text/application/grpc", two, &post, "application/problem+json"),
        ("", two, &post, "application/problem+json"),
    ] {
        let request = grpc("wrong", content_type, version, method.clone());
        let answer = answer_of(ApiKeyLayer::new(store()), request).await;
        let case = format!("{method} {content_type:?} over {version:?}");
        assert_eq!(text(&answer, "content-type"), Some(answers_in), "{case}");
        let plain = answers_in == "application/problem+json";
        assert_eq!(answer.status() == StatusCode::UNAUTHORIZED, plain, "{case}");
        assert_eq!(text(&answer, "grpc-status").is_none(), plain, "{case}");
    }
}

#[tokio::test]
async fn a_grpc_call_that_passes_is_not_touched() {
    let answer = answer_of(ApiKeyLayer::new(store()), grpc_call(KEY)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(&answer, "grpc-status"), None);
}

#[tokio::test]
async fn a_refusal_gives_its_body_in_one_frame_of_the_length_it_announced() {
    use http_body::Body;
    let answer = answer_of(ApiKeyLayer::new(store()), with_key("wrong")).await;
    let announced = answer.body().size_hint().exact().unwrap();
    assert!(!answer.body().is_end_stream());
    let mut body = pin!(answer.into_body());
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) else {
        panic!("no frame")
    };
    assert_eq!(frame.into_data().unwrap().len() as u64, announced);
    assert!(body.is_end_stream());
    assert!(matches!(
        Pin::new(&mut body).poll_frame(&mut context),
        Poll::Ready(None)
    ));
}
