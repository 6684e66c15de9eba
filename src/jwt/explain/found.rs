//! What each check finds: the unverified token, in words.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::claims::Claims;
use super::super::client;
use super::super::issuer::Issuer;
use super::super::json::NumericDate;
use super::super::marks;
use super::super::rules::Audience;
use super::super::scopes::ScopeSource;
use super::dates::{from_now, moment};
use super::explanation::CheckState;
use super::reading::Reading;
use super::step::Step;
use super::values;
use crate::authenticator::Judgement;
use crate::credential::Unlimited;
use crate::error::{AuthError, chain};
use crate::jwks::{KeySet, Lookup};
use crate::principal::PrincipalData;
use crate::scope::ScopeSet;
use crate::shared_text::SharedText;

const UNREADABLE: &str = "cannot be read";

/// All that is known of one token.
pub(super) struct Findings<'f> {
    pub(super) issuer: &'f Issuer,
    pub(super) reading: &'f Reading<'f>,
    pub(super) judgement: &'f Judgement,
    /// The clock of the issuer, unless it stands before 1970.
    pub(super) now: Option<Duration>,
}

impl Findings<'_> {
    pub(super) fn of(&self, step: Step, state: CheckState) -> String {
        let reading = self.reading;
        match step {
            Step::Length => reading.length(),
            Step::Parts => reading.parts(),
            Step::Header => reading.header_object(),
            Step::Extensions => values::list(reading.header_names(&["crit", "b64"])),
            Step::Limits => self.limits(),
            Step::KnownAlgorithm | Step::Algorithm => reading.header_member("alg"),
            Step::Claims => reading.claims_object(),
            Step::Issuer => reading.claim("iss"),
            Step::Type => reading.header_member("typ"),
            Step::Key => self.key(),
            Step::Signature => signature(state).to_owned(),
            Step::Kind => self.kind(),
            Step::Proof => self.proof(),
            Step::Required => self.required(),
            Step::Tenant => self.tenant(),
            Step::Audience => self.audience(),
            Step::Subject => reading.claim("sub"),
            Step::Expiry => self.date("exp"),
            Step::Start => self.date("nbf"),
            Step::Issued => self.date("iat"),
            _ => self.beyond_the_rules(step, state),
        }
    }

    fn beyond_the_rules(&self, step: Step, state: CheckState) -> String {
        match step {
            Step::Client => self.client(),
            Step::TokenId => self.token_id(),
            Step::Scopes => self
                .scopes()
                .unwrap_or_else(|error| values::error(&error.to_string())),
            Step::Version => self.version(),
            Step::ClaimsType => match self.judgement {
                Err(error @ AuthError::ClaimsUndecodable(_)) => values::error(&error.to_string()),
                _ if self.issuer.rules.claims.is_none() => "nothing is decoded".to_owned(),
                _ if state == CheckState::Passed => "it does".to_owned(),
                _ => "not tried".to_owned(),
            },
            _ => match self.judgement {
                Ok(caller) => principal(caller),
                Err(_) => "nobody".to_owned(),
            },
        }
    }

    fn limits(&self) -> String {
        let kid = match self.reading.kid_length() {
            Some(bytes) => format!("a kid of {bytes} bytes"),
            None => "no kid".to_owned(),
        };
        format!("{kid}, cty {}", self.reading.header_member("cty"))
    }

    fn key(&self) -> String {
        let kid = format!("kid {}", self.reading.header_member("kid"));
        match self.judgement {
            Err(error @ AuthError::KeysUnavailable { .. }) => {
                format!("{kid}; {}", values::error(&chain(error)))
            }
            _ => format!("{kid}; the issuer has {}", self.keys_in_memory()),
        }
    }

    /// Nothing is fetched for what is only told.
    fn keys_in_memory(&self) -> String {
        let keys = &self.issuer.keys;
        match keys.status().is_usable().then(|| keys.current(&Unlimited)) {
            Some(Lookup::Ready(set)) => described(&set),
            _ => "no keys in memory".to_owned(),
        }
    }

    fn kind(&self) -> String {
        let signs = self.reading.claim_names(&["events", "at_hash", "c_hash"]);
        let words = ["token_use", "typ"].into_iter().filter_map(|name| {
            let value = self.reading.claim_value(name).ok()?;
            Some(format!("{name} {}", values::value(value)))
        });
        values::joined(signs.into_iter().map(str::to_owned).chain(words))
    }

    /// The names of its members and nothing of the key.
    fn proof(&self) -> String {
        match self.reading.claim_value("cnf") {
            Ok(Value::Object(members)) => format!("a cnf with {}", values::list(members.keys())),
            Ok(other) => format!("a cnf that is {}", values::kind(other)),
            Err(words) => words.to_owned(),
        }
    }

    fn required(&self) -> String {
        let names = ["sub", "client_id", "iat", "jti"];
        let there = self.reading.claim_names(&names);
        let absent = names.into_iter().filter(|name| !there.contains(name));
        let absent: Vec<String> = absent.map(str::to_owned).collect();
        let there = values::joined(there.into_iter().map(str::to_owned));
        if absent.is_empty() {
            there
        } else {
            format!("{there}; not there: {}", absent.join(", "))
        }
    }

    fn tenant(&self) -> String {
        let tid = self.reading.claim("tid");
        match self.judgement {
            Err(AuthError::SigningKeyForeign) => format!("{tid}; the key signs for another tenant"),
            _ => tid,
        }
    }

    fn audience(&self) -> String {
        let aud = self.reading.claim("aud");
        match &self.issuer.rules.audience {
            Audience::Named(_) => aud,
            Audience::Clients(_) => format!(
                "aud {aud}, token_use {}, client_id {}",
                self.reading.claim("token_use"),
                self.reading.claim("client_id")
            ),
        }
    }

    fn date(&self, claim: &str) -> String {
        let value = match self.reading.claim_value(claim) {
            Ok(value) => value,
            Err(words) => return words.to_owned(),
        };
        match (NumericDate::deserialize(value), self.now) {
            (Ok(NumericDate(date)), Some(now)) => format!("{}, {}", moment(date), from_now(date, now)),
            (Ok(NumericDate(date)), None) => moment(date),
            (Err(_), _) => values::value(value),
        }
    }

    fn client(&self) -> String {
        let Some(claims) = &self.reading.claims else {
            return UNREADABLE.to_owned();
        };
        let named = self.issuer.rules.client_claim;
        match client::client(claims, self.reading.decoded.payload(), named) {
            Ok(Some(client)) => values::quoted(&client),
            Ok(None) => "none".to_owned(),
            Err(error) => values::error(&error.to_string()),
        }
    }

    fn token_id(&self) -> String {
        let Some(claims) = &self.reading.claims else {
            return UNREADABLE.to_owned();
        };
        let named = self.issuer.rules.token_id_claim;
        match marks::token_id(claims, self.reading.decoded.payload(), named) {
            Ok(Some(id)) => values::quoted(&id),
            Ok(None) => "none".to_owned(),
            Err(error) => values::error(&error.to_string()),
        }
    }

    fn version(&self) -> String {
        let Some(claims) = &self.reading.claims else {
            return UNREADABLE.to_owned();
        };
        let named = self.issuer.rules.token_version_claim;
        match marks::version(claims, self.reading.decoded.payload(), named) {
            Ok(Some(version)) => version.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) => values::error(&error.to_string()),
        }
    }

    fn scopes(&self) -> Result<String, AuthError> {
        let Some(claims) = &self.reading.claims else {
            return Ok(UNREADABLE.to_owned());
        };
        let granted = self.scopes_where(claims, |word| self.issuer.accepts(word))?;
        let left_out = self.scopes_where(claims, |word| !self.issuer.accepts(word))?;
        let granted = values::list(granted.iter());
        Ok(if left_out.is_empty() {
            granted
        } else {
            let left_out = values::list(left_out.iter());
            format!("{granted}; left out, since this issuer may not grant them: {left_out}")
        })
    }

    fn scopes_where(&self, claims: &Claims<'_>, keep: impl Fn(&str) -> bool) -> Result<ScopeSet, AuthError> {
        let (places, payload) = (&self.issuer.rules.scope_sources, self.reading.decoded.payload());
        let mut words = SharedText::default();
        let part = ScopeSource::write(places, claims, payload, keep, &mut words)?;
        Ok(ScopeSet::of_words(words.finish().part(part)))
    }
}

fn signature(state: CheckState) -> &'static str {
    match state {
        CheckState::Passed => "it was",
        CheckState::Failed => "it was not",
        CheckState::NotReached => "not checked",
    }
}

/// The names of the keys and what they are for.
fn described(set: &KeySet) -> String {
    let keys = set.by_name().into_iter().map(|(name, algorithms)| {
        let algorithms: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        let name = name.map_or_else(|| "one without a name".to_owned(), values::quoted);
        format!("{name} ({})", algorithms.join(" "))
    });
    let keys = values::joined(keys);
    if set.skipped().is_empty() {
        return keys;
    }
    let skipped = set.skipped().iter();
    let skipped = skipped.map(|key| format!("no. {} ({})", key.index, values::error(&key.reason)));
    format!("{keys}; left out, counted from 0: {}", values::joined(skipped))
}

fn principal(caller: &PrincipalData) -> String {
    let subject = match caller.identity.subject() {
        Some(subject) => format!("subject {}", values::quoted(subject)),
        None => "no subject".to_owned(),
    };
    let kind = if caller.identity.is_user() {
        "a user"
    } else {
        "not a user"
    };
    match caller.client.as_deref() {
        Some(client) => format!("{subject}, {kind}; client {}", values::quoted(client)),
        None => format!("{subject}, {kind}; no client"),
    }
}
