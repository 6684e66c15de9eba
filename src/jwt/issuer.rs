use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::builder::{IssuerBuilder, NoAudience};
use super::claims::{self, Claims};
use super::client;
use super::json::{NumericDate, Text};
use super::marks;
use super::names::Names;
use super::profile::Profile;
use super::rules::{self, Audience, Times};
use super::scopes::ScopeSource;
use super::tenants::{self, Tenants};
use super::token::{UnverifiedToken, VerifiedToken};
use crate::clock::Clock;
use crate::error::AuthError;
use crate::jwks::{Algorithm, KeyProvider, KeySet, KeyStatus};
use crate::principal::{Actor, Authentication, AuthorizationDetail, Identity, Method, PrincipalData};
use crate::scope::{Scope, ScopeSet};
use crate::shared_text::SharedText;

/// A party whose tokens are trusted: its name, its keys, its algorithms, and for which audience it may speak.
///
/// Clones and the variants of [`with_profile`](Self::with_profile) share one set of keys, so several layers never fetch
/// twice.
#[derive(Clone)]
pub struct Issuer {
    pub(super) rules: Arc<Rules>,
    pub(super) keys: Arc<dyn KeyProvider>,
}

#[derive(Clone)]
pub(super) struct Rules {
    pub(super) name: Arc<str>,
    pub(super) audience: Audience,
    pub(super) tenants: Option<Tenants>,
    pub(super) subjects: Option<Names>,
    pub(super) users: bool,
    pub(super) client_claim: Option<&'static str>,
    pub(super) token_id_claim: Option<&'static str>,
    pub(super) token_version_claim: Option<&'static str>,
    pub(super) scope_sources: Vec<ScopeSource>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) leeway: Duration,
    pub(super) scopes: AcceptedScopes,
    pub(super) profile: Profile,
    pub(super) claims: Option<ClaimsType>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Which of a token's scopes count.
#[derive(Debug, Clone)]
pub(super) enum AcceptedScopes {
    /// Nothing was said: all, and only allowed where the issuer is the only one.
    Unnamed,
    Any,
    Only(Vec<Scope>),
}

/// The user's type for claims, behind one function.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimsType {
    pub(super) id: TypeId,
    pub(super) decode: fn(&[u8]) -> serde_json::Result<Arc<dyn Any + Send + Sync>>,
}

/// A token that passed everything, and the dates that must be looked at again whenever it comes.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) data: PrincipalData,
    pub(super) times: Times,
}

impl Issuer {
    /// Starts an issuer. `name` is its identifier, to the letter as it stands in its tokens' `iss`.
    ///
    /// ```
    /// use tower_resource_server::Issuer;
    ///
    /// let issuer = Issuer::builder("https://login.example.com/").audience("https://api.example.com").build()?;
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    ///
    /// An issuer without an audience does not build: a token that was meant for somebody else would be accepted.
    ///
    /// ```compile_fail
    /// use tower_resource_server::Issuer;
    ///
    /// let issuer = Issuer::builder("https://login.example.com/").build();
    /// ```
    pub fn builder(name: impl Into<String>) -> IssuerBuilder<NoAudience> {
        IssuerBuilder::new(name.into())
    }

    /// The issuer's identifier.
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// The same issuer over the same keys, with another profile for another layer.
    #[must_use]
    pub fn with_profile(&self, profile: Profile) -> Self {
        self.with(|rules| rules.profile = profile)
    }

    /// The same issuer over the same keys, for another audience: another resource on the same server.
    #[must_use]
    pub fn with_audience(&self, audience: impl Into<String>) -> Self {
        self.with(|rules| rules.audience = Audience::Named(vec![audience.into().into()]))
    }

    fn with(&self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::clone(&self.rules);
        change(&mut rules);
        Self {
            rules: Arc::new(rules),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Loads the keys now, for a service that would rather fail at its start than at its first request; waits for 15 s at
    /// most. Fixed keys are always there.
    pub async fn warm_up(&self) -> Result<(), AuthError> {
        self.keys.warm_up().await
    }

    /// How the keys are, for a health page. Costs a short lock, so it is not for every request.
    pub fn key_status(&self) -> KeyStatus {
        self.keys.status()
    }

    /// Whether its owner said which of its scopes count.
    pub(super) fn names_its_scopes(&self) -> bool {
        !matches!(self.rules.scopes, AcceptedScopes::Unnamed)
    }

    /// Whether this is the very same issuer, not only an equal one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }

    /// The principal of a token, if the token passes everything: type, algorithm, key, signature, rules, claims type.
    pub(super) fn judge(&self, token: &UnverifiedToken<'_>, keys: &KeySet) -> Result<Judged, AuthError> {
        let rules = &*self.rules;
        self.check_header(token)?;
        let token = token.verify(&rules.algorithms, keys)?;
        let claims = token.claims();
        rules.profile.check_claims(claims)?;
        self.check_tenant(&token)?;
        rules::audience(claims, &rules.audience)?;
        rules::subject(claims, rules.subjects.as_ref())?;
        let times = Times::of(claims)?;
        self.check_times(times)?;
        Ok(Judged {
            data: self.principal(&token)?,
            times,
        })
    }

    /// What can be refused before any key is looked for, so that such a token makes nobody fetch one: its type, and an
    /// algorithm that is not in the list (RFC 8725 section 3.1).
    pub(super) fn check_header(&self, token: &UnverifiedToken<'_>) -> Result<(), AuthError> {
        self.rules.profile.check_header(token.header())?;
        token.check_algorithm(&self.rules.algorithms)
    }

    pub(super) fn check_times(&self, times: Times) -> Result<(), AuthError> {
        // A clock before 1970 is broken; it must not make every token young.
        let now = self
            .rules
            .clock
            .now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| AuthError::TokenNotYetValid)?;
        times.check(now, self.rules.leeway)
    }

    /// Whether `name` is this issuer's for one of its trusted tenants.
    pub(super) fn is_of_tenant(&self, name: &str) -> bool {
        self.rules
            .tenants
            .as_ref()
            .is_some_and(|tenants| tenants.of(&self.rules.name, name).is_some())
    }

    /// The tenant in the issuer's name is the one that the token was issued for, and the key signs for it.
    fn check_tenant(&self, token: &VerifiedToken<'_>) -> Result<(), AuthError> {
        let Some(tenants) = &self.rules.tenants else {
            return Ok(());
        };
        let claims = token.claims();
        let issuer = claims.iss.as_ref().ok_or(AuthError::ClaimMissing("iss"))?;
        let tenant = tenants
            .of(&self.rules.name, &issuer.0)
            .ok_or(AuthError::IssuerUnknown)?;
        let issued_for = claims.tid.as_ref().ok_or(AuthError::ClaimMissing("tid"))?;
        if issued_for.as_str() != Some(tenant) {
            return Err(AuthError::IssuerUnknown);
        }
        if tenants::key_serves(token.key(), &issuer.0, tenant) {
            Ok(())
        } else {
            Err(AuthError::SigningKeyForeign)
        }
    }

    fn principal(&self, token: &VerifiedToken<'_>) -> Result<PrincipalData, AuthError> {
        let claims = token.claims();
        let client = client::client(claims, token.payload(), self.rules.client_claim)?;
        // One allocation for all of them.
        let mut words = SharedText::default();
        let subject = claims.sub.as_ref().map(|sub| words.add(&sub.0));
        let client_part = client.as_deref().map(|client| words.add(client));
        let token_id = marks::token_id(claims, token.payload(), self.rules.token_id_claim)?;
        let token_id = token_id.map(|id| words.add(&id));
        let scopes = ScopeSource::write(
            &self.rules.scope_sources,
            claims,
            token.payload(),
            |word| self.accepts(word),
            &mut words,
        )?;
        let words = words.finish();
        Ok(PrincipalData {
            identity: Identity {
                method: Method::Jwt,
                user: self.rules.users && client::is_user(claims, client.as_deref()),
                issuer: Some(self.name_for(claims)),
                subject: subject.map(|part| words.part(part)),
            },
            client: client_part.map(|part| words.part(part)),
            credential_id: token_id.map(|part| words.part(part)),
            scopes: ScopeSet::of_words(words.part(scopes)),
            actor: claims.act.as_ref().map(|act| Box::new(actor(act))),
            authentication: authentication(claims).map(Box::new),
            details: claims
                .authorization_details
                .iter()
                .flatten()
                .map(detail)
                .collect(),
            plan: None,
            version: marks::version(claims, token.payload(), self.rules.token_version_claim)?,
            issued_at: claims.iat.map(date),
            expires_at: claims.exp.map(date),
            claims: self.custom_claims(token)?,
            vouch: None,
        })
    }

    /// The issuer of a principal: of many tenants, the one that its token names.
    fn name_for(&self, claims: &Claims<'_>) -> Arc<str> {
        match (&self.rules.tenants, &claims.iss) {
            (Some(_), Some(Text(issuer))) => Arc::from(&**issuer),
            _ => Arc::clone(&self.rules.name),
        }
    }

    /// Whether this issuer may grant the scope.
    pub(super) fn accepts(&self, word: &str) -> bool {
        match &self.rules.scopes {
            AcceptedScopes::Unnamed | AcceptedScopes::Any => true,
            AcceptedScopes::Only(accepted) => accepted.iter().any(|scope| scope.as_str() == word),
        }
    }

    fn custom_claims(
        &self,
        token: &VerifiedToken<'_>,
    ) -> Result<Option<Arc<dyn Any + Send + Sync>>, AuthError> {
        let Some(wanted) = &self.rules.claims else {
            return Ok(None);
        };
        (wanted.decode)(token.payload())
            .map(Some)
            .map_err(|error| AuthError::ClaimsUndecodable(speakable(&error)))
    }
}

/// What may be said of claims that do not decode: the name of a missing field is the type's own; anything else could
/// repeat what stands in the token.
fn speakable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field `") {
        text
    } else {
        "a member is of another type".to_owned()
    }
}

fn authentication(claims: &Claims<'_>) -> Option<Authentication> {
    if claims.acr.is_none() && claims.amr.is_none() && claims.auth_time.is_none() {
        return None;
    }
    let methods = claims.amr.iter().flatten();
    Some(Authentication {
        context: claims.acr.as_ref().map(|acr| acr.0.clone().into_owned()),
        methods: methods.map(|method| method.0.clone().into_owned()).collect(),
        time: claims.auth_time.map(date),
    })
}

fn detail(detail: &claims::Detail<'_>) -> AuthorizationDetail {
    AuthorizationDetail {
        kind: Box::from(&*detail.kind.0),
        json: Box::from(detail.json.get()),
    }
}

fn actor(act: &claims::Actor<'_>) -> Actor {
    let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.0.clone().into_owned());
    Actor {
        subject: owned(&act.sub),
        issuer: owned(&act.iss),
        client: owned(&act.client_id),
    }
}

fn date(date: NumericDate) -> SystemTime {
    UNIX_EPOCH + date.0
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.rules.name)
            .field("audience", &self.rules.audience)
            .field("algorithms", &self.rules.algorithms)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
