//! What mutation testing found unguarded: values that stand exactly at a limit, and reasons that could be taken for each
//! other. `.cargo/mutants.toml` says how it is run.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, ApiKeyLayer, ApiKeyRecord, CachedKeys, Claims, Clock, Fetch, FetchError, FixedKeys, Issuer,
    JwtLayer, KeyDigest, KeySet, KeySetError, MemoryRevocations, Principal, Profile, RemoteKeys, Revocation,
    Scope, ScopeSet, TokenAgeLayer, TrustedIssuers,
};

use crate::server::PATIENT;
use crate::support::{API, Broken, ISSUER, KEY, READ, WRITE, bearer, call, idp, request, store, whoami};
use crate::telemetry::logged;

#[test]
fn a_document_that_is_no_json_and_one_that_is_no_key_set_are_told_apart() {
    for (text, expected) in [
        (r#"{"keys":["#, "it is not JSON"),
        (r#"{"keys":[]}}"#, "it is not JSON"),
        (r#"{"keys":7}"#, "it is not an object with one array `keys`"),
        (r#"[{"keys":[]}]"#, "it is not an object with one array `keys`"),
    ] {
        match KeySet::from_jwks(text) {
            Err(KeySetError::NotAKeySet(said)) => assert_eq!(said, expected, "{text}"),
            other => panic!("{other:?} for {text}"),
        }
    }
}

#[test]
fn an_rsa_exponent_has_up_to_four_bytes() {
    let idp = idp();
    idp.token().algorithm(Algorithm::Rs256).sign();
    let mut document: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let keys = document["keys"].as_array_mut().unwrap();
    let rsa = keys.iter_mut().find(|key| key["kty"] == "RSA").unwrap();
    // 0x80000001
    rsa["e"] = json!("gAAAAQ");
    let set = KeySet::from_jwks(&document.to_string()).unwrap();
    assert_eq!((set.len(), set.skipped()), (2, &[][..]));
}

#[test]
fn an_issuer_tells_its_name() {
    assert_eq!(idp().issuer().name(), ISSUER);
}

#[tokio::test]
async fn warming_up_tells_of_an_issuer_whose_keys_are_out_of_reach() {
    let idp = idp();
    let broken = idp
        .issuer_builder()
        .keys(CachedKeys::new(Broken))
        .build()
        .unwrap();
    let error = broken.warm_up().await.unwrap_err();
    assert_eq!(error.reason(), "keys_unavailable");
    let error = TrustedIssuers::from(broken).warm_up().await.unwrap_err();
    assert_eq!(error.reason(), "keys_unavailable");
    idp.issuer().warm_up().await.unwrap();
    TrustedIssuers::from(idp.issuer()).warm_up().await.unwrap();
}

#[tokio::test]
async fn only_application_may_stand_before_a_type_and_be_left_out() {
    let idp = idp();
    for profile in [Profile::default(), Profile::rfc9068()] {
        let app = whoami().layer(JwtLayer::new(idp.issuer().with_profile(profile)));
        for (typ, expected) in [
            ("application/at+jwt", "ok"),
            ("at+jwt", "ok"),
            // Each as long as `application/`.
            ("application_at+jwt", "type_not_accepted"),
            ("unregisteredat+jwt", "type_not_accepted"),
            ("vnd.example/at+jwt", "type_not_accepted"),
        ] {
            let answer = call(&app, bearer(&idp.token().header("typ", typ).sign())).await;
            assert_eq!(answer.reason(), expected, "{typ}");
        }
    }
}

#[tokio::test]
async fn of_several_issuers_of_tenants_each_judges_its_own() {
    let idp_of = |tenant: &str| TestIssuer::new(format!("https://{tenant}.test/a"), API);
    let (east, west, stranger) = (idp_of("east"), idp_of("west"), idp_of("north"));
    let trusted = |idp: &TestIssuer, name: &str| {
        let builder = Issuer::builder(name).audience(API).accept_any_scope();
        let builder = builder.keys(FixedKeys::jwks(&idp.jwks()).unwrap());
        builder.tenants(["a"]).build().unwrap()
    };
    let trusted = [
        trusted(&east, "https://east.test/{tenantid}"),
        trusted(&west, "https://west.test/{tenantid}"),
    ];
    let app = whoami().layer(JwtLayer::new(TrustedIssuers::new(trusted).unwrap()));
    for (idp, expected) in [(&east, "ok"), (&west, "ok"), (&stranger, "issuer_unknown")] {
        let token = idp.token().claim("tid", "a").sign();
        assert_eq!(call(&app, bearer(&token)).await.reason(), expected, "{idp}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_trusted_cannot_name_itself() {
    let template = "https://login.test/{tenantid}/v2";
    let idp = TestIssuer::new("https://login.test/a/v2", API);
    let named = || {
        let builder = Issuer::builder(template).audience(API);
        builder.keys(FixedKeys::jwks(&idp.jwks()).unwrap())
    };
    let long = "a".repeat(65);
    let listed = named().tenants(["a"]);
    let judged = named().tenants_where(|tenant| tenant == "a");
    let anybody = named().tenants_where(|_| true);
    for (rule, issuer, tenants, expected) in [
        ("listed", &listed, &["a"][..], "ok"),
        ("listed", &listed, &["b", "A", ""], "issuer_unknown"),
        ("judged", &judged, &["a"], "ok"),
        ("judged", &judged, &["b", "A", ""], "issuer_unknown"),
        ("anybody", &anybody, &["a", "b-7", &long[..64]], "ok"),
        (
            "anybody",
            &anybody,
            &["", "a.b", "a/v2", "é", &long],
            "issuer_unknown",
        ),
    ] {
        let app = whoami().layer(JwtLayer::new(issuer.clone().build().unwrap()));
        for tenant in tenants {
            let name = template.replace("{tenantid}", tenant);
            let token = idp.token().claim("iss", name).claim("tid", tenant).sign();
            let answer = call(&app, bearer(&token)).await;
            assert_eq!(answer.reason(), expected, "{rule}: {tenant}");
        }
    }
}

#[tokio::test]
async fn a_revocation_does_not_undo_an_earlier_one() {
    let idp = idp();
    let revocations = MemoryRevocations::with_clock(idp.clock().clone());
    let app = whoami().layer(JwtLayer::new(idp.issuer()).revocations(revocations.clone()));
    let tokens = ["t-1", "t-2", "t-3"].map(|id| idp.token().token_id(id).sign());
    for (id, seconds) in [("t-1", 60), ("t-2", 30), ("t-3", 90)] {
        let until = idp.clock().now() + Duration::from_secs(seconds);
        revocations.revoke(&Revocation::token(ISSUER, id, until));
    }
    for token in &tokens {
        assert_eq!(call(&app, bearer(token)).await.reason(), "token_revoked");
    }
}

#[derive(Debug, Deserialize)]
struct Desk {
    desk: u32,
}

#[test]
fn the_log_says_which_claim_a_type_misses_and_never_what_a_claim_holds() {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Desk>().build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer));
    for (token, said) in [
        (idp.token(), "missing field `desk`"),
        (idp.token().claim("desk", "canary"), "a member is of another type"),
    ] {
        let (answer, log) = logged(call(&app, bearer(&token.sign())));
        assert_eq!(answer.reason(), "claims_undecodable");
        assert!(log.contains(said) && !log.contains("canary"), "{log}");
    }
}

#[test]
fn the_log_says_what_is_wrong_with_the_form_of_a_token() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let good = br#"{"alg":"ES256"}"#.as_slice();
    for (header, payload, said) in [
        (
            b"{".as_slice(),
            b"{}".as_slice(),
            "header is not a JSON object of the expected form: it is not JSON",
        ),
        (
            br#"{"kid":7}"#,
            b"{}",
            "header is not a JSON object of the expected form: a member is repeated",
        ),
        (
            good,
            br#"{"iss":}"#,
            "claims are not a JSON object of the expected form: it is not JSON",
        ),
        (
            good,
            br#"{"iss":7}"#,
            "claims are not a JSON object of the expected form: a member is repeated",
        ),
        (
            good,
            b"\"\xff\"",
            "claims are not a JSON object of the expected form: it is not UTF-8",
        ),
        (
            good,
            b"{}{}",
            "claims are not a JSON object of the expected form: something stands behind",
        ),
    ] {
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
        let (_, log) = logged(call(&app, bearer(&format!("{header}.{payload}.AAAA"))));
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[tokio::test]
async fn each_word_about_an_authentication_counts_alone() {
    let idp = idp();
    let handler = get(|caller: Principal| async move {
        let known = caller.authentication();
        known.map_or("none".to_owned(), |known| {
            format!("{:?} {:?} {}", known.context, known.methods, known.time.is_some())
        })
    });
    let app = Router::new()
        .route("/", handler)
        .layer(JwtLayer::new(idp.issuer()));
    for (token, expected) in [
        (idp.token().claim("acr", "mfa"), r#"Some("mfa") [] false"#),
        (idp.token().claim("amr", ["pwd"]), r#"None ["pwd"] false"#),
        (idp.token().claim("auth_time", 1_800_000_000), "None [] true"),
        (idp.token(), "none"),
    ] {
        assert_eq!(call(&app, bearer(&token.sign())).await.body, expected);
    }
}

#[tokio::test]
async fn beside_keys_too_the_issuers_declare_which_claims_there_are() {
    let (staff, partner) = (idp(), TestIssuer::new("https://partner.test", API));
    let of_staff = staff.issuer_builder().accept_any_scope().claims::<Desk>();
    let of_partner = partner.issuer_builder().accept_any_scope();
    let issuers = [of_staff.build().unwrap(), of_partner.build().unwrap()];
    let tokens = JwtLayer::new(TrustedIssuers::new(issuers).unwrap());
    let handler = get(|claims: Claims<Desk>| async move { claims.desk.to_string() });
    let app = Router::new()
        .route("/", handler)
        .layer(tokens.or(ApiKeyLayer::new(store())));
    let token = staff.token().claim("desk", 7).sign();
    assert_eq!(call(&app, bearer(&token)).await.body, "7");
    let others = [
        bearer(&partner.token().claim("desk", 7).sign()),
        request(&[("x-api-key", KEY)]),
    ];
    for request in others {
        let answer = call(&app, request).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (403, "claims_absent"));
    }
}

#[tokio::test]
async fn a_client_whose_token_is_too_old_is_told_so_and_can_fetch_a_younger_one() {
    let idp = idp();
    let young = TokenAgeLayer::within(Duration::from_secs(60)).clock(idp.clock().clone());
    let app = whoami().layer(young).layer(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    idp.clock().advance(Duration::from_secs(61));
    let answer = call(&app, bearer(&token)).await;
    assert_eq!(
        answer.json()["detail"],
        "the token is too old for this resource",
        "{answer:?}"
    );
}

#[test]
fn a_user_name_or_a_password_alone_is_too_much_in_an_address() {
    for url in ["https://canary@as.test/", "https://:canary@as.test/"] {
        for keys in [RemoteKeys::jwks_uri(url), RemoteKeys::discover(url)] {
            let error = Issuer::builder("any").audience(API).keys(keys).build();
            let error = error.unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains("user name or password"), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
}

/// Answers with the metadata of [`ISSUER`], and with its keys wherever they are said to be.
struct Served {
    jwks_uri: &'static str,
    jwks: String,
}

impl Fetch for Served {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let metadata = json!({ "issuer": ISSUER, "jwks_uri": self.jwks_uri }).to_string();
        let is_metadata = request.uri().path().contains(".well-known");
        let body = if is_metadata { metadata } else { self.jwks.clone() };
        Ok(Response::new(body.into()))
    }
}

#[tokio::test]
async fn metadata_of_an_issuer_on_https_cannot_send_us_to_plain_http() {
    for (jwks_uri, expected) in [
        ("https://keys.test/jwks", "ok"),
        ("http://127.0.0.1:1/jwks", "keys_unavailable"),
        ("http://localhost/jwks", "keys_unavailable"),
    ] {
        let idp = idp();
        let jwks = idp.jwks();
        let keys = RemoteKeys::discover(ISSUER).fetch(Served { jwks_uri, jwks });
        let keys = CachedKeys::from(keys).longest_wait(PATIENT);
        let issuer = idp.issuer_builder().keys(keys).build().unwrap();
        let app = whoami().layer(JwtLayer::new(issuer));
        let answer = call(&app, bearer(&idp.token().sign())).await;
        assert_eq!(answer.reason(), expected, "{jwks_uri}");
    }
}

#[test]
fn a_record_of_a_key_tells_what_it_was_made_with() {
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    let bare = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(KEY));
    let full = bare.clone().start("trs_abc").scopes([READ]).revoked();
    let full = full.created_at(at(1).unwrap()).not_before(at(2).unwrap());
    let (bare, full) = (bare.build(), full.expires_at(at(3).unwrap()).build());
    for record in [&bare, &full] {
        assert_eq!((record.id(), record.owner()), ("key_1", "robot"));
    }
    assert_eq!((full.start(), full.is_revoked()), (Some("trs_abc"), true));
    assert_eq!(full.scopes().as_str(), READ.as_str());
    let times = |record: &ApiKeyRecord| [record.created_at(), record.not_before(), record.expires_at()];
    assert_eq!(times(&full), [at(1), at(2), at(3)]);
    assert_eq!((bare.start(), bare.is_revoked()), (None, false));
    assert_eq!((bare.scopes().as_str(), times(&bare)), ("", [None; 3]));
}

#[tokio::test]
async fn a_rejection_says_what_the_client_is_told() {
    let app = whoami().layer(JwtLayer::new(idp().issuer()));
    let answer = call(&app, request(&[])).await;
    assert_eq!(
        answer.rejection.unwrap().to_string(),
        "this resource asks for a credential"
    );
}

#[test]
fn sets_of_scopes_are_equal_when_they_hold_the_same_words() {
    let set = |words: &[&str]| -> ScopeSet { words.iter().map(|word| Scope::new(*word).unwrap()).collect() };
    assert_eq!(set(&["a", "b"]), set(&["b", "a", "b"]));
    assert_ne!(set(&["a", "b"]), set(&["a"]));
    assert_ne!(set(&["a"]), set(&["a", "b"]));
    assert_ne!(set(&["a"]), ScopeSet::empty());
    assert!(ScopeSet::empty().is_empty() && !set(&["a"]).is_empty());
}

#[test]
fn a_scope_is_found_among_others_by_its_word() {
    let granted = HashSet::from([READ, WRITE]);
    assert!(granted.contains(READ.as_str()) && !granted.contains("orders:delete"));
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

/// Counts the tokens that were judged afresh: a known one's claims are not decoded again. One test alone uses it.
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        DECODED.fetch_add(1, Ordering::SeqCst);
        Ok(Self)
    }
}

#[tokio::test]
async fn the_tokens_of_many_clients_are_known_side_by_side() {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Counted>().build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer));
    // Together two megabytes, in tokens as long as may be, since few are made sooner.
    let tokens: Vec<String> = (0..170)
        .map(|client| {
            idp.token()
                .client(format!("client-{client}"))
                .claim("groups", "g".repeat(8_500))
                .sign()
        })
        .collect();
    for round in ["fresh", "known", "still known"] {
        for token in &tokens {
            assert_eq!(call(&app, bearer(token)).await.reason(), "ok", "{round}");
        }
    }
    assert_eq!(DECODED.load(Ordering::SeqCst), tokens.len());
}
