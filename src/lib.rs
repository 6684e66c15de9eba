//! Tower layers for resource servers: the HTTP and gRPC services that receive credentials and must decide who is calling
//! and what they may do.
//!
//! A service stacks these layers on an axum `Router`, a hyper service or a tonic server, configures them in code, and reads
//! one typed [`Principal`] out of the request, whether the caller came with an API key or with a JWT access token.
//!
//! # A first example: tokens of one issuer, a scope for each route
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_resource_server::{ConfigError, Issuer, JwtLayer, Principal, Scope, ScopeLayer};
//!
//! const READ: Scope = Scope::from_static("orders:read");   // a malformed word does not build
//!
//! async fn list(caller: Principal) -> String {
//!     format!("orders of {:?}", caller.identity())
//! }
//!
//! fn app() -> Result<Router, ConfigError> {
//!     // Keys are found by discovery, at the first request or in `issuer.warm_up().await`; building opens no socket.
//!     let issuer = Issuer::builder("https://login.example.com/").audience("https://api.example.com").build()?;
//!     Ok(Router::new()
//!         .route("/orders", get(list).layer(ScopeLayer::all([READ])))
//!         .layer(JwtLayer::new(issuer)))
//! }
//! # app().unwrap();
//! ```
//!
//! Whoever presents nothing gets 401 with a challenge; two credentials or an unreadable header, 400; a token that is not
//! valid here, 401; one without the scope, 403 that names it; and 503 with `Retry-After` while the issuer's keys cannot be
//! had. A `POST` over HTTP/2 with a gRPC content type gets the same decisions as a gRPC status.
//!
//! # What you may want
//!
//! | you want | you take |
//! |---|---|
//! | API keys | [`ApiKeyLayer`] over a [`KeyStore`]; [`MemoryKeyStore`] to begin with |
//! | JWTs of one issuer, its keys found by discovery | [`JwtLayer`] with an [`Issuer`] |
//! | JWTs of several issuers, each limited to scopes of its own | [`TrustedIssuers`], [`IssuerBuilder::accepted_scopes`] |
//! | JWTs of tenants that are found at run time | [`IssuerResolver`], [`ResolvedIssuers`] |
//! | either of the two | [`JwtLayer::or`], [`ApiKeyLayer::or`] |
//! | a scope for each route | [`ScopeLayer`], [`Requirement`] |
//! | more for routes with consequences | [`TokenAgeLayer`], [`StepUpLayer`], [`CallerLayer`], [`RevocationCheckLayer`] |
//! | anonymous callers too | [`JwtLayer::optional`], and `Option<Principal>` in the handler |
//! | claims of your own, as a type | [`IssuerBuilder::claims`], and [`Claims`] in the handler |
//! | the same in tonic | the same layers; [`Principal`] from `request.extensions()` |
//! | API keys in a database, revoked on every node at once | [`SqlKeyStore`] behind a [`CachedKeyStore`] |
//! | to make, rotate and revoke API keys | [`KeyRegistry`], which every store here is; `examples/api_keys.rs` |
//! | keys in a store of your own | [`KeyStore`]: one `async fn`; [`testing::conformance`] says whether it is right |
//! | tests without a server | [`testing::TestIssuer`], [`testing::TestClock`], [`testing::PrincipalBuilder`] |
//! | to stop a token before it expires | [`JwtLayer::revocations`], [`MemoryRevocations`], [`RedisRevocations`], [`Revocation`] |
//! | to know why a token was refused | [`Issuer::explain`]; `examples/explain.rs` is a command over it |
//! | a record of every request and its decision | [`AuditLayer`] over an [`AuditLog`] that writes to [`JsonLines`] or an [`AuditSink`] of yours |
//! | to limit how often each caller may ask | [`RateLimitLayer`], [`RateLimits`], [`Quota`]; [`RedisRateLimits`] for several machines |
//! | to slow down who guesses | [`FailedAttemptLayer`], [`CallerAddress`] |
//! | a check inside a handler | [`Principal::require`], whose [`Rejection`] is a response |
//!
//! The [`guide`] has a chapter on each of: [TLS](guide::transport), [CORS](guide::cors), [the order of layers](guide::wiring),
//! [API keys](guide::api_keys), [issuers](guide::issuers) with a recipe for each,
//! [their keys](guide::keys) in rotations and outages, [what routes ask](guide::demands), [revocation](guide::revocation), [rate limits](guide::rate_limits), [what is checked](guide::checks),
//! [logs and metrics](guide::telemetry), [the audit](guide::audit), and [testing](guide::testing).
//!
//! # What is where
//!
//! - Layers: [`ApiKeyLayer`], [`JwtLayer`], [`AnyOfLayer`], [`OptionalLayer`], [`ScopeLayer`], [`TokenAgeLayer`],
//!   [`StepUpLayer`], [`CallerLayer`], [`RevocationCheckLayer`]. Their services and what those return: [`Authenticate`], [`Authorize`], [`RevocationCheck`], [`ResponseFuture`], [`ResponseBody`].
//! - The caller: [`Principal`], [`Identity`], [`Method`], [`Actor`], [`Authentication`], [`AuthorizationDetail`],
//!   [`InvalidDetail`], [`Claims`].
//! - Scopes: [`Scope`], [`ScopeSet`], [`Requirement`], [`InvalidScope`]; by request: [`RequestTarget`], [`RouteRequirement`].
//! - What else a route asks ([`Demand`]): [`TokenAge`], [`StepUp`], [`Acr`], [`InvalidAcr`], [`CallerKind`].
//! - API keys: [`ApiKeyFormat`], [`MintedKey`], [`MintError`], [`KeyDigest`], [`ApiKeyRecord`], [`ApiKeyRecordBuilder`];
//!   who knows them: [`KeyStore`], [`MemoryKeyStore`], and in a database [`SqlKeyStore`], [`SqlKeyStoreError`]. To administer
//!   them: [`KeyRegistry`], [`NewKey`], [`IssuedKey`], [`KeyQuery`], [`KeyReport`], [`ReportLimits`], [`RegistryError`]; for
//!   stores of your own [`KeyChange`], [`Committed`], [`KeyUses`], [`KeyNews`], [`KeyNewsListener`].
//! - Keys that are stored elsewhere: [`CachedKeyStore`] in front of any store, [`CachedKeyStoreError`]; how it is:
//!   [`KeyStoreStatus`], [`StoreState`], [`NewsState`]; who uses them: [`UsageRecorder`], [`UsesNotWritten`].
//! - Issuers: [`Issuer`], [`IssuerBuilder`], [`TrustedIssuers`], [`Profile`], [`ScopeSource`], [`Algorithm`]; those that are
//!   found at run time: [`IssuerResolver`], [`ResolvedIssuers`]. Why a token was refused: [`Explanation`], [`Check`],
//!   [`CheckState`].
//! - Their keys: [`Keys`], [`FixedKeys`], [`RemoteKeys`], [`CachedKeys`], [`KeySource`], [`KeySet`],
//!   [`KeySetError`], [`SkippedKey`]; how they are: [`KeyStatus`], [`KeyState`], [`FetchState`]; the HTTP client behind
//!   them: [`Fetch`], [`HttpFetch`], [`FetchError`], [`PublicAddressesOnly`].
//! - What is withdrawn: [`Revocations`], [`MemoryRevocations`], [`RedisRevocations`], [`Revocation`], [`CredentialFacts`], [`Standing`].
//! - Errors: [`ConfigError`] for who configures, [`AuthError`] for the log, [`Rejection`] for the client.
//! - Limits: [`RateLimitLayer`], its [`RateLimit`] and [`RateLimitFuture`]; [`RateLimits`], [`RateLimitsBuilder`], [`RateLimitsStatus`], [`Quota`]; for several
//!   machines [`SharedRateLimits`], [`Share`], [`Taken`], [`RedisRateLimits`], [`RedisRateLimitsError`]. Who guesses: [`FailedAttemptLayer`], its
//!   [`LimitFailedAttempts`], [`FailedAttempts`], [`FailedAttemptsBuilder`], [`FailedAttemptsStatus`]; whose address that is: [`CallerAddress`],
//!   [`AddressSource`].
//! - Records of decisions: [`AuditLayer`], its [`Audit`], [`AuditFuture`] and [`AuditRequest`]; [`AuditLog`], [`AuditStatus`], [`RecordsNotWritten`];
//!   [`AuditRecord`], [`Decision`], [`Ending`]; where they go: [`AuditSink`], [`JsonLines`], [`LinesNotWritten`], [`TracingSink`], [`ChannelSink`], [`AuditReceiver`],
//!   [`ReceiverGone`].
//! - Values: [`Secret`], [`Realm`], and [`Clock`], which tells all of this the time.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `api-key` | yes | [`ApiKeyLayer`] and all about API keys |
//! | `jwt` | yes | [`JwtLayer`], [`Issuer`], [`FixedKeys`]; aws-lc-rs, which is built with a C compiler |
//! | `remote` | yes | [`RemoteKeys`], [`CachedKeys`]; tokio, and reqwest with rustls. Turns `jwt` on |
//! | `stored-keys` | no | [`CachedKeyStore`], [`UsageRecorder`]; moka and tokio. Turns `api-key` on |
//! | `sqlite`, `postgres` | no | [`SqlKeyStore`]: API keys in SQLite, in PostgreSQL, or in either; sqlx. Turn `stored-keys` on. Need Rust 1.94 |
//! | `redis` | no | [`RedisRevocations`]: what is revoked at one server is refused by all, over Redis or Valkey; redis and tokio |
//! | `rate-limit` | no | [`RateLimitLayer`], [`FailedAttemptLayer`]; governor and tokio. With `redis`, [`RedisRateLimits`] |
//! | `axum` | no | [`Principal`] and [`Claims`] as extractors, [`Rejection`] as a response, for axum 0.8 |
//! | `tracing` | no | an event for each refusal and each fetch of keys |
//! | `metrics` | no | counters and gauges through the `metrics` facade |
//! | `audit` | no | [`AuditLayer`]: a record of every request and its decision, written in the background; tokio |
//! | `testing` | no | [`testing`]: for your tests, never for production. Turns `api-key` and `jwt` on; brings axum |
//!
//! Features add names; none changes how a request is judged.
//!
//! # Minimum Rust version
//!
//! 1.88, for the default features.
//!
//! # What it does not do
//!
//! It does not terminate TLS, log anybody in, or issue tokens. There is no introspection of opaque tokens yet.
//! There is no DPoP or mutual TLS either, so a token that is bound to a key is refused. A credential in the query string, a form or a cookie is not read.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        feature = "remote",
        feature = "audit",
        feature = "tracing",
        feature = "axum",
        feature = "testing",
        feature = "sqlite",
        feature = "postgres",
        feature = "rate-limit",
        feature = "redis"
    )),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "the crate page names what every feature brings, and this build lacks some of it"
    )
)]
#![cfg_attr(
    not(all(feature = "api-key", feature = "jwt", feature = "remote", feature = "axum")),
    allow(
        dead_code,
        unused_imports,
        reason = "a build with fewer mechanisms leaves parts of the engine idle"
    )
)]

#[cfg(feature = "audit")]
mod audit;
mod authenticator;
mod challenge;
mod clock;
mod credential;
mod error;
mod policy;
mod principal;
mod scope;
mod secret;
mod shared_text;
mod telemetry;
#[cfg(any(feature = "audit", feature = "jwt"))]
mod writing;

mod adapter;
#[cfg(feature = "api-key")]
mod api_key;
#[cfg(feature = "jwt")]
mod jwks;
#[cfg(feature = "jwt")]
mod jwt;
mod layer;
#[cfg(feature = "rate-limit")]
mod limit;
#[cfg(any(feature = "api-key", feature = "jwt", feature = "redis"))]
mod revocation;
// The chapters use every feature, and are seen by nobody but rustdoc.
#[cfg(all(
    any(doc, doctest),
    feature = "remote",
    feature = "stored-keys",
    feature = "audit",
    feature = "axum",
    feature = "rate-limit",
    feature = "testing"
))]
pub mod guide;
#[cfg(any(feature = "api-key", feature = "redis"))]
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

#[cfg(feature = "api-key")]
pub use api_key::{
    ApiKeyFormat, ApiKeyRecord, ApiKeyRecordBuilder, Committed, IssuedKey, KeyChange, KeyDigest, KeyNews,
    KeyNewsListener, KeyQuery, KeyRegistry, KeyReport, KeyStore, KeyUses, MintError, MintedKey, NewKey,
    RegistryError, ReportLimits,
};
#[cfg(feature = "stored-keys")]
pub use api_key::{UsageRecorder, UsesNotWritten};
#[cfg(all(feature = "audit", feature = "tracing"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "audit", feature = "tracing"))))]
pub use audit::TracingSink;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub use audit::{
    AuditLog, AuditReceiver, AuditRecord, AuditSink, AuditStatus, ChannelSink, Decision, Ending, JsonLines,
    LinesNotWritten, ReceiverGone, RecordsNotWritten,
};
pub use challenge::{InvalidRealm, Realm};
pub use clock::{Clock, SystemClock};
pub use error::{AuthError, ConfigError, Fault, Problem, Rejection, RejectionKind};
#[cfg(feature = "jwt")]
pub use jwks::{
    Algorithm, FetchState, FixedKeys, KeySet, KeySetError, KeyState, KeyStatus, Keys, SkippedKey,
    UnknownAlgorithm,
};
#[cfg(feature = "remote")]
pub use jwks::{CachedKeys, Fetch, FetchError, HttpFetch, KeySource, PublicAddressesOnly, RemoteKeys};
#[cfg(feature = "jwt")]
pub use jwt::{
    Check, CheckState, Explanation, Issuer, IssuerBuilder, NoAudience, Profile, ScopeSource, TrustedIssuers,
    WithAudience,
};
#[cfg(feature = "remote")]
pub use jwt::{IssuerResolver, ResolvedIssuers};
#[cfg(all(feature = "api-key", feature = "jwt"))]
pub use layer::AnyOfLayer;
#[cfg(feature = "api-key")]
pub use layer::ApiKeyLayer;
#[cfg(feature = "jwt")]
pub use layer::JwtLayer;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub use layer::{Audit, AuditFuture, AuditLayer, AuditRequest};
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use layer::{Authenticate, OptionalLayer, RevocationCheck, RevocationCheckLayer};
pub use layer::{
    Authorize, CallerLayer, ResponseBody, ResponseFuture, ScopeLayer, StepUpLayer, TokenAgeLayer,
};
#[cfg(feature = "rate-limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "rate-limit")))]
pub use layer::{FailedAttemptLayer, LimitFailedAttempts, RateLimit, RateLimitFuture, RateLimitLayer};
#[cfg(feature = "rate-limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "rate-limit")))]
pub use limit::{
    AddressSource, CallerAddress, FailedAttempts, FailedAttemptsBuilder, FailedAttemptsStatus, Quota,
    RateLimits, RateLimitsBuilder, RateLimitsStatus, Share, SharedRateLimits, Taken,
};
pub use policy::{Acr, CallerKind, Demand, InvalidAcr, RequestTarget, RouteRequirement, StepUp, TokenAge};
pub use principal::{
    Actor, Authentication, AuthorizationDetail, Claims, Identity, InvalidDetail, Method, Principal,
};
#[cfg(any(feature = "api-key", feature = "jwt", feature = "redis"))]
pub use revocation::{CredentialFacts, MemoryRevocations, Revocation, Revocations, Standing};
pub use scope::{InvalidScope, Requirement, Scope, ScopeSet};
pub use secret::Secret;
#[cfg(feature = "api-key")]
pub use store::MemoryKeyStore;
#[cfg(feature = "stored-keys")]
pub use store::{CachedKeyStore, CachedKeyStoreError, KeyStoreStatus, NewsState, StoreState};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "sqlite", feature = "postgres"))))]
pub use store::{SqlKeyStore, SqlKeyStoreError};

#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use store::{
    Hearing, RedisRevocations, RedisRevocationsBuilder, RedisRevocationsError, RedisRevocationsStatus,
};
#[cfg(all(feature = "redis", feature = "rate-limit"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "redis", feature = "rate-limit"))))]
pub use store::{RedisRateLimits, RedisRateLimitsError};

#[cfg(all(doctest, feature = "remote", feature = "axum", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
