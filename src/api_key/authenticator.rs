use std::sync::Arc;

use super::forms::Forms;
use super::store::{ErasedStore, Found};
#[cfg(feature = "stored-keys")]
use super::usage::UsageRecorder;
use super::{ApiKeyRecord, KeyDigest, KeyStore};
use crate::authenticator::{Authenticator, Judgement, Verdict};
use crate::challenge::{Challenge, Realm, Scheme};
use crate::clock::{Clock, SystemClock};
use crate::credential::{ApiKeyReader, Asking, Credential, Presented, RequestHead};
use crate::error::AuthError;
use crate::principal::Method;

/// Longer than any key that is in use; a longer value is not hashed at all.
const LONGEST_KEY: usize = 512;

/// Finds API keys and judges them by the record that a store has of them.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeyAuthenticator {
    pub(crate) reader: ApiKeyReader,
    pub(crate) realm: Realm,
    pub(crate) forms: Forms,
    pub(crate) judge: Judge,
    store: Arc<dyn ErasedStore>,
}

/// What is needed besides a record to decide.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) clock: Arc<dyn Clock>,
    /// Stands in for the record of an unknown key, so that it takes no less time to refuse than a revoked one.
    nobody: ApiKeyRecord,
    #[cfg(feature = "stored-keys")]
    pub(crate) usage: Option<UsageRecorder>,
}

impl ApiKeyAuthenticator {
    pub(crate) fn new(store: impl KeyStore) -> Self {
        Self {
            reader: ApiKeyReader::default(),
            realm: Realm::default(),
            forms: Forms::default(),
            judge: Judge {
                clock: Arc::new(SystemClock::new()),
                nobody: ApiKeyRecord::builder("", "", KeyDigest::from_bytes([0; 32]))
                    .revoked()
                    .build(),
                #[cfg(feature = "stored-keys")]
                usage: None,
            },
            store: Arc::new(store),
        }
    }
}

impl Judge {
    fn decide(&self, found: Found, digest: &KeyDigest) -> Judgement {
        let found = found.map_err(AuthError::StoreUnavailable)?;
        let record = found.unwrap_or_else(|| self.nobody.clone());
        let now = self.clock.now();
        let judgement = record.judge(digest, now);
        #[cfg(feature = "stored-keys")]
        if let Some(usage) = &self.usage {
            usage.judged(&record, &judgement, now);
        }
        judgement
    }
}

impl Authenticator for ApiKeyAuthenticator {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        self.reader.find(request)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        !credential.has_jwt_shape()
    }

    fn judge(&self, credential: &Credential<'_>, request: &RequestHead<'_>) -> Verdict {
        if credential.value.len() > LONGEST_KEY {
            return Verdict::Done(Err(AuthError::ApiKeyMalformed));
        }
        if let Err(error) = self.forms.check(credential.value) {
            return Verdict::Done(Err(error));
        }
        let digest = KeyDigest::of(credential.value);
        if let Some(found) = self.store.find_now(&digest) {
            return Verdict::Done(self.judge.decide(found, &digest));
        }
        if !self.store.knows(&digest)
            && let Err(error) = request.may_ask()
        {
            return Verdict::Done(Err(error));
        }
        let (store, judge) = (Arc::clone(&self.store), self.judge.clone());
        Verdict::Pending(Box::pin(async move {
            let found = store.find(digest).await;
            judge.decide(found, &digest)
        }))
    }

    /// A key is accepted under both schemes, so both are named.
    fn challenges(&self) -> Vec<Challenge> {
        [Scheme::Bearer, Scheme::ApiKey]
            .map(|scheme| Challenge::new(scheme, &self.realm))
            .into()
    }

    fn method_of(&self, _: &Credential<'_>) -> Method {
        Method::ApiKey
    }

    fn hides_from_caches(&self) -> bool {
        true
    }
}
