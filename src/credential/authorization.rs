//! The `Authorization` field: `scheme 1*SP token68` (RFC 9110 section 11.4, RFC 6750 section 2.1).

use http::{HeaderMap, header::AUTHORIZATION};

use super::{Credential, Flaw, NotToken68, Presented, RequestHead, single_value, token68};
use crate::challenge::Scheme;

/// The field, taken apart: once, however many look at it, since tokens are long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Authorization<'r> {
    Absent,
    Twice,
    /// No scheme that can be read, or something other than a space behind it.
    Malformed(Option<Scheme>, NotToken68),
    /// A scheme that nobody here knows: no credential.
    Foreign,
    Of(Scheme, Result<&'r [u8], NotToken68>),
}

impl<'r> Authorization<'r> {
    pub(super) fn of(headers: &'r HeaderMap) -> Self {
        match single_value(headers, &AUTHORIZATION) {
            Ok(Some(value)) => Self::split(value),
            Ok(None) => Self::Absent,
            Err(_) => Self::Twice,
        }
    }

    /// Splits `scheme 1*SP token68`. Schemes are compared without case, and end at a space whether they are known or not:
    /// `Basic,abc` is no credential of another kind, it is garbage.
    pub(super) fn split(value: &'r [u8]) -> Self {
        let end = value
            .iter()
            .position(|byte| !is_tchar(*byte))
            .unwrap_or(value.len());
        let (word, rest) = value.split_at(end);
        let scheme = Scheme::named(word);
        if value.is_empty() {
            return Self::Malformed(None, NotToken68::Empty);
        }
        if word.is_empty() || !matches!(rest, [] | [b' ', ..]) {
            return Self::Malformed(scheme, NotToken68::Unreadable);
        }
        let Some(scheme) = scheme else {
            return Self::Foreign;
        };
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        Self::Of(scheme, token68(rest.split_at(spaces).1))
    }

    /// What it holds for who knows `schemes`.
    pub(super) fn read(self, schemes: &[Scheme]) -> Presented<'r> {
        let flaw = |flaw: NotToken68, scheme| {
            Presented::Malformed(Flaw {
                error: flaw.into(),
                scheme,
            })
        };
        match self {
            Self::Absent | Self::Foreign => Presented::None,
            Self::Twice => Presented::Twice,
            Self::Malformed(scheme, why) => flaw(why, scheme.filter(|scheme| schemes.contains(scheme))),
            Self::Of(scheme, _) if !schemes.contains(&scheme) => Presented::None,
            Self::Of(scheme, Ok(value)) => Presented::One(Credential::new(value, AUTHORIZATION, scheme)),
            Self::Of(scheme, Err(why)) => flaw(why, Some(scheme)),
        }
    }
}

/// Reads the field for any of `schemes`.
pub(super) fn read<'r>(request: &RequestHead<'r>, schemes: &[Scheme]) -> Presented<'r> {
    let field = request
        .authorization
        .get_or_init(|| Authorization::of(request.headers));
    field.read(schemes)
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
