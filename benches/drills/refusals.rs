//! What it costs to refuse a token, in process: above the bare request, in turns with the check of a signature alone.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};
use tower_resource_server::{
    Algorithm, CachedKeys, Issuer, JwtLayer, KeySet, KeySetError, KeySource, Rejection,
};

use crate::figures::Figures;
use crate::tokens::{API, Idp, forged, issuer_name, junk, unknown_key, with_header};

const CALLS: usize = 200;

type Api = BoxCloneSyncService<Request<()>, Response<String>, Infallible>;

/// Keys that are renewed by the usual rules, without HTTP.
struct Published(String);

impl KeySource for Published {
    type Error = KeySetError;

    async fn load(&self) -> Result<KeySet, KeySetError> {
        KeySet::from_jwks(&self.0)
    }
}

struct Case {
    id: String,
    reason: &'static str,
    service: Api,
    tokens: Vec<String>,
    limit: Option<Limit>,
    times: Vec<f64>,
    limits: Vec<f64>,
}

/// The key that forged signatures are checked with, and nothing else.
struct Limit(ParsedPublicKey);

impl Limit {
    fn of(algorithm: Algorithm, jwks: &str) -> Self {
        let jwks: Value = serde_json::from_str(jwks).unwrap();
        let mut keys = jwks["keys"].as_array().unwrap().iter();
        let jwk = keys.find(|key| key["alg"] == algorithm.as_str()).unwrap();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let key = match algorithm {
            Algorithm::Rs256 => RsaPublicKeyComponents {
                n: part("n"),
                e: part("e"),
            }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Es256 => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            _ => ParsedPublicKey::new(&signature::ED25519, part("x")),
        };
        Self(key.unwrap())
    }

    /// Nanoseconds for each of these.
    fn round(&self, tokens: &[String]) -> f64 {
        let split = |token: &String| {
            let (input, signature) = token.rsplit_once('.').unwrap();
            (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        };
        let signed: Vec<_> = tokens.iter().map(split).collect();
        let begun = Instant::now();
        for (input, signature) in &signed {
            black_box(self.0.verify_sig(input.as_bytes(), signature)).unwrap_err();
        }
        begun.elapsed().as_secs_f64() * 1e9 / tokens.len() as f64
    }
}

impl Case {
    /// Nanoseconds for each of its tokens.
    async fn round(&self, service: &mut Api, reason: Option<&str>) -> f64 {
        let begun = Instant::now();
        for token in &self.tokens {
            let request = Request::get("/").header("authorization", format!("Bearer {token}"));
            let answer = service.call(request.body(()).unwrap()).await.unwrap();
            let rejection = answer.extensions().get::<Rejection>();
            assert_eq!(rejection.map(Rejection::reason), reason, "{}", self.id);
        }
        begun.elapsed().as_secs_f64() * 1e9 / self.tokens.len() as f64
    }
}

fn bare() -> Api {
    let service = |_: Request<()>| std::future::ready(Ok(Response::new(String::new())));
    BoxCloneSyncService::new(tower::service_fn(service))
}

fn api(idp: &Idp, algorithm: Algorithm) -> Api {
    let issuer = Issuer::builder(issuer_name("refusals")).audience(API);
    let issuer = issuer
        .algorithms([algorithm])
        .keys(CachedKeys::new(Published(idp.jwks())));
    let layer = JwtLayer::new(issuer.build().unwrap());
    // One type for all: the answer's body, which nobody reads, is dropped.
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(|_| String::new()))
        .layer(layer);
    BoxCloneSyncService::new(service.service(bare()))
}

/// A token of its own for each number.
type Make<'m> = &'m dyn Fn(usize) -> String;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |id: &str, reason, service: &Api, limit, make: Make<'_>| {
        cases.push(Case {
            id: format!("refusal/{id}"),
            reason,
            service: service.clone(),
            tokens: (0..CALLS).map(make).collect(),
            limit,
            times: Vec::new(),
            limits: Vec::new(),
        });
    };
    let idp = Idp::of("refusals", Algorithm::Rs256);
    let api_rs256 = api(&idp, Algorithm::Rs256);
    let (good, stranger) = (idp.token(), Idp::of("stranger", Algorithm::Rs256).token());
    let cheap: [(&str, &str, Make<'_>); 5] = [
        ("too-long", "token_too_long", &|_| junk(20_000)),
        ("junk", "header_malformed", &|_| junk(good.len())),
        ("unknown-issuer", "issuer_unknown", &|_| forged(&stranger)),
        ("algorithm-not-accepted", "algorithm_not_accepted", &|_| {
            with_header(&good, "alg", "PS256")
        }),
        ("unknown-key", "signing_key_unknown", &|number| {
            unknown_key(&good, number)
        }),
    ];
    for (id, reason, make) in cheap {
        add(id, reason, &api_rs256, None, make);
    }
    let elsewhere = idp.draft().audience("https://elsewhere.example.com").sign();
    let long = idp.draft().claim("pad", vec![0; 5_800]).sign(); // 16 KiB less a little
    for (id, good) in [
        ("forged/RS256", &good),
        ("forged-for-elsewhere/RS256", &elsewhere),
        ("forged-and-long/RS256", &long),
    ] {
        let limit = Some(Limit::of(Algorithm::Rs256, &idp.jwks()));
        add(id, "signature_invalid", &api_rs256, limit, &|_| forged(good));
    }
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let idp = Idp::of("refusals", algorithm);
        let (good, service) = (idp.token(), api(&idp, algorithm));
        let limit = Some(Limit::of(algorithm, &idp.jwks()));
        let id = format!("forged/{}", algorithm.as_str());
        add(&id, "signature_invalid", &service, limit, &|_| forged(&good));
    }
    cases
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn run(cases: &mut [Case], rounds: usize) {
    for round in 0..=rounds {
        for case in &mut *cases {
            let (mut bare, mut service) = (bare(), case.service.clone());
            let floor = case.round(&mut bare, None).await;
            let whole = case.round(&mut service, Some(case.reason)).await;
            let limit = case.limit.as_ref().map(|limit| limit.round(&case.tokens));
            if round > 0 {
                case.times.push(whole - floor); // the first warmed it up
                case.limits.extend(limit);
            }
        }
    }
}

pub(crate) fn measure(is_quick: bool, figures: &mut Figures) {
    let rounds = if is_quick { 5 } else { 51 };
    let mut cases = cases();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(run(&mut cases, rounds));
    println!("\nµs to refuse a token, above the bare request; medians of {rounds} rounds");
    println!("refusal                              µs   signature    ratio   a core refuses /s");
    for case in &mut cases {
        let time = median(&mut case.times);
        let mut numbers = vec![("ns", time), ("per_core_second", 1e9 / time)];
        let mut beside = format!("{:>11} {:>8}", "", "");
        if case.limit.is_some() {
            let limit = median(&mut case.limits);
            numbers.push(("limit_ns", limit));
            beside = format!("{:>11.2} {:>8.2}", limit / 1e3, time / limit);
        }
        let name = case.id.trim_start_matches("refusal/");
        println!("{name:<30} {:>8.2} {beside} {:>19.0}", time / 1e3, 1e9 / time);
        figures.row(&case.id, &numbers);
    }
}
