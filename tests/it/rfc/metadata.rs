//! I. Metadata of authorization servers (RFC 8414, OpenID Connect Discovery).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{CachedKeys, Fetch, FetchError, HttpFetch, Issuer, JwtLayer, RemoteKeys};

use super::tls;
use crate::server::{PATIENT, Reply, Server};
use crate::support::{API, bearer, call, whoami};

/// Why a good token of this issuer is refused, with keys from there.
async fn reason(idp: &TestIssuer, keys: RemoteKeys) -> &'static str {
    let keys = CachedKeys::from(keys).longest_wait(PATIENT);
    let issuer = idp.issuer_builder().keys(keys).build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer));
    call(&app, bearer(&idp.token().sign())).await.reason()
}

/// An HTTP client without a network: these addresses answer with these documents, and every request is written down.
#[derive(Clone)]
struct Web(Vec<(String, Value)>, Arc<Mutex<Vec<String>>>);

impl Web {
    fn of(documents: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(documents.into_iter().collect(), Arc::default())
    }

    fn asked(&self) -> Vec<String> {
        self.1.lock().unwrap().clone()
    }
}

impl Fetch for Web {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let url = request.uri().to_string();
        self.1.lock().unwrap().push(url.clone());
        let document = self.0.iter().find(|(at, _)| *at == url);
        let (_, json) = document.ok_or(FetchError::Status(StatusCode::NOT_FOUND))?;
        Ok(Response::new(json.to_string().into()))
    }
}

fn jwks(idp: &TestIssuer) -> Value {
    serde_json::from_str(&idp.jwks()).unwrap()
}

#[tokio::test]
async fn i01_metadata_are_looked_for_where_each_standard_puts_them() {
    const KEYS: &str = "https://as.test/keys";
    for (name, places) in [
        (
            "https://as.test/tenant",
            &[
                "https://as.test/tenant/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server/tenant",
                "https://as.test/.well-known/openid-configuration/tenant",
            ][..],
        ),
        (
            "https://as.test/",
            &[
                "https://as.test/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server",
            ],
        ),
    ] {
        let idp = TestIssuer::new(name, API);
        let metadata = json!({"issuer": name, "jwks_uri": KEYS});
        for (tried, place) in places.iter().enumerate() {
            let documents = [
                ((*place).to_owned(), metadata.clone()),
                (KEYS.to_owned(), jwks(&idp)),
            ];
            let web = Web::of(documents);
            let keys = RemoteKeys::discover(name).fetch(web.clone());
            assert_eq!(reason(&idp, keys).await, "ok", "{place}");
            let expected = [&places[..=tried], &[KEYS]].concat();
            assert_eq!(web.asked(), expected);
        }
        let nowhere = Web::of([("https://as.test/elsewhere".to_owned(), metadata)]);
        let keys = RemoteKeys::discover(name).fetch(nowhere.clone());
        assert_eq!(reason(&idp, keys).await, "keys_unavailable");
        assert_eq!(nowhere.asked(), places);
    }
}

#[tokio::test]
async fn i02_metadata_of_another_issuer_are_discarded_as_a_whole() {
    const NAME: &str = "https://as.test/tenant";
    let idp = TestIssuer::new(NAME, API);
    for (named, expected) in [
        (json!("https://as.test/tenant"), "ok"),
        (json!("https://as.test/tenant/"), "keys_unavailable"),
        (json!("https://as.test/Tenant"), "keys_unavailable"),
        (json!("https://AS.test/tenant"), "keys_unavailable"),
        (json!("https://as.test:443/tenant"), "keys_unavailable"),
        (json!("https://as.test/%74enant"), "keys_unavailable"),
        (json!("https://as.test/other"), "keys_unavailable"),
        (json!("https://as.test"), "keys_unavailable"),
        (json!(["https://as.test/tenant"]), "keys_unavailable"),
        (json!(null), "keys_unavailable"),
        (json!(""), "keys_unavailable"),
    ] {
        let place = format!("{NAME}/.well-known/openid-configuration");
        let metadata = json!({"issuer": named, "jwks_uri": "https://as.test/keys"});
        let web = Web::of([(place, metadata), ("https://as.test/keys".to_owned(), jwks(&idp))]);
        let keys = RemoteKeys::discover(NAME).fetch(web.clone());
        assert_eq!(reason(&idp, keys).await, expected, "{named}");
        let asked = web.asked().contains(&"https://as.test/keys".to_owned());
        assert_eq!(asked, expected == "ok", "{named}");
    }
}

#[test]
fn i03_an_issuer_that_is_discovered_is_https_without_query_and_fragment() {
    for (name, accepted) in [
        ("https://as.test", true),
        ("https://as.test/", true),
        ("https://as.test:8443/tenant", true),
        ("http://127.0.0.1:3000", true),
        ("http://localhost:3000", true),
        ("http://[::1]:3000", true),
        ("http://as.test", false),
        ("http://10.0.0.1", false),
        ("http://127.0.0.1.as.test", false),
        ("https://as.test?tenant=1", false),
        ("https://as.test/?", false),
        ("https://as.test/#", false),
        ("https://as.test/#tenant", false),
        ("https://user@as.test", false),
        ("https://user:secret@as.test", false),
        ("ftp://as.test", false),
        ("as.test", false),
        ("//as.test", false),
        ("https://", false),
        ("", false),
    ] {
        let built = Issuer::builder(name).audience(API).build();
        assert_eq!(built.is_ok(), accepted, "{name}");
        if let Err(error) = built {
            assert!(error.to_string().contains("issuer"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn i04_the_keys_that_metadata_name_are_https() {
    const NAME: &str = "https://as.test";
    let idp = TestIssuer::new(NAME, API);
    for (jwks_uri, expected) in [
        (json!("https://as.test/keys"), "ok"),
        (json!("https://keys.test/"), "ok"),
        (json!("http://as.test/keys"), "keys_unavailable"),
        (json!("http://127.0.0.1/keys"), "keys_unavailable"),
        (json!("http://localhost/keys"), "keys_unavailable"),
        (json!("https://user:x@as.test/keys"), "keys_unavailable"),
        (json!("https://as.test/keys#x"), "keys_unavailable"),
        (json!("file:///etc/keys"), "keys_unavailable"),
        (json!("data:application/json,x"), "keys_unavailable"),
        (json!("/keys"), "keys_unavailable"),
        (json!(""), "keys_unavailable"),
        (json!(null), "keys_unavailable"),
        (json!({}), "keys_unavailable"),
    ] {
        let place = format!("{NAME}/.well-known/openid-configuration");
        let metadata = json!({"issuer": NAME, "jwks_uri": jwks_uri});
        // It would answer, whatever the address.
        let url = jwks_uri.as_str().unwrap_or_default().to_owned();
        let web = Web::of([(place, metadata), (url.clone(), jwks(&idp))]);
        let keys = RemoteKeys::discover(NAME).fetch(web.clone());
        assert_eq!(reason(&idp, keys).await, expected, "{jwks_uri}");
        assert_eq!(web.asked().contains(&url), expected == "ok", "{jwks_uri}");
    }
    // An issuer on loopback may have its keys there too.
    let server = Server::start();
    let local = TestIssuer::new(server.url(""), API);
    let metadata = json!({"issuer": local.name(), "jwks_uri": server.url("/jwks")}).to_string();
    server.serve("/.well-known/openid-configuration", Reply::json(metadata));
    server.serve("/jwks", Reply::json(local.jwks()));
    assert_eq!(reason(&local, RemoteKeys::discover(local.name())).await, "ok");
}

#[tokio::test]
async fn i05_metadata_come_from_a_host_whose_certificate_is_vouched_for() {
    let authority = reqwest::Certificate::from_pem(tls::AUTHORITY.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]);
    let fetch = HttpFetch::with_client(client.build().unwrap());
    // The certificate is for `localhost`; the server is the same under its address.
    for (host, trusts, expected) in [
        ("localhost", true, "ok"),
        ("localhost", false, "keys_unavailable"),
        ("127.0.0.1", true, "keys_unavailable"),
    ] {
        let idp = Mutex::new(None);
        tls::serve_from(|url| {
            let name = url.replace("localhost", host);
            let mut document = json!({"issuer": name, "jwks_uri": format!("{name}/jwks")});
            let issuer = TestIssuer::new(name, API);
            document["keys"] = jwks(&issuer)["keys"].clone();
            *idp.lock().unwrap() = Some(issuer);
            document.to_string()
        });
        let idp = idp.into_inner().unwrap().unwrap();
        let keys = RemoteKeys::discover(idp.name());
        let keys = if trusts { keys.fetch(fetch.clone()) } else { keys };
        assert_eq!(reason(&idp, keys).await, expected, "{host}, {trusts}");
    }
}
