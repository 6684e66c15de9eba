//! Who signs the tokens, and what every peer is told about it.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tower_resource_server::testing::{TestIssuer, TokenBuilder};
use tower_resource_server::{Algorithm, Clock as _, Scope};

pub const API: &str = "https://api.example.com";
pub const LOGIN: &str = "https://login.example.com/tenant-1";

/// Longer than any run.
const LIFETIME: Duration = Duration::from_hours(12);

/// What a resource server is configured with: tokens of [`LOGIN`] for [`API`], signed by the key of this set.
#[derive(Debug, Clone)]
pub struct Terms {
    pub algorithm: Algorithm,
    pub jwks: String,
}

impl Terms {
    /// The only key, as JSON.
    ///
    /// # Panics
    ///
    /// If the key set is none.
    pub fn jwk(&self) -> Value {
        let mut jwks: Value = serde_json::from_str(&self.jwks).expect("a key set is JSON");
        jwks["keys"][0].take()
    }
}

/// The issuer, with one key for one algorithm.
#[derive(Debug)]
pub struct Authority {
    idp: TestIssuer,
    algorithm: Algorithm,
}

impl Authority {
    pub fn new(algorithm: Algorithm) -> Self {
        let idp = TestIssuer::new(LOGIN, API);
        Self { idp, algorithm }
    }

    /// # Panics
    ///
    /// If the issuer publishes no key for its algorithm.
    pub fn terms(&self) -> Terms {
        self.good(0); // from now on the issuer publishes this key
        let jwks: Value = serde_json::from_str(&self.idp.jwks()).expect("a key set is JSON");
        let mut keys = jwks["keys"].as_array().into_iter().flatten();
        let key = keys
            .find(|key| key["alg"] == self.algorithm.as_str())
            .expect("the key of the algorithm");
        Terms {
            algorithm: self.algorithm,
            jwks: json!({ "keys": [key] }).to_string(),
        }
    }

    /// A token that is good, and another one for each number.
    pub fn good(&self, number: u32) -> String {
        self.token(number).sign()
    }

    /// Tokens that no resource server may accept, and what is wrong with each.
    ///
    /// # Panics
    ///
    /// If a token has no signature.
    pub fn bad(&self) -> Vec<(&'static str, String)> {
        let hours_ago = |hours: u64| {
            let now = self.idp.clock().now().duration_since(UNIX_EPOCH);
            now.unwrap_or_default().as_secs() - hours * 60 * 60
        };
        let expired = self
            .token(0)
            .claim("iat", hours_ago(2))
            .claim("exp", hours_ago(1));
        let (signed, _) = self.good(0).rsplit_once('.').map(own).expect("three parts");
        let (_, signature) = self.good(1).rsplit_once('.').map(own).expect("three parts");
        vec![
            ("the signature of another token", format!("{signed}.{signature}")),
            (
                "another audience",
                self.token(0).audience("https://other.example.com").sign(),
            ),
            (
                "another issuer",
                self.token(0).claim("iss", "https://login.example.com/").sign(),
            ),
            ("an expiry in the past", expired.sign()),
        ]
    }

    /// About 700 bytes, once it is signed with RS256.
    fn token(&self, number: u32) -> TokenBuilder {
        let scopes = ["orders:read", "orders:write"].map(Scope::from_static);
        self.idp
            .token()
            .algorithm(self.algorithm)
            .subject("auth0|5f7c8ec7c33c6c004bbafe82")
            .client("s6BhdRkqt3sXqYw7")
            .scopes(scopes)
            .claim("roles", ["staff", "billing", "warehouse"])
            .claim("tenant", "6f1c2f0e-1f0c-4f0e-9a3e-2f5b9c6d7e8f")
            .token_id(format!("a7c3b1d2-{number:08}-4d9e-8f10-1c2d3e4f5a6b"))
            .expires_in(LIFETIME)
    }
}

fn own((head, tail): (&str, &str)) -> (String, String) {
    (head.to_owned(), tail.to_owned())
}
