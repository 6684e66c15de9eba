use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::issuer::Issuer;
use super::resolved::Resolved;
use crate::authenticator::BoxFuture;
use crate::clock::{Clock, SystemClock};

/// Finds the issuers of tenants that are not known when the service starts: a look-up in a database or a registry.
///
/// The name comes from a token that nobody has verified. Look it up; never fetch it, never make an address of it by
/// yourself, and answer `None` for whatever is not in your list. An issuer that should not be trusted and is returned all
/// the same lets its tokens in. Do not warm it up either: the rules for addresses hold from the moment that it is returned.
///
/// ```
/// use std::collections::HashMap;
/// use tower_resource_server::{Issuer, IssuerResolver, JwtLayer, ResolvedIssuers};
///
/// struct Tenants(HashMap<String, Issuer>);
///
/// impl IssuerResolver for Tenants {
///     type Error = std::convert::Infallible;
///
///     async fn resolve(&self, name: &str) -> Result<Option<Issuer>, Self::Error> {
///         Ok(self.0.get(name).cloned())
///     }
/// }
///
/// let layer = JwtLayer::new(ResolvedIssuers::new(Tenants(HashMap::new())));
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// Why the look-up failed. Goes to the log; the client gets 503.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send;

    /// The trusted issuer of exactly this name, or `None`. Its scopes must be named (`accepted_scopes`, or
    /// `accept_any_scope`).
    fn resolve(&self, name: &str) -> impl Future<Output = Result<Option<Issuer>, Self::Error>> + Send;
}

pub(super) type Resolution = Result<Option<Issuer>, Box<dyn std::error::Error + Send + Sync>>;

/// A resolver of any type, behind one pointer.
pub(super) trait ErasedResolver: Send + Sync {
    fn resolve(self: Arc<Self>, name: Arc<str>) -> BoxFuture<Resolution>;
}

impl<R: IssuerResolver> ErasedResolver for R {
    fn resolve(self: Arc<Self>, name: Arc<str>) -> BoxFuture<Resolution> {
        Box::pin(async move { IssuerResolver::resolve(&*self, &name).await.map_err(Into::into) })
    }
}

impl fmt::Debug for dyn ErasedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerResolver")
    }
}

/// The issuers that an [`IssuerResolver`] finds, remembered within bounds. Give it to `JwtLayer::new`, or beside issuers
/// that are known to [`TrustedIssuers::or_resolved`](super::TrustedIssuers::or_resolved).
///
/// - One look-up for all who wait for the same name; it is a task of its own and is given up after 5 s. A request waits for
///   it for 1 s at most and is then answered with 503, as it is if the resolver fails or panics. That is not remembered.
/// - 64 look-ups at once for names that are not known, and as many for those that are known and whose time is over, so that
///   junk keeps nobody out who was in.
/// - Names that are nobody's are remembered too, so that junk does not reach the resolver twice. A name of more than 2 KiB
///   does not reach it at all.
/// - Of the issuers that it finds, keys and metadata are fetched from public addresses only: loopback, private, link-local
///   and other special addresses are refused after the name was resolved, so a tenant cannot make this service call what
///   only this service can reach. A `Fetch` of your own gets such requests with
///   `PublicAddressesOnly` in their extensions; `HttpFetch::with_client` refuses them. A `KeySource` of your own is not
///   under these rules.
/// - An issuer whose name is not exactly the one asked for, or whose scopes are not named, is answered with 500.
///
/// When an issuer is forgotten or not found any more, its tokens are refused, also those that were verified before. While
/// the resolver cannot be asked, an issuer whose time is over gets 503.
#[derive(Debug, Clone)]
pub struct ResolvedIssuers {
    pub(super) resolver: Arc<dyn ErasedResolver>,
    pub(super) capacity: u64,
    pub(super) time_to_live: Duration,
    pub(super) refused_for: Duration,
    pub(super) only_public: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl ResolvedIssuers {
    /// Asks this resolver.
    pub fn new(resolver: impl IssuerResolver) -> Self {
        Self {
            resolver: Arc::new(resolver),
            capacity: 1000,
            time_to_live: Duration::from_secs(10 * 60),
            refused_for: Duration::from_secs(60),
            only_public: true,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How many issuers are remembered; those that are used least go first, and with them their keys. Default: 1,000,
    /// because each holds its keys and a task that renews them.
    #[must_use]
    pub fn capacity(mut self, issuers: u64) -> Self {
        self.capacity = issuers.max(1);
        self
    }

    /// After what time the resolver is asked again. Default: 10 min, because that is how long a tenant that was removed
    /// may go on. A resolver that returns clones of one `Issuer` keeps its keys over this; one that builds it anew has
    /// them fetched anew.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// How long a name that is nobody's is refused without asking; 10,000 of them are remembered, as hashes. Default:
    /// 1 min, because that is how long a new tenant may have to wait whose first token came too early.
    #[must_use]
    pub fn refused_for(mut self, time: Duration) -> Self {
        self.refused_for = time;
        self
    }

    /// Tells the time. Default: the operating system's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Lets keys of resolved issuers be fetched from private and loopback addresses too. Whoever can enter an issuer into
    /// your list can then make this service send requests inside your network; for issuers that all are your own.
    #[must_use]
    pub fn dangerous_accept_private_addresses(mut self) -> Self {
        self.only_public = false;
        self
    }

    pub(super) fn start(self) -> Resolved {
        Resolved::new(self)
    }
}
