//! What each check asks for: the configuration, in words.

use std::time::Duration;

use super::super::authenticator::MOST_TOKEN_BYTES;
use super::super::issuer::{AcceptedScopes, Rules};
use super::super::names::Names;
use super::super::rules::Audience;
use super::dates::{moment, span};
use super::step::Step;
use super::values;
use crate::scope::Scope;

/// `now`: the clock of the issuer, unless it stands before 1970.
pub(super) fn expected(step: Step, rules: &Rules, now: Option<Duration>) -> String {
    match step {
        Step::Length => format!("{MOST_TOKEN_BYTES} bytes or fewer"),
        Step::Parts => "header, claims and signature in base64url without padding, with dots between".into(),
        Step::Header | Step::Claims => "a JSON object: no member twice, each of its type".into(),
        Step::Extensions => "no extension (crit, b64)".into(),
        Step::Limits => "a kid of 512 bytes or fewer, and no token inside (cty)".into(),
        Step::KnownAlgorithm => "a signature algorithm that is known here".into(),
        Step::Type => rules.profile.types_in_words().into(),
        Step::Algorithm => one_of(rules.algorithms.iter().map(|algorithm| algorithm.as_str())),
        Step::Key => "exactly one key of the issuer for this kid and alg".into(),
        Step::Signature => "made with this key over this header and these claims".into(),
        Step::Kind => rules.profile.kind_in_words().into(),
        Step::Proof => "no binding to a key (jkt, x5t#S256), since no proof of it is checked".into(),
        Step::Principal => "every check passed".into(),
        Step::Expiry | Step::Start | Step::Issued => date(step, rules, now),
        _ => from_settings(step, rules),
    }
}

fn from_settings(step: Step, rules: &Rules) -> String {
    match step {
        Step::Issuer => issuer(rules),
        Step::Required => match rules.profile.required_claims() {
            [] => "no others than the checks below ask for".into(),
            names => names.join(", "),
        },
        Step::Tenant if rules.tenants.is_none() => "nothing: this issuer has no tenants".into(),
        Step::Tenant => "a tid that is the tenant in iss, and a key that signs for it".into(),
        Step::Audience => audience(&rules.audience),
        Step::Subject => match &rules.subjects {
            None => "anybody or nobody".into(),
            Some(accepted) => names(accepted),
        },
        Step::Client => match rules.client_claim {
            None => "client_id, azp or appid, if one is there".into(),
            Some(claim) => format!("a string in {}", values::quoted(claim)),
        },
        Step::TokenId => in_claim("a string", rules.token_id_claim, "jti"),
        Step::Version => in_claim("a whole number", rules.token_version_claim, "token_version"),
        Step::Scopes => scopes(rules),
        Step::ClaimsType if rules.claims.is_none() => "nothing: no type was declared".into(),
        _ => "what the declared type decodes from".into(),
    }
}

fn issuer(rules: &Rules) -> String {
    let name = values::quoted(&rules.name);
    match &rules.tenants {
        None => name,
        Some(tenants) => format!("{name}, of the tenants: {}", names(&tenants.0)),
    }
}

fn audience(mine: &Audience) -> String {
    match mine {
        Audience::Named(names) => one_of_quoted(names),
        Audience::Clients(clients) => format!(
            "no aud, a token_use of \"access\", and a client_id of {}",
            one_of_quoted(clients)
        ),
    }
}

fn names(names: &Names) -> String {
    match names {
        Names::Judged(_) => "those that a function accepts".into(),
        Names::Listed(listed) => {
            let mut listed: Vec<&String> = listed.iter().collect();
            listed.sort_unstable();
            one_of_quoted(&listed)
        }
    }
}

fn scopes(rules: &Rules) -> String {
    let places = rules
        .scope_sources
        .iter()
        .map(|source| values::quoted(&source.in_words()));
    let places: Vec<String> = places.collect();
    let from = format!("words from {}", places.join(", or else "));
    match &rules.scopes {
        AcceptedScopes::Unnamed | AcceptedScopes::Any => format!("{from}; all of them count"),
        AcceptedScopes::Only(accepted) => {
            let accepted = values::list(accepted.iter().map(Scope::as_str));
            format!("{from}; of these count {accepted}")
        }
    }
}

fn in_claim(what: &str, named: Option<&str>, usual: &str) -> String {
    let claim = values::quoted(named.unwrap_or(usual));
    format!("{what} in {claim}, if it is there")
}

fn date(step: Step, rules: &Rules, now: Option<Duration>) -> String {
    let Some(now) = now else {
        return "a clock that is past 1970, which this issuer's is not".into();
    };
    let leeway = rules.leeway;
    let told = format!("now is {}, leeway {}", moment(now), span(leeway));
    if step == Step::Expiry {
        format!("later than {} ({told})", moment(now.saturating_sub(leeway)))
    } else {
        let latest = moment(now.saturating_add(leeway));
        format!("absent, or {latest} at the latest ({told})")
    }
}

fn one_of_quoted<T: AsRef<str>>(texts: &[T]) -> String {
    match texts {
        [only] => values::quoted(only.as_ref()),
        many => format!("one of {}", values::list(many)),
    }
}

fn one_of<'t>(words: impl Iterator<Item = &'t str>) -> String {
    let words: Vec<String> = words.map(str::to_owned).collect();
    match words.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", values::joined(words)),
    }
}
