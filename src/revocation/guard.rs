//! Any authenticator, with revocations asked of all that it judges good.

use std::any::TypeId;
use std::sync::Arc;

use super::erased::{ErasedRevocations, unless_revoked};
use crate::authenticator::{Authenticator, Verdict};
use crate::challenge::Challenge;
use crate::credential::{Credential, Presented, RequestHead};
use crate::principal::Method;

/// `authenticator`, guarded by `revocations` if there are any.
pub(crate) fn guarded(
    authenticator: impl Authenticator + 'static,
    revocations: Option<Arc<dyn ErasedRevocations>>,
) -> Arc<dyn Authenticator> {
    match revocations {
        Some(revocations) => Arc::new(Guarded {
            authenticator,
            revocations,
        }),
        None => Arc::new(authenticator),
    }
}

#[derive(Debug)]
struct Guarded<A> {
    authenticator: A,
    revocations: Arc<dyn ErasedRevocations>,
}

impl<A: Authenticator> Authenticator for Guarded<A> {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        self.authenticator.find(request)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        self.authenticator.fits(credential)
    }

    /// Asked for every judgement, wherever it came from: a credential that was good a moment ago may be withdrawn by now.
    fn judge(&self, credential: &Credential<'_>, request: &RequestHead<'_>) -> Verdict {
        match self.authenticator.judge(credential, request) {
            Verdict::Done(judgement) => {
                Verdict::Done(judgement.and_then(|data| unless_revoked(data, &*self.revocations)))
            }
            Verdict::Pending(judgement) => {
                let revocations = Arc::clone(&self.revocations);
                Verdict::Pending(Box::pin(async move {
                    unless_revoked(judgement.await?, &*revocations)
                }))
            }
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        self.authenticator.challenges()
    }

    fn method_of(&self, credential: &Credential<'_>) -> Method {
        self.authenticator.method_of(credential)
    }

    fn claim_types(&self) -> Vec<TypeId> {
        self.authenticator.claim_types()
    }

    fn hides_from_caches(&self) -> bool {
        self.authenticator.hides_from_caches()
    }
}
