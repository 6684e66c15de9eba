use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::acr::Acr;
use super::{Asked, Demand};
use crate::clock::{Clock, MOST_LEEWAY, SystemClock};
use crate::error::{AuthError, Refusal, Rejection};
use crate::principal::{Authentication, Method, Principal};

/// That the user was authenticated strongly enough, or recently enough, or both (RFC 9470).
///
/// Each trusted issuer's word counts: where there are several, one may write an `acr` that was agreed on with another.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{Acr, StepUp};
///
/// const GOLD: Acr = Acr::from_static("gold");
/// const SILVER: Acr = Acr::from_static("silver");
///
/// let strong = StepUp::one_of([GOLD, SILVER]);
/// let strong_and_recent = StepUp::one_of([GOLD, SILVER]).within(Duration::from_secs(300));
/// let recent = StepUp::recent(Duration::from_secs(300));
/// ```
///
/// ```compile_fail
/// use tower_resource_server::StepUp;
///
/// let nothing = StepUp::one_of([]);   // would let everyone in
/// ```
#[derive(Debug, Clone)]
pub struct StepUp {
    acr_values: Vec<Acr>,
    max_age: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl StepUp {
    /// The token's `acr` is one of these. The challenge names them all, the preferred first.
    #[must_use]
    pub fn one_of<const N: usize>(classes: [Acr; N]) -> Self {
        const { assert!(N > 0, "a step-up names at least one class") };
        Self {
            acr_values: classes.into(),
            max_age: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The user actively authenticated at most this long ago (`auth_time`), by this server's clock and without leeway.
    /// An `auth_time` in the future is as recent as can be, if it is not more than five minutes ahead.
    #[must_use]
    pub fn recent(max_age: Duration) -> Self {
        Self {
            acr_values: Vec::new(),
            max_age: Some(max_age),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// And the user authenticated at most this long ago, as for [`recent`](Self::recent).
    #[must_use]
    pub fn within(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Who tells the time. Default: `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn is_strong(&self, how: Option<&Authentication>) -> bool {
        let context = how.and_then(|how| how.context.as_deref());
        self.acr_values.is_empty()
            || context.is_some_and(|context| self.acr_values.iter().any(|class| class.as_str() == context))
    }

    fn is_recent(&self, how: Option<&Authentication>) -> bool {
        let Some(most) = self.max_age else {
            return true;
        };
        let Some(time) = how.and_then(|how| how.time) else {
            return false;
        };
        match self.clock.now().duration_since(time) {
            Ok(age) => age <= most,
            Err(ahead) => ahead.duration() <= MOST_LEEWAY,
        }
    }
}

impl Demand for StepUp {}

impl Asked for StepUp {
    /// A key has no user behind it, and a token that does not say how or when its user authenticated satisfies nothing.
    fn check(&self, caller: &Principal) -> Result<(), Refusal> {
        let how = caller.authentication().filter(|_| caller.method() == Method::Jwt);
        let error = if !self.is_strong(how) {
            AuthError::AuthenticationTooWeak
        } else if !self.is_recent(how) {
            AuthError::AuthenticationTooOld
        } else {
            return Ok(());
        };
        let acr_values: Vec<_> = self.acr_values.iter().map(Acr::as_str).collect();
        let max_age = self.max_age.map(|age| age.as_secs());
        let rejection = Rejection::step_up(&error, caller, &acr_values, max_age);
        Err(Refusal { error, rejection })
    }
}

/// As in the challenge.
impl fmt::Display for StepUp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if !self.acr_values.is_empty() {
            out.write_str("acr_values=\"")?;
            for class in &self.acr_values {
                write!(out, "{between}{class}")?;
                between = " ";
            }
            out.write_str("\"")?;
        }
        match self.max_age {
            Some(age) => write!(out, "{between}max_age={}", age.as_secs()),
            None => Ok(()),
        }
    }
}
