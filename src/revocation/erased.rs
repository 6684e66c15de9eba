//! Revocations of any type behind one pointer, and what their answer means for a request.

use std::fmt;
use std::sync::Arc;

use super::{CredentialFacts, Revocations, Standing};
use crate::authenticator::{BoxFuture, Judgement};
use crate::error::AuthError;
use crate::principal::{Method, PrincipalData};

pub(crate) trait ErasedRevocations: fmt::Debug + Send + Sync {
    fn standing(&self, data: &PrincipalData) -> Standing;
    fn confirm(self: Arc<Self>, data: Arc<PrincipalData>) -> BoxFuture<Judgement>;
}

impl<R: Revocations> ErasedRevocations for R {
    fn standing(&self, data: &PrincipalData) -> Standing {
        Revocations::standing(self, &CredentialFacts::of(data))
    }

    fn confirm(self: Arc<Self>, data: Arc<PrincipalData>) -> BoxFuture<Judgement> {
        Box::pin(async move {
            let standing = Revocations::confirm(&*self, &CredentialFacts::of(&data)).await;
            let standing = standing.map_err(|error| AuthError::RevocationsUnavailable(error.into()))?;
            judgement(standing, data)
        })
    }
}

pub(super) fn unless_revoked(data: Arc<PrincipalData>, revocations: &dyn ErasedRevocations) -> Judgement {
    let standing = revocations.standing(&data);
    judgement(standing, data)
}

fn judgement(standing: Standing, data: Arc<PrincipalData>) -> Judgement {
    match standing {
        Standing::Good => Ok(data),
        Standing::Revoked => Err(withdrawn(&data)),
        Standing::Untellable(claim) => Err(AuthError::ClaimMissing(claim)),
        Standing::Unheard { retry_after } => Err(AuthError::RevocationsUnheard { retry_after }),
    }
}

fn withdrawn(data: &PrincipalData) -> AuthError {
    match data.identity.method() {
        Method::Jwt => AuthError::TokenRevoked,
        Method::ApiKey => AuthError::ApiKeyRevoked {
            id: data.credential_id.as_deref().unwrap_or_default().into(),
            owner: data.identity.subject().unwrap_or_default().into(),
        },
    }
}
