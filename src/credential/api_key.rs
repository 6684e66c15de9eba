//! API keys: a header of their own, or `Authorization` as `Bearer` or `ApiKey`. Never the query string.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

use super::{Credential, Flaw, Presented, RequestHead, authorization, single_value, visible};
use crate::challenge::Scheme;

/// Reads an API key. A key in both places is two credentials, even if it is the same.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeyReader {
    header: HeaderName,
}

impl Default for ApiKeyReader {
    fn default() -> Self {
        Self::of(HeaderName::from_static("x-api-key"))
    }
}

impl ApiKeyReader {
    pub(crate) fn of(header: HeaderName) -> Self {
        Self { header }
    }

    pub(crate) fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        let schemes = [Scheme::Bearer, Scheme::ApiKey];
        match (
            self.find_in_own_header(request.headers),
            authorization::read(request, &schemes),
        ) {
            (Presented::One(_), Presented::One(_)) => Presented::Twice,
            (Presented::None, other) | (other @ (Presented::Malformed(_) | Presented::Twice), _) => other,
            (found @ Presented::One(_), Presented::None) => found,
            (Presented::One(_), flaw) => flaw,
        }
    }

    fn find_in_own_header<'r>(&self, headers: &'r HeaderMap) -> Presented<'r> {
        if self.header == AUTHORIZATION {
            return Presented::None;
        }
        match single_value(headers, &self.header) {
            Ok(Some(value)) => match visible(value) {
                Ok(key) => Presented::One(Credential::new(key, self.header.clone(), Scheme::ApiKey)),
                Err(error) => Presented::Malformed(Flaw {
                    error,
                    scheme: Some(Scheme::ApiKey),
                }),
            },
            Ok(None) => Presented::None,
            Err(twice) => twice,
        }
    }
}
