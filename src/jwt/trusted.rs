use std::any::TypeId;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::issuer::Issuer;
#[cfg(feature = "remote")]
use super::{
    resolved::{Known, Resolved},
    resolver::ResolvedIssuers,
};
use crate::authenticator::BoxFuture;
use crate::error::{AuthError, ConfigError, Problems};

/// The issuers whose tokens a layer accepts, each with its own keys, algorithms, audience and scopes. A key of one never
/// verifies a token of another.
///
/// ```
/// use tower_resource_server::{Issuer, JwtLayer, Scope, TrustedIssuers};
///
/// let api = "https://api.example.com";
/// let staff = Issuer::builder("https://login.example.com/").audience(api).accept_any_scope().build()?;
/// let partners = Issuer::builder("https://partner.example/")
///     .audience(api)
///     .accepted_scopes([Scope::from_static("orders:read")])
///     .build()?;
/// let jwt = JwtLayer::new(TrustedIssuers::new([staff, partners])?);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedIssuers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Those that are configured, each at a place that it keeps.
    issuers: Vec<Issuer>,
    by_name: HashMap<Arc<str>, usize>,
    /// Those of many tenants, whose name is a template.
    of_tenants: Vec<usize>,
    /// Those that are found at run time.
    #[cfg(feature = "remote")]
    resolved: Option<Resolved>,
}

/// An issuer by its name.
pub(super) enum Found<'i> {
    Here(Cow<'i, Issuer>),
    #[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "nothing is looked up"))]
    Wait(BoxFuture<Result<Issuer, AuthError>>),
    Refused(AuthError),
}

impl TrustedIssuers {
    /// Several issuers. It is an error to name one twice, to name none, or to leave open which scopes one of several may
    /// grant.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, ConfigError> {
        let issuers: Vec<Issuer> = issuers.into_iter().collect();
        let mut problems = Problems::default();
        let mut names = HashSet::new();
        let several = issuers.len() > 1;
        if issuers.is_empty() {
            problems.add("issuers", "none is trusted, so every token would be refused");
        }
        for issuer in &issuers {
            let name = issuer.name();
            if several && !issuer.names_its_scopes() {
                problems.add(
                    "accepted_scopes",
                    format!("{name:?} is one of several issuers and its scopes are not named"),
                );
            }
            if !names.insert(name) {
                problems.add("issuers", format!("{name:?} is named twice"));
            }
        }
        problems.into_result()?;
        Ok(Self::of(issuers))
    }

    /// Loads the keys of every issuer now; the first that fails is told.
    pub async fn warm_up(&self) -> Result<(), AuthError> {
        for issuer in &self.0.issuers {
            issuer.warm_up().await?;
        }
        Ok(())
    }

    /// These issuers, and those that a resolver finds for names that are not among them. It is an error to leave open which
    /// scopes the ones that are known may grant.
    #[cfg(feature = "remote")]
    pub fn or_resolved(self, resolved: ResolvedIssuers) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        for issuer in &self.0.issuers {
            if !issuer.names_its_scopes() {
                problems.add(
                    "accepted_scopes",
                    format!(
                        "{:?} is not the only issuer and its scopes are not named",
                        issuer.name()
                    ),
                );
            }
        }
        problems.into_result()?;
        Ok(Self(Arc::new(Inner {
            resolved: Some(resolved.start()),
            ..Inner::of(self.0.issuers.clone())
        })))
    }

    /// The issuers that are configured; for a health page, say, that shows the state of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.issuers.iter()
    }

    fn of(issuers: Vec<Issuer>) -> Self {
        Self(Arc::new(Inner::of(issuers)))
    }

    /// The configured issuer at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Issuer> {
        self.0.issuers.get(place)
    }

    /// The place of this very issuer, if it is configured.
    pub(super) fn place_of(&self, issuer: &Issuer) -> Option<usize> {
        let place = *self.0.by_name.get(issuer.name())?;
        self.at(place).filter(|mine| mine.is(issuer)).map(|_| place)
    }

    /// The issuer of this name. Those that are configured come first.
    pub(super) fn find(&self, name: &str) -> Found<'_> {
        if let Some(issuer) = self.configured(name) {
            return Found::Here(Cow::Borrowed(issuer));
        }
        #[cfg(feature = "remote")]
        if let Some(resolved) = &self.0.resolved {
            return match resolved.find(name) {
                Known::Here(issuer) => Found::Here(Cow::Owned(issuer)),
                Known::Wait(looking) => Found::Wait(looking),
                Known::Refused(error) => Found::Refused(error),
            };
        }
        Found::Refused(AuthError::IssuerUnknown)
    }

    /// Whether what this issuer verified still counts, which was found at run time and may be gone.
    #[cfg(feature = "remote")]
    pub(super) fn still_finds(&self, issuer: &Issuer) -> bool {
        let resolved = self.0.resolved.as_ref();
        resolved.is_some_and(|resolved| resolved.trusts(issuer))
    }

    /// The configured issuer of this name, compared to the letter (RFC 7519 section 7.3). A template is nobody's name.
    fn configured(&self, name: &str) -> Option<&Issuer> {
        let inner = &*self.0;
        let named = inner.by_name.get(name).and_then(|place| self.at(*place));
        let of_tenants = || inner.of_tenants.iter().filter_map(|place| self.at(*place));
        named
            .filter(|issuer| issuer.rules.tenants.is_none())
            .or_else(|| of_tenants().find(|issuer| issuer.is_of_tenant(name)))
    }

    pub(super) fn claim_types(&self) -> Vec<TypeId> {
        self.iter()
            .filter_map(|issuer| issuer.rules.claims.map(|claims| claims.id))
            .collect()
    }
}

impl Inner {
    fn of(issuers: Vec<Issuer>) -> Self {
        let places = || issuers.iter().enumerate();
        Self {
            by_name: places()
                .map(|(place, issuer)| (Arc::clone(&issuer.rules.name), place))
                .collect(),
            of_tenants: places()
                .filter(|(_, issuer)| issuer.rules.tenants.is_some())
                .map(|(place, _)| place)
                .collect(),
            issuers,
            #[cfg(feature = "remote")]
            resolved: None,
        }
    }
}

impl From<Issuer> for TrustedIssuers {
    fn from(issuer: Issuer) -> Self {
        Self::of(vec![issuer])
    }
}

#[cfg(feature = "remote")]
impl From<ResolvedIssuers> for TrustedIssuers {
    fn from(resolved: ResolvedIssuers) -> Self {
        Self(Arc::new(Inner {
            resolved: Some(resolved.start()),
            ..Inner::of(Vec::new())
        }))
    }
}
