//! Which addresses are called for an issuer that was found at run time.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    CachedKeys, Fetch, FetchError, HttpFetch, Issuer, JwtLayer, PublicAddressesOnly, RemoteKeys,
    ResolvedIssuers,
};

use super::{Directory, app, tenant};
use crate::server::{PATIENT, Reply, Server};
use crate::support::{API, bearer, call, whoami};
use crate::telemetry::logged;

const NOT_PUBLIC: &str = "the address is not public";

/// Counts the connections that are made to it, whatever is said on them.
struct Trap {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let trap = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&trap.connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        trap
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The tenant `alpha`, whose keys are there.
fn issuer(idp: &TestIssuer, keys: RemoteKeys) -> Issuer {
    let builder = Issuer::builder(idp.name()).audience(API).accept_any_scope();
    let keys = CachedKeys::from(keys).longest_wait(PATIENT);
    builder.keys(keys).clock(idp.clock().clone()).build().unwrap()
}

fn resolved(idp: &TestIssuer, keys: RemoteKeys) -> ResolvedIssuers {
    ResolvedIssuers::new(Directory::of([issuer(idp, keys)]))
}

/// Why a good token of this issuer is refused, and what is logged about it.
fn judged(idp: &TestIssuer, issuers: ResolvedIssuers) -> (&'static str, String) {
    logged(async { call(&app(issuers), bearer(&idp.token().sign())).await.reason() })
}

#[track_caller]
fn assert_not_public(idp: &TestIssuer, keys: RemoteKeys, what: &str) {
    let (reason, log) = judged(idp, resolved(idp, keys));
    assert_eq!(reason, "keys_unavailable", "{what}");
    assert!(log.contains(NOT_PUBLIC), "{what}: {log}");
}

#[test]
fn keys_at_an_address_that_is_not_public_are_never_asked_for() {
    let trap = Trap::set();
    let port = trap.port;
    let idp = tenant("alpha");
    for host in [
        "http://127.0.0.1",
        "http://localhost",
        "http://[::1]",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://0177.0.0.1",
        "https://127.0.0.1.",
        "https://localhost",
        "https://localhost.",
        "https://LOCALHOST",
        "https://any.localhost",
        "https://0.0.0.0",
        "https://0",
        "https://[::]",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[64:ff9b::7f00:1]",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.0.1",
        "https://169.254.169.254",
        "https://[fe80::1]",
        "https://[fd00::1]",
    ] {
        let base = format!("{host}:{port}");
        assert_not_public(&idp, RemoteKeys::jwks_uri(format!("{base}/jwks")), &base);
        let by_metadata = TestIssuer::new(&base, API);
        assert_not_public(&by_metadata, RemoteKeys::discover(&base), &base);
    }
    assert_eq!(trap.connections(), 0);
    // The same trap sees who is let through.
    let url = format!("https://127.0.0.1:{port}/jwks");
    let issuers = resolved(&idp, RemoteKeys::jwks_uri(url)).dangerous_accept_private_addresses();
    let (reason, log) = judged(&idp, issuers);
    assert_eq!(reason, "keys_unavailable");
    assert!(!log.contains(NOT_PUBLIC), "{log}");
    assert!(trap.connections() > 0);
}

#[test]
fn private_addresses_can_be_accepted() {
    let server = Server::start();
    let idp = TestIssuer::new(server.url(""), API);
    server.serve("/jwks", Reply::json(idp.jwks()));
    let metadata = json!({"issuer": idp.name(), "jwks_uri": server.url("/jwks")});
    server.serve(
        "/.well-known/openid-configuration",
        Reply::json(metadata.to_string()),
    );
    let places = || {
        [
            RemoteKeys::jwks_uri(server.url("/jwks")),
            RemoteKeys::discover(idp.name()),
        ]
    };
    for keys in places() {
        assert_not_public(&idp, keys, "loopback");
    }
    assert_eq!(server.asked(), [""; 0]);
    for keys in places() {
        let issuers = resolved(&idp, keys).dangerous_accept_private_addresses();
        assert_eq!(judged(&idp, issuers).0, "ok");
    }
    assert_eq!(server.hits("/jwks"), 2);
}

#[test]
fn the_same_issuer_is_fetched_from_loopback_where_it_is_configured() {
    let server = Server::start();
    let idp = tenant("alpha");
    server.serve("/jwks", Reply::json(idp.jwks()));
    let app = whoami().layer(JwtLayer::new(issuer(
        &idp,
        RemoteKeys::jwks_uri(server.url("/jwks")),
    )));
    let token = idp.token().sign();
    assert_eq!(logged(call(&app, bearer(&token))).0.reason(), "ok");
}

/// Sends the crate's own client elsewhere, as a name would that means another address today than yesterday.
struct Elsewhere(String);

impl Fetch for Elsewhere {
    async fn fetch(&self, mut request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        *request.uri_mut() = self.0.parse().unwrap();
        HttpFetch::new().fetch(request).await
    }
}

#[test]
fn a_public_name_that_leads_to_a_private_address_is_not_called() {
    let server = Server::start();
    let idp = tenant("alpha");
    server.serve("/jwks", Reply::json(idp.jwks()));
    let keys = |url: &str| RemoteKeys::jwks_uri("https://alpha.test/jwks").fetch(Elsewhere(url.to_owned()));
    let by_address = server.url("/jwks");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    // Names that the machine's own files may hold, under which it knows itself.
    let names = ["ip6-localhost", "localhost.localdomain"].map(|name| by_address.replace("127.0.0.1", name));
    for url in [&by_address, &by_name] {
        assert_not_public(&idp, keys(url), url);
    }
    for url in &names {
        assert_eq!(
            judged(&idp, resolved(&idp, keys(url))).0,
            "keys_unavailable",
            "{url}"
        );
    }
    assert_eq!(server.asked(), [""; 0]);
    for url in [&by_address, &by_name] {
        let issuers = resolved(&idp, keys(url)).dangerous_accept_private_addresses();
        assert_eq!(judged(&idp, issuers).0, "ok", "{url}");
    }
}

/// A client without a network, which writes down what it is asked for, and whether it is told to be careful.
#[derive(Clone)]
struct Own {
    documents: Vec<(&'static str, String)>,
    seen: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Own {
    fn new(documents: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self {
            documents: documents.into_iter().collect(),
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> Vec<(String, bool)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Fetch for Own {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let url = request.uri().to_string();
        let careful = request.extensions().get::<PublicAddressesOnly>().is_some();
        self.seen.lock().unwrap().push((url.clone(), careful));
        let document = self.documents.iter().find(|(at, _)| *at == url);
        let (_, text) = document.ok_or(FetchError::Status(http::StatusCode::NOT_FOUND))?;
        Ok(Response::new(text.clone().into()))
    }
}

#[test]
fn a_client_of_ones_own_is_told_to_ask_public_addresses_only() {
    let idp = tenant("alpha");
    let url = "https://alpha.test/jwks";
    let own = || Own::new([(url, idp.jwks())]);
    let keys = |own: &Own| RemoteKeys::jwks_uri(url).fetch(own.clone());

    let careful = own();
    assert_eq!(judged(&idp, resolved(&idp, keys(&careful))).0, "ok");
    assert_eq!(careful.seen(), [(url.to_owned(), true)]);

    let careless = own();
    let issuers = resolved(&idp, keys(&careless)).dangerous_accept_private_addresses();
    assert_eq!(judged(&idp, issuers).0, "ok");
    assert_eq!(careless.seen(), [(url.to_owned(), false)]);

    let configured = own();
    let app = whoami().layer(JwtLayer::new(issuer(&idp, keys(&configured))));
    let token = idp.token().sign();
    assert_eq!(logged(call(&app, bearer(&token))).0.reason(), "ok");
    assert_eq!(configured.seen(), [(url.to_owned(), false)]);
}

#[test]
fn a_configured_reqwest_client_is_not_used_for_issuers_of_strangers() {
    let server = Server::start();
    let idp = tenant("alpha");
    server.serve("/jwks", Reply::json(idp.jwks()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let fetch = HttpFetch::with_client(client);
    let keys = |url: &str| RemoteKeys::jwks_uri(url).fetch(fetch.clone());
    assert_not_public(&idp, keys("https://alpha.test/jwks"), "a name");
    assert_not_public(&idp, keys("https://192.0.1.1/jwks"), "a public address");
    assert_not_public(&idp, keys(&server.url("/jwks")), "loopback");
    assert_eq!(server.asked(), [""; 0]);
    let issuers = resolved(&idp, keys(&server.url("/jwks"))).dangerous_accept_private_addresses();
    assert_eq!(judged(&idp, issuers).0, "ok");
}

#[test]
fn metadata_of_a_public_issuer_lead_to_no_private_address() {
    const METADATA: &str = "https://alpha.test/.well-known/openid-configuration";
    let idp = tenant("alpha");
    for (url, expected) in [
        ("https://keys.alpha.test/jwks", "ok"),
        ("https://10.0.0.1/jwks", "keys_unavailable"),
        ("https://169.254.169.254/latest/meta-data/", "keys_unavailable"),
        ("https://localhost/jwks", "keys_unavailable"),
        ("https://0x7f.1/jwks", "keys_unavailable"),
        ("http://127.0.0.1/jwks", "keys_unavailable"),
    ] {
        let metadata = json!({"issuer": idp.name(), "jwks_uri": url}).to_string();
        // It would answer, whatever the address.
        let own = Own::new([(METADATA, metadata), (url, idp.jwks())]);
        let keys = RemoteKeys::discover(idp.name()).fetch(own.clone());
        assert_eq!(judged(&idp, resolved(&idp, keys)).0, expected, "{url}");
        let asked_for_keys = own.seen().iter().any(|(seen, _)| seen == url);
        assert_eq!(asked_for_keys, expected == "ok", "{url}");
        assert!(own.seen().iter().all(|(_, careful)| *careful), "{url}");
    }
}
