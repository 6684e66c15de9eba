//! The conformance server (`examples/conformance`) does what its contract says, seen from outside: as a process, over HTTP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{Algorithm, Clock, Scope, Secret};

use crate::examples::binary;
use crate::server::PATIENT;

const API: &str = "https://api.example.test";
const LEGACY: &str = "https://legacy.example.test";
const SECRET: [u8; 32] = [7; 32];
const READ: Scope = Scope::from_static("read:pets");
const WRITE: Scope = Scope::from_static("write:pets");
const ADMIN: Scope = Scope::from_static("admin:pets");

/// A key that exists already: visible ASCII, and nothing that `Bearer` could carry.
const ODD_KEY: &str = "!\"#$%&'()*,:;<=>?@[\\]^`{|}";
/// Two dots: the shape of a token.
const DOTTED_KEY: &str = "one.two.three";

/// The server, the issuers that it trusts, and who signs for them.
struct Conformance {
    url: String,
    idp: TestIssuer,
    legacy: TestIssuer,
    http: reqwest::Client,
    _process: Child,
}

impl Conformance {
    /// `change` gets the whole configuration, which is good as it is.
    async fn start(change: impl FnOnce(&mut Value)) -> Self {
        let idp = serve_issuer().await;
        let mut config = config(&idp);
        change(&mut config);
        let file = File::of(&config.to_string());
        let mut process = Command::new(binary("conformance").await)
            .arg(&file.0)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(PATIENT, lines.next_line()).await.expect("ready in time");
        let line = line.unwrap().expect("a line");
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Self {
            url,
            idp,
            legacy: TestIssuer::new(LEGACY, API),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENT)
                .build()
                .unwrap(),
            _process: process,
        }
    }

    fn token(&self) -> TokenBuilder {
        self.idp.token().subject("user_1").scopes([READ])
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.http.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// The status, and the body of an answer or the error code of a refusal.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.get(path, headers).await;
        let status = answer.status().as_u16();
        let challenges = answer.headers().get_all("www-authenticate").iter().count();
        assert_eq!(
            challenges > 0,
            [400, 401, 403].contains(&status),
            "{path}: a refusal, and only that, has a challenge"
        );
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        if status == 200 {
            (status, body)
        } else {
            assert_eq!(body["status"], status);
            (status, body["error"].clone())
        }
    }

    async fn bearer(&self, path: &str, token: &str) -> (u16, Value) {
        self.ask(path, &[("authorization", &format!("Bearer {token}"))])
            .await
    }

    async fn assert_accepts(&self, path: &str, token: &str) {
        let (status, body) = self.bearer(path, token).await;
        assert_eq!((status, &body["method"]), (200, &json!("jwt")), "{path}: {body}");
    }

    async fn assert_refuses(&self, path: &str, token: &str) {
        assert_eq!(self.bearer(path, token).await, invalid_token(), "{path}");
    }
}

fn invalid_token() -> (u16, Value) {
    (401, json!("invalid_token"))
}

fn missing() -> (u16, Value) {
    (401, Value::Null)
}

/// A test issuer on loopback; its keys are made now, so that the server finds all of them at its start.
async fn serve_issuer() -> TestIssuer {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let idp = TestIssuer::new(format!("http://{}", socket.local_addr().unwrap()), API);
    for algorithm in [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ] {
        idp.token().algorithm(algorithm).sign();
    }
    let router = idp.router();
    tokio::spawn(async move { axum::serve(socket, router).await });
    idp
}

fn config(idp: &TestIssuer) -> Value {
    let key = |key: &str, owner: &str| json!({ "key": key, "owner": owner, "scopes": ["read:pets"] });
    let mut keys = vec![
        key("sk_test_good", "robot"),
        key(ODD_KEY, "odd"),
        key(DOTTED_KEY, "dotted"),
        json!({ "key": "sk_test_scopeless", "owner": "robot" }),
    ];
    for (name, member, value) in [
        ("expired", "expires_at", json!("2020-01-01T01:00:00.5+01:00")),
        ("future", "not_before", json!("2099-12-31T23:59:59-05:00")),
        ("revoked", "revoked", json!(true)),
        ("endless", "expires_at", json!("9999-12-31T23:59:59Z")),
    ] {
        let mut record = key(&format!("sk_test_{name}"), name);
        record[member] = value;
        keys.push(record);
    }
    json!({
        "listen": "127.0.0.1:0",
        "issuers": [
            {
                "issuer": idp.to_string(),
                "jwks_uri": format!("{idp}/jwks"),
                "audience": ["https://other.example.test", API],
                "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
                "leeway_seconds": 0,
            },
            {
                "issuer": LEGACY,
                "secret_base64url": URL_SAFE_NO_PAD.encode(SECRET),
                "audience": [API],
                "algorithms": ["HS256"],
                "leeway_seconds": 0,
            },
        ],
        "api_keys": keys,
        "revoked_token_ids": [
            { "issuer": idp.to_string(), "jti": "t-123", "expires_at": "2099-01-01T00:00:00Z" },
            { "issuer": idp.to_string(), "jti": "t-forever", "expires_at": null },
        ],
        "token_versions": [{ "issuer": idp.to_string(), "subject": "user_7", "minimum": 3 }],
    })
}

/// A configuration on disk, for as long as it is needed.
struct File(PathBuf);

impl File {
    fn of(text: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn an_answer_says_who_called_from_where_how_and_with_which_scopes() {
    let server = Conformance::start(|_| {}).await;
    let issuer = server.idp.to_string();
    let anonymous = json!({ "subject": null, "issuer": null, "method": "anonymous", "scopes": null });
    let user = json!({ "subject": "user_1", "issuer": issuer, "method": "jwt", "scopes": ["read:pets"] });
    let robot = json!({ "subject": "robot", "issuer": null, "method": "api_key", "scopes": ["read:pets"] });

    let bearer = format!("Bearer {}", server.token().sign());
    let bearer = [("authorization", &*bearer)];
    let key = [("x-api-key", "sk_test_good")];
    let basic = [("authorization", "Basic dXNlcjpwYXNz")];
    for (path, headers, answer) in [
        ("/open", &[][..], &anonymous),
        ("/open", &bearer, &anonymous),
        ("/jwt/optional", &[], &anonymous),
        ("/jwt/optional", &basic, &anonymous),
        ("/jwt", &bearer, &user),
        ("/jwt/any", &bearer, &user),
        ("/jwt/strict", &bearer, &user),
        ("/jwt/fresh", &bearer, &user),
        ("/jwt/optional", &bearer, &user),
        ("/either", &bearer, &user),
        ("/either/read", &bearer, &user),
        ("/key", &key, &robot),
        ("/key", &[("authorization", "Bearer sk_test_good")], &robot),
        ("/key/read", &key, &robot),
        ("/either", &key, &robot),
        ("/either", &[("authorization", "Bearer sk_test_good")], &robot),
        ("/either/read", &key, &robot),
    ] {
        assert_eq!(server.ask(path, headers).await, (200, answer.clone()), "{path}");
    }
}

#[tokio::test]
async fn every_route_refuses_in_the_librarys_words() {
    let server = Conformance::start(|_| {}).await;
    let bearer = format!("Bearer {}", server.token().sign());
    let writer = format!("Bearer {}", server.token().scopes([WRITE]).sign());
    let (user, writer) = (("authorization", &*bearer), ("authorization", &*writer));
    let key = ("x-api-key", "sk_test_good");
    let basic = ("authorization", "Basic dXNlcjpwYXNz");
    let protected = [
        "/jwt",
        "/jwt/all",
        "/jwt/any",
        "/jwt/strict",
        "/jwt/fresh",
        "/key",
        "/key/read",
        "/either",
        "/either/read",
    ];
    for path in protected {
        assert_eq!(server.ask(path, &[]).await, missing(), "{path}");
        assert_eq!(server.ask(path, &[basic]).await, missing(), "{path}");
        assert_eq!(server.bearer(path, "unknown").await, invalid_token(), "{path}");
        assert_eq!(
            server.ask(path, &[user, user]).await,
            (400, json!("invalid_request")),
            "{path}"
        );
        let empty = ("authorization", "Bearer");
        assert_eq!(
            server.ask(path, &[empty]).await,
            (400, json!("invalid_request")),
            "{path}"
        );
    }
    let (too_much, too_little) = (
        (400, json!("invalid_request")),
        (403, json!("insufficient_scope")),
    );
    for (path, headers, refusal) in [
        ("/jwt", &[key][..], &missing()),
        ("/jwt/all", &[user], &too_little),
        ("/jwt/any", &[writer], &too_little),
        (
            "/jwt/optional",
            &[("authorization", "Bearer a.b.c")],
            &invalid_token(),
        ),
        ("/key", &[user], &invalid_token()),
        (
            "/key",
            &[key, ("authorization", "Bearer sk_test_good")],
            &too_much,
        ),
        ("/key/read", &[("x-api-key", "sk_test_scopeless")], &too_little),
        ("/either", &[key, user], &too_much),
        ("/either/read", &[writer], &too_little),
        ("/either/read", &[("x-api-key", "sk_test_scopeless")], &too_little),
    ] {
        assert_eq!(&server.ask(path, headers).await, refusal, "{path}");
    }
    let all = server.token().scopes([READ, WRITE]).sign();
    server.assert_accepts("/jwt/all", &all).await;
    server
        .assert_accepts("/jwt/any", &server.token().scopes([ADMIN]).sign())
        .await;
}

#[tokio::test]
async fn a_token_is_accepted_under_each_algorithm_that_is_configured() {
    let server = Conformance::start(|_| {}).await;
    for algorithm in [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ] {
        server
            .assert_accepts("/jwt", &server.token().algorithm(algorithm).sign())
            .await;
    }
    server
        .assert_refuses("/jwt", &server.token().algorithm(Algorithm::Es512).sign())
        .await;
    // without `kid`, the one key that is made for the algorithm
    let nameless = server.token().algorithm(Algorithm::Rs256).without_header("kid");
    server.assert_accepts("/jwt", &nameless.sign()).await;
    server
        .assert_refuses("/jwt", &server.token().header("kid", "nobodys").sign())
        .await;
}

#[tokio::test]
async fn the_issuer_with_a_secret_speaks_for_itself_only() {
    let server = Conformance::start(|_| {}).await;
    let secret = Secret::new(SECRET);
    let good = server.legacy.token().subject("user_2").scopes([READ]);
    let (status, body) = server
        .bearer("/jwt", &good.clone().sign_with_secret(&secret))
        .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["issuer"], LEGACY);
    server
        .assert_refuses("/jwt", &good.clone().sign_with_secret(&Secret::new([8; 32])))
        .await;
    server
        .assert_refuses(
            "/jwt",
            &good.clone().algorithm(Algorithm::Hs512).sign_with_secret(&secret),
        )
        .await;
    server
        .assert_refuses("/jwt", &server.token().sign_with_secret(&secret))
        .await;
    server.assert_refuses("/jwt", &good.sign()).await;
}

#[tokio::test]
async fn a_token_must_be_for_this_audience_and_in_its_time() {
    let server = Conformance::start(|_| {}).await;
    let now = server.idp.clock().now();
    let long = Duration::from_secs(3600);
    let path = "/jwt";
    server
        .assert_accepts(
            path,
            &server.token().audience("https://other.example.test").sign(),
        )
        .await;
    server
        .assert_accepts(path, &server.token().without("iat").sign())
        .await;
    server
        .assert_refuses(path, &server.token().audience("https://elsewhere.test").sign())
        .await;
    server
        .assert_refuses(path, &server.token().without("aud").sign())
        .await;
    server
        .assert_refuses(path, &server.token().expires_in(Duration::ZERO).sign())
        .await;
    server
        .assert_refuses(
            path,
            &server.token().issued_at(now + long).expires_in(2 * long).sign(),
        )
        .await;
    server
        .assert_refuses(path, &server.token().claim("iss", "https://stranger.test").sign())
        .await;
}

#[tokio::test]
async fn scopes_are_read_from_scp_where_scope_is_absent() {
    let server = Conformance::start(|_| {}).await;
    let none = server.token().without("scope");
    for scp in [json!(["read:pets", "write:pets"]), json!("read:pets write:pets")] {
        server
            .assert_accepts("/jwt/all", &none.clone().claim("scp", scp).sign())
            .await;
    }
    let both = server.token().claim("scp", ["read:pets", "write:pets"]).sign();
    assert_eq!(
        server.bearer("/jwt/all", &both).await.0,
        403,
        "scope is there, so scp does not count"
    );
}

#[tokio::test]
async fn the_strict_route_wants_what_rfc_9068_wants() {
    let server = Conformance::start(|_| {}).await;
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        server
            .assert_accepts("/jwt/strict", &server.token().header("typ", typ).sign())
            .await;
    }
    let jwt = server.token().header("typ", "JWT").sign();
    server.assert_accepts("/jwt", &jwt).await;
    server.assert_refuses("/jwt/strict", &jwt).await;
    for claim in ["iat", "client_id", "exp", "aud"] {
        server
            .assert_refuses("/jwt/strict", &server.token().without(claim).sign())
            .await;
    }
}

#[tokio::test]
async fn the_fresh_route_refuses_a_token_of_more_than_a_minute() {
    let server = Conformance::start(|_| {}).await;
    let now = server.idp.clock().now();
    let old = server.token().issued_at(now - Duration::from_secs(62)).sign();
    server.assert_accepts("/jwt", &old).await;
    server.assert_refuses("/jwt/fresh", &old).await;
    server
        .assert_refuses("/jwt/fresh", &server.token().without("iat").sign())
        .await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_wherever_tokens_are_judged() {
    let server = Conformance::start(|_| {}).await;
    let revoked = server.token().scopes([READ, WRITE]).token_id("t-123").sign();
    for path in [
        "/jwt",
        "/jwt/all",
        "/jwt/any",
        "/jwt/strict",
        "/jwt/fresh",
        "/jwt/optional",
        "/either",
        "/either/read",
    ] {
        server.assert_refuses(path, &revoked).await;
    }
    server
        .assert_refuses("/jwt", &server.token().token_id("t-forever").sign())
        .await;
    server
        .assert_refuses("/jwt", &server.token().without("jti").sign())
        .await;
    let namesake = server.legacy.token().token_id("t-123");
    server
        .assert_accepts("/jwt", &namesake.sign_with_secret(&Secret::new(SECRET)))
        .await;
}

#[tokio::test]
async fn a_token_below_its_subjects_version_is_refused() {
    let server = Conformance::start(|_| {}).await;
    let of = |version: Value| {
        server
            .token()
            .subject("user_7")
            .claim("token_version", version)
            .sign()
    };
    for path in ["/jwt", "/either"] {
        server.assert_accepts(path, &of(json!(3))).await;
        server.assert_accepts(path, &of(json!(4))).await;
        server.assert_refuses(path, &of(json!(2))).await;
        server
            .assert_refuses(path, &server.token().subject("user_7").sign())
            .await;
    }
}

#[tokio::test]
async fn a_token_needs_an_id_only_where_ids_are_revoked() {
    for absent in [
        &["revoked_token_ids"][..],
        &["revoked_token_ids", "token_versions"],
    ] {
        let server = Conformance::start(|config| {
            for member in absent {
                config.as_object_mut().unwrap().remove(*member);
            }
        })
        .await;
        server
            .assert_accepts("/jwt", &server.token().without("jti").sign())
            .await;
    }
}

#[tokio::test]
async fn an_api_key_counts_in_its_time_and_may_be_any_visible_ascii() {
    let server = Conformance::start(|_| {}).await;
    for path in ["/key", "/key/read", "/either", "/either/read"] {
        for good in ["sk_test_good", "sk_test_endless", ODD_KEY, DOTTED_KEY] {
            assert_eq!(
                server.ask(path, &[("x-api-key", good)]).await.0,
                200,
                "{path} {good}"
            );
        }
        for bad in [
            "sk_test_expired",
            "sk_test_future",
            "sk_test_revoked",
            "SK_TEST_GOOD",
        ] {
            assert_eq!(
                server.ask(path, &[("x-api-key", bad)]).await,
                invalid_token(),
                "{path} {bad}"
            );
        }
    }
    assert_eq!(server.bearer("/key", DOTTED_KEY).await.0, 200);
    assert_eq!(
        server.bearer("/either", DOTTED_KEY).await,
        invalid_token(),
        "it is judged as a token"
    );
}

#[tokio::test]
async fn keys_are_discovered_where_no_jwks_uri_is_given() {
    let server = Conformance::start(|config| {
        config["issuers"][0].as_object_mut().unwrap().remove("jwks_uri");
        config["issuers"][0]["algorithms"] = Value::Null;
    })
    .await;
    server.assert_accepts("/jwt", &server.token().sign()).await;
}

#[tokio::test]
async fn an_issuer_that_is_out_of_reach_does_not_keep_the_server_from_starting() {
    let server =
        Conformance::start(|config| config["issuers"][0]["jwks_uri"] = json!("http://127.0.0.1:1/jwks"))
            .await;
    let answer = server
        .get(
            "/jwt",
            &[("authorization", &format!("Bearer {}", server.token().sign()))],
        )
        .await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let legacy = server.legacy.token().sign_with_secret(&Secret::new(SECRET));
    server.assert_accepts("/jwt", &legacy).await;
}

#[tokio::test]
async fn whatever_http_allows_is_answered_and_the_connection_stays() {
    let server = Conformance::start(|_| {}).await;
    let host = server.url.strip_prefix("http://").unwrap().to_owned();
    let content = format!("Content-Length: 300000\r\n\r\n{}", "x".repeat(300_000));
    let statuses = tokio::task::spawn_blocking(move || {
        let mut wire = TcpStream::connect(&host).unwrap();
        wire.set_read_timeout(Some(PATIENT)).unwrap();
        let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: yes\r\n\r\n";
        [
            ("GET /open HTTP/1.1", "\r\n".to_owned()),
            ("GET /jwt HTTP/1.1", content.clone()),
            ("POST /open HTTP/1.1", content),
            ("GET /key HTTP/1.1", chunked.to_owned()),
            ("OPTIONS * HTTP/1.1", "\r\n".to_owned()),
            (
                &format!("GET http://{host}/jwt?a=%FF&b HTTP/1.1"),
                "\r\n".to_owned(),
            ),
            ("GET /%FF%00 HTTP/1.1", "\r\n".to_owned()),
            ("MADE-UP /jwt/optional HTTP/1.1", "\r\n".to_owned()),
            ("GET /key HTTP/1.1", "X-API-Key: \u{e9}\r\n\r\n".to_owned()),
            (
                "GET /jwt HTTP/1.1",
                "Authorization: \u{e9}, , \"\r\n\r\n".to_owned(),
            ),
            (
                "GET /open HTTP/1.1",
                "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n".to_owned(),
            ),
        ]
        .map(|(line, rest)| {
            write!(wire, "{line}\r\nHost: {host}\r\n{rest}").unwrap();
            (line.to_owned(), status_of(&mut wire))
        })
    });
    let statuses = statuses.await.unwrap();
    let numbers: Vec<u16> = statuses.iter().map(|(_, status)| *status).collect();
    assert_eq!(
        numbers,
        [200, 401, 405, 401, 404, 401, 404, 405, 400, 400, 200],
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_client_that_has_shut_down_its_half_of_the_connection_is_answered() {
    let server = Conformance::start(|_| {}).await;
    let host = server.url.strip_prefix("http://").unwrap().to_owned();
    let status = tokio::task::spawn_blocking(move || {
        let mut wire = TcpStream::connect(&host).unwrap();
        wire.set_read_timeout(Some(PATIENT)).unwrap();
        write!(wire, "GET /jwt HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        wire.shutdown(Shutdown::Write).unwrap();
        status_of(&mut wire)
    });
    assert_eq!(status.await.unwrap(), 401);
}

/// Reads one answer, with its body, off a connection that stays.
fn status_of(wire: &mut TcpStream) -> u16 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        wire.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(!head.contains("connection: close"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    wire.read_exact(&mut body).unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn run_with(arguments: &[&str]) -> Output {
    let output = Command::new(binary("conformance").await).args(arguments).output();
    timeout(PATIENT, output).await.expect("an end in time").unwrap()
}

/// The problems that the server tells of this configuration, which it must not serve with.
async fn problems_of(config: &str) -> BTreeSet<String> {
    let file = File::of(config);
    let output = run_with(&[file.0.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "nobody listens");
    let message = String::from_utf8(output.stderr).unwrap();
    let problems: BTreeSet<String> = message
        .lines()
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect();
    assert!(!problems.is_empty(), "{message}");
    problems
}

#[tokio::test]
async fn a_bad_configuration_ends_with_status_2_and_every_problem_in_one_message() {
    let config = json!({
        "listen": "somewhere",
        "debug": true,
        "issuers": [
            {
                "issuer": "https://a.test", "audience": [], "algorithms": ["none", "HS256"],
                "leeway_seconds": 301, "color": "red", "colour": "red",
            },
            { "jwks_uri": "http://a.test/jwks", "secret_base64url": "c2hvcnQ", "audience": API },
            { "issuer": "https://c.test", "jwks_uri": "http://c.test/jwks", "audience": [API], "leeway_seconds": -1 },
            { "issuer": "https://d.test", "secret_base64url": "!", "audience": [API] },
            { "issuer": "https://e.test", "audience": [API] },
            { "issuer": "https://e.test", "audience": [API] },
            5,
        ],
        "api_keys": [
            { "key": "two words", "owner": "robot", "scopes": ["a\"b"], "not_before": "yesterday" },
            { "owner": "robot", "expires_at": "2030-01-01" },
            { "key": "same", "owner": "robot", "revoked": "no" },
            { "key": "same", "owner": "robot" },
        ],
        "revoked_token_ids": [{ "issuer": "https://a.test", "expires_at": "2030-01-01T00:00:00" }],
        "token_versions": [{ "issuer": "https://a.test", "subject": "user_7", "minimum": 1.5 }],
    });
    let problems = problems_of(&config.to_string()).await;
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.split(": ").next().unwrap())
        .collect();
    let expected = [
        "api_keys[0].key",
        "api_keys[0].not_before",
        "api_keys[0].scopes",
        "api_keys[1].expires_at",
        "api_keys[1].key",
        "api_keys[2].revoked",
        "api_keys[3].key",
        "debug",
        "issuers",
        "issuers[0].algorithms",
        "issuers[0].algorithms",
        "issuers[0].audience",
        "issuers[0].color",
        "issuers[0].colour",
        "issuers[0].leeway",
        "issuers[1].audience",
        "issuers[1].issuer",
        "issuers[1].keys",
        "issuers[1].secret_base64url",
        "issuers[2].jwks_uri",
        "issuers[2].leeway_seconds",
        "issuers[3].secret_base64url",
        "issuers[6]",
        "listen",
        "revoked_token_ids[0].expires_at",
        "revoked_token_ids[0].jti",
        "token_versions[0].minimum",
    ];
    assert_eq!(paths, expected, "{problems:#?}");
}

#[tokio::test]
async fn a_configuration_that_is_no_object_no_json_or_not_there_is_one_clear_message() {
    for text in ["", "{", "[]"] {
        assert_eq!(problems_of(text).await.len(), 1);
    }
    let empty = BTreeSet::from([
        "issuers: none is trusted, so every token would be refused".to_owned(),
        "listen: it is missing".to_owned(),
    ]);
    assert_eq!(problems_of("{}").await, empty);
    for arguments in [&[][..], &["/nowhere/at/all.json"]] {
        let output = run_with(arguments).await;
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_one_clear_message() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut config = config(&serve_issuer().await);
    config["listen"] = json!(taken.local_addr().unwrap().to_string());
    let file = File::of(&config.to_string());
    let output = run_with(&[file.0.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("listen: "));
}
