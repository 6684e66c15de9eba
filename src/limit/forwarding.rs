//! What proxies say of whom they saw. Each appends to a list, so what is to be believed stands at its right end, and is read from
//! there: nothing that a caller wrote further left is looked at, however long it is, and no quote that it opened there counts.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use super::address::parse_address;

/// In bytes. No proxy says more; a longer entry is a caller's.
const LONGEST_ENTRY: usize = 512;

/// The header to which proxies append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Forwarding {
    XForwardedFor,
    Forwarded,
}

impl Forwarding {
    /// That of whom the first of so many proxies saw.
    pub(super) fn address(self, headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
        let entry = self.entry(headers, proxies)?;
        match self {
            Self::XForwardedFor => parse_address(entry),
            Self::Forwarded => parse_address(node(entry)?),
        }
    }

    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => FORWARDED,
        }
    }

    /// The entry in this place from the right, over all lines (RFC 9110 section 5.3). `None` if there are fewer, or one of those
    /// passed cannot be told from what stands before it.
    fn entry(self, headers: &HeaderMap, place: usize) -> Option<&[u8]> {
        let mut to_go = place;
        for line in headers.get_all(self.name()).iter().rev() {
            let mut rest = Some(line.as_bytes());
            while let Some(bytes) = rest {
                let (before, entry) = self.split_last(bytes)?;
                to_go = to_go.checked_sub(1)?;
                if to_go == 0 {
                    return Some(entry);
                }
                rest = before;
            }
        }
        None
    }

    /// The last entry of a line, and what stands before its comma.
    fn split_last(self, line: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
        let (far, near) = line.split_at(line.len().saturating_sub(LONGEST_ENTRY));
        let mut quoted = false;
        let comma = near.iter().rposition(|byte| {
            quoted ^= *byte == b'"' && self.has_quotes();
            *byte == b',' && !quoted
        });
        let (before, entry) = match comma {
            Some(comma) => {
                let (before, entry) = line.split_at(far.len() + comma);
                (Some(before), entry.strip_prefix(b",")?)
            }
            None if far.is_empty() => (None, line),
            None => return None,
        };
        // From the right, a quote that is escaped looks like one that is not; no proxy has a reason to write one.
        let is_clear = !self.has_quotes() || (!quoted && !entry.contains(&b'\\'));
        is_clear.then_some((before, entry))
    }

    fn has_quotes(self) -> bool {
        matches!(self, Self::Forwarded)
    }
}

/// The one `for` of an element of `Forwarded` (RFC 7239 section 4), without its quotes.
fn node(element: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let pairs = element.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    });
    let mut nodes = pairs.filter_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(b"for=".len())?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => unquoted(node),
        _ => None,
    }
}

fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        None => Some(value),
    }
}
