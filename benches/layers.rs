//! What grows with the size of a configuration, and what must not: `cargo bench --bench layers`.
//!
//! Each figure is taken in turns with the one that it is compared with, in one run: nanoseconds above the bare request, and the
//! ratio to the first of its group. Fresh tokens are of EdDSA.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, FixedKeys, Issuer, JwtLayer, MemoryKeyStore, Scope,
    ScopeLayer, TrustedIssuers,
};

const ROUNDS: usize = 41;
const CALLS: usize = 200;
const API: &str = "https://api.example.com";
const READ: Scope = Scope::from_static("orders:read");

type Bare = BoxCloneSyncService<Request<()>, Response<String>, Infallible>;

/// A service, and the header values that it is called with in each round.
struct Case {
    name: String,
    call: Box<dyn FnMut(Request<()>)>,
    header: &'static str,
    rounds: Vec<Vec<HeaderValue>>,
}

impl Case {
    fn new<S>(
        name: impl Into<String>,
        mut service: S,
        header: &'static str,
        rounds: Vec<Vec<HeaderValue>>,
    ) -> Self
    where
        S: Service<Request<()>, Error = Infallible> + 'static,
    {
        Self {
            name: name.into(),
            call: Box::new(move |request| {
                black_box(service.call(request).now_or_never().unwrap().unwrap());
            }),
            header,
            rounds,
        }
    }

    /// Nanoseconds a call.
    fn round(&mut self, round: usize) -> f64 {
        let values = &self.rounds[round % self.rounds.len()];
        let begun = Instant::now();
        for value in values {
            let mut request = Request::new(());
            request.headers_mut().insert(self.header, value.clone());
            (self.call)(request);
        }
        begun.elapsed().as_secs_f64() * 1e9 / values.len() as f64
    }
}

fn bare() -> Bare {
    let service = |_: Request<()>| std::future::ready(Ok(Response::new(String::new())));
    BoxCloneSyncService::new(tower::service_fn(service))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures the cases of a group in turns, each above the bare request.
fn group(title: &str, mut cases: Vec<Case>) {
    let header = cases[0].header;
    let values = vec![cases[0].rounds[0].clone()];
    let mut nothing = Case::new("bare", bare(), header, values);
    for case in &mut cases {
        case.round(0); // warms it up, and lets known tokens be known
    }
    let mut times = vec![Vec::new(); cases.len()];
    for round in 1..=ROUNDS {
        let floor = nothing.round(round);
        for (case, times) in cases.iter_mut().zip(&mut times) {
            times.push(case.round(round) - floor);
        }
    }
    println!("{title}");
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for (case, time) in cases.iter().zip(&medians) {
        println!("  {:<26} {time:>8.0} ns   x {:.2}", case.name, time / medians[0]);
    }
}

fn bearer(token: &str) -> HeaderValue {
    format!("Bearer {token}").parse().unwrap()
}

/// Tokens that nobody saw before, for each round.
fn fresh(idp: &TestIssuer, pad: usize) -> Vec<Vec<HeaderValue>> {
    let token = |number: usize| {
        let token = idp
            .token()
            .algorithm(Algorithm::EdDsa)
            .subject("alice")
            .scopes([READ]);
        bearer(
            &token
                .token_id(number.to_string())
                .claim("pad", "x".repeat(pad))
                .sign(),
        )
    };
    let calls = CALLS / 4;
    (0..=ROUNDS)
        .map(|round| (0..calls).map(|call| token(round * calls + call)).collect())
        .collect()
}

fn known(idp: &TestIssuer, pad: usize) -> Vec<Vec<HeaderValue>> {
    vec![vec![fresh(idp, pad)[0][0].clone(); CALLS]]
}

fn issuer(idp: &TestIssuer, jwks: &str) -> Issuer {
    let keys = FixedKeys::jwks(jwks).unwrap();
    let issuer = Issuer::builder(idp.name())
        .audience(API)
        .algorithms([Algorithm::EdDsa])
        .accepted_scopes([READ]);
    issuer.keys(keys).build().unwrap()
}

fn layer(idp: &TestIssuer) -> JwtLayer {
    JwtLayer::new(issuer(idp, &idp.jwks()))
}

fn idp(number: usize) -> TestIssuer {
    let idp = TestIssuer::new(format!("https://login-{number}.example.com/"), API);
    idp.token().algorithm(Algorithm::EdDsa).sign(); // from now on it publishes this key
    idp
}

/// A key set in which the issuer's own key is the last of so many.
fn crowd(idp: &TestIssuer, keys: usize) -> String {
    let set: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let own = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["alg"] == "EdDSA")
        .unwrap();
    let others = (1..keys).map(|number| {
        let mut other = own.clone();
        other["kid"] = format!("other-{number}").into();
        other
    });
    json!({ "keys": others.chain([own.clone()]).collect::<Vec<_>>() }).to_string()
}

fn main() {
    let one = idp(0);
    api_keys();
    scopes(&one);
    combined(&one);
    issuers();
    keys_of_one(&one);
    sizes(&one);
}

/// A layer with one key, and the key.
fn keys() -> (ApiKeyLayer, String) {
    let minted = ApiKeyFormat::new("sk", "live").unwrap().mint().unwrap();
    let record = ApiKeyRecord::builder("key_1", "robot", *minted.digest())
        .scopes([READ])
        .build();
    let layer = ApiKeyLayer::new(MemoryKeyStore::from_iter([record]));
    (layer, minted.expose().to_owned())
}

fn api_keys() {
    let (keys, text) = keys();
    let key: HeaderValue = text.parse().unwrap();
    let presented = vec![vec![key; CALLS]];
    let digest = tower::service_fn({
        let key = text;
        move |_: Request<()>| {
            black_box(Sha256::digest(&key));
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        }
    });
    group(
        "API key",
        vec![
            Case::new("SHA-256 of the key", digest, "x-api-key", presented.clone()),
            Case::new("the layer", keys.layer(bare()), "x-api-key", presented),
        ],
    );
}

fn scopes(one: &TestIssuer) {
    let scoped = layer(one).layer(ScopeLayer::all([READ]).layer(bare()));
    group(
        "scope, known token",
        vec![
            Case::new(
                "without",
                layer(one).layer(bare()),
                "authorization",
                known(one, 0),
            ),
            Case::new("with", scoped, "authorization", known(one, 0)),
        ],
    );
}

/// The same cases with a token that is known, and with tokens that are not.
fn known_and_fresh(title: &str, idp: &TestIssuer, cases: impl Fn(&[Vec<HeaderValue>]) -> Vec<Case>) {
    group(&format!("{title}, known token"), cases(&known(idp, 0)));
    group(&format!("{title}, fresh token"), cases(&fresh(idp, 0)));
}

fn combined(one: &TestIssuer) {
    let either = layer(one).or(keys().0);
    known_and_fresh("or", one, |rounds| {
        vec![
            Case::new(
                "tokens alone",
                layer(one).layer(bare()),
                "authorization",
                rounds.to_vec(),
            ),
            Case::new(
                "tokens or keys",
                either.layer(bare()),
                "authorization",
                rounds.to_vec(),
            ),
        ]
    });
}

/// A case for each of these sizes.
fn sized<const N: usize>(
    sizes: [usize; N],
    rounds: &[Vec<HeaderValue>],
    layer: impl Fn(usize) -> JwtLayer,
) -> Vec<Case> {
    let case = |size: usize| {
        Case::new(
            size.to_string(),
            layer(size).layer(bare()),
            "authorization",
            rounds.to_vec(),
        )
    };
    sizes.map(case).into()
}

fn issuers() {
    let many: Vec<TestIssuer> = (0..100).map(idp).collect();
    known_and_fresh("issuers", &many[99], |rounds| {
        sized([1, 10, 100], rounds, |count| {
            let trusted = many[100 - count..].iter().map(|idp| issuer(idp, &idp.jwks()));
            JwtLayer::new(TrustedIssuers::new(trusted).unwrap())
        })
    });
}

fn keys_of_one(one: &TestIssuer) {
    known_and_fresh("keys of the issuer", one, |rounds| {
        sized([1, 100, 200], rounds, |count| {
            JwtLayer::new(issuer(one, &crowd(one, count)))
        })
    });
}

fn sizes(one: &TestIssuer) {
    for (title, make) in [
        ("bytes of a known token", known as fn(&TestIssuer, usize) -> _),
        ("bytes of a fresh token", fresh),
    ] {
        group(
            title,
            [0, 1_000, 5_500]
                .map(|pad| {
                    let rounds: Vec<Vec<HeaderValue>> = make(one, pad);
                    let name = format!("{}", rounds[0][0].len() - "Bearer ".len());
                    Case::new(name, layer(one).layer(bare()), "authorization", rounds)
                })
                .into(),
        );
    }
}
