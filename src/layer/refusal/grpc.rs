//! Refusals for gRPC: a trailers-only answer, which is HTTP 200 with the status among the headers and no body.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::problem::add_common_headers;
use crate::error::Rejection;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A content type that gRPC answers in.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContentType {
    pub(super) name: &'static str,
    pub(super) web: bool,
}

/// Longest first. Nothing of the request's value is echoed.
const KNOWN: [ContentType; 3] = [
    ContentType {
        name: "application/grpc-web-text",
        web: true,
    },
    ContentType {
        name: "application/grpc-web",
        web: true,
    },
    ContentType {
        name: "application/grpc",
        web: false,
    },
];

/// What to answer a request with this content type in, if it is one of gRPC's; a suffix (`+proto`) or parameters may
/// follow.
pub(super) fn content_type(value: &[u8]) -> Option<ContentType> {
    KNOWN.into_iter().find(|known| {
        let start = value.get(..known.name.len());
        let next = value.get(known.name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(known.name.as_bytes()))
            && next.is_none_or(|next| b"+; ".contains(next))
    })
}

pub(super) fn response(rejection: &Rejection, content_type: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers(rejection);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn headers(rejection: &Rejection) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(GRPC_STATUS, HeaderValue::from(rejection.kind().grpc_code()));
    // Our own sentences: plain ASCII without a percent sign, so nothing is to be encoded.
    if let Ok(message) = HeaderValue::from_str(rejection.detail()) {
        headers.insert(GRPC_MESSAGE, message);
    }
    add_common_headers(rejection, &mut headers);
    headers
}
