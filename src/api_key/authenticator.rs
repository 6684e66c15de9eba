use std::sync::Arc;

use super::forms::Forms;
use super::store::{ErasedStore, Found};
use super::{KeyDigest, KeyStore};
use crate::authenticator::{Authenticator, Judgement, Verdict};
use crate::challenge::{Challenge, Realm, Scheme};
use crate::clock::{Clock, SystemClock};
use crate::credential::{ApiKeyReader, Credential, Presented, RequestHead};
use crate::error::AuthError;
use crate::principal::Method;

/// Longer than any key that is in use; a longer value is not hashed at all.
const LONGEST_KEY: usize = 512;

/// Finds API keys and judges them by the record that a store has of them.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeyAuthenticator {
    pub(crate) reader: ApiKeyReader,
    pub(crate) realm: Realm,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) forms: Forms,
    store: Arc<dyn ErasedStore>,
}

impl ApiKeyAuthenticator {
    pub(crate) fn new(store: impl KeyStore) -> Self {
        Self {
            reader: ApiKeyReader::default(),
            realm: Realm::default(),
            clock: Arc::new(SystemClock::new()),
            forms: Forms::default(),
            store: Arc::new(store),
        }
    }
}

fn decide(found: Found, digest: &KeyDigest, clock: &dyn Clock) -> Judgement {
    match found {
        Ok(Some(record)) => record.judge(digest, clock.now()),
        Ok(None) => Err(AuthError::ApiKeyUnknown),
        Err(error) => Err(AuthError::StoreUnavailable(error)),
    }
}

impl Authenticator for ApiKeyAuthenticator {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        self.reader.find(request.headers)
    }

    fn fits(&self, credential: &Credential<'_>) -> bool {
        !credential.has_jwt_shape()
    }

    fn judge(&self, credential: &Credential<'_>, _: &RequestHead<'_>) -> Verdict {
        if credential.value.len() > LONGEST_KEY {
            return Verdict::Done(Err(AuthError::ApiKeyMalformed));
        }
        if let Err(error) = self.forms.check(credential.value) {
            return Verdict::Done(Err(error));
        }
        let digest = KeyDigest::of(credential.value);
        if let Some(found) = self.store.find_now(&digest) {
            return Verdict::Done(decide(found, &digest, &*self.clock));
        }
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Verdict::Pending(Box::pin(async move {
            decide(store.find(digest).await, &digest, &*clock)
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
