//! What a route asks of a principal. A demand is a pure decision; the layer that asks it is elsewhere.

mod acr;
mod caller;
mod route;
mod scope;
mod step_up;
mod token_age;

use std::fmt;

use crate::error::Refusal;
use crate::principal::{By, Principal};
use crate::telemetry;

pub use acr::{Acr, InvalidAcr};
pub use caller::CallerKind;
pub(crate) use route::PerRequest;
pub use route::{RequestTarget, RouteRequirement};
pub use step_up::StepUp;
pub use token_age::TokenAge;

/// Something that a route asks of whoever is authenticated: a [`Requirement`](crate::scope::Requirement) of scopes, a [`TokenAge`], a
/// [`StepUp`], a [`CallerKind`]. Layers ask it of every request, [`Principal::require`] inside a handler, and both give the same
/// answer.
///
/// `Display` says what is asked, for logs and audits. No other type can be one: what a handler wants beside, it checks itself.
#[allow(private_bounds, reason = "this is what keeps the trait to this crate")]
pub trait Demand: fmt::Debug + fmt::Display + Send + Sync + Asked {}

pub(crate) trait Asked {
    fn check(&self, caller: &Principal) -> Result<(), Refusal>;
}

/// The same, and what was asked is told to whoever keeps records of refusals.
pub(crate) fn ask(demand: &(impl Demand + ?Sized), caller: &Principal) -> Result<(), Refusal> {
    demand.check(caller).map_err(|refusal| refusal.of(&demand))
}

impl Principal {
    /// A check inside a handler, with the same answer as the layer's: 403 that names the scopes that are asked for, 401 for a
    /// token that is too old or a user who must step up.
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
    pub fn require(&self, demand: &(impl Demand + ?Sized)) -> Result<(), crate::error::Rejection> {
        ask(demand, self).map_err(|refusal| {
            telemetry::refused(refusal, Some(self.method()), self.trail.as_ref(), By::Handler)
        })
    }
}
