//! What a route asks of a principal. A demand is a pure decision; the layer that asks it is elsewhere.

mod scope;
mod token_age;

use std::fmt;

use crate::error::Refusal;
use crate::principal::Principal;

pub(crate) use token_age::TokenAge;

/// Something that a route asks of whoever is authenticated.
pub(crate) trait Demand: fmt::Debug + Send + Sync {
    fn check(&self, caller: &Principal) -> Result<(), Refusal>;
}
