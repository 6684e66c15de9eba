//! What withdraws a credential before it expires: a port that is asked for every credential that is judged, what can be
//! withdrawn, and the list in memory.

mod erased;
mod guard;
mod index;
mod memory;
mod order;
mod rule;

use std::fmt;
use std::time::{Duration, SystemTime};

pub(crate) use erased::ErasedRevocations;
pub(crate) use guard::guarded;
pub(crate) use index::{Index, Relaxed};
pub use memory::MemoryRevocations;
pub use order::Revocation;
pub(crate) use order::{Cut, Target};

use crate::principal::{Method, PrincipalData};

/// What a revocation can go by. All of it was verified.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CredentialFacts<'c> {
    /// Whether it is a token or an API key.
    pub method: Method,
    /// The token's issuer; `None` for API keys.
    pub issuer: Option<&'c str>,
    /// The token's `jti`, or what the issuer's `token_id_claim` names; the id of an API key.
    pub id: Option<&'c str>,
    /// The token's `sub`; the owner of an API key.
    pub subject: Option<&'c str>,
    /// The application that the token was issued to.
    pub client: Option<&'c str>,
    /// The token's `token_version`, or what the issuer's `token_version_claim` names, where that is a whole number.
    pub version: Option<u64>,
    /// The token's `iat`; when an API key was made.
    pub issued_at: Option<SystemTime>,
}

impl<'c> CredentialFacts<'c> {
    pub(crate) fn of(data: &'c PrincipalData) -> Self {
        Self {
            method: data.identity.method(),
            issuer: data.identity.issuer(),
            id: data.credential_id.as_deref(),
            subject: data.identity.subject(),
            client: data.client.as_deref(),
            version: data.version,
            issued_at: data.issued_at,
        }
    }
}

/// Whether a credential still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nobody withdrew it.
    Good,
    /// It was withdrawn.
    Revoked,
    /// It lacks a claim without which nobody can tell: it is refused.
    Untellable(&'static str),
    /// Nobody can tell for now, whatever the credential is: 503, and when to come back.
    Unheard {
        /// For the client's `Retry-After`.
        retry_after: Duration,
    },
}

/// Knows which credentials were withdrawn.
///
/// What it forgets too early works again until the credential expires. What it says of a credential that it does not know must
/// be [`Standing::Good`], or nobody gets in.
pub trait Revocations: fmt::Debug + Send + Sync + 'static {
    /// Why the place where revocations are kept could not be asked. Never put a secret in it: it goes to the log.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Whether this credential still stands. Asked for every credential on every request, so it answers from memory and
    /// never waits.
    fn standing(&self, credential: &CredentialFacts<'_>) -> Standing;

    /// The same, asked of the place where revocations are kept, for routes whose consequences cannot be undone
    /// (`RevocationCheckLayer`). An error is 503: the credential may be good. The request waits for the answer, so give it a
    /// deadline of your own. Default: [`standing`](Self::standing), because a list that is nowhere else
    /// knows all that there is to know.
    fn confirm(
        &self,
        credential: &CredentialFacts<'_>,
    ) -> impl Future<Output = Result<Standing, Self::Error>> + Send {
        std::future::ready(Ok(self.standing(credential)))
    }
}
