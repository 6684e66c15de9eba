use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::builder::{IssuerBuilder, NoAudience};
use super::claims::{self, Claims};
use super::json::{NumericDate, Text};
use super::profile::Profile;
use super::rules;
use super::token::{UnverifiedToken, VerifiedToken};
use crate::authenticator::Judgement;
use crate::clock::Clock;
use crate::error::AuthError;
use crate::jwks::{Algorithm, KeyProvider, KeySet, Lookup};
use crate::principal::{Actor, Identity, Method, PrincipalData};
use crate::scope::{Scope, ScopeSet};

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
    pub(super) audiences: Vec<Box<str>>,
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
        self.with(|rules| rules.audiences = vec![audience.into().into()])
    }

    fn with(&self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::clone(&self.rules);
        change(&mut rules);
        Self {
            rules: Arc::new(rules),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Loads the keys now, for a service that would rather fail at its start than at its first request. Fixed keys are
    /// always there.
    pub async fn warm_up(&self) -> Result<(), AuthError> {
        match self.keys.current() {
            Lookup::Ready(_) => Ok(()),
            Lookup::Wait(loading) => loading.await.map(drop),
            Lookup::Refused(error) => Err(error),
        }
    }

    /// The principal of a token, if the token passes everything: type, algorithm, key, signature, rules, claims type.
    pub(super) fn judge(&self, token: UnverifiedToken<'_>, keys: &KeySet) -> Judgement {
        let rules = &*self.rules;
        rules.profile.check_header(token.header())?;
        let token = token.verify(&rules.algorithms, keys)?;
        let claims = token.claims();
        rules.profile.check_claims(claims)?;
        rules::audience(claims, &rules.audiences)?;
        // A clock before 1970 is broken; it must not make every token young.
        let now = rules
            .clock
            .now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| AuthError::TokenNotYetValid)?;
        rules::times(claims, now, rules.leeway)?;
        self.principal(&token)
    }

    fn principal(&self, token: &VerifiedToken<'_>) -> Judgement {
        let claims = token.claims();
        let subject = claims.sub.as_ref().map(|sub| Arc::from(&*sub.0));
        let issuer = Some(Arc::clone(&self.rules.name));
        Ok(Arc::new(PrincipalData {
            identity: Identity {
                method: Method::Jwt,
                issuer,
                subject,
            },
            client: boxed(claims.client_id.as_ref().or(claims.azp.as_ref())),
            scopes: self.scopes(claims),
            credential_id: boxed(claims.jti.as_ref()),
            actor: claims.act.as_ref().map(|act| Box::new(actor(act))),
            issued_at: claims.iat.map(date),
            expires_at: claims.exp.map(date),
            claims: self.custom_claims(token)?,
        }))
    }

    fn scopes(&self, claims: &Claims<'_>) -> ScopeSet {
        let text = claims.scope.as_ref().map(|scope| &*scope.0);
        ScopeSet::parse(text.into_iter(), |word| match &self.rules.scopes {
            AcceptedScopes::Unnamed | AcceptedScopes::Any => true,
            AcceptedScopes::Only(accepted) => accepted.iter().any(|scope| scope.as_str() == word),
        })
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

fn boxed(text: Option<&Text<'_>>) -> Option<Box<str>> {
    text.map(|text| Box::from(&*text.0))
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
            .field("audiences", &self.rules.audiences)
            .field("algorithms", &self.rules.algorithms)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
