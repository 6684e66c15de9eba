//! Honest tokens, and those of whoever has no key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{Algorithm, Scope};

use crate::load::{HONEST, Supply};

pub(crate) const API: &str = "https://api.example.com";
/// So many different ones, over and over: none of them is ever remembered.
const JUNK: usize = 1_000;

pub(crate) fn issuer_name(name: &str) -> String {
    format!("https://{name}.login.example.com/tenant-1")
}

/// A request as it goes over the wire.
pub(crate) type Wire = Box<[u8]>;

fn wire(path: &str, token: &str) -> Wire {
    let text =
        format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {token}\r\n\r\n");
    text.into_bytes().into()
}

fn call(token: &str) -> Wire {
    wire("/", token)
}

/// A time in which tokens are signed with the same key.
pub(crate) struct Epoch {
    pub(crate) jwks: Option<String>,
    pub(crate) known: Wire,
    pub(crate) fresh: Vec<Wire>,
}

pub(crate) struct Idp {
    issuer: TestIssuer,
    algorithm: Algorithm,
    made: AtomicUsize,
}

impl Idp {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(name, Algorithm::Rs256)
    }

    pub(crate) fn of(name: &str, algorithm: Algorithm) -> Self {
        let idp = Self {
            issuer: TestIssuer::new(issuer_name(name), API),
            algorithm,
            made: AtomicUsize::new(0),
        };
        idp.token(); // from now on it publishes this key
        idp
    }

    pub(crate) fn jwks(&self) -> String {
        self.issuer.jwks()
    }

    /// A good token of about 700 bytes that is unlike all others.
    pub(crate) fn token(&self) -> String {
        self.draft().sign()
    }

    /// The same, to be changed.
    pub(crate) fn draft(&self) -> TokenBuilder {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let token = self.issuer.token().algorithm(self.algorithm);
        token
            .subject("auth0|5f7c8ec7c33c6c004bbafe82")
            .client("s6BhdRkqt3sXqYw7")
            .scopes([Scope::from_static("orders:read")])
            .claim("roles", ["staff", "billing", "warehouse"])
            .token_id(format!("a7c3b1d2-{number:08}-4d9e-8f10-1c2d3e4f5a6b"))
            .expires_in(Duration::from_secs(24 * 3600))
    }

    fn calls(&self, count: usize) -> Vec<Wire> {
        (0..count).map(|_| call(&self.token())).collect()
    }

    /// One known token, and so many fresh ones.
    pub(crate) fn epoch(&self, fresh: usize) -> Epoch {
        Epoch {
            jwks: None,
            known: call(&self.token()),
            fresh: self.calls(fresh),
        }
    }
}

/// An issuer whose keys change: three are published, the newest signs, and some still bring tokens of the one before.
pub(crate) struct HastyIdp {
    idp: Idp,
    published: Vec<Value>,
    old: Vec<Wire>,
}

impl HastyIdp {
    pub(crate) fn new() -> Self {
        let mut this = Self {
            idp: Idp::new("hasty"),
            published: Vec::new(),
            old: Vec::new(),
        };
        this.publish();
        this
    }

    fn publish(&mut self) {
        let jwks: Value = serde_json::from_str(&self.idp.jwks()).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        self.published
            .extend(keys.iter().filter(|key| key["alg"] == "RS256").cloned());
        let surplus = self.published.len().saturating_sub(3);
        self.published.drain(..surplus);
        self.old = self.idp.calls(HONEST / 4);
    }

    pub(crate) fn jwks(&self) -> String {
        json!({ "keys": self.published }).to_string()
    }

    /// An epoch for each of so many keys. The known token of each was a fresh one in the epoch before.
    pub(crate) fn epochs(&mut self, count: usize) -> Supply {
        // What is needed if there is no other epoch in a round.
        let fresh = if count == 1 { 4 * HONEST } else { HONEST };
        let mut known = self.old[0].clone();
        let mut epochs = Vec::new();
        for _ in 0..count {
            let mut old = std::mem::take(&mut self.old).into_iter().skip(1);
            self.idp.issuer.rotate();
            self.publish();
            let mut all = Vec::new();
            for (number, new) in self.idp.calls(fresh).into_iter().enumerate() {
                all.push(new);
                all.extend(old.next().filter(|_| number % 3 == 2));
            }
            let next = all[0].clone();
            epochs.push(Epoch {
                jwks: Some(self.jwks()),
                known: std::mem::replace(&mut known, next),
                fresh: all,
            });
        }
        Supply::new(epochs)
    }
}

/// What is sent beside the honest requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Good tokens, to a route without a layer.
    Open,
    Junk,
    UnknownKey,
    Forged,
}

impl Flood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "flood: no layer",
            Self::Junk => "flood: junk",
            Self::UnknownKey => "flood: unknown key",
            Self::Forged => "flood: forged RS256",
        }
    }

    pub(crate) fn requests(self, idp: &Idp) -> Vec<Wire> {
        let good = idp.token();
        let request = |number| match self {
            Self::Open => wire("/open", &good),
            Self::Junk => call(&junk(good.len())),
            Self::UnknownKey => call(&unknown_key(&good, number)),
            Self::Forged => call(&forged(&good)),
        };
        (0..JUNK).map(request).collect()
    }
}

fn random(bytes: usize) -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..)).take(bytes).collect()
}

/// Three parts of base64url, and no JSON in them.
pub(crate) fn junk(length: usize) -> String {
    let part = || URL_SAFE_NO_PAD.encode(random(length / 4));
    format!("{}.{}.{}", part(), part(), part())
}

/// The same header and claims under a signature that somebody made up. It begins and ends with a zero, so that no number in
/// it is refused for its size alone: an RSA signature is less than any modulus, and the scalar of Ed25519 than its order.
pub(crate) fn forged(good: &str) -> String {
    let (input, signature) = good.rsplit_once('.').unwrap();
    let mut signature = random(URL_SAFE_NO_PAD.decode(signature).unwrap().len());
    signature[0] = 0;
    *signature.last_mut().unwrap() = 0;
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A header with another member; the signature is no longer one of it.
pub(crate) fn with_header(good: &str, name: &str, value: &str) -> String {
    let (header, rest) = good.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header[name] = value.into();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

pub(crate) fn unknown_key(good: &str, number: usize) -> String {
    with_header(good, "kid", &format!("junk-{number}"))
}
