//! What a token costs beside its signature: `cargo bench --bench jwt`.
//!
//! For each algorithm, in turns in one run: a request without any layer (bare), the signature of its token checked by
//! aws-lc-rs with the key parsed once (the limit), the same request through a `JwtLayer` that never saw the token (fresh), and
//! through one that did (known). Tokens have about 700 bytes. Only the ratios are figures.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use http::{Request, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::{Layer, Service};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Algorithm, FixedKeys, Issuer, JwtLayer, Scope, Secret};

const ROUNDS: usize = 51;
const TOKENS: usize = 100;
const API: &str = "https://api.example.com";
const LOGIN: &str = "https://login.example.com/tenant-1";
const SECRET: &str = "a shared secret of more than thirty-two bytes";

/// Checks the signature of a token, and nothing else.
enum Limit {
    Public(Box<ParsedPublicKey>),
    Shared(Box<hmac::Key>),
}

impl Limit {
    fn of(algorithm: Algorithm, jwks: &str) -> Self {
        let jwks: Value = serde_json::from_str(jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|key| key["alg"] == algorithm.as_str());
        let part = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(jwk.unwrap()[name].as_str().unwrap())
                .unwrap()
        };
        let rsa = |verification| {
            let components = RsaPublicKeyComponents {
                n: part("n"),
                e: part("e"),
            };
            components.to_parsed_public_key(verification).unwrap()
        };
        let key = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Es256 => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).unwrap()
            }
            Algorithm::Es384 => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).unwrap()
            }
            Algorithm::EdDsa => ParsedPublicKey::new(&signature::ED25519, part("x")).unwrap(),
            other => panic!("{other:?}"),
        };
        Self::Public(Box::new(key))
    }

    fn check(&self, (input, signature): &(String, Vec<u8>)) {
        match self {
            Self::Public(key) => key.verify_sig(input.as_bytes(), signature).unwrap(),
            Self::Shared(key) => hmac::verify(key, input.as_bytes(), signature).unwrap(),
        }
    }
}

/// Microseconds for each of these.
fn time<T>(of: &[T], mut work: impl FnMut(&T)) -> f64 {
    let begun = Instant::now();
    of.iter().for_each(&mut work);
    begun.elapsed().as_secs_f64() * 1e6 / of.len() as f64
}

fn call<S: Service<Request<()>, Error = Infallible>>(service: &mut S, token: &str) {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let request = request.body(()).unwrap();
    black_box(service.call(request).now_or_never().unwrap().unwrap());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn bench(algorithm: Algorithm) {
    let bare = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let idp = TestIssuer::new(LOGIN, API);
    let secret = Secret::new(SECRET);
    let all: Vec<String> = (0..(ROUNDS + 1) * TOKENS)
        .map(|number| {
            let token = idp
                .token()
                .subject("auth0|5f7c8ec7c33c6c004bbafe82")
                .client("s6BhdRkqt3sXqYw7")
                .scopes([
                    Scope::from_static("orders:read"),
                    Scope::from_static("orders:write"),
                ])
                .claim("roles", ["staff", "billing", "warehouse"])
                .claim("tenant", "6f1c2f0e-1f0c-4f0e-9a3e-2f5b9c6d7e8f")
                .token_id(format!("a7c3b1d2-{number:08}-4d9e-8f10-1c2d3e4f5a6b"));
            if algorithm.is_symmetric() {
                token.sign_with_secret(&secret)
            } else {
                token.algorithm(algorithm).sign()
            }
        })
        .collect();
    let (keys, limit) = if algorithm.is_symmetric() {
        let keys = FixedKeys::secret(secret.clone());
        (
            keys,
            Limit::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))),
        )
    } else {
        (
            FixedKeys::jwks(&idp.jwks()).unwrap(),
            Limit::of(algorithm, &idp.jwks()),
        )
    };
    let issuer = Issuer::builder(LOGIN)
        .audience(API)
        .algorithms([algorithm])
        .keys(keys)
        .build()
        .unwrap();
    let tokens = &all[..TOKENS];
    let signed: Vec<_> = tokens
        .iter()
        .map(|token| {
            let (input, signature) = token.rsplit_once('.').unwrap();
            (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        })
        .collect();
    let mut known = JwtLayer::new(issuer.clone()).layer(bare);
    for token in tokens {
        call(&mut known, token);
    }
    let one = vec![&tokens[0]; TOKENS];
    let mut times = [(); 6].map(|()| Vec::new());
    let mut fresh = JwtLayer::new(issuer.clone()).layer(bare);
    for unseen in all.chunks(TOKENS).skip(1) {
        let mut bare = bare;
        times[0].push(time(tokens, |token| call(&mut bare, token)));
        times[1].push(time(&signed, |signed| limit.check(signed)));
        times[2].push(time(unseen, |token| call(&mut fresh, token)));
        times[3].push(time(tokens, |token| call(&mut known, token)));
        times[4].push(time(&one, |token| call(&mut known, token)));
        times[5].push(time(tokens, |token| {
            black_box(Sha256::digest(token));
        }));
    }
    let [bare, limit, fresh, known, hot, sha256] = times.map(median);
    println!(
        "{:<6} {:>5} {bare:>7.2} {limit:>8.2} {:>8.2} {:>8.3} {:>8.2} {:>8.2} {sha256:>8.2}",
        algorithm.as_str(),
        tokens[0].len(),
        fresh - bare,
        (fresh - bare) / limit,
        known - bare,
        hot - bare,
    );
}

fn main() {
    println!("µs, medians of {ROUNDS} rounds; fresh and known above the bare request");
    println!("alg    bytes    bare    limit    fresh    ratio    known      hot  SHA-256");
    for algorithm in [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Hs256,
    ] {
        // `cargo bench --bench jwt -- RS256`: that one alone.
        let wanted: Vec<String> = std::env::args()
            .skip(1)
            .filter(|word| !word.starts_with('-'))
            .collect();
        if wanted.is_empty() || wanted.iter().any(|word| word == algorithm.as_str()) {
            bench(algorithm);
        }
    }
}
