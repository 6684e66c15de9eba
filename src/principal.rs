//! Who is calling, after verification.

use std::any::{Any, TypeId};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Extensions, HeaderValue};
use serde::de::DeserializeOwned;

use crate::challenge::{Challenges, Scheme};
use crate::scope::{Scope, ScopeSet};
use crate::shared_text::SharedStr;

mod trail;

#[cfg(feature = "audit")]
pub(crate) use trail::Steps;
pub(crate) use trail::{By, Refused, Seen, Trail};

/// How a caller proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Method {
    /// An API key, known to a key store.
    ApiKey,
    /// A signed access token.
    Jwt,
}

impl Method {
    /// The name in logs, metrics and audits: `api_key`, `jwt`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
        }
    }
}

/// Method, issuer and subject together: the only thing to key data by.
///
/// A bare subject is not unique: two issuers may both know a `user_1`, and an API key's owner may be called so too.
///
/// A token may come without `sub`; then [`subject`](Self::subject) is `None`, and the identity names the issuer's
/// nameless callers as a group, never one person. Ask for the RFC 9068 profile where that must not happen.
///
/// A client that acts for itself is never equal to a user, even if it managed to be registered under the user's subject
/// (RFC 9700 section 4.15); see [`is_user`](Self::is_user).
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub(crate) method: Method,
    pub(crate) user: bool,
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) subject: Option<SharedStr>,
}

impl Clone for Identity {
    /// Copies the subject: an identity that is kept, to key data by, must not keep all the words of a token.
    fn clone(&self) -> Self {
        let subject = self.subject.as_deref().map(Arc::<str>::from);
        Self {
            method: self.method,
            user: self.user,
            issuer: self.issuer.clone(),
            subject: subject.map(SharedStr::from),
        }
    }
}

impl Identity {
    /// How the caller proved who it is.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The token's issuer; `None` for API keys.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether the subject is somebody other than the client itself: `sub` is there and is not the `client_id` (RFC 9068
    /// section 5), nor what the issuer is known to call a client: Auth0 (`CLIENT@clients`, `gty`), Entra ID (`idtyp`, or
    /// `oid` without `scp`), Keycloak (`service-account-CLIENT`). Never for API keys, which name an application, nor for
    /// an issuer that was built `without_users`.
    ///
    /// Any other issuer that gives its clients subjects of their own kind, and says so nowhere in the token, cannot be
    /// seen through.
    pub fn is_user(&self) -> bool {
        self.user
    }

    /// The token's `sub`, or the API key's owner.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

/// Who acts for the subject: the outermost `act` claim of RFC 8693 section 4.1. Earlier actors are history and must not
/// decide anything, so they are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Actor {
    /// The actor's `sub`.
    pub subject: Option<String>,
    /// The actor's `iss`, where it differs from the token's.
    pub issuer: Option<String>,
    /// The actor's `client_id`.
    pub client: Option<String>,
}

/// How and when a user authenticated at the issuer (`OpenID` Connect Core section 2, RFC 9068 section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Authentication {
    /// `acr`: how strong it was, in words that the issuer and its resource servers agreed on.
    pub context: Option<String>,
    /// `amr`: by which means (`pwd`, `otp`, `hwk` …).
    pub methods: Vec<String>,
    /// `auth_time`: when the user last actively authenticated.
    pub time: Option<SystemTime>,
}

/// One entry of `authorization_details` (RFC 9396): a right of a type that the API defines.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationDetail {
    pub(crate) kind: Box<str>,
    pub(crate) json: Box<str>,
}

/// An authorization detail that is not of the form its type should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an authorization detail does not decode as the wanted type")]
#[non_exhaustive]
pub struct InvalidDetail;

impl AuthorizationDetail {
    /// Its `type`. Compare it before anything else: the rest has a meaning only within a type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The whole entry as a type of yours. What does not decode grants nothing.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, InvalidDetail> {
        serde_json::from_str(&self.json).map_err(|_| InvalidDetail)
    }
}

impl fmt::Debug for AuthorizationDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationDetail")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A verified caller, the same whatever the mechanism. Read it from the request's extensions, or as an axum extractor.
///
/// Cloning costs two reference counts, and under an audit three. `Debug` shows who it is and what it may do; there is no credential in it.
///
/// It is found in the extensions only when somebody was authenticated; an anonymous caller has none.
#[derive(Clone)]
pub struct Principal {
    pub(crate) data: Arc<PrincipalData>,
    pub(crate) door: Arc<Door>,
    pub(crate) scheme: Scheme,
    /// Where `require` tells what it refused. `None` where nobody audits.
    pub(crate) trail: Option<Arc<Trail>>,
}

/// What is known of a caller, shared by every request that presents the same credential.
#[derive(Debug, Clone)]
pub(crate) struct PrincipalData {
    pub(crate) identity: Identity,
    pub(crate) client: Option<SharedStr>,
    pub(crate) scopes: ScopeSet,
    pub(crate) credential_id: Option<SharedStr>,
    pub(crate) actor: Option<Box<Actor>>,
    pub(crate) authentication: Option<Box<Authentication>>,
    pub(crate) details: Vec<AuthorizationDetail>,
    /// What the key's record names, to limit how often it may be used.
    pub(crate) plan: Option<Box<str>>,
    /// `token_version`, or what the issuer's `token_version_claim` names, for revocation.
    pub(crate) version: Option<u64>,
    pub(crate) issued_at: Option<SystemTime>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) claims: Option<Arc<dyn Any + Send + Sync>>,
    /// What who let the caller in wants to see again when the credential comes back.
    pub(crate) vouch: Option<Arc<dyn Any + Send + Sync>>,
}

impl PrincipalData {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            client: None,
            scopes: ScopeSet::empty(),
            credential_id: None,
            actor: None,
            authentication: None,
            details: Vec::new(),
            plan: None,
            version: None,
            issued_at: None,
            expires_at: None,
            claims: None,
            vouch: None,
        }
    }

    /// The credential's id, if the credential is of this method.
    pub(crate) fn credential_id_of(&self, method: Method) -> Option<&str> {
        self.credential_id
            .as_deref()
            .filter(|_| self.identity.method == method)
    }
}

impl Principal {
    pub(crate) fn new(data: Arc<PrincipalData>, door: Arc<Door>, scheme: Scheme) -> Self {
        Self {
            data,
            door,
            scheme,
            trail: None,
        }
    }

    pub(crate) fn on(self, trail: Option<Arc<Trail>>) -> Self {
        Self { trail, ..self }
    }

    /// Method, issuer and subject: what to key data by.
    pub fn identity(&self) -> &Identity {
        &self.data.identity
    }

    /// How the caller proved who it is.
    pub fn method(&self) -> Method {
        self.data.identity.method
    }

    /// The token's issuer; `None` for API keys.
    pub fn issuer(&self) -> Option<&str> {
        self.data.identity.issuer()
    }

    /// The token's `sub`, or the API key's owner. Not unique by itself: key data by [`identity`](Self::identity).
    pub fn subject(&self) -> Option<&str> {
        self.data.identity.subject()
    }

    /// The application that the token was issued to: `client_id`, or else `azp`, or else `appid`; or what the issuer's
    /// `client_claim` names.
    pub fn client(&self) -> Option<&str> {
        self.data.client.as_deref()
    }

    /// What the caller may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.data.scopes
    }

    /// Whether the caller holds this scope. To refuse with the right answer, use `require`.
    pub fn has(&self, scope: &Scope) -> bool {
        self.data.scopes.contains(scope)
    }

    /// The token's `jti`, or what the issuer's `token_id_claim` names, if it has one.
    pub fn token_id(&self) -> Option<&str> {
        self.data.credential_id_of(Method::Jwt)
    }

    /// The id of the API key's record, which is not the key.
    pub fn key_id(&self) -> Option<&str> {
        self.data.credential_id_of(Method::ApiKey)
    }

    /// The name of the plan in the API key's record, if it names one. `None` for tokens, whose plan is for you to tell:
    /// see `RateLimitsBuilder::plan_of`.
    pub fn plan(&self) -> Option<&str> {
        self.data.plan.as_deref()
    }

    /// Who acts for the subject, if somebody does (`act`).
    pub fn actor(&self) -> Option<&Actor> {
        self.data.actor.as_deref()
    }

    /// How and when the user authenticated, as far as the token tells (RFC 9068 section 2.2.1). `None` if it tells nothing.
    pub fn authentication(&self) -> Option<&Authentication> {
        self.data.authentication.as_deref()
    }

    /// The rights that the token spells out beside its scopes (RFC 9396 section 9.1); empty if there are none.
    pub fn authorization_details(&self) -> &[AuthorizationDetail] {
        &self.data.details
    }

    /// Whether a user is behind this, and not a client that acts for itself. See [`Identity::is_user`].
    pub fn is_user(&self) -> bool {
        self.data.identity.is_user()
    }

    /// When the token was issued (`iat`), or the key created.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.data.issued_at
    }

    /// When the credential expires. Tokens always do.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.data.expires_at
    }

    /// The token's claims as the type that its issuer declared with `claims::<C>()`. `None` for API keys, and where the
    /// token's issuer declared another type or none.
    pub fn claims<C: Send + Sync + 'static>(&self) -> Option<Claims<C>> {
        let any = Arc::clone(self.data.claims.as_ref()?);
        any.downcast::<C>().ok().map(Claims)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("identity", &self.data.identity)
            .field("client", &self.data.client)
            .field("scopes", &self.data.scopes)
            .field("credential_id", &self.data.credential_id)
            .finish_non_exhaustive()
    }
}

/// A token's claims as a type of your own, decoded once for each fresh token.
///
/// As an axum extractor it refuses with 403 a caller who has no such claims (an API key, a token of another issuer), and
/// with 500 where no issuer of the layer declared `C`. `Option<Claims<C>>` is `None` for callers of another kind.
#[derive(Debug)]
pub struct Claims<C>(Arc<C>);

impl<C> Clone for Claims<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for Claims<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// What an authentication layer tells those behind it, prepared once for each layer.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) challenges: Challenges,
    /// The answer to a request without a credential.
    pub(crate) plain: Vec<HeaderValue>,
    /// The types that the layer's issuers declared with `claims::<C>()`.
    pub(crate) claim_types: Vec<TypeId>,
}

impl Door {
    pub(crate) fn new(challenges: Challenges, claim_types: Vec<TypeId>) -> Self {
        Self {
            plain: challenges.plain(),
            challenges,
            claim_types,
        }
    }
}

/// The mark of an authentication that let an anonymous caller through.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous(pub(crate) Arc<Door>);

/// What the authentication in front left in the extensions: a [`Principal`] or the mark of an anonymous caller, exactly
/// one. `None`: there was no authentication in front, which is a wiring mistake.
#[derive(Debug)]
pub(crate) enum Caller<'r> {
    Known(&'r Principal),
    Anonymous(&'r Arc<Door>),
}

impl<'r> Caller<'r> {
    pub(crate) fn of(extensions: &'r Extensions) -> Option<Self> {
        match extensions.get::<Principal>() {
            Some(principal) => Some(Self::Known(principal)),
            None => extensions.get::<Anonymous>().map(|mark| Self::Anonymous(&mark.0)),
        }
    }
}
