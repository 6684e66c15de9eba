use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use super::discovery::{self, MetadataError};
use super::documents::{Document, Documents};
use super::fetch::{ErasedFetch, Fetch, FetchError, HttpFetch};
use super::key_set::{KeySet, KeySetError};
use super::source::KeySource;
use crate::error::Problems;

/// The keys that an issuer publishes over https. Give it to an issuer's builder as it is, or wrapped in `CachedKeys` with
/// times of your own.
///
/// Nothing is fetched before the first use. Plain http is accepted for loopback only.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    place: Place,
    documents: Arc<Documents>,
    /// Where metadata were found last, and the address of the keys that they named.
    found: Arc<Mutex<Option<Found>>>,
    only_public: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
struct Found {
    metadata: Url,
    keys: Url,
}

#[derive(Debug, Clone)]
enum Place {
    JwksUri(Result<Url, String>),
    Issuer(String, Result<Url, String>),
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    #[error("the keys' address cannot be used: {0}")]
    Address(String),
    #[error("the issuer's keys could not be fetched")]
    Keys(#[source] FetchError),
    #[error("the issuer's keys cannot be used")]
    Document(#[source] KeySetError),
    #[error("the issuer's metadata could not be fetched")]
    Metadata(#[source] FetchError),
    #[error("the issuer's metadata cannot be used")]
    BadMetadata(#[source] MetadataError),
}

impl RemoteKeys {
    /// The JWKS document at this address.
    pub fn jwks_uri(url: impl AsRef<str>) -> Self {
        Self::at(Place::JwksUri(discovery::checked_url(url.as_ref())))
    }

    /// The JWKS document that the issuer's metadata names (RFC 8414, or OpenID Connect Discovery). The metadata is asked
    /// again each time, so a `jwks_uri` that changes is followed; while it cannot be had or is bad, the keys are fetched
    /// from where it said before.
    pub fn discover(issuer: impl Into<String>) -> Self {
        let issuer = issuer.into();
        let url = discovery::checked_url(&issuer).and_then(|url| {
            if url.query().is_some() {
                Err(format!("{issuer:?} has a query (RFC 8414 section 2)"))
            } else {
                Ok(url)
            }
        });
        Self::at(Place::Issuer(issuer, url))
    }

    fn at(place: Place) -> Self {
        Self::with(place, Arc::new(HttpFetch::new()))
    }

    fn with(place: Place, fetch: Arc<dyn ErasedFetch>) -> Self {
        Self {
            place,
            documents: Arc::new(Documents::new(fetch)),
            found: Arc::default(),
            only_public: Arc::default(),
        }
    }

    /// Fetches with this client. Default: [`HttpFetch`], because its limits are chosen for key sets.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        Self::with(self.place, Arc::new(fetch))
    }

    /// For an issuer whose name came from a token: nothing is asked that is not public (`address`).
    pub(super) fn only_public_addresses(&self) {
        self.only_public.store(true, Ordering::Relaxed);
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        match &self.place {
            Place::JwksUri(Err(message)) => problems.add("jwks_uri", message),
            Place::Issuer(_, Err(message)) => problems.add("issuer", message),
            _ => {}
        }
    }

    async fn address(&self) -> Result<Url, RemoteError> {
        let (name, issuer) = match &self.place {
            Place::JwksUri(url) => return url.clone().map_err(RemoteError::Address),
            Place::Issuer(name, url) => (name, url.clone().map_err(RemoteError::Address)?),
        };
        let known = self.found().clone();
        let Some(known) = known else {
            let found = self.search(name, discovery::well_known(&issuer)).await?;
            let keys = found.keys.clone();
            *self.found() = Some(found);
            return Ok(keys);
        };
        // Metadata that are gone or bad take nothing away from what they said before.
        match self.search(name, vec![known.metadata]).await {
            Ok(found) => Ok(self.found().insert(found).keys.clone()),
            Err(_) => Ok(known.keys),
        }
    }

    /// Tries every place until one answers with metadata of this issuer.
    async fn search(&self, name: &str, places: Vec<Url>) -> Result<Found, RemoteError> {
        let mut failure = None;
        for metadata in places {
            let found = match self.document(&metadata).await {
                Ok(document) => discovery::jwks_uri(&document.text, name)
                    .inspect_err(|_| self.documents.forget(&metadata))
                    .map_err(RemoteError::BadMetadata),
                Err(error) => Err(RemoteError::Metadata(error)),
            };
            match found {
                Ok(keys) => return Ok(Found { metadata, keys }),
                // A document that is there and wrong says more than one that is not there.
                Err(error @ RemoteError::BadMetadata(_)) => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| RemoteError::Address("the issuer has no well-known place".to_owned())))
    }

    async fn document(&self, url: &Url) -> Result<Document, FetchError> {
        self.documents
            .get(url, self.only_public.load(Ordering::Relaxed))
            .await
    }

    fn found(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for RemoteKeys {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        let url = self.address().await?;
        let document = self.document(&url).await.map_err(RemoteError::Keys)?;
        let keys = parse(&document.text).inspect_err(|_| self.documents.forget(&url))?;
        Ok(match document.max_age {
            Some(time) => keys.fresh_for(time),
            None => keys,
        })
    }
}

fn parse(document: &[u8]) -> Result<KeySet, Box<dyn std::error::Error + Send + Sync>> {
    let text = std::str::from_utf8(document)?;
    Ok(KeySet::from_jwks(text).map_err(RemoteError::Document)?)
}
