//! From an issuer to the address of its keys: the metadata of RFC 8414 and of OpenID Connect Discovery.

use serde::Deserialize;
use url::Url;

use super::document;

/// The metadata of an authorization server; only what leads to its keys.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Why metadata is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MetadataError {
    #[error("the metadata is not the expected JSON")]
    Malformed(#[source] serde_json::Error),
    #[error("the metadata names another issuer than the one configured")]
    OtherIssuer,
    #[error("the metadata's jwks_uri is not https")]
    NotHttps,
}

/// Where an issuer's metadata may be, in the order in which the places are tried: OpenID Connect's first, because it is
/// the one that most issuers serve. RFC 8414 section 3.1 inserts the well-known part before the issuer's path; OpenID
/// Connect appends it.
pub(super) fn well_known(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let paths = [
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    let mut urls: Vec<Url> = Vec::new();
    for path in paths {
        let mut url = issuer.clone();
        url.set_path(&path);
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

/// The address of the keys, if the metadata is the configured issuer's own: compared to the letter (RFC 8414 section
/// 3.3), since anything else would let one tenant of a host speak for another.
pub(super) fn jwks_uri(text: &[u8], issuer: &str) -> Result<Url, MetadataError> {
    let metadata: Metadata = document::object(text).map_err(MetadataError::Malformed)?;
    if metadata.issuer != issuer {
        return Err(MetadataError::OtherIssuer);
    }
    let url = checked_url(&metadata.jwks_uri).map_err(|_| MetadataError::NotHttps)?;
    // Keys in plain http are for an issuer that is itself on loopback; metadata from elsewhere cannot send us there.
    if url.scheme() == "http" && !issuer.starts_with("http://") {
        return Err(MetadataError::NotHttps);
    }
    Ok(url)
}

/// A URL that may be fetched: https, or plain http on loopback for development; no user name, no fragment.
pub(super) fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user name or password in it would end up in logs".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("{text:?} has a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(format!(
            "{text:?} is not https (plain http is accepted for loopback only)"
        )),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str) -> Vec<String> {
        well_known(&Url::parse(issuer).unwrap())
            .into_iter()
            .map(String::from)
            .collect()
    }

    #[test]
    fn an_issuer_without_a_path_has_two_places() {
        let expected = [
            "https://as.test/.well-known/openid-configuration",
            "https://as.test/.well-known/oauth-authorization-server",
        ];
        assert_eq!(places("https://as.test"), expected);
        assert_eq!(places("https://as.test/"), expected);
    }

    #[test]
    fn an_issuer_with_a_path_has_three() {
        assert_eq!(
            places("https://as.test/tenant/"),
            [
                "https://as.test/tenant/.well-known/openid-configuration",
                "https://as.test/.well-known/oauth-authorization-server/tenant",
                "https://as.test/.well-known/openid-configuration/tenant",
            ]
        );
    }

    #[test]
    fn only_https_and_loopback_are_fetched() {
        for good in [
            "https://as.test/jwks",
            "http://127.0.0.1:9001",
            "http://localhost/x",
            "http://[::1]:80/",
        ] {
            assert!(checked_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://as.test",
            "http://127.0.0.1.evil.test",
            "http://localhost.evil.test",
            "ftp://as.test",
            "as.test",
            "https://u:p@as.test",
            "https://as.test/#x",
        ] {
            assert!(checked_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_of_another_issuer_or_without_https_is_not_used() {
        let metadata = |issuer, jwks| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{jwks}"}}"#).into_bytes();
        assert!(
            jwks_uri(
                &metadata("https://as.test", "https://as.test/jwks"),
                "https://as.test"
            )
            .is_ok()
        );
        assert!(
            jwks_uri(
                &metadata("https://as.test/", "https://as.test/jwks"),
                "https://as.test"
            )
            .is_err()
        );
        assert!(
            jwks_uri(
                &metadata("https://as.test", "http://as.test/jwks"),
                "https://as.test"
            )
            .is_err()
        );
        assert!(
            jwks_uri(
                &metadata("https://as.test", "http://127.0.0.1/jwks"),
                "https://as.test"
            )
            .is_err()
        );
    }
}
