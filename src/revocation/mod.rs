//! What withdraws a token before it expires: a port that is asked for every token that is judged, and the list in memory.

mod memory;

use std::fmt;

pub use memory::MemoryRevocations;

/// What a revocation can go by. All of it was verified.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TokenFacts<'t> {
    /// The token's issuer.
    pub issuer: &'t str,
    /// `jti`.
    pub token_id: Option<&'t str>,
    /// `sub`.
    pub subject: Option<&'t str>,
    /// `token_version`, where it is a whole number.
    pub version: Option<u64>,
}

/// Whether a token still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nobody withdrew it.
    Good,
    /// It was withdrawn.
    Revoked,
    /// It lacks a claim without which nobody can tell: it is refused.
    Untellable(&'static str),
}

/// Knows which tokens were withdrawn. Asked for every token on every request, so it answers from memory and never waits.
///
/// What it forgets too early works again until the token expires. What it says of a token that it does not know must be
/// [`Standing::Good`], or nobody gets in.
pub trait Revocations: fmt::Debug + Send + Sync + 'static {
    /// Whether this token still stands.
    fn standing(&self, token: &TokenFacts<'_>) -> Standing;
}
