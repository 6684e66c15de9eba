//! What finds credentials of one kind and judges them, and the combination of several.

use std::any::TypeId;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::challenge::Challenge;
use crate::credential::{Credential, Presented, RequestHead};
use crate::error::AuthError;
use crate::principal::{Method, PrincipalData};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) type Judgement = Result<Arc<PrincipalData>, AuthError>;

/// The answer of a judge.
pub(crate) enum Verdict {
    /// Decided with what is in memory: nothing was boxed, nothing waits.
    Done(Judgement),
    /// A key must be fetched or a store asked.
    Pending(BoxFuture<Judgement>),
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(judgement) => f.debug_tuple("Done").field(judgement).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// One kind of credential: where it stands, and what it is worth.
pub(crate) trait Authenticator: fmt::Debug + Send + Sync {
    /// Is there one of my kind, is it well-formed, is it alone? Cheap, and no judgement.
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r>;

    /// Whether a credential that several kinds could claim is of mine by its shape.
    fn fits(&self, credential: &Credential<'_>) -> bool;

    /// What the credential is worth. Final: nobody else is asked after a refusal.
    fn judge(&self, credential: &Credential<'_>, request: &RequestHead<'_>) -> Verdict;

    /// The schemes that I accept.
    fn challenges(&self) -> Vec<Challenge>;

    /// What a credential of mine is called.
    fn method_of(&self, credential: &Credential<'_>) -> Method;

    /// The types of claims that my principals may carry.
    fn claim_types(&self) -> Vec<TypeId> {
        Vec::new()
    }

    /// Whether a credential may come in a header that caches do not know to be one (RFC 9111 section 3.5 protects
    /// answers to `Authorization` alone).
    fn hides_from_caches(&self) -> bool;
}

/// Several kinds on one route. Every one looks; two credentials are refused before any is judged; a value in a place that
/// several read goes to the one whose shape it has; and that one's verdict stands.
#[derive(Debug)]
pub(crate) struct AnyOf(pub(crate) Vec<Arc<dyn Authenticator>>);

impl AnyOf {
    fn judge_of(&self, credential: &Credential<'_>) -> Option<&Arc<dyn Authenticator>> {
        self.0.get(credential.judge)
    }

    fn fits_its_judge(&self, credential: &Credential<'_>) -> bool {
        self.judge_of(credential)
            .is_some_and(|authenticator| authenticator.fits(credential))
    }
}

impl Authenticator for AnyOf {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        let mut kept: Option<Credential<'r>> = None;
        for (index, authenticator) in self.0.iter().enumerate() {
            let mut found = match authenticator.find(request) {
                Presented::None => continue,
                Presented::One(credential) => credential,
                flaw => return flaw,
            };
            found.judge = index;
            kept = match kept {
                Some(first) if !found.is_in_the_place_of(&first) => return Presented::Twice,
                Some(first) if self.fits_its_judge(&first) || !authenticator.fits(&found) => Some(first),
                _ => Some(found),
            };
        }
        kept.map_or(Presented::None, Presented::One)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        self.0.iter().any(|authenticator| authenticator.fits(credential))
    }

    fn judge(&self, credential: &Credential<'_>, request: &RequestHead<'_>) -> Verdict {
        match self.judge_of(credential) {
            Some(authenticator) => authenticator.judge(credential, request),
            None => Verdict::Done(Err(AuthError::CredentialMissing)),
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        self.0
            .iter()
            .flat_map(|authenticator| authenticator.challenges())
            .collect()
    }

    fn method_of(&self, credential: &Credential<'_>) -> Method {
        self.judge_of(credential)
            .map_or(Method::Jwt, |authenticator| authenticator.method_of(credential))
    }

    fn claim_types(&self) -> Vec<TypeId> {
        self.0
            .iter()
            .flat_map(|authenticator| authenticator.claim_types())
            .collect()
    }

    fn hides_from_caches(&self) -> bool {
        self.0
            .iter()
            .any(|authenticator| authenticator.hides_from_caches())
    }
}
