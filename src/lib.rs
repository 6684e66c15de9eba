//! Tower layers for resource servers.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "api-key", feature = "jwt", feature = "remote", feature = "axum")),
    allow(
        dead_code,
        unused_imports,
        reason = "a build with fewer mechanisms leaves parts of the engine idle"
    )
)]

mod authenticator;
mod challenge;
mod clock;
mod credential;
mod error;
mod policy;
mod principal;
mod scope;
mod secret;
mod telemetry;

mod adapter;
#[cfg(feature = "api-key")]
mod api_key;
#[cfg(feature = "jwt")]
mod jwks;
#[cfg(feature = "jwt")]
mod jwt;
mod layer;
#[cfg(feature = "jwt")]
mod revocation;
#[cfg(feature = "api-key")]
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

#[cfg(feature = "api-key")]
pub use api_key::{
    ApiKeyFormat, ApiKeyRecord, ApiKeyRecordBuilder, KeyDigest, KeyStore, MintError, MintedKey,
};
pub use challenge::{InvalidRealm, Realm};
pub use clock::{Clock, SystemClock};
pub use error::{AuthError, ConfigError, Fault, Problem, Rejection, RejectionKind};
#[cfg(feature = "jwt")]
pub use jwks::{Algorithm, FixedKeys, KeySet, KeySetError, Keys, SkippedKey, UnknownAlgorithm};
#[cfg(feature = "remote")]
pub use jwks::{CachedKeys, Fetch, FetchError, HttpFetch, KeySource, RemoteKeys};
#[cfg(feature = "jwt")]
pub use jwt::{Issuer, IssuerBuilder, NoAudience, Profile, ScopeSource, TrustedIssuers, WithAudience};
#[cfg(all(feature = "api-key", feature = "jwt"))]
pub use layer::AnyOfLayer;
#[cfg(feature = "api-key")]
pub use layer::ApiKeyLayer;
#[cfg(feature = "jwt")]
pub use layer::JwtLayer;
#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use layer::{Authenticate, OptionalLayer};
pub use layer::{Authorize, ResponseBody, ResponseFuture, ScopeLayer, TokenAgeLayer};
pub use principal::{
    Actor, Authentication, AuthorizationDetail, Claims, Identity, InvalidDetail, Method, Principal,
};
#[cfg(feature = "jwt")]
pub use revocation::{MemoryRevocations, Revocations, Standing, TokenFacts};
pub use scope::{InvalidScope, Requirement, Scope, ScopeSet};
pub use secret::Secret;
#[cfg(feature = "api-key")]
pub use store::MemoryKeyStore;
