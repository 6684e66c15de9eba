use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap};

use super::address::{CallerAddress, Network};
use super::local::Local;
use super::quota::Quota;
use crate::clock::{Clock, SystemClock};
use crate::credential::{Attempts, CountAttempts};
use crate::error::{ConfigError, Problems};

/// What metrics call the table.
const NAME: &str = "failed_attempts";
/// The one quota of the table.
const PLACE: usize = 0;

/// Counts the credentials that turned out bad, by the address of who presented them, for a `FailedAttemptLayer`. Clones count
/// together.
///
/// Whoever has failed as often as the quota allows is not locked out, and nor are those who share his address. Credentials that can
/// be judged with what is in memory are judged as ever. Only what a store or an issuer would have to be asked about is refused, with
/// 429: the guesses.
///
/// # What counts
///
/// - A credential that was refused with 401, whoever found out. Nothing presented is no attempt, and neither is a header that cannot
///   be read.
/// - Before a store or an issuer is asked, one of the quota is taken, and it is given back if the credential was good or could not be
///   judged. So of many guesses at the same time no more are asked about than may fail; and no more credentials that are new here
///   can be looked up at the same time.
/// - It stays taken if the request is cancelled before the answer.
///
/// # What it does not do
///
/// It counts in this process; several servers allow that many times the quota. Who has many addresses has as many quotas. It says
/// nothing of how often a good credential may be used.
///
/// ```
/// use axum::extract::ConnectInfo;
/// use std::net::SocketAddr;
/// use tower_resource_server::{CallerAddress, FailedAttemptLayer, FailedAttempts, Quota};
///
/// let address = CallerAddress::of_peer(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
/// let attempts = FailedAttempts::builder(address).quota(Quota::per_minute(10).at_once(50)).build()?;
/// let layer = FailedAttemptLayer::new(attempts);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct FailedAttempts(Arc<Inner>);

struct Inner {
    address: CallerAddress,
    counts: Local,
}

/// Makes [`FailedAttempts`].
#[derive(Debug, Clone)]
pub struct FailedAttemptsBuilder {
    address: CallerAddress,
    quota: Quota,
    most_addresses: usize,
    clock: Arc<dyn Clock>,
}

/// How [`FailedAttempts`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedAttemptsStatus {
    /// Of how many addresses the failures are remembered. Some may have nothing left to pay back.
    pub addresses: usize,
}

impl FailedAttempts {
    /// Begins with where the address of a caller is.
    #[must_use]
    pub fn builder(address: CallerAddress) -> FailedAttemptsBuilder {
        FailedAttemptsBuilder {
            address,
            quota: Quota::per_minute(20).at_once(100),
            most_addresses: 100_000,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How it is now.
    pub fn status(&self) -> FailedAttemptsStatus {
        FailedAttemptsStatus {
            addresses: self.0.counts.callers(),
        }
    }

    /// The mark of a request with these headers and extensions.
    pub(crate) fn watch(&self, headers: &HeaderMap, extensions: &Extensions) -> Attempts {
        Attempts::new(Watched {
            network: self.0.address.network(headers, extensions),
            attempts: self.clone(),
        })
    }
}

impl FailedAttemptsBuilder {
    /// How often the credentials of one address may turn out bad. Default: 20 a minute and 100 at once, because a client with an old
    /// key tries it again and again; because 100 callers who are new here may come from behind one address at the same time, as after
    /// a restart; and because nobody guesses a key with 30,000 attempts a day.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// Of how many addresses the failures are remembered. Those beyond share 1,024 counts until others have paid back, so that who
    /// has very many addresses gains nothing. Default: 100,000, because that is 5 MB, which strangers can make a
    /// service hold.
    #[must_use]
    pub fn most_addresses(mut self, addresses: usize) -> Self {
        self.most_addresses = addresses;
        self
    }

    /// Who tells the time. Default: [`SystemClock`], because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Ready to count. It is an error if the quota allows nothing or limits nothing, if there is room for no address, or if the
    /// address is to be that of callers behind no proxy.
    pub fn build(self) -> Result<FailedAttempts, ConfigError> {
        let mut problems = Problems::default();
        self.address.check("address", &mut problems);
        self.quota.check("quota", &mut problems);
        if self.most_addresses == 0 {
            problems.add("most_addresses", "there is room for nobody");
        }
        problems.into_result()?;
        Ok(FailedAttempts(Arc::new(Inner {
            address: self.address,
            counts: Local::new(NAME, [self.quota], self.most_addresses, self.clock),
        })))
    }
}

impl fmt::Debug for FailedAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedAttempts")
            .field("address", &self.0.address)
            .field("addresses", &self.0.counts.callers())
            .finish_non_exhaustive()
    }
}

/// Those of one request's caller.
#[derive(Debug)]
struct Watched {
    network: Network,
    attempts: FailedAttempts,
}

impl CountAttempts for Watched {
    fn take(&self) -> Result<(), Duration> {
        let taken = self.attempts.0.counts.take(PLACE, &self.network);
        if taken.granted { Ok(()) } else { Err(taken.next) }
    }

    fn give_back(&self) {
        self.attempts.0.counts.give_back(PLACE, &self.network);
    }
}
