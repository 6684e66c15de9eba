//! The one way to write a refusal, in the language of the request.

mod grpc;
mod problem;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};

use super::body::ResponseBody;
use crate::error::Rejection;

/// What the caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Http,
    /// With the content type to answer with.
    Grpc(&'static str),
}

impl Language {
    /// gRPC is a `POST` over HTTP/2 with a content type of its own; gRPC-Web also comes over HTTP/1.1.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        if request.method() != Method::POST {
            return Self::Http;
        }
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map_or(&[][..], HeaderValue::as_bytes);
        match grpc::content_type(content_type) {
            Some(answer) if answer.web || request.version() == Version::HTTP_2 => Self::Grpc(answer.name),
            _ => Self::Http,
        }
    }
}

/// The response. It carries the rejection in its extensions, for outer layers.
pub(super) fn respond<B>(rejection: Rejection, language: Language) -> Response<ResponseBody<B>> {
    let mut response = match language {
        Language::Http => problem::response(&rejection),
        Language::Grpc(content_type) => grpc::response(&rejection, content_type),
    }
    .map(ResponseBody::refusal);
    response.extensions_mut().insert(rejection);
    response
}

impl Rejection {
    /// The refusal as an HTTP response: status, challenges, `Retry-After` and a problem body (RFC 9457), with the
    /// rejection itself in the extensions. For handlers that are not axum's, where a rejection already is a response.
    pub fn to_http_response(&self) -> Response<Bytes> {
        let mut response = problem::response(self);
        response.extensions_mut().insert(self.clone());
        response
    }

    /// The refusal as the headers of a gRPC answer: `grpc-status`, `grpc-message`, and the challenges as metadata. With
    /// tonic: `Status::from_header_map(&rejection.to_grpc_headers())`.
    pub fn to_grpc_headers(&self) -> HeaderMap {
        grpc::headers(self)
    }
}
