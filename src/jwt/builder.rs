use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::issuer::{AcceptedScopes, ClaimsType, Issuer, Rules};
use super::names::Names;
use super::profile::Profile;
use super::rules::Audience;
use super::scopes::ScopeSource;
use super::tenants::{self, Tenants};
use crate::clock::{Clock, MOST_LEEWAY, SystemClock};
use crate::error::{ConfigError, Problems};
use crate::jwks::{Algorithm, Keys};
use crate::scope::Scope;

const LEEWAY: Duration = Duration::from_secs(30);

/// The builder's state before an audience was named: it cannot build.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NoAudience;

/// The builder's state after an audience was named.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WithAudience;

/// Builds an [`Issuer`]. Building opens no socket and reads no environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct IssuerBuilder<State> {
    settings: Settings,
    state: PhantomData<State>,
}

#[derive(Debug, Clone)]
struct Settings {
    name: String,
    audiences: Vec<Box<str>>,
    clients: Option<Vec<Box<str>>>,
    tenants: Option<Tenants>,
    subjects: Option<Names>,
    users: bool,
    client_claim: Option<&'static str>,
    token_id_claim: Option<&'static str>,
    token_version_claim: Option<&'static str>,
    keys: Option<Keys>,
    algorithms: Option<Vec<Algorithm>>,
    leeway: Duration,
    scopes: AcceptedScopes,
    scope_sources: Vec<ScopeSource>,
    profile: Profile,
    claims: Option<ClaimsType>,
    clock: Option<Arc<dyn Clock>>,
}

impl IssuerBuilder<NoAudience> {
    pub(super) fn new(name: String) -> Self {
        let settings = Settings {
            name,
            audiences: Vec::new(),
            clients: None,
            tenants: None,
            subjects: None,
            users: true,
            client_claim: None,
            token_id_claim: None,
            token_version_claim: None,
            keys: None,
            algorithms: None,
            leeway: LEEWAY,
            scopes: AcceptedScopes::Unnamed,
            scope_sources: vec![ScopeSource::scope()],
            profile: Profile::default(),
            claims: None,
            clock: None,
        };
        Self {
            settings,
            state: PhantomData,
        }
    }
}

impl<State> IssuerBuilder<State> {
    /// An audience that is this resource server: one of those named must be in a token's `aud`, compared to the letter.
    /// Say it again for a further one. Default: none, and without one there is no issuer, because a token that is meant
    /// for another service must not work here (RFC 9700 section 2.3).
    pub fn audience(mut self, audience: impl Into<String>) -> IssuerBuilder<WithAudience> {
        self.settings.audiences.push(audience.into().into());
        IssuerBuilder {
            settings: self.settings,
            state: PhantomData,
        }
    }

    /// Instead of an audience, for an issuer whose access tokens carry none (Amazon Cognito): the clients whose tokens are
    /// accepted. A token must then have `token_use` of `access`, a `client_id` that is one of these, and no `aud`. Default:
    /// not used, because `aud` says it better: a client may call several services, and its token works at all of them.
    pub fn clients_instead_of_audience<C: Into<String>>(
        mut self,
        clients: impl IntoIterator<Item = C>,
    ) -> IssuerBuilder<WithAudience> {
        let clients = clients.into_iter().map(|client| client.into().into());
        self.settings.clients = Some(clients.collect());
        IssuerBuilder {
            settings: self.settings,
            state: PhantomData,
        }
    }

    /// For an issuer of many tenants, whose name holds `{tenantid}`: the tenants that are trusted. A token's `iss` must be
    /// the name with one of them in that place, to the letter, and its claim `tid` must be the same tenant. The keys must be
    /// named, since each tenant has metadata of its own. Default: none, because a token of somebody else's tenant is
    /// somebody else's.
    pub fn tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.settings.tenants = Some(Tenants(Names::listed(tenants)));
        self
    }

    /// The same, for tenants that are not known when the service starts: `trusted` decides, and should have a list to look
    /// into. It sees letters, digits and hyphens, 64 at most. Default: none, as with [`tenants`](Self::tenants).
    pub fn tenants_where(mut self, trusted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.settings.tenants = Some(Tenants(Names::Judged(Arc::new(trusted))));
        self
    }

    /// The subjects whose tokens are accepted, compared to the letter; a token of anybody else, or of nobody, is refused.
    /// For an issuer that serves more than your users and writes a token for whatever audience its caller asks for: a
    /// cluster's service accounts, everybody's build jobs. Default: every subject, because the users of an issuer of your
    /// own are told apart by scopes.
    pub fn subjects<S: Into<String>>(mut self, subjects: impl IntoIterator<Item = S>) -> Self {
        self.settings.subjects = Some(Names::listed(subjects));
        self
    }

    /// The same, by a function, for subjects of which a part counts. It is asked when a token comes for the first time; a
    /// token that passed is remembered until it expires. Default: every subject, as with [`subjects`](Self::subjects).
    pub fn subjects_where(mut self, accepted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.settings.subjects = Some(Names::Judged(Arc::new(accepted)));
        self
    }

    /// Nobody of this issuer is a user: its subjects are programs (service accounts, build jobs), and
    /// `Principal::is_user` says so, which such tokens themselves do not. Default: a subject
    /// that is not the client is a user, because that is what access tokens tell (RFC 9068 section 5).
    pub fn without_users(mut self) -> Self {
        self.settings.users = false;
        self
    }

    /// The claim that names the client, where it is another one (`cid` of Okta), or where it must be there: a token without
    /// it is then refused, and so are ID tokens of an issuer that writes it into access tokens only (`azp` and `appid` of
    /// Entra ID). Default: `client_id`, or else `azp`, or else `appid`, and none of them required, because many issuers
    /// have no such claim.
    pub fn client_claim(mut self, claim: &'static str) -> Self {
        self.settings.client_claim = Some(claim);
        self
    }

    /// The claim that names a token, for `Principal::token_id` and for revocations: Entra ID
    /// has `uti`. Default: `jti`, because RFC 7519 section 4.1.7 says so.
    pub fn token_id_claim(mut self, claim: &'static str) -> Self {
        self.settings.token_id_claim = Some(claim);
        self
    }

    /// The claim that counts the versions of a subject's tokens, a whole number, for revocations by version. Default:
    /// `token_version`, because no standard has a word for it.
    pub fn token_version_claim(mut self, claim: &'static str) -> Self {
        self.settings.token_version_claim = Some(claim);
        self
    }

    /// Where the issuer's keys are. Default, with the `remote` feature: its metadata names them (RFC 8414, OpenID Connect
    /// Discovery), because then a key rotation needs nobody's hand.
    pub fn keys(mut self, keys: impl Into<Keys>) -> Self {
        self.settings.keys = Some(keys.into());
        self
    }

    /// The algorithms that are accepted from this issuer, and no others. Default: RS256, PS256, ES256, ES384 and `EdDSA`,
    /// because those are what issuers with public keys use; HS256 alone if the keys are a shared secret.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.settings.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How far the issuer's clock may be off, from 0 to 5 minutes, applied to `exp`, `nbf` and `iat`. Default: 30 s,
    /// because clocks that are kept by NTP differ by less, and every second of it is a second that a stolen token lives
    /// longer.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.leeway = leeway;
        self
    }

    /// The scopes that this issuer may grant; others in its tokens are dropped. Default: not named, because a single
    /// issuer grants everything; with several issuers each must name its own, so that a partner cannot mint your
    /// administrator's.
    pub fn accepted_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.settings.scopes = AcceptedScopes::Only(scopes.into_iter().collect());
        self
    }

    /// This issuer may grant every scope, also beside other issuers. Default: see
    /// [`accepted_scopes`](Self::accepted_scopes), because it should be said and not assumed.
    pub fn accept_any_scope(mut self) -> Self {
        self.settings.scopes = AcceptedScopes::Any;
        self
    }

    /// Where the scopes stand; the first place that is present counts. Default: `scope` alone, because that is where RFC
    /// 9068 has them, and a second place is a second way in.
    pub fn scopes_from(mut self, sources: impl IntoIterator<Item = ScopeSource>) -> Self {
        self.settings.scope_sources = sources.into_iter().collect();
        self
    }

    /// Which tokens count as access tokens. Default: [`Profile::default`], because many issuers do not follow RFC 9068.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// A type of yours for this issuer's claims, decoded once for each fresh token; a token that does not decode as it is
    /// refused. Default: none, because most services need scopes only.
    pub fn claims<C: DeserializeOwned + Send + Sync + 'static>(mut self) -> Self {
        fn decode<C: DeserializeOwned + Send + Sync + 'static>(
            payload: &[u8],
        ) -> serde_json::Result<Arc<dyn Any + Send + Sync>> {
            serde_json::from_slice::<C>(payload).map(|claims| Arc::new(claims) as Arc<dyn Any + Send + Sync>)
        }
        self.settings.claims = Some(ClaimsType {
            id: TypeId::of::<C>(),
            decode: decode::<C>,
        });
        self
    }

    /// Who tells the time. Default: [`SystemClock`], because tests are the exception.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Some(Arc::new(clock));
        self
    }
}

impl IssuerBuilder<WithAudience> {
    /// The issuer, or everything that is wrong with its settings.
    pub fn build(self) -> Result<Issuer, ConfigError> {
        let mut settings = self.settings;
        let mut problems = Problems::default();
        let keys = match settings.keys.take() {
            None if settings.tenants.is_none() => default_keys(&settings.name),
            given => given,
        };
        if keys.is_none() {
            problems.add(
                "keys",
                "none are given, and they cannot be discovered for many tenants or without `remote`",
            );
        }
        let defaults = || keys.as_ref().map(Keys::default_algorithms).unwrap_or_default();
        let algorithms = settings.algorithms.take().unwrap_or_else(defaults);
        settings.check(&mut problems);
        if algorithms.is_empty() && keys.is_some() {
            problems.add("algorithms", "an empty list accepts no token");
        }
        if let Some(keys) = &keys {
            keys.check(&algorithms, &mut problems);
        }
        settings.finish(keys, algorithms, problems)
    }
}

impl Settings {
    fn check(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.add("issuer", "an empty name is no issuer's");
        }
        let mut names = self.audiences.iter().chain(self.clients.iter().flatten());
        if names.any(|name| name.is_empty()) {
            problems.add("audience", "an empty name is no resource server's");
        }
        match &self.clients {
            Some(clients) if clients.is_empty() => {
                problems.add("clients_instead_of_audience", "an empty list accepts no token");
            }
            Some(_) if !self.audiences.is_empty() => {
                problems.add(
                    "clients_instead_of_audience",
                    "there is an audience as well; only one of them can count",
                );
            }
            _ => {}
        }
        if self.scope_sources.is_empty() {
            problems.add(
                "scopes_from",
                "without a place to read from, every token is without scopes",
            );
        }
        if self.subjects.as_ref().is_some_and(Names::are_none) {
            problems.add("subjects", "an empty list accepts no token");
        }
        for (setting, claim) in [
            ("client_claim", self.client_claim),
            ("token_id_claim", self.token_id_claim),
            ("token_version_claim", self.token_version_claim),
        ] {
            if claim == Some("") {
                problems.add(setting, "a claim without a name is nobody's");
            }
        }
        tenants::check(&self.name, self.tenants.as_ref(), problems);
        if self.leeway > MOST_LEEWAY {
            problems.add(
                "leeway",
                format!("{:?} is more than {MOST_LEEWAY:?}", self.leeway),
            );
        }
        if matches!(&self.scopes, AcceptedScopes::Only(scopes) if scopes.is_empty()) {
            problems.add("accepted_scopes", "an empty list drops every scope");
        }
    }

    fn finish(
        self,
        keys: Option<Keys>,
        algorithms: Vec<Algorithm>,
        problems: Problems,
    ) -> Result<Issuer, ConfigError> {
        let name: Arc<str> = self.name.into();
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let provider = keys.and_then(|keys| keys.provider(&name, &clock));
        problems.into_result()?;
        let provider = provider
            .ok_or_else(|| ConfigError::one("keys", "the secret is too short for every algorithm"))?;
        let rules = Rules {
            name,
            audience: self
                .clients
                .map_or(Audience::Named(self.audiences), Audience::Clients),
            tenants: self.tenants,
            subjects: self.subjects,
            users: self.users,
            client_claim: self.client_claim,
            token_id_claim: self.token_id_claim,
            token_version_claim: self.token_version_claim,
            scope_sources: self.scope_sources,
            algorithms,
            leeway: self.leeway,
            scopes: self.scopes,
            profile: self.profile,
            claims: self.claims,
            clock,
        };
        Ok(Issuer {
            rules: Arc::new(rules),
            keys: provider,
        })
    }
}

#[cfg(feature = "remote")]
#[allow(
    clippy::unnecessary_wraps,
    reason = "without the feature there are none, and both have one caller"
)]
fn default_keys(issuer: &str) -> Option<Keys> {
    Some(crate::jwks::RemoteKeys::discover(issuer).into())
}

#[cfg(not(feature = "remote"))]
fn default_keys(_: &str) -> Option<Keys> {
    None
}
