//! Issuers of many tenants, whose name holds the tenant's: `https://login.microsoftonline.com/{tenantid}/v2.0`.

use super::names::Names;
use crate::error::Problems;
use crate::jwks::PublishedKey;

const PLACEHOLDER: &str = "{tenantid}";
const LONGEST_TENANT: usize = 64;

/// Which tenants are trusted.
#[derive(Debug, Clone)]
pub(super) struct Tenants(pub(super) Names);

impl Tenants {
    /// The trusted tenant whose name, put in the place of the placeholder, makes exactly this issuer.
    pub(super) fn of<'i>(&self, template: &str, issuer: &'i str) -> Option<&'i str> {
        let (before, after) = template.split_once(PLACEHOLDER)?;
        let tenant = issuer.strip_prefix(before)?.strip_suffix(after)?;
        let is_name = tenant
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let fits = is_name && (1..=LONGEST_TENANT).contains(&tenant.len());
        (fits && self.0.contain(tenant)).then_some(tenant)
    }
}

/// Whether a key may sign for this tenant's issuer. Tenants share a document of keys, which can say of each whose tokens
/// it signs: one issuer's, or by the placeholder every tenant's. A key of one tenant must not make tokens of another.
pub(super) fn key_serves(key: &PublishedKey, issuer: &str, tenant: &str) -> bool {
    let serves = |named: &str| match named.split_once(PLACEHOLDER) {
        Some((before, after)) => issuer
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|name| name == tenant),
        None => named == issuer,
    };
    key.issuers()
        .is_none_or(|issuers| issuers.iter().any(|named| serves(named)))
}

/// What is wrong with an issuer's name and its tenants together.
pub(super) fn check(name: &str, tenants: Option<&Tenants>, problems: &mut Problems) {
    match (name.matches(PLACEHOLDER).count(), tenants) {
        (0, Some(_)) => problems.add(
            "tenants",
            format!("{name:?} has no {PLACEHOLDER} to put them into"),
        ),
        (1, Some(tenants)) if tenants.0.are_none() => {
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
