use std::fmt;

use super::{Asked, Demand};
use crate::error::{AuthError, Refusal, Rejection};
use crate::principal::Principal;
use crate::scope::Requirement;

impl Demand for Requirement {}

impl Asked for Requirement {
    fn check(&self, caller: &Principal) -> Result<(), Refusal> {
        if self.is_met_by(caller.scopes()) {
            return Ok(());
        }
        let error = AuthError::ScopeMissing(self.missing_from(caller.scopes()));
        let rejection = Rejection::insufficient_scope(&error, caller, self);
        Err(Refusal { error, rejection })
    }
}

/// `scope="a b" or scope="c"`.
impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, set) in self.alternatives().iter().enumerate() {
            out.write_str(if index > 0 { " or scope=\"" } else { "scope=\"" })?;
            for (index, scope) in set.iter().enumerate() {
                write!(out, "{}{}", if index > 0 { " " } else { "" }, scope.as_str())?;
            }
            out.write_str("\"")?;
        }
        Ok(())
    }
}
