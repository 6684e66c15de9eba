use std::any::TypeId;
use std::borrow::Cow;
use std::collections::HashMap;
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
    by_name: HashMap<Arc<str>, Issuer>,
    /// Those of many tenants, whose name is a template.
    of_tenants: Vec<Issuer>,
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
        let mut by_name = HashMap::new();
        let several = issuers.len() > 1;
        if issuers.is_empty() {
            problems.add("issuers", "none is trusted, so every token would be refused");
        }
        for issuer in issuers {
            let name = Arc::clone(&issuer.rules.name);
            if several && !issuer.names_its_scopes() {
                problems.add(
                    "accepted_scopes",
                    format!("{name:?} is one of several issuers and its scopes are not named"),
                );
            }
            if by_name.insert(Arc::clone(&name), issuer).is_some() {
                problems.add("issuers", format!("{name:?} is named twice"));
            }
        }
        problems.into_result()?;
        Ok(Self::of(by_name))
    }

    /// Loads the keys of every issuer now; the first that fails is told.
    pub async fn warm_up(&self) -> Result<(), AuthError> {
        for issuer in self.0.by_name.values() {
            issuer.warm_up().await?;
        }
        Ok(())
    }

    /// These issuers, and those that a resolver finds for names that are not among them. It is an error to leave open which
    /// scopes the ones that are known may grant.
    #[cfg(feature = "remote")]
    pub fn or_resolved(self, resolved: ResolvedIssuers) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        for issuer in self.0.by_name.values() {
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
            by_name: self.0.by_name.clone(),
            of_tenants: self.0.of_tenants.clone(),
            resolved: Some(resolved.start()),
        })))
    }

    /// The issuers that are configured, in no order; for a health page, say, that shows the state of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.by_name.values()
    }

    fn of(by_name: HashMap<Arc<str>, Issuer>) -> Self {
        let of_tenants = by_name
            .values()
            .filter(|issuer| issuer.rules.tenants.is_some())
            .cloned()
            .collect();
        Self(Arc::new(Inner {
            by_name,
            of_tenants,
            #[cfg(feature = "remote")]
            resolved: None,
        }))
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

    /// Whether what this issuer verified still counts: one that was found at run time may be gone.
    #[cfg_attr(
        not(feature = "remote"),
        allow(
            unused_variables,
            clippy::unused_self,
            reason = "issuers that are configured stay"
        )
    )]
    pub(super) fn trusts(&self, issuer: &Issuer) -> bool {
        #[cfg(feature = "remote")]
        if let Some(resolved) = &self.0.resolved
            && self.configured(issuer.name()).is_none()
        {
            return resolved.trusts(issuer);
        }
        true
    }

    /// The configured issuer of this name, compared to the letter (RFC 7519 section 7.3). A template is nobody's name.
    fn configured(&self, name: &str) -> Option<&Issuer> {
        let named = self
            .0
            .by_name
            .get(name)
            .filter(|issuer| issuer.rules.tenants.is_none());
        let of_tenant = || self.0.of_tenants.iter().find(|issuer| issuer.is_of_tenant(name));
        named.or_else(of_tenant)
    }

    pub(super) fn claim_types(&self) -> Vec<TypeId> {
        self.0
            .by_name
            .values()
            .filter_map(|issuer| issuer.rules.claims.map(|claims| claims.id))
            .collect()
    }
}

impl From<Issuer> for TrustedIssuers {
    fn from(issuer: Issuer) -> Self {
        Self::of(HashMap::from([(Arc::clone(&issuer.rules.name), issuer)]))
    }
}

#[cfg(feature = "remote")]
impl From<ResolvedIssuers> for TrustedIssuers {
    fn from(resolved: ResolvedIssuers) -> Self {
        Self(Arc::new(Inner {
            by_name: HashMap::new(),
            of_tenants: Vec::new(),
            resolved: Some(resolved.start()),
        }))
    }
}
