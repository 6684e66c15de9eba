use super::Demand;
use crate::error::{AuthError, Refusal, Rejection};
use crate::principal::Principal;
use crate::scope::Requirement;
use crate::telemetry;

impl Demand for Requirement {
    fn check(&self, caller: &Principal) -> Result<(), Refusal> {
        if self.is_met_by(caller.scopes()) {
            return Ok(());
        }
        let error = AuthError::ScopeMissing(self.missing_from(caller.scopes()));
        let rejection = Rejection::insufficient_scope(&error, caller, self);
        Err(Refusal { error, rejection })
    }
}

impl Principal {
    /// A check inside a handler, with the same answer as `ScopeLayer`'s: 403 that names what is asked for.
    ///
    /// ```
    /// # use tower_resource_server::{Principal, Rejection, Requirement, Scope};
    /// fn delete(caller: &Principal, owner: &str) -> Result<(), Rejection> {
    ///     if caller.subject() != Some(owner) {
    ///         caller.require(&Requirement::all([Scope::from_static("orders:admin")]))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        requirement.check(self).map_err(|refusal| {
            telemetry::refused(&refusal, Some(self.method()));
            refusal.rejection
        })
    }
}
