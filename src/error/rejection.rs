use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::AuthError;
use crate::challenge::{ErrorCode, Scheme};
use crate::principal::{Door, Principal};
use crate::scope::{Requirement, ScopeSet};

/// What a refusal is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 401 without an error code: nothing was presented.
    CredentialMissing,
    /// 400 `invalid_request`: what was presented cannot be read, or is more than one credential.
    InvalidRequest,
    /// 401 `invalid_token`: a readable value that is no valid credential here.
    InvalidCredential,
    /// 401 `insufficient_user_authentication` (RFC 9470): the user must authenticate again, or in a stronger way.
    InsufficientUserAuthentication,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 403: valid, but not for this kind of caller.
    Forbidden,
    /// 429 (RFC 6585 section 4): the caller asks, or fails, too often. Never a 401: no other credential would help.
    TooManyRequests,
    /// 503: the credential may be good, and cannot be checked for now.
    Unavailable,
    /// 500: the service's layers are put together wrongly.
    Misconfigured,
}

impl RejectionKind {
    /// The HTTP status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::CredentialMissing | Self::InvalidCredential | Self::InsufficientUserAuthentication => {
                StatusCode::UNAUTHORIZED
            }
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status code that goes with it.
    pub fn grpc_code(self) -> i32 {
        match self {
            Self::CredentialMissing | Self::InvalidCredential | Self::InsufficientUserAuthentication => 16,
            Self::InvalidRequest => 3,
            Self::InsufficientScope | Self::Forbidden => 7,
            Self::TooManyRequests => 8,
            Self::Unavailable => 14,
            Self::Misconfigured => 13,
        }
    }

    /// The `error` code of RFC 6750 section 3.1 or RFC 9470 section 3, where there is one.
    pub fn error_code(self) -> Option<&'static str> {
        self.code().map(ErrorCode::as_str)
    }

    fn code(self) -> Option<ErrorCode> {
        match self {
            Self::InvalidRequest => Some(ErrorCode::InvalidRequest),
            Self::InvalidCredential => Some(ErrorCode::InvalidToken),
            Self::InsufficientUserAuthentication => Some(ErrorCode::InsufficientUserAuthentication),
            Self::InsufficientScope => Some(ErrorCode::InsufficientScope),
            Self::CredentialMissing
            | Self::Forbidden
            | Self::TooManyRequests
            | Self::Unavailable
            | Self::Misconfigured => None,
        }
    }
}

/// Whose fault a refusal is: who is to be told, and whether to wake somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The client must do something else.
    Client,
    /// An issuer or a store does not answer.
    Upstream,
    /// This service is put together wrongly.
    Server,
}

/// The outward refusal: everything a response is made of, and nothing that a client should not see in one.
///
/// Every refused response carries its `Rejection` in the response's extensions, so that an outer layer can log it or
/// write another body from it. With the `axum` feature it is a response itself, so a handler can return it.
#[derive(Clone)]
pub struct Rejection(Arc<Inner>);

/// A refusal from both sides: exact for the log, outward for the client.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: AuthError,
    pub(crate) rejection: Rejection,
}

impl Refusal {
    /// A refusal without a challenge: no other credential would help, or the mistake is ours.
    pub(crate) fn plain(error: AuthError) -> Self {
        Self {
            rejection: Rejection::build(&error, Vec::new()),
            error,
        }
    }

    /// The refusal of a credential that was good enough for the door, and is not for this route.
    pub(crate) fn of_caller(error: AuthError, caller: &Principal) -> Self {
        Self::at_door(error, &caller.door, Some(caller.scheme))
    }

    /// The refusal of a credential, or of its absence.
    pub(crate) fn at_door(error: AuthError, door: &Door, tried: Option<Scheme>) -> Self {
        let kind = error.kind();
        let challenges = match (kind, kind.code(), tried) {
            (RejectionKind::CredentialMissing, ..) => door.plain.clone(),
            (_, Some(code), Some(tried)) => door
                .challenges
                .with(tried, |challenge| challenge.error(code, error.detail())),
            (_, Some(code), None) => door
                .challenges
                .with_all(|challenge| challenge.error(code, error.detail())),
            (_, None, _) => Vec::new(),
        };
        Self {
            rejection: Rejection::build(&error, challenges),
            error,
        }
    }

    /// Who keeps a record of it may want to know what was asked.
    pub(crate) fn of(mut self, demand: &dyn fmt::Display) -> Self {
        self.rejection = self.rejection.of(demand);
        self
    }
}

struct Inner {
    kind: RejectionKind,
    reason: &'static str,
    detail: &'static str,
    challenges: Vec<HeaderValue>,
    retry_after: Option<Duration>,
    missing: ScopeSet,
    requirement: Option<Box<str>>,
    quota_policy: Option<Arc<str>>,
}

impl Rejection {
    /// What it is to the client.
    pub fn kind(&self) -> RejectionKind {
        self.0.kind
    }

    /// The HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            RejectionKind::Unavailable => Fault::Upstream,
            RejectionKind::Misconfigured => Fault::Server,
            _ => Fault::Client,
        }
    }

    /// The stable reason code of the [`AuthError`] behind it. For logs: it tells an unknown key from a revoked one, so
    /// it does not belong into a response.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// One sentence for the client.
    pub fn detail(&self) -> &'static str {
        self.0.detail
    }

    /// The values of `WWW-Authenticate`, one for each challenge.
    pub fn challenges(&self) -> &[HeaderValue] {
        &self.0.challenges
    }

    /// When it makes sense to ask again; written as `Retry-After`, in whole seconds, rounded up.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The scopes that the caller lacks; empty unless the kind is [`RejectionKind::InsufficientScope`].
    pub fn missing_scopes(&self) -> &ScopeSet {
        &self.0.missing
    }

    /// What the route asked for that the caller did not meet, for logs and audits: `scope="orders:write"`,
    /// `acr_values="gold" max_age=300`. `None` where no layer or `require` asked.
    pub fn requirement(&self) -> Option<&str> {
        self.0.requirement.as_deref()
    }

    /// The plan that is used up, if that is why: the name of its quota policy in `RateLimit-Policy`.
    pub fn quota_policy(&self) -> Option<&str> {
        self.0.quota_policy.as_deref()
    }

    /// The answer to a caller whose scopes do not suffice.
    pub(crate) fn insufficient_scope(
        error: &AuthError,
        caller: &Principal,
        requirement: &Requirement,
    ) -> Self {
        let challenges = caller.door.challenges.only(caller.scheme, |challenge| {
            challenge
                .error(ErrorCode::InsufficientScope, error.detail())
                .scope(requirement.first())
        });
        Self::build(error, challenges)
    }

    /// The answer to a caller whose user must authenticate again: only a token can tell of a user, so that is the scheme that
    /// says what is wanted, whatever was presented.
    pub(crate) fn step_up(
        error: &AuthError,
        caller: &Principal,
        acr_values: &[&str],
        max_age: Option<u64>,
    ) -> Self {
        let challenges = caller.door.challenges.with(Scheme::Bearer, |challenge| {
            challenge
                .error(ErrorCode::InsufficientUserAuthentication, error.detail())
                .authentication(acr_values, max_age)
        });
        Self::build(error, challenges)
    }

    fn of(self, demand: &dyn fmt::Display) -> Self {
        let requirement = Some(demand.to_string().into());
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { requirement, ..inner })),
            Err(shared) => Self(shared),
        }
    }

    fn build(error: &AuthError, challenges: Vec<HeaderValue>) -> Self {
        Self(Arc::new(Inner {
            requirement: None,
            quota_policy: match error {
                AuthError::RateLimited { plan, .. } => Some(Arc::clone(plan)),
                _ => None,
            },
            kind: error.kind(),
            reason: error.reason(),
            detail: error.detail(),
            challenges,
            retry_after: error.retry_after(),
            missing: if let AuthError::ScopeMissing(missing) = error {
                missing.clone()
            } else {
                ScopeSet::empty()
            },
        }))
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status().as_u16())
            .field("kind", &self.0.kind)
            .field("reason", &self.0.reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail)
    }
}

impl std::error::Error for Rejection {}
