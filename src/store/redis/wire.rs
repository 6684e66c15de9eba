//! Entries as the engine holds them: a JSON array names whose credentials are withdrawn, and words say which of them and until
//! when, each as `kind:cut:until`. Only this file writes the names, so whoever is withdrawn has one.

use std::time::{Duration, SystemTime};

use crate::revocation::{Cut, Revocation, Target};

const NANOS: u128 = 1_000_000_000;

/// An order as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) cut: String,
    pub(super) until: String,
}

impl Written {
    pub(super) fn of(order: &Revocation) -> Self {
        let (words, cut) = match &order.target {
            Target::Token { issuer, id } => (name(&["token", issuer, id]), None),
            Target::Subject { issuer, subject, cut } => (name(&["subject", issuer, subject]), Some(cut)),
            Target::Client { issuer, client, cut } => (name(&["client", issuer, client]), Some(cut)),
            Target::Issuer { issuer, cut } => (name(&["issuer", issuer]), Some(cut)),
            Target::ApiKey { id } => (name(&["key", id]), None),
        };
        let (kind, cut) = match cut {
            None => ("all", "0".to_owned()),
            Some(Cut::IssuedUntil(issued)) => ("issued", time(*issued)),
            Some(Cut::BelowVersion(version)) => ("version", version.to_string()),
        };
        Self {
            name: words,
            kind,
            cut,
            until: time(order.until),
        }
    }
}

pub(super) fn name(words: &[&str]) -> String {
    serde_json::Value::from(words).to_string()
}

/// The orders of an entry; `None` for each that was not written by this file, but by a later version or by somebody else.
pub(super) fn orders(name: &[u8], entry: &[u8]) -> Vec<Option<Revocation>> {
    let words: Option<Vec<String>> = serde_json::from_slice(name).ok();
    let (Some(words), Ok(entry)) = (words, str::from_utf8(entry)) else {
        return vec![None];
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    entry.split(' ').map(|one| order(&words, one)).collect()
}

fn order(name: &[&str], word: &str) -> Option<Revocation> {
    let (kind, rest) = word.split_once(':')?;
    let (cut, until) = rest.split_once(':')?;
    let until = read_time(until)?;
    Some(match (kind, name) {
        ("all", ["token", issuer, id]) => Revocation::token(*issuer, *id, until),
        ("all", ["key", id]) => Revocation::api_key(*id, until),
        ("issued", ["subject", issuer, subject]) => {
            Revocation::subject(*issuer, *subject, read_time(cut)?, until)
        }
        ("version", ["subject", issuer, subject]) => {
            Revocation::version(*issuer, *subject, cut.parse().ok()?, until)
        }
        ("issued", ["client", issuer, client]) => {
            Revocation::client(*issuer, *client, read_time(cut)?, until)
        }
        ("issued", ["issuer", issuer]) => Revocation::issuer(*issuer, read_time(cut)?, until),
        _ => return None,
    })
}

/// In nanoseconds, so that all nodes cut where the one that was told does. Nothing was issued before 1970.
fn time(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

fn read_time(word: &str) -> Option<SystemTime> {
    let nanos: u128 = word.parse().ok()?;
    let seconds = u64::try_from(nanos / NANOS).ok()?;
    let rest = u32::try_from(nanos % NANOS).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (issuer, other) = ("a\",\"b", "ü \\ \n");
        let until = at(4_000_000_000_000_000_001);
        let written = [
            Revocation::token(issuer, other, until),
            Revocation::subject(issuer, other, at(7), until),
            Revocation::version(issuer, other, u64::MAX, until),
            Revocation::client(issuer, other, at(0), until),
            Revocation::issuer(issuer, at(1), until),
            Revocation::api_key(issuer, until),
        ];
        for order in written {
            let Written {
                name,
                kind,
                cut,
                until,
            } = Written::of(&order);
            let entry = format!("{kind}:{cut}:{until}");
            assert_eq!(orders(name.as_bytes(), entry.as_bytes()), [Some(order)]);
        }
    }

    #[test]
    fn what_is_not_ours_is_not_guessed_at() {
        let names = [
            "",
            "[]",
            r#"["token","a"]"#,
            r#"["subject","a","b"]"#,
            r#"["new","a"]"#,
            r#"["token","a","b","c"]"#,
        ];
        for name in names {
            assert_eq!(orders(name.as_bytes(), b"all:0:1"), [None], "{name}");
        }
        for entry in [
            "",
            "all",
            "all:0",
            "all:0:",
            "all:0:x",
            "all:0:-1",
            "new:0:1",
            "issued:1:1",
        ] {
            assert_eq!(orders(br#"["key","a"]"#, entry.as_bytes()), [None], "{entry}");
        }
        assert_eq!(orders(br#"["issuer","a"]"#, b"issued:x:1"), [None]);
    }

    #[test]
    fn what_a_later_version_adds_hides_nothing_else() {
        let read = orders(br#"["key","a"]"#, b"new:0:1 all:0:1000000000");
        assert_eq!(read, [None, Some(Revocation::api_key("a", at(1_000_000_000)))]);
    }
}
