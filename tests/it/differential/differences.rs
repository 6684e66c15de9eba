//! Where the judges disagree and nobody is to change: each with its reason.

use serde_json::Value;

use super::cases::{Case, plain};

/// A kind of token that this crate accepts and a peer refuses.
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    pub(super) peer: &'static str,
    /// What the peer says of the example.
    pub(super) error: &'static str,
    pub(super) example: fn() -> Case,
    /// Whether the peer's error about a token with this header is this difference.
    explains: fn(error: &str, header: &Value) -> bool,
}

pub(super) const DIFFERENCES: [Difference; 3] = [
    Difference {
        name: "jsonwebtoken has no ES512",
        why: "RFC 7518 section 3.1 has it as optional",
        peer: "jsonwebtoken",
        error: "Json: unknown variant `ES512`, expected one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, \
                `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA`",
        example: || plain("ES512"),
        explains: |error, header| {
            error.starts_with("Json: unknown variant `ES512`") && header["alg"] == "ES512"
        },
    },
    Difference {
        name: "jsonwebtoken does not know the name Ed25519",
        why: "RFC 9864 is younger than its list; the older name EdDSA it knows",
        peer: "jsonwebtoken",
        error: "Json: unknown variant `Ed25519`, expected one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, \
                `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA`",
        example: || plain("Ed25519"),
        explains: |error, header| {
            error.starts_with("Json: unknown variant `Ed25519`") && header["alg"] == "Ed25519"
        },
    },
    Difference {
        name: "jsonwebtoken wants members of other documents to be strings",
        why: "zip and enc are of JWE, url and nonce of ACME: in a JWT they are not understood and must be ignored (RFC \
              7515 section 4)",
        peer: "jsonwebtoken",
        error: "Json: invalid type: sequence, expected a string",
        example: || plain("ES256").with_header("nonce", "[1]"),
        explains: |error, header| {
            let foreign = ["zip", "enc", "url", "nonce"].map(|name| &header[name]);
            let is_odd = |value: &Value| !value.is_string() && !value.is_null();
            let is_type = error.starts_with("Json: invalid type: ") && error.ends_with(", expected a string");
            is_type && foreign.into_iter().any(is_odd)
        },
    },
];

/// The name of the difference that an error is a case of.
pub(super) fn is_known(peer: &str, error: &str, header: &Value) -> Option<&'static str> {
    DIFFERENCES
        .iter()
        .find(|one| one.peer == peer && (one.explains)(error, header))
        .map(|one| one.name)
}

/// Reasons for which this crate alone refuses a token. A signature, an expiry or an audience is never among them.
pub(super) const STRICTER: [(&str, &str); 7] = [
    (
        "critical_extension",
        "b64 is refused also where crit does not name it (RFC 7797 section 7)",
    ),
    (
        "header_malformed",
        "members that are repeated, too deep or nested tokens (RFC 7515 section 4, RFC 7519 section 5.2)",
    ),
    (
        "payload_malformed",
        "members that are repeated, too deep, or registered and of another type (RFC 7519 section 4)",
    ),
    (
        "type_not_accepted",
        "the others look at typ only when told to (RFC 8725 section 3.11)",
    ),
    (
        "kind_not_accepted",
        "claims of logout tokens, ID tokens and refresh tokens (RFC 8725 section 3.12)",
    ),
    (
        "proof_missing",
        "a token that is bound to a key is no bearer token (RFC 7800 section 3.1)",
    ),
    (
        "token_from_future",
        "the others compare iat only with a greatest age",
    ),
];
