//! Refusals for HTTP: RFC 6750 section 3, RFC 9110 sections 10.2.3 and 11.6.1, RFC 9457.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response};
use serde::Serialize;

use crate::error::Rejection;

/// Section 5.1 of draft-ietf-httpapi-ratelimit-headers-10.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

#[derive(Serialize)]
struct Problem<'r> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scopes: Vec<&'r str>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'r str; 1]>,
}

pub(super) fn response(rejection: &Rejection) -> Response<Bytes> {
    let status = rejection.status();
    let problem = Problem {
        r#type: rejection.quota_policy().map_or("about:blank", |_| QUOTA_EXCEEDED),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: rejection.detail(),
        error: rejection.kind().error_code(),
        missing_scopes: rejection.missing_scopes().iter().collect(),
        violated_policies: rejection.quota_policy().map(|policy| [policy]),
    };
    let mut response = Response::new(serde_json::to_vec(&problem).map(Bytes::from).unwrap_or_default());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    add_common_headers(rejection, response.headers_mut());
    response
}

/// The headers that both languages share. One field line for each challenge.
pub(super) fn add_common_headers(rejection: &Rejection, headers: &mut HeaderMap) {
    for challenge in rejection.challenges() {
        headers.append(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(wait) = rejection.retry_after() {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}
