use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, StatusCode};
use url::Url;

use super::discovery::{self, MetadataError};
use super::fetch::{ErasedFetch, Fetch, FetchError, HttpFetch, MOST_BYTES};
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
    fetch: Arc<dyn ErasedFetch>,
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
    /// again each time, so a `jwks_uri` that changes is followed.
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
        Self {
            place,
            fetch: Arc::new(HttpFetch::new()),
        }
    }

    /// Fetches with this client. Default: [`HttpFetch`], because its limits are chosen for key sets.
    #[must_use]
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Arc::new(fetch);
        self
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        match &self.place {
            Place::JwksUri(Err(message)) => problems.add("jwks_uri", message),
            Place::Issuer(_, Err(message)) => problems.add("issuer", message),
            _ => {}
        }
    }

    async fn address(&self) -> Result<Url, RemoteError> {
        match &self.place {
            Place::JwksUri(url) => url.clone().map_err(RemoteError::Address),
            Place::Issuer(name, url) => {
                self.discovered(name, &url.clone().map_err(RemoteError::Address)?)
                    .await
            }
        }
    }

    /// Tries every well-known place until one answers with metadata of this issuer.
    async fn discovered(&self, name: &str, issuer: &Url) -> Result<Url, RemoteError> {
        let mut failure = None;
        for url in discovery::well_known(issuer) {
            let found = match self.document(&url).await {
                Ok(text) => discovery::jwks_uri(&text, name).map_err(RemoteError::BadMetadata),
                Err(error) => Err(RemoteError::Metadata(error)),
            };
            match found {
                Ok(url) => return Ok(url),
                // A document that is there and wrong says more than one that is not there.
                Err(error @ RemoteError::BadMetadata(_)) => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| RemoteError::Address("the issuer has no well-known place".to_owned())))
    }

    async fn document(&self, url: &Url) -> Result<Bytes, FetchError> {
        let mut request = Request::new(());
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| FetchError::Transport(error.into()))?;
        let accepted = HeaderValue::from_static("application/json, application/jwk-set+json");
        request.headers_mut().insert(ACCEPT, accepted);
        let response = Arc::clone(&self.fetch).fetch(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = response.into_body();
        if body.len() > MOST_BYTES {
            Err(FetchError::TooLarge)
        } else {
            Ok(body)
        }
    }
}

impl KeySource for RemoteKeys {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn load(&self) -> Result<KeySet, Self::Error> {
        let url = self.address().await?;
        let text = self.document(&url).await.map_err(RemoteError::Keys)?;
        let text = std::str::from_utf8(&text)?;
        Ok(KeySet::from_jwks(text).map_err(RemoteError::Document)?)
    }
}
