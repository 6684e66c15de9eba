//! In which check a refusal happened. The judge says why it refused; some reasons are common to several checks, and of those
//! it is the first that fails by itself, since the judge stopped there.

use super::super::claims::Claims;
use super::super::issuer::Issuer;
use super::super::scopes::ScopeSource;
use super::super::trusted::{Found, TrustedIssuers};
use super::super::{client, marks, rules};
use super::reading::Reading;
use super::step::{ORDER, Step};
use crate::error::AuthError;
use crate::shared_text::SharedText;

/// The place of the check in [`ORDER`].
pub(super) fn blamed(error: &AuthError, issuer: &Issuer, reading: &Reading<'_>) -> Option<usize> {
    let places = ORDER.iter().enumerate();
    let mut possible = places.filter(|(_, (_, _, reasons))| reasons.contains(&error.reason()));
    let last = possible.clone().next_back();
    let first = possible.find(|(_, (step, ..))| fails(*step, issuer, reading));
    first.or(last).map(|(place, _)| place)
}

/// Whether one of the checks that share a reason with others fails.
fn fails(step: Step, issuer: &Issuer, reading: &Reading<'_>) -> bool {
    match (step, &reading.header, &reading.claims) {
        (Step::Header, header, _) => header.is_none(),
        (Step::Limits, Some(header), _) => header.kid_is_too_long() || header.is_nested(),
        (Step::Claims, _, claims) => claims.is_none(),
        (step, _, Some(claims)) => fails_by_claims(step, issuer, claims, reading.decoded.payload()),
        _ => false,
    }
}

fn fails_by_claims(step: Step, issuer: &Issuer, claims: &Claims<'_>, payload: &[u8]) -> bool {
    let rules = &*issuer.rules;
    match step {
        Step::Issuer => !is_of(issuer, claims),
        Step::Required => rules.profile.check_claims(claims).is_err(),
        Step::Tenant => rules.tenants.is_some() && claims.tid.is_none(),
        Step::Audience => rules::audience(claims, &rules.audience).is_err(),
        Step::Subject => rules::subject(claims, rules.subjects.as_ref()).is_err(),
        Step::Expiry => claims.exp.is_none(),
        Step::Client => client::client(claims, payload, rules.client_claim).is_err(),
        Step::TokenId => marks::token_id(claims, payload, rules.token_id_claim).is_err(),
        Step::Scopes => {
            let mut nowhere = SharedText::default();
            ScopeSource::write(&rules.scope_sources, claims, payload, |_| false, &mut nowhere).is_err()
        }
        _ => false,
    }
}

/// Whether the token names this issuer, as a layer with this issuer alone finds it.
fn is_of(issuer: &Issuer, claims: &Claims<'_>) -> bool {
    let alone = TrustedIssuers::from(issuer.clone());
    let named = claims.iss.as_ref().map(|iss| alone.find(&iss.0));
    matches!(named, Some(Found::Here(_)))
}
