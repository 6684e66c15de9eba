//! The port to an HTTP client, and the client that comes with the crate: the one file that names reqwest.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};

use super::address;
use crate::authenticator::BoxFuture;

/// The largest document that is read; published key sets have a few kilobytes.
pub(super) const MOST_BYTES: usize = 512 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends one request for a document: the port to an HTTP client of your own, with its proxy, certificates and limits.
///
/// What the crate expects of it: certificates are verified, redirects are not followed (a document that moved is a new
/// configuration), bodies and time are bounded. The caller refuses a body of more than 512 KiB in any case.
pub trait Fetch: Send + Sync + 'static {
    /// The response with its whole body, whatever its status.
    fn fetch(&self, request: Request<()>)
    -> impl Future<Output = Result<Response<Bytes>, FetchError>> + Send;
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, no certificate that is trusted, no answer in time, or the connection broke.
    #[error("the request failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body is longer than what is read.
    #[error("the document is longer than 512 KiB")]
    TooLarge,
    /// The server answered with another status than 200.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The server answered with 429 or 503, and when it wants to be asked again (RFC 9110 section 10.2.3).
    #[error("the server answered {status} and asks for a pause of {} s", retry_after.as_secs())]
    Busy {
        /// What it answered.
        status: StatusCode,
        /// How long it wants to be left alone.
        retry_after: Duration,
    },
    /// The address belongs to a private or local network, and only public ones may be asked.
    #[error("the address is not public")]
    NotPublic,
}

impl FetchError {
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// Stands in the extensions of a request whose address a stranger had a say in: it must not be sent to an address that is
/// not public. A [`Fetch`] of your own has to see to it, after the name was resolved; one that is an address already is
/// refused before it comes here.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PublicAddressesOnly;

/// The HTTP client that comes with the crate: rustls, no redirects, no proxy, 2 s to connect, 5 s in all,
/// 512 KiB.
///
/// It is built at the first fetch, so that making one costs nothing and cannot fail.
#[derive(Debug, Clone, Default)]
pub struct HttpFetch {
    client: OnceLock<reqwest::Client>,
    /// The one that asks public addresses only.
    guarded: OnceLock<reqwest::Client>,
    is_own: bool,
}

impl HttpFetch {
    /// The client with the crate's settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of your own: for a proxy, an internal certificate authority, a client certificate. Its redirect policy,
    /// proxies and time limits are yours; set `redirect::Policy::none()`.
    pub fn with_client(client: reqwest::Client) -> Self {
        Self {
            client: OnceLock::from(client),
            guarded: OnceLock::new(),
            is_own: true,
        }
    }

    /// A client of the user's own resolves names as it likes, so it never asks where only public addresses may be asked.
    fn client(&self, guarded: bool) -> Result<&reqwest::Client, FetchError> {
        let place = match (guarded, self.is_own) {
            (true, true) => return Err(FetchError::NotPublic),
            (true, false) => &self.guarded,
            (false, _) => &self.client,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(WHOLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("tower-resource-server/", env!("CARGO_PKG_VERSION")));
        if guarded {
            client = client.dns_resolver(Arc::new(PublicNames));
        }
        let client = client
            .build()
            .map_err(|error| FetchError::Transport(error.into()))?;
        Ok(place.get_or_init(|| client))
    }
}

impl Fetch for HttpFetch {
    async fn fetch(&self, request: Request<()>) -> Result<Response<Bytes>, FetchError> {
        let transport = |error: reqwest::Error| FetchError::Transport(error.into());
        let guarded = request.extensions().get::<PublicAddressesOnly>().is_some();
        let request = reqwest::Request::try_from(request.map(|()| "")).map_err(transport)?;
        // Names are judged when they are resolved; an address in the place of a name never is.
        if guarded && !address::may_be_public(request.url()) {
            return Err(FetchError::NotPublic);
        }
        let mut answer = self.client(guarded)?.execute(request).await.map_err(transport)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// Resolves names as the operating system does, and leaves out what is not public: the addresses that are connected to are
/// the ones that were looked at, so a name that changes its meaning in between gains nothing.
#[derive(Debug)]
struct PublicNames;

impl reqwest::dns::Resolve for PublicNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|one| address::is_public(one.ip())).collect();
            if public.is_empty() {
                return Err(FetchError::NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// A client of any type, behind one pointer.
pub(super) trait ErasedFetch: Send + Sync {
    fn fetch(self: Arc<Self>, request: Request<()>) -> BoxFuture<Result<Response<Bytes>, FetchError>>;
}

impl<F: Fetch> ErasedFetch for F {
    fn fetch(self: Arc<Self>, request: Request<()>) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        Box::pin(async move { Fetch::fetch(&*self, request).await })
    }
}

impl fmt::Debug for dyn ErasedFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetch")
    }
}
