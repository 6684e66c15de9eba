use std::any::TypeId;

use super::issuer::Issuer;
use super::token::{UnverifiedToken, read_token};
use super::token_name::TokenName;
use super::trusted::{Found, TrustedIssuers};
use super::verified_tokens::VerifiedTokens;
use crate::authenticator::{Authenticator, BoxFuture, Judgement, Verdict};
use crate::challenge::{Challenge, Realm, Scheme};
use crate::credential::{Asking, BearerReader, Credential, Presented, RequestHead, Unlimited};
use crate::error::AuthError;
use crate::jwks::{KeySet, Lookup};
use crate::principal::Method;
use crate::telemetry;

/// Tokens with many groups or roles have a few kilobytes; what is longer is not looked at.
pub(super) const MOST_TOKEN_BYTES: usize = 16 * 1024;

/// Finds bearer tokens and judges them by the rules of the issuer that they name.
#[derive(Debug, Clone)]
pub(crate) struct JwtAuthenticator {
    pub(crate) reader: BearerReader,
    pub(crate) realm: Realm,
    pub(crate) most_token_bytes: usize,
    issuers: TrustedIssuers,
    verified: VerifiedTokens,
}

impl JwtAuthenticator {
    pub(crate) fn new(issuers: TrustedIssuers) -> Self {
        Self {
            reader: BearerReader::default(),
            realm: Realm::default(),
            most_token_bytes: MOST_TOKEN_BYTES,
            issuers,
            verified: VerifiedTokens::new(),
        }
    }

    /// The judgement, whatever must be waited for and whoever asked.
    pub(super) async fn judgement(&self, token: &[u8]) -> Judgement {
        if token.len() > self.most_token_bytes {
            return Err(AuthError::TokenTooLong);
        }
        match self.judge_unknown(token, None, &Unlimited)? {
            Verdict::Done(judgement) => judgement,
            Verdict::Pending(judgement) => judgement.await,
        }
    }

    fn judge_token(&self, token: &[u8], asking: &dyn Asking) -> Result<Verdict, AuthError> {
        if token.len() > self.most_token_bytes {
            return Err(AuthError::TokenTooLong);
        }
        let name = self.verified.name(token);
        if let Some(known) = name.and_then(|name| self.verified.get(name, &self.issuers)) {
            telemetry::cache(telemetry::Cache::Tokens, telemetry::Looked::Hit);
            return Ok(Verdict::Done(Ok(known)));
        }
        telemetry::cache(telemetry::Cache::Tokens, telemetry::Looked::Miss);
        self.judge_unknown(token, name, asking)
    }

    /// What has no name is not remembered.
    fn judge_unknown(
        &self,
        token: &[u8],
        name: Option<TokenName>,
        asking: &dyn Asking,
    ) -> Result<Verdict, AuthError> {
        read_token(token, |unverified| {
            match self.issuers.find(unverified.issuer()?) {
                Found::Here(issuer) => self.fresh(name, token, &issuer).start(unverified, asking),
                Found::Wait(looking) => {
                    asking.may_ask()?;
                    Ok(self.judge_after(looking, name, token.to_owned()))
                }
                Found::Refused(error) => Err(error),
            }
        })
    }

    fn fresh<'t>(&'t self, name: Option<TokenName>, token: &'t [u8], issuer: &'t Issuer) -> Fresh<'t> {
        Fresh {
            judge: self,
            name,
            token,
            issuer,
        }
    }

    fn judge_after(
        &self,
        looking: BoxFuture<Result<Issuer, AuthError>>,
        name: Option<TokenName>,
        token: Vec<u8>,
    ) -> Verdict {
        let this = self.clone();
        Verdict::Pending(Box::pin(async move {
            let issuer = looking.await?;
            match this.fresh(name, &token, &issuer).start_anew()? {
                Verdict::Done(judgement) => judgement,
                Verdict::Pending(judgement) => judgement.await,
            }
        }))
    }
}

/// A token that is not known yet, on its way through the judge.
struct Fresh<'t> {
    judge: &'t JwtAuthenticator,
    name: Option<TokenName>,
    token: &'t [u8],
    issuer: &'t Issuer,
}

impl Fresh<'_> {
    fn start(&self, unverified: &UnverifiedToken<'_>, asking: &dyn Asking) -> Result<Verdict, AuthError> {
        self.issuer.check_header(unverified)?;
        let keys = match self.issuer.keys.current(asking) {
            Lookup::Ready(keys) => keys,
            Lookup::Wait(loading) => return Ok(self.judge_after(loading)),
            Lookup::Refused(error) => return Err(error),
        };
        match self.judge(unverified, &keys) {
            Err(AuthError::SigningKeyUnknown) => self.look_beyond(unverified, asking),
            judgement => Ok(Verdict::Done(judgement)),
        }
    }

    /// After a question that this request was allowed: what else it takes is part of that.
    fn start_anew(&self) -> Result<Verdict, AuthError> {
        read_token(self.token, |unverified| self.start(unverified, &Unlimited))
    }

    fn judge(&self, unverified: &UnverifiedToken<'_>, keys: &KeySet) -> Judgement {
        let judged = self.issuer.judge(unverified, keys)?;
        let JwtAuthenticator {
            verified, issuers, ..
        } = self.judge;
        let length = self.token.len();
        Ok(verified.remember(self.name, length, (issuers, self.issuer), keys, judged))
    }

    fn judge_again(&self, keys: &KeySet) -> Judgement {
        read_token(self.token, |unverified| self.judge(unverified, keys))
    }

    /// The key is not among those in memory: a newer set may have it.
    fn look_beyond(
        &self,
        unverified: &UnverifiedToken<'_>,
        asking: &dyn Asking,
    ) -> Result<Verdict, AuthError> {
        let (kid, algorithm) = unverified.key_name();
        match self.issuer.keys.beyond(kid, algorithm, asking) {
            Lookup::Ready(keys) => self.judge_again(&keys).map(|data| Verdict::Done(Ok(data))),
            Lookup::Wait(loading) => Ok(self.judge_after(loading)),
            Lookup::Refused(error) => Err(error),
        }
    }

    fn judge_after(&self, loading: BoxFuture<Result<KeySet, AuthError>>) -> Verdict {
        let (this, token, issuer) = (self.judge.clone(), self.token.to_owned(), self.issuer.clone());
        let name = self.name;
        Verdict::Pending(Box::pin(async move {
            let keys = loading.await?;
            this.fresh(name, &token, &issuer).judge_again(&keys)
        }))
    }
}

impl Authenticator for JwtAuthenticator {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        self.reader.find(request)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        credential.has_jwt_shape()
    }

    fn judge(&self, credential: &Credential<'_>, request: &RequestHead<'_>) -> Verdict {
        self.judge_token(credential.value, request)
            .unwrap_or_else(|error| Verdict::Done(Err(error)))
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
