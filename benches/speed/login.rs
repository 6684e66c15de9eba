//! An issuer, and tokens of it.

use std::cell::LazyCell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use tower::Layer;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{Algorithm, FixedKeys, Issuer, JwtLayer, Scope, Secret};

use crate::case::{Case, Measured, Presented, bare, time};
use crate::limit::{Limit, signed};
use crate::quick;

pub(crate) const API: &str = "https://api.example.com";
pub(crate) const READ: Scope = Scope::from_static("orders:read");
pub(crate) const WRITE: Scope = Scope::from_static("orders:write");
/// So many clients come again and again.
pub(crate) const KNOWN: usize = 100;
/// No run lasts as long.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// Tokens that are made when they are first asked for, and shared by cases.
pub(crate) type Tokens = Rc<LazyCell<Login, Box<dyn FnOnce() -> Login>>>;

pub(crate) struct Login {
    pub(crate) idp: TestIssuer,
    algorithm: Algorithm,
    secret: Secret,
    tokens: Vec<String>,
    presented: Presented,
}

impl Login {
    fn new(algorithm: Algorithm, name: &str, sign: impl Fn(&Login, usize) -> String) -> Self {
        let mut login = Self {
            idp: TestIssuer::new(name, API),
            algorithm,
            secret: Secret::new("a shared secret of more than thirty-two bytes"),
            tokens: Vec::new(),
            presented: Presented::new(AUTHORIZATION, []),
        };
        // Signing with RSA is slow.
        let count = if quick() { KNOWN } else { 6 * KNOWN };
        login.tokens = (0..count).map(|number| sign(&login, number)).collect();
        let bearer = login.tokens.iter().map(|token| format!("Bearer {token}"));
        login.presented = Presented::new(AUTHORIZATION, bearer);
        login
    }

    /// Tokens of about 700 bytes, of this algorithm.
    pub(crate) fn of(algorithm: Algorithm) -> Tokens {
        Rc::new(LazyCell::new(Box::new(move || {
            Self::new(algorithm, "https://login.example.com/tenant-1", Self::usual)
        })))
    }

    /// Tokens of as many bytes, or a few less, by a list of groups.
    pub(crate) fn of_bytes(bytes: usize) -> Tokens {
        Rc::new(LazyCell::new(Box::new(move || {
            Self::new(Algorithm::Rs256, "https://id.example/", move |login, number| {
                // Three bytes of a claim are four of a token.
                let without = login.grouped(number, 0).len();
                let group = login.grouped(number, 2).len() - login.grouped(number, 1).len();
                login.grouped(number, bytes.saturating_sub(without) / group)
            })
        })))
    }

    fn usual(&self, number: usize) -> String {
        let token = self.idp.token().expires_in(VALID);
        let token = token
            .subject("auth0|5f7c8ec7c33c6c004bbafe82")
            .client("s6BhdRkqt3sXqYw7")
            .scopes([READ, WRITE])
            .claim("roles", ["staff", "billing", "warehouse"])
            .claim("tenant", "6f1c2f0e-1f0c-4f0e-9a3e-2f5b9c6d7e8f")
            .token_id(format!("a7c3b1d2-{number:08}-4d9e-8f10-1c2d3e4f5a6b"));
        if self.algorithm.is_symmetric() {
            token.sign_with_secret(&self.secret)
        } else {
            token.algorithm(self.algorithm).sign()
        }
    }

    fn grouped(&self, number: usize, groups: usize) -> String {
        let token = self.idp.token().expires_in(VALID).algorithm(self.algorithm);
        let token = token
            .subject("alice")
            .client("web")
            .token_id(format!("{number:04}"));
        let groups: Vec<_> = (0..groups)
            .map(|group| format!("6f1c2f0e-1f0c-4f0e-9a3e-{group:012}"))
            .collect();
        if groups.is_empty() {
            return token.sign();
        }
        token.claim("groups", groups).sign()
    }

    pub(crate) fn issuer(&self) -> Issuer {
        let keys = if self.algorithm.is_symmetric() {
            FixedKeys::secret(self.secret.clone())
        } else {
            FixedKeys::jwks(&self.idp.jwks()).unwrap()
        };
        let issuer = Issuer::builder(self.idp.name()).audience(API);
        issuer.algorithms([self.algorithm]).keys(keys).build().unwrap()
    }

    /// Each of the tokens once.
    pub(crate) fn fresh(&self) -> Presented {
        self.presented.clone()
    }

    /// A few of them.
    pub(crate) fn known(&self) -> Presented {
        self.presented.first(KNOWN)
    }

    /// The layer asked by those who come for the first time.
    pub(crate) fn to_strangers(&self, layer: impl Fn() -> JwtLayer + 'static) -> Measured {
        Measured::fresh(move || layer().layer(bare()), self.fresh())
    }

    /// The layer asked by those who come again.
    pub(crate) fn to_acquaintances(&self, layer: &JwtLayer) -> Measured {
        Measured::calls(layer.layer(bare()), self.known())
    }

    fn limit(&self) -> Measured {
        let limit = if self.algorithm.is_symmetric() {
            Limit::shared(&self.secret)
        } else {
            Limit::public(self.algorithm, &self.idp.jwks())
        };
        let all: Vec<_> = self
            .tokens
            .iter()
            .take(KNOWN)
            .map(|token| signed(token))
            .collect();
        let mut next = 0;
        Measured::alone(Box::new(move |times| {
            time(times, || {
                limit.check(&all[next]);
                next = (next + 1) % all.len();
            })
        }))
    }

    fn sha256(&self) -> Measured {
        hashes(self.tokens.iter().take(KNOWN).cloned())
    }
}

/// SHA-256 of each of these in turns.
pub(crate) fn hashes(texts: impl IntoIterator<Item = String>) -> Measured {
    let texts: Vec<String> = texts.into_iter().collect();
    let mut next = 0;
    Measured::alone(Box::new(move |times| {
        time(times, || {
            black_box(Sha256::digest(&texts[next]));
            next = (next + 1) % texts.len();
        })
    }))
}

/// Tokens that the layer never saw beside their signatures, and tokens that it knows beside their SHA-256.
pub(crate) fn tokens(id: &str, tokens: &Tokens) -> [Case; 4] {
    let case = |name: &str, prepare: fn(&Login) -> Measured| {
        let tokens = Rc::clone(tokens);
        Case::new(format!("{id}/{name}"), move || prepare(&tokens))
    };
    [
        case("limit", Login::limit),
        case("fresh", |login| {
            let issuer = login.issuer();
            login.to_strangers(move || JwtLayer::new(issuer.clone()))
        })
        .limit(format!("{id}/limit")),
        case("sha256", Login::sha256),
        case("known", |login| {
            login.to_acquaintances(&JwtLayer::new(login.issuer()))
        })
        .limit(format!("{id}/sha256")),
    ]
}
