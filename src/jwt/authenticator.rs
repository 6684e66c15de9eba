use std::any::TypeId;
use std::sync::Arc;

use super::issuer::Issuer;
use super::token::{Parts, UnverifiedToken};
use super::trusted::TrustedIssuers;
use crate::authenticator::{Authenticator, BoxFuture, Judgement, Verdict};
use crate::challenge::{Challenge, Realm, Scheme};
use crate::credential::{BearerReader, Credential, Presented, RequestHead};
use crate::error::AuthError;
use crate::jwks::{KeySet, Lookup};
use crate::principal::{Method, PrincipalData};
use crate::revocation::{Revocations, Standing, TokenFacts};

/// Tokens with many groups or roles have a few kilobytes; what is longer is not looked at.
const MOST_TOKEN_BYTES: usize = 16 * 1024;

/// Finds bearer tokens and judges them by the rules of the issuer that they name.
#[derive(Debug, Clone)]
pub(crate) struct JwtAuthenticator {
    pub(crate) reader: BearerReader,
    pub(crate) realm: Realm,
    pub(crate) most_token_bytes: usize,
    pub(crate) revocations: Option<Arc<dyn Revocations>>,
    issuers: TrustedIssuers,
}

impl JwtAuthenticator {
    pub(crate) fn new(issuers: TrustedIssuers) -> Self {
        Self {
            reader: BearerReader::default(),
            realm: Realm::default(),
            most_token_bytes: MOST_TOKEN_BYTES,
            revocations: None,
            issuers,
        }
    }

    fn judge_token(&self, token: &str) -> Result<Verdict, AuthError> {
        if token.len() > self.most_token_bytes {
            return Err(AuthError::TokenTooLong);
        }
        let parts = Parts::decode(token)?;
        let unverified = UnverifiedToken::read(&parts)?;
        let issuer = self.issuers.get(unverified.issuer()?)?;
        let keys = match issuer.keys.current() {
            Lookup::Ready(keys) => keys,
            Lookup::Wait(loading) => return Ok(judge_after(loading, token, issuer)),
            Lookup::Refused(error) => return Err(error),
        };
        match issuer.judge(unverified, &keys) {
            Err(AuthError::SigningKeyUnknown) => look_beyond(&keys, token, issuer),
            judgement => Ok(Verdict::Done(judgement)),
        }
    }
}

/// The key is not among those in memory: a newer set may have it.
fn look_beyond(seen: &KeySet, token: &str, issuer: &Issuer) -> Result<Verdict, AuthError> {
    match issuer.keys.beyond(seen) {
        Lookup::Ready(keys) => judge_again(token, issuer, &keys).map(|data| Verdict::Done(Ok(data))),
        Lookup::Wait(loading) => Ok(judge_after(loading, token, issuer)),
        Lookup::Refused(error) => Err(error),
    }
}

fn judge_after(loading: BoxFuture<Result<KeySet, AuthError>>, token: &str, issuer: &Issuer) -> Verdict {
    let (token, issuer) = (token.to_owned(), issuer.clone());
    Verdict::Pending(Box::pin(
        async move { judge_again(&token, &issuer, &loading.await?) },
    ))
}

fn judge_again(token: &str, issuer: &Issuer, keys: &KeySet) -> Judgement {
    let parts = Parts::decode(token)?;
    issuer.judge(UnverifiedToken::read(&parts)?, keys)
}

/// Asked for every judgement, wherever it came from: a token that was good a moment ago may be withdrawn by now.
fn unless_revoked(data: Arc<PrincipalData>, revocations: &dyn Revocations) -> Judgement {
    let facts = TokenFacts {
        issuer: data.identity.issuer().unwrap_or_default(),
        token_id: data.credential_id.as_deref(),
        subject: data.identity.subject(),
        version: data.version,
    };
    match revocations.standing(&facts) {
        Standing::Good => Ok(data),
        Standing::Revoked => Err(AuthError::TokenRevoked),
        Standing::Untellable(claim) => Err(AuthError::ClaimMissing(claim)),
    }
}

impl Authenticator for JwtAuthenticator {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        self.reader.find(request.headers)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        credential.has_jwt_shape()
    }

    fn judge(&self, credential: &Credential<'_>, _: &RequestHead<'_>) -> Verdict {
        let verdict = match self.judge_token(credential.value) {
            Ok(verdict) => verdict,
            Err(error) => return Verdict::Done(Err(error)),
        };
        let Some(revocations) = &self.revocations else {
            return verdict;
        };
        match verdict {
            Verdict::Done(judgement) => {
                Verdict::Done(judgement.and_then(|data| unless_revoked(data, &**revocations)))
            }
            Verdict::Pending(judgement) => {
                let revocations = Arc::clone(revocations);
                Verdict::Pending(Box::pin(async move {
                    unless_revoked(judgement.await?, &*revocations)
                }))
            }
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new(Scheme::Bearer, &self.realm)]
    }

    fn method_of(&self, _: &Credential<'_>) -> Method {
        Method::Jwt
    }

    fn claim_types(&self) -> Vec<TypeId> {
        self.issuers.claim_types()
    }

    fn hides_from_caches(&self) -> bool {
        *self.reader.header() != http::header::AUTHORIZATION
    }
}
