use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use super::RejectionKind;
use crate::scope::ScopeSet;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request was refused, exactly: for the log, never for the client.
///
/// Each variant has a stable [`reason`](Self::reason) code, which logs, metrics and audits share. Nothing in here comes
/// from an unverified credential: the texts are ours, and ids and owners of API keys are the store's, quoted; so no secret
/// and no forged line can reach a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request carries no credential that this route knows.
    #[error("no credential was presented")]
    CredentialMissing,
    /// A credential's header breaks its grammar.
    #[error("the credential's header breaks its grammar")]
    HeaderUnreadable,
    /// A credential's header names a scheme or nothing, and no credential.
    #[error("the credential is empty")]
    CredentialEmpty,
    /// More than one credential, in one place or in two.
    #[error("more than one credential was presented")]
    CredentialRepeated,

    /// Longer than the layer allows.
    #[error("the token is longer than this layer allows")]
    TokenTooLong,
    /// Not three parts of base64url.
    #[error("the token is not three parts of canonical base64url")]
    TokenMalformed,
    /// The JOSE header is not the JSON object that it should be.
    #[error("the token's header is not a JSON object of the expected form: {0}")]
    HeaderMalformed(&'static str),
    /// The header asks for extensions (`crit`); none are understood (RFC 7515 section 4.1.11).
    #[error("the token's header asks for an extension that is not understood")]
    CriticalExtension,
    /// The header's `typ` is not one of the profile's.
    #[error("the token's type is not an access token's")]
    TypeNotAccepted,
    /// A claim says that the token is of another kind: an ID token, a refresh token, a logout token.
    #[error("the token's claim {0:?} says that it is not an access token")]
    KindNotAccepted(&'static str),
    /// The token is bound to a key (`cnf`) and came as a plain bearer token, without a proof that the caller holds it.
    #[error("the token is bound to a key, and nothing proves that the caller holds it")]
    ProofMissing,
    /// `alg` is `none` or names no algorithm of ours.
    #[error("the token's algorithm is unknown")]
    AlgorithmUnknown,
    /// `alg` is not in the issuer's list.
    #[error("the token's algorithm is not among those accepted from its issuer")]
    AlgorithmNotAccepted,
    /// The payload is not the JSON object that it should be.
    #[error("the token's claims are not a JSON object of the expected form: {0}")]
    PayloadMalformed(&'static str),
    /// A claim that is required is absent.
    #[error("the token has no claim {0:?}")]
    ClaimMissing(&'static str),
    /// `iss` is not one of the trusted issuers.
    #[error("the token's issuer is not trusted here")]
    IssuerUnknown,
    /// No key of the issuer has the token's `kid`.
    #[error("the token's key is not among its issuer's keys")]
    SigningKeyUnknown,
    /// Several keys of the issuer could be meant, or a key is meant that is of another kind.
    #[error("not exactly one key of the issuer fits the token")]
    SigningKeyAmbiguous,
    /// The key's document says that it signs for another tenant than the token's.
    #[error("the token's key signs for another tenant")]
    SigningKeyForeign,
    /// The signature does not belong to this token and key.
    #[error("the token's signature is invalid")]
    SignatureInvalid,
    /// `aud` does not name this resource server.
    #[error("the token is meant for another audience")]
    AudienceMismatch,
    /// `sub` is not one of those whose tokens are accepted.
    #[error("the token's subject is not accepted here")]
    SubjectNotAccepted,
    /// `exp` has passed.
    #[error("the token has expired")]
    TokenExpired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    TokenNotYetValid,
    /// `iat` lies in the future.
    #[error("the token was issued in the future")]
    TokenFromFuture,
    /// The token was withdrawn, or those of its subject, client or issuer were.
    #[error("the token was revoked")]
    TokenRevoked,
    /// The place where revocations are kept did not answer, and the route asks it.
    #[error("revocations cannot be asked")]
    RevocationsUnavailable(#[source] BoxError),
    /// Nobody can tell what was revoked: this node has not heard for too long.
    #[error("revocations cannot be heard")]
    RevocationsUnheard {
        /// When it may be worth another try.
        retry_after: Duration,
    },
    /// The token was issued longer ago than the route allows.
    #[error("the token is older than this route allows")]
    TokenTooOld,
    /// The claims do not decode as the type that the issuer declared.
    #[error("the token's claims do not decode as the declared type: {0}")]
    ClaimsUndecodable(String),

    /// Longer than any key that is in use, or not of the form that the layer was told its keys have.
    #[error("the API key cannot be one of ours")]
    ApiKeyMalformed,
    /// The key says that it is for another environment, and the layer was told its own.
    #[error("the API key is for another environment")]
    ApiKeyOfOtherEnvironment,
    /// The store does not know the key.
    #[error("the API key is unknown")]
    ApiKeyUnknown,
    /// The key was revoked.
    #[error("the API key {id:?} of {owner:?} was revoked")]
    ApiKeyRevoked {
        /// What the key is called in its store.
        id: Arc<str>,
        /// Whose it was.
        owner: Arc<str>,
    },
    /// The key has expired.
    #[error("the API key {id:?} of {owner:?} has expired")]
    ApiKeyExpired {
        /// What the key is called in its store.
        id: Arc<str>,
        /// Whose it was.
        owner: Arc<str>,
    },
    /// The key's time has not come yet.
    #[error("the API key {id:?} of {owner:?} is not valid yet")]
    ApiKeyNotYetValid {
        /// What the key is called in its store.
        id: Arc<str>,
        /// Whose it is.
        owner: Arc<str>,
    },

    /// A scope that the route asks for is not held.
    #[error("the caller lacks the scopes {0:?}")]
    ScopeMissing(ScopeSet),
    /// The user was not authenticated in one of the ways that the route asks for (`acr`), or the token does not say how.
    #[error("the user's authentication is not strong enough for this route")]
    AuthenticationTooWeak,
    /// The user authenticated longer ago than the route allows (`auth_time`), or the token does not say when.
    #[error("the user's authentication is too long ago for this route")]
    AuthenticationTooOld,
    /// The route asks for an API key and not a token, or the other way round.
    #[error("the route accepts another kind of credential only")]
    MethodNotAccepted,
    /// The route asks for a user, and no client that acts for itself.
    #[error("the caller is not a user")]
    NotAUser,
    /// The route asks for other clients.
    #[error("the caller's client is not one that the route accepts")]
    ClientNotAccepted,
    /// The route asks that nobody acts for the subject, or somebody else.
    #[error("who acts for the subject is not whom the route accepts")]
    ActorNotAccepted,
    /// The function that says what requests need has this one closed.
    #[error("the route is closed for everybody")]
    RouteClosed,
    /// The handler asks for claims of a type that this caller does not have.
    #[error("the caller has no claims of the type that the handler asks for")]
    ClaimsAbsent,

    /// The caller has used up what its plan allows for now.
    #[error("the caller has used up what the plan {plan:?} allows for now")]
    RateLimited {
        /// The plan, which is the name of its quota policy.
        plan: Arc<str>,
        /// When the next request may come.
        retry_after: Duration,
    },
    /// So many credentials from the caller's address were bad that this one, which is not known, is not looked up.
    #[error("too many attempts from the caller's address have failed")]
    TooManyFailedAttempts {
        /// When the next attempt may come.
        retry_after: Duration,
    },

    /// The issuer's keys cannot be had for now.
    #[error("the issuer's keys are out of reach")]
    KeysUnavailable {
        /// When to try again.
        retry_after: Duration,
        /// Why they could not be had.
        #[source]
        source: BoxError,
    },
    /// The look-up of an issuer that is found at run time failed.
    #[error("the issuer could not be looked up")]
    ResolverUnavailable(#[source] BoxError),
    /// The key store did not answer.
    #[error("the key store is out of reach")]
    StoreUnavailable(#[source] BoxError),

    /// A layer or extractor stands where no authentication layer is in front of it.
    #[error("no authentication layer stands in front of this layer or extractor")]
    NotAuthenticated,
    /// A layer that belongs outside of every authentication layer stands behind one.
    #[error("a layer stands behind an authentication layer and belongs outside of it")]
    AlreadyAuthenticated,
    /// What the resolver returned cannot be trusted as it is.
    #[error("the resolved issuer cannot be used: {0}")]
    IssuerMisconfigured(&'static str),
    /// A handler asks for claims of a type that no issuer of the layer declared.
    #[error("no issuer declared the claims type that the handler asks for")]
    ClaimsUndeclared,
}

/// How long a client should wait before it asks a store again that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl AuthError {
    /// A stable code for logs, metrics and audits; one for each variant.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CredentialMissing => "credential_missing",
            Self::HeaderUnreadable => "header_unreadable",
            Self::CredentialEmpty => "credential_empty",
            Self::CredentialRepeated => "credential_repeated",
            Self::TokenTooLong => "token_too_long",
            Self::TokenMalformed => "token_malformed",
            Self::HeaderMalformed(_) => "header_malformed",
            Self::CriticalExtension => "critical_extension",
            Self::TypeNotAccepted => "type_not_accepted",
            Self::KindNotAccepted(_) => "kind_not_accepted",
            Self::ProofMissing => "proof_missing",
            Self::AlgorithmUnknown => "algorithm_unknown",
            Self::AlgorithmNotAccepted => "algorithm_not_accepted",
            Self::PayloadMalformed(_) => "payload_malformed",
            Self::ClaimMissing(_) => "claim_missing",
            Self::IssuerUnknown => "issuer_unknown",
            Self::SigningKeyUnknown => "signing_key_unknown",
            Self::SigningKeyAmbiguous => "signing_key_ambiguous",
            Self::SigningKeyForeign => "signing_key_foreign",
            Self::SignatureInvalid => "signature_invalid",
            Self::AudienceMismatch => "audience_mismatch",
            Self::SubjectNotAccepted => "subject_not_accepted",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenFromFuture => "token_from_future",
            Self::TokenRevoked => "token_revoked",
            Self::RevocationsUnavailable(_) => "revocations_unavailable",
            Self::RevocationsUnheard { .. } => "revocations_unheard",
            Self::TokenTooOld => "token_too_old",
            Self::ClaimsUndecodable(_) => "claims_undecodable",
            Self::ApiKeyMalformed => "api_key_malformed",
            Self::ApiKeyOfOtherEnvironment => "api_key_of_other_environment",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::ApiKeyRevoked { .. } => "api_key_revoked",
            Self::ApiKeyExpired { .. } => "api_key_expired",
            Self::ApiKeyNotYetValid { .. } => "api_key_not_yet_valid",
            Self::ScopeMissing(_) => "scope_missing",
            Self::AuthenticationTooWeak => "authentication_too_weak",
            Self::AuthenticationTooOld => "authentication_too_old",
            Self::MethodNotAccepted => "method_not_accepted",
            Self::NotAUser => "not_a_user",
            Self::ClientNotAccepted => "client_not_accepted",
            Self::ActorNotAccepted => "actor_not_accepted",
            Self::RouteClosed => "route_closed",
            Self::ClaimsAbsent => "claims_absent",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooManyFailedAttempts { .. } => "too_many_failed_attempts",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::ResolverUnavailable(_) => "resolver_unavailable",
            Self::StoreUnavailable(_) => "store_unavailable",
            Self::NotAuthenticated => "not_authenticated",
            Self::AlreadyAuthenticated => "already_authenticated",
            Self::IssuerMisconfigured(_) => "issuer_misconfigured",
            Self::ClaimsUndeclared => "claims_undeclared",
        }
    }

    /// The id of the key that a store knows and that is of no use now.
    pub(crate) fn key_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::ApiKeyRevoked { id, .. }
            | Self::ApiKeyExpired { id, .. }
            | Self::ApiKeyNotYetValid { id, .. } => Some(id),
            _ => None,
        }
    }

    /// What this is to the client.
    pub fn kind(&self) -> RejectionKind {
        match self {
            Self::CredentialMissing => RejectionKind::CredentialMissing,
            Self::HeaderUnreadable | Self::CredentialEmpty | Self::CredentialRepeated => {
                RejectionKind::InvalidRequest
            }
            Self::ScopeMissing(_) => RejectionKind::InsufficientScope,
            Self::AuthenticationTooWeak | Self::AuthenticationTooOld => {
                RejectionKind::InsufficientUserAuthentication
            }
            Self::ClaimsAbsent
            | Self::MethodNotAccepted
            | Self::NotAUser
            | Self::ClientNotAccepted
            | Self::ActorNotAccepted
            | Self::RouteClosed => RejectionKind::Forbidden,
            Self::RateLimited { .. } | Self::TooManyFailedAttempts { .. } => RejectionKind::TooManyRequests,
            Self::KeysUnavailable { .. }
            | Self::ResolverUnavailable(_)
            | Self::StoreUnavailable(_)
            | Self::RevocationsUnavailable(_)
            | Self::RevocationsUnheard { .. } => RejectionKind::Unavailable,
            Self::NotAuthenticated
            | Self::AlreadyAuthenticated
            | Self::IssuerMisconfigured(_)
            | Self::ClaimsUndeclared => RejectionKind::Misconfigured,
            _ => RejectionKind::InvalidCredential,
        }
    }

    /// What the client may be told beyond the kind. Expiry is told apart, so that a client knows to refresh; the rest is
    /// one text, so that a forger learns nothing.
    pub(crate) fn detail(&self) -> &'static str {
        match self {
            Self::CredentialMissing => "this resource asks for a credential",
            Self::HeaderUnreadable => "the header with the credential cannot be read",
            Self::CredentialEmpty => "the credential is empty",
            Self::CredentialRepeated => "more than one credential was presented",
            Self::TokenExpired => "the token has expired",
            Self::TokenTooOld => "the token is too old for this resource",
            Self::ScopeMissing(_) => "the credential does not cover this request",
            Self::AuthenticationTooWeak => "this resource asks for a stronger authentication of the user",
            Self::AuthenticationTooOld => "this resource asks for a more recent authentication of the user",
            Self::ClaimsAbsent
            | Self::MethodNotAccepted
            | Self::NotAUser
            | Self::ClientNotAccepted
            | Self::ActorNotAccepted => "this resource is not for this kind of caller",
            Self::RouteClosed => "this resource is for nobody",
            Self::RateLimited { .. } => "too many requests for now",
            Self::TooManyFailedAttempts { .. } => "too many failed attempts for now",
            Self::KeysUnavailable { .. }
            | Self::ResolverUnavailable(_)
            | Self::StoreUnavailable(_)
            | Self::RevocationsUnavailable(_)
            | Self::RevocationsUnheard { .. } => "the credential cannot be checked for now",
            Self::NotAuthenticated
            | Self::AlreadyAuthenticated
            | Self::IssuerMisconfigured(_)
            | Self::ClaimsUndeclared => "the service is misconfigured",
            _ => "the credential is not valid here",
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeysUnavailable { retry_after, .. }
            | Self::RevocationsUnheard { retry_after }
            | Self::RateLimited { retry_after, .. }
            | Self::TooManyFailedAttempts { retry_after } => Some(*retry_after),
            Self::ResolverUnavailable(_) | Self::StoreUnavailable(_) | Self::RevocationsUnavailable(_) => {
                Some(STORE_RETRY)
            }
            _ => None,
        }
    }
}
