//! Issuers of many tenants, whose name holds the tenant's: `https://login.microsoftonline.com/{tenantid}/v2.0`.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::Problems;

const PLACEHOLDER: &str = "{tenantid}";
const LONGEST_TENANT: usize = 64;

/// Which tenants are trusted.
#[derive(Clone)]
pub(super) enum Tenants {
    Listed(HashSet<String>),
    Judged(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Tenants {
    fn trusts(&self, tenant: &str) -> bool {
        match self {
            Self::Listed(tenants) => tenants.contains(tenant),
            Self::Judged(trusted) => trusted(tenant),
        }
    }

    /// The trusted tenant whose name, put in the place of the placeholder, makes exactly this issuer.
    pub(super) fn of<'i>(&self, template: &str, issuer: &'i str) -> Option<&'i str> {
        let (before, after) = template.split_once(PLACEHOLDER)?;
        let tenant = issuer.strip_prefix(before)?.strip_suffix(after)?;
        let is_name = tenant
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let fits = is_name && (1..=LONGEST_TENANT).contains(&tenant.len());
        (fits && self.trusts(tenant)).then_some(tenant)
    }
}

/// What is wrong with an issuer's name and its tenants together.
pub(super) fn check(name: &str, tenants: Option<&Tenants>, problems: &mut Problems) {
    match (name.matches(PLACEHOLDER).count(), tenants) {
        (0, Some(_)) => problems.add(
            "tenants",
            format!("{name:?} has no {PLACEHOLDER} to put them into"),
        ),
        (1, Some(Tenants::Listed(tenants))) if tenants.is_empty() => {
            problems.add("tenants", "none is trusted");
        }
        (0, None) | (1, Some(_)) => {}
        (1, None) => problems.add(
            "tenants",
            format!("{name:?} is for many, and which are trusted is not said"),
        ),
        _ => problems.add("issuer", format!("{name:?} holds {PLACEHOLDER} more than once")),
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(tenants) => f.debug_set().entries(tenants).finish(),
            Self::Judged(_) => f.write_str("judged by a function"),
        }
    }
}
