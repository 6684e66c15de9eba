use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName};

use super::forwarding::Forwarding;
use crate::error::Problems;

/// Says which address a request came from, where none of the named ways of [`CallerAddress`] fits. One method.
///
/// An address that the caller can choose makes every limit by address worthless: he takes another one each time, or that of
/// somebody whom he wants to be refused.
pub trait AddressSource: Send + Sync + 'static {
    /// The caller's address; `None` if it is not known. All requests of unknown addresses are counted as one caller's.
    fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr>;
}

/// Where a request's caller has its address, as only who runs the service knows: at the other end of the connection, or in a header
/// that a proxy in front writes.
///
/// ```
/// use axum::extract::ConnectInfo;
/// use std::net::SocketAddr;
/// use tower_resource_server::CallerAddress;
///
/// // Nothing stands in front. Served with `into_make_service_with_connect_info::<SocketAddr>()`.
/// let direct = CallerAddress::of_peer(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
/// // A CDN and a load balancer stand in front, each of which appends to `X-Forwarded-For`.
/// let behind_two = CallerAddress::of_x_forwarded_for(2);
/// ```
///
/// An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address. Who limits by address takes all
/// addresses of one IPv6 network of 64 bits for one caller's, because that is what one caller is given.
#[derive(Clone)]
pub struct CallerAddress(Source);

type Peer = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
enum Source {
    Peer(Peer),
    /// What the last of so many proxies saw.
    Forwarded(Forwarding, usize),
    Header(HeaderName),
    Other(Arc<dyn AddressSource>),
}

impl CallerAddress {
    /// The other end of the connection, which the server puts into the request's extensions. Right where no proxy stands in front:
    /// behind one it is the proxy's address, and all callers are one.
    #[must_use]
    pub fn of_peer(peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Peer(Arc::new(peer)))
    }

    /// Behind so many proxies of yours, each of which appends the address that it sees to `X-Forwarded-For`: the entry that many
    /// places from the right, over all lines of the header.
    ///
    /// The number must be exact, and every request must pass all of them. What stands further left is the caller's own word, and is
    /// not read; one proxy too many, and the caller chooses. If there are fewer entries, or this one is no address, the address is not
    /// known: neither the peer's nor another entry takes its place.
    #[must_use]
    pub fn of_x_forwarded_for(proxies: usize) -> Self {
        Self(Source::Forwarded(Forwarding::XForwardedFor, proxies))
    }

    /// The same for proxies that write `Forwarded` (RFC 7239): the `for` of that element. `unknown` and names that hide an address
    /// (`_gazonk`) are no address.
    #[must_use]
    pub fn of_forwarded(proxies: usize) -> Self {
        Self(Source::Forwarded(Forwarding::Forwarded, proxies))
    }

    /// A header with one address, such as `CF-Connecting-IP` or `X-Real-IP`. Only where every request passes a proxy of yours that
    /// sets it, whatever it was before: everywhere else it is the caller's word. Twice in one request, it says nothing.
    #[must_use]
    pub fn of_header(name: HeaderName) -> Self {
        Self(Source::Header(name))
    }

    /// What this source says.
    #[must_use]
    pub fn new(source: impl AddressSource) -> Self {
        Self(Source::Other(Arc::new(source)))
    }

    /// The address of the caller of the request with these headers and extensions; also for your own logs, or an audit. `None` if it
    /// is not known.
    pub fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let address = match &self.0 {
            Source::Peer(peer) => peer(extensions),
            Source::Forwarded(forwarding, proxies) => forwarding.address(headers, *proxies),
            Source::Header(name) => only_address(headers, name),
            Source::Other(source) => source.address(headers, extensions),
        };
        Some(address?.to_canonical())
    }

    pub(crate) fn network(&self, headers: &HeaderMap, extensions: &Extensions) -> Network {
        Network::of(self.address(headers, extensions))
    }

    pub(super) fn check(&self, setter: &'static str, problems: &mut Problems) {
        if let Source::Forwarded(_, 0) = self.0 {
            problems.add(
                setter,
                "behind no proxy the header is the caller's own word: of_peer",
            );
        }
    }
}

impl fmt::Debug for CallerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerAddress::")?;
        match &self.0 {
            Source::Peer(_) => f.write_str("of_peer"),
            Source::Forwarded(Forwarding::XForwardedFor, proxies) => {
                write!(f, "of_x_forwarded_for({proxies})")
            }
            Source::Forwarded(Forwarding::Forwarded, proxies) => write!(f, "of_forwarded({proxies})"),
            Source::Header(name) => write!(f, "of_header({name})"),
            Source::Other(_) => f.write_str("new"),
        }
    }
}

/// Longer than any address with a port.
const LONGEST_ADDRESS: usize = 64;

fn only_address(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_address(value.as_bytes()),
        _ => None,
    }
}

/// An address, and a port if proxies write one: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
pub(super) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = text.trim_ascii();
    if text.len() > LONGEST_ADDRESS {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.parse().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        Some(IpAddr::V6(inner.parse().ok()?))
    };
    bare.or_else(with_port).or_else(in_brackets)
}

/// Whom a limit by address takes for one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    V4(Ipv4Addr),
    /// 64 bits of the address, and 64 zeros.
    V6(Ipv6Addr),
    /// All of whom no address is known.
    Unknown,
}

impl Network {
    fn of(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self::V6(Ipv6Addr::from_bits(network))
            }
            None => Self::Unknown,
        }
    }
}

/// As a place where other machines count is told of it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(network) => write!(f, "{network}/64"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
