//! Three judges of the same tokens under the same rules: this crate, jsonwebtoken, and jose if Node is there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Request};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{Algorithm, FixedKeys, Issuer, JwtLayer, Secret, TrustedIssuers};

use super::keys::{ALGORITHMS, KEYS, PUBLIC_ISSUER, SECRET, SHARED_ISSUER, is_shared};
use crate::support::{API, call, real_parts, whoami};

/// Of every judge.
pub(super) const LEEWAY: u64 = 30;
/// jsonwebtoken asks the operating system for the time and nobody else, so a test that takes a while must not fail for it.
const LONGEST_RUN: u64 = 600;

/// Why a token is refused.
pub(super) type Judgement = Result<(), String>;

/// What this crate, jsonwebtoken and jose say of one token.
#[derive(Debug)]
pub(super) struct Judgements {
    pub(super) ours: Judgement,
    pub(super) jsonwebtoken: Judgement,
    pub(super) jose: Option<Judgement>,
}

impl Judgements {
    pub(super) fn by_peers(&self) -> impl Iterator<Item = (&'static str, &Judgement)> {
        let jose = self.jose.iter().map(|judgement| ("jose", judgement));
        std::iter::once(("jsonwebtoken", &self.jsonwebtoken)).chain(jose)
    }
}

pub(super) struct Panel {
    pub(super) now: u64,
    ours: Ours,
    jsonwebtoken: JsonWebToken,
    pub(super) jose: Option<Jose>,
}

impl Panel {
    /// For every judge it is now, which is a whole second.
    pub(super) fn meet() -> Self {
        let now = jsonwebtoken::get_current_timestamp();
        Self {
            now,
            ours: Ours::new(now),
            jsonwebtoken: JsonWebToken::new(),
            jose: Jose::start(now),
        }
    }

    pub(super) fn judge(&self, tokens: &[String]) -> Vec<Judgements> {
        // Spaces behind the scheme are the header's (RFC 6750 section 2.1), not the token's.
        let bare: Vec<&str> = tokens.iter().map(|token| token.trim_start_matches(' ')).collect();
        // The other process works while this one does.
        if let Some(jose) = &self.jose {
            jose.ask(&json!({ "judge": bare }));
        }
        let judge_one = |(token, bare): (&String, &&str)| Judgements {
            ours: self.ours.judge(token),
            jsonwebtoken: self.jsonwebtoken.judge(bare),
            jose: None,
        };
        let mut judgements: Vec<_> = tokens.iter().zip(&bare).map(judge_one).collect();
        if let Some(jose) = &self.jose {
            let reasons: Vec<Option<String>> = jose.answer();
            assert_eq!(reasons.len(), tokens.len());
            for (judgements, reason) in judgements.iter_mut().zip(reasons) {
                judgements.jose = Some(reason.map_or(Ok(()), Err));
            }
        }
        judgements
    }

    pub(super) fn ours(&self, token: &str) -> Judgement {
        self.ours.judge(token)
    }
}

struct Ours {
    runtime: Runtime,
    app: Router,
}

impl Ours {
    fn new(now: u64) -> Self {
        let clock = TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(now));
        let issuer = |name, keys, shared| {
            let names = ALGORITHMS.iter().filter(|(name, _)| is_shared(name) == shared);
            Issuer::builder(name)
                .audience(API)
                .keys(keys)
                .algorithms(names.map(|(name, _)| name.parse::<Algorithm>().unwrap()))
                .leeway(Duration::from_secs(LEEWAY))
                .clock(clock.clone())
                .accept_any_scope()
                .build()
                .unwrap()
        };
        let published = FixedKeys::jwks(&KEYS.jwks().to_string()).unwrap();
        let shared = FixedKeys::secret(Secret::new(SECRET));
        let issuers = [
            issuer(PUBLIC_ISSUER, published, false),
            issuer(SHARED_ISSUER, shared, true),
        ];
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            app: whoami().layer(JwtLayer::new(TrustedIssuers::new(issuers).unwrap())),
        }
    }

    fn judge(&self, token: &str) -> Judgement {
        let Ok(value) = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()) else {
            return Err("no_header_value".to_owned());
        };
        let request = Request::get("/").header("authorization", value);
        let request = request.body(Body::empty()).unwrap();
        let answer = self.runtime.block_on(call(&self.app, request));
        match answer.reason() {
            "ok" => Ok(()),
            reason => Err(reason.to_owned()),
        }
    }
}

struct JsonWebToken {
    published: JwkSet,
}

impl JsonWebToken {
    fn new() -> Self {
        Self {
            published: serde_json::from_value(KEYS.jwks()).unwrap(),
        }
    }

    fn judge(&self, token: &str) -> Judgement {
        self.try_to_decode(token)
            .map_err(|error| describe(error.into_kind()))
    }

    /// It leaves the choice of the key to its user: by `kid`, or whichever fits if there is none.
    fn try_to_decode(&self, token: &str) -> Result<(), Error> {
        use jsonwebtoken::Algorithm::{HS256, HS384, HS512};
        let header = jsonwebtoken::decode_header(token)?;
        if matches!(header.alg, HS256 | HS384 | HS512) {
            let key = DecodingKey::from_secret(&SECRET);
            return decode(token, &key, SHARED_ISSUER, vec![HS256, HS384, HS512]);
        }
        let named: Vec<&Jwk> = match &header.kid {
            Some(kid) => self.published.find(kid).into_iter().collect(),
            None => self.published.keys.iter().collect(),
        };
        let mut judgement = Err(ErrorKind::InvalidKeyFormat.into());
        for jwk in named {
            let key = DecodingKey::from_jwk(jwk)?;
            if key.family() == header.alg.family() && judgement.is_err() {
                let accepted = match jwk.common.key_algorithm {
                    Some(one) => vec![one.try_into()?],
                    None => key.family().algorithms().to_vec(),
                };
                judgement = decode(token, &key, PUBLIC_ISSUER, accepted);
            }
        }
        judgement
    }
}

/// A token of jsonwebtoken's making; `None` for an algorithm that it does not know.
pub(super) fn sign_with_jsonwebtoken(algorithm: &str, header: &Value, claims: &Value) -> Option<String> {
    let mut made = Header::new(algorithm.parse().ok()?);
    let text = |name: &str| header[name].as_str().map(str::to_owned);
    made.typ = text("typ");
    made.kid = text("kid");
    let key = match KEYS.pkcs8(algorithm) {
        None => EncodingKey::from_secret(&SECRET),
        Some(der) if algorithm.starts_with("ES") => EncodingKey::from_ec_der(&der),
        Some(der) if algorithm == "EdDSA" => EncodingKey::from_ed_der(&der),
        // It wants the inner document (RFC 8017 appendix A.1.2), which ends a PKCS #8 of version 1.
        Some(der) => EncodingKey::from_rsa_der(&der[26..]),
    };
    Some(jsonwebtoken::encode(&made, claims, &key).unwrap())
}

/// Every check that it has is on. Its times are coarse, since its clock cannot be set; jose and `in_time` are exact.
fn decode(
    token: &str,
    key: &DecodingKey,
    issuer: &str,
    algorithms: Vec<jsonwebtoken::Algorithm>,
) -> Result<(), Error> {
    let mut rules = Validation::new(algorithms[0]);
    rules.algorithms = algorithms;
    rules.leeway = LEEWAY + LONGEST_RUN;
    rules.validate_nbf = true;
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[API]);
    rules.set_required_spec_claims(&["iss", "aud", "exp"]);
    jsonwebtoken::decode::<BTreeMap<String, Value>>(token, key, &rules).map(drop)
}

/// The error without the place in the text.
fn describe(kind: ErrorKind) -> String {
    let ErrorKind::Json(error) = kind else {
        return format!("{kind:?}");
    };
    let text = error.to_string();
    format!("Json: {}", text.split(" at line ").next().unwrap())
}

/// The process of `tests/idp/jose-peer.mjs`; it ends when its standard input closes.
pub(super) struct Jose {
    _process: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Jose {
    fn start(now: u64) -> Option<Self> {
        let folder = real_parts("node_modules/jose")?;
        let mut process = Command::new("node")
            .arg(folder.join("jose-peer.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        writeln!(input, "{}", setting(now)).unwrap();
        Some(Self {
            _process: process,
            pipes: RefCell::new((input, output)),
        })
    }

    /// A token for each of these objects with `alg`, `header` and `claims`.
    pub(super) fn sign(&self, wanted: &[Value]) -> Vec<String> {
        self.ask(&json!({ "sign": wanted }));
        self.answer()
    }

    fn ask(&self, question: &Value) {
        let (input, _) = &mut *self.pipes.borrow_mut();
        writeln!(input, "{question}").unwrap();
    }

    fn answer<T: DeserializeOwned>(&self) -> T {
        let (_, output) = &mut *self.pipes.borrow_mut();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

fn setting(now: u64) -> Value {
    let pem = |der| {
        let body = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----")
    };
    let private: BTreeMap<&str, String> = ALGORITHMS
        .iter()
        .filter_map(|(name, _)| Some((*name, pem(KEYS.pkcs8(name)?))))
        .collect();
    json!({
        "now": now,
        "leeway": LEEWAY,
        "audience": API,
        "publicIssuer": PUBLIC_ISSUER,
        "sharedIssuer": SHARED_ISSUER,
        "jwks": KEYS.jwks(),
        "secret": super::keys::b64(SECRET),
        "private": private,
    })
}
