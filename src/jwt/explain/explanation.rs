use std::fmt;
use std::time::UNIX_EPOCH;

use super::super::authenticator::JwtAuthenticator;
use super::super::issuer::Issuer;
use super::blame::blamed;
use super::expected::expected;
use super::found::Findings;
use super::reading::{Decoded, Reading};
use super::step::{ORDER, Row};
use super::values;
use crate::error::{AuthError, chain};

/// Why a token is accepted or refused, check by check: what [`Issuer::explain`] says.
///
/// `{}` is a list for people. What was found is text from a token that nobody may have vouched for: quoted, with control
/// characters escaped, and cut. It may name a person (`sub`), so a log that holds it is a log about people. The signature, and
/// the key that a token is bound to, are never in it.
#[must_use]
pub struct Explanation {
    verdict: Result<(), AuthError>,
    checks: Vec<Check>,
}

/// One of the checks of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What is looked at: mostly the claim or member of that name.
    pub name: &'static str,
    /// What the issuer is configured to ask for, in words.
    pub expected: String,
    /// What stands in the token, in words; of several checks that were not reached, too.
    pub found: String,
    /// How it ended.
    pub state: CheckState,
    /// The reason codes ([`AuthError::reason`]) that a token can be refused with here.
    pub reasons: &'static [&'static str],
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckState {
    /// The token passed it.
    Passed,
    /// The token was refused here.
    Failed,
    /// It was refused before.
    NotReached,
}

impl Issuer {
    /// Says why a token is accepted or refused: every check in the judge's order, with what is asked and what the token
    /// has. For the person who configures, at the keyboard or in a log; never for a response, which it would make a help
    /// for forgers.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use tower_resource_server::{CheckState, testing::TestIssuer};
    ///
    /// let idp = TestIssuer::new("https://idp.test", "https://api.test");
    /// let token = idp.token().audience("https://other.test").sign();
    /// let explanation = idp.issuer().explain(&token).await;
    /// println!("{explanation}");
    ///
    /// let failed = explanation.failed().unwrap();
    /// assert_eq!((failed.name, failed.state), ("aud", CheckState::Failed));
    /// assert_eq!(failed.expected, r#""https://api.test""#);
    /// assert_eq!(failed.found, r#""https://other.test""#);
    /// # });
    /// ```
    ///
    /// The verdict is that of a `JwtLayer` with this issuer alone and nothing else set, by the same
    /// code; keys are fetched as for a request. It admits nobody: no principal comes of it, and no layer remembers the
    /// token. Revocations, a layer's own `longest_token`, and what a route asks for (scopes, age) are not looked at.
    pub async fn explain(&self, token: &str) -> Explanation {
        let judge = JwtAuthenticator::new(self.clone().into());
        let judgement = judge.judgement(token.as_bytes()).await;
        let decoded = Decoded::of(token);
        let reading = Reading::of(&decoded);
        let failed = match &judgement {
            Ok(_) => Some(ORDER.len()),
            Err(error) => blamed(error, self, &reading),
        };
        let findings = Findings {
            issuer: self,
            reading: &reading,
            judgement: &judgement,
            now: self.rules.clock.now().duration_since(UNIX_EPOCH).ok(),
        };
        // Without a check to blame, none is said to have been passed.
        let failed = failed.map_or((0, false), |place| (place, true));
        let checks = ORDER.iter().enumerate();
        Explanation {
            checks: checks
                .map(|(place, row)| check(row, CheckState::at(place, failed), &findings))
                .collect(),
            verdict: judgement.map(drop),
        }
    }
}

fn check((step, name, reasons): &Row, state: CheckState, findings: &Findings<'_>) -> Check {
    Check {
        name,
        expected: expected(*step, &findings.issuer.rules, findings.now),
        found: findings.of(*step, state),
        state,
        reasons,
    }
}

impl Explanation {
    /// What the judge says. `Ok` is no permission: who calls is for a layer to say.
    pub fn verdict(&self) -> Result<(), &AuthError> {
        self.verdict.as_ref().copied()
    }

    /// Every check, in the order in which they are made; at the end, for a token that passed, who it is.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The check at which the token was refused.
    pub fn failed(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.state == CheckState::Failed)
    }
}

impl CheckState {
    /// `passed`, `failed`, `not reached`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotReached => "not reached",
        }
    }

    fn at(place: usize, (failed, is_known): (usize, bool)) -> Self {
        match place.cmp(&failed) {
            std::cmp::Ordering::Less => Self::Passed,
            std::cmp::Ordering::Equal if is_known => Self::Failed,
            _ => Self::NotReached,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Ok(()) => f.write_str("good: the token passes every check of this issuer")?,
            Err(error) => write!(f, "refused: {}: {}", error.reason(), values::error(&chain(error)))?,
        }
        let names = self.checks.iter().map(|check| check.name.len());
        let width = names.max().unwrap_or_default();
        for check in &self.checks {
            let (state, name) = (check.state.as_str(), check.name);
            write!(f, "\n{state:11}  {name:width$}  expected  {}", check.expected)?;
            write!(f, "\n{:11}  {:width$}  found     {}", "", "", check.found)?;
        }
        Ok(())
    }
}

/// The error by its reason alone: what stands behind it may be another's type, whose `Debug` is not ours.
impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("verdict", &self.verdict().map_err(AuthError::reason))
            .field("checks", &self.checks)
            .finish()
    }
}
