use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use super::issuer::{AcceptedScopes, Issuer};
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
            if several && matches!(issuer.rules.scopes, AcceptedScopes::Unnamed) {
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

    fn of(by_name: HashMap<Arc<str>, Issuer>) -> Self {
        let of_tenants = by_name
            .values()
            .filter(|issuer| issuer.rules.tenants.is_some())
            .cloned()
            .collect();
        Self(Arc::new(Inner { by_name, of_tenants }))
    }

    /// The configured issuer of this name, compared to the letter (RFC 7519 section 7.3). A template is nobody's name.
    pub(super) fn get(&self, name: &str) -> Result<&Issuer, AuthError> {
        let named = self
            .0
            .by_name
            .get(name)
            .filter(|issuer| issuer.rules.tenants.is_none());
        let of_tenant = || self.0.of_tenants.iter().find(|issuer| issuer.is_of_tenant(name));
        named.or_else(of_tenant).ok_or(AuthError::IssuerUnknown)
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
