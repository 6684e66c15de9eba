//! The checks, in the order in which the judge makes them, and how each can end.

/// One check of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Length,
    Parts,
    Header,
    Extensions,
    Limits,
    KnownAlgorithm,
    Claims,
    Issuer,
    Type,
    Algorithm,
    Key,
    Signature,
    Kind,
    Proof,
    Required,
    Tenant,
    Audience,
    Subject,
    Expiry,
    Start,
    Issued,
    Client,
    TokenId,
    Scopes,
    Version,
    ClaimsType,
    /// No check: who it is, for a token that passed all of them.
    Principal,
}

/// A check, what people call it, and the reason codes that it can end in.
pub(super) type Row = (Step, &'static str, &'static [&'static str]);

pub(super) const ORDER: [Row; 27] = [
    (Step::Length, "length", &["token_too_long"]),
    (Step::Parts, "parts", &["token_malformed"]),
    (Step::Header, "header", &["header_malformed"]),
    (Step::Extensions, "crit", &["critical_extension"]),
    (Step::Limits, "kid, cty", &["header_malformed"]),
    (
        Step::KnownAlgorithm,
        "alg",
        &["header_malformed", "algorithm_unknown"],
    ),
    (Step::Claims, "claims", &["payload_malformed"]),
    (Step::Issuer, "iss", &["claim_missing", "issuer_unknown"]),
    (Step::Type, "typ", &["type_not_accepted"]),
    (Step::Algorithm, "accepted alg", &["algorithm_not_accepted"]),
    (
        Step::Key,
        "key",
        &["keys_unavailable", "signing_key_unknown", "signing_key_ambiguous"],
    ),
    (Step::Signature, "signature", &["signature_invalid"]),
    (Step::Kind, "kind", &["kind_not_accepted"]),
    (Step::Proof, "cnf", &["proof_missing"]),
    (Step::Required, "required claims", &["claim_missing"]),
    (
        Step::Tenant,
        "tenant",
        &["claim_missing", "issuer_unknown", "signing_key_foreign"],
    ),
    (Step::Audience, "aud", &["claim_missing", "audience_mismatch"]),
    (Step::Subject, "sub", &["claim_missing", "subject_not_accepted"]),
    (Step::Expiry, "exp", &["claim_missing", "token_expired"]),
    (Step::Start, "nbf", &["token_not_yet_valid"]),
    (Step::Issued, "iat", &["token_from_future"]),
    (Step::Client, "client", &["claim_missing", "payload_malformed"]),
    (Step::TokenId, "token id", &["payload_malformed"]),
    (Step::Scopes, "scopes", &["payload_malformed"]),
    (Step::Version, "token version", &["payload_malformed"]),
    (Step::ClaimsType, "claims type", &["claims_undecodable"]),
    (Step::Principal, "principal", &[]),
];
