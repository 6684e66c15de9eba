//! Extractors and responses for axum 0.8.

use std::any::TypeId;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::Extensions;
use http::request::Parts;

use crate::error::{AuthError, Refusal, Rejection};
use crate::principal::{By, Caller, Claims, Method, Principal, Trail};
use crate::telemetry;

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.to_http_response().map(Body::from)
    }
}

/// The authenticated caller. 401 for an anonymous one; 500 where no authentication layer stands in front.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        known(parts).cloned()
    }
}

/// `None` for an anonymous caller; 500 where no authentication layer stands in front.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match Caller::of(&parts.extensions) {
            Some(Caller::Known(principal)) => Ok(Some(principal.clone())),
            Some(Caller::Anonymous(_)) => Ok(None),
            None => Err(unauthenticated(parts)),
        }
    }
}

/// 403 for a caller who has no claims of this type; 500 where no issuer declared it.
impl<C: Send + Sync + 'static, S: Sync> FromRequestParts<S> for Claims<C> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let principal = known(parts)?;
        declared::<C>(principal, parts)?.ok_or_else(|| {
            let refusal = Refusal::plain(AuthError::ClaimsAbsent);
            refuse(refusal, Some(principal.method()), &parts.extensions)
        })
    }
}

/// `None` for an anonymous caller and for one who has no claims of this type; 500 where no issuer declared it.
impl<C: Send + Sync + 'static, S: Sync> OptionalFromRequestParts<S> for Claims<C> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match Caller::of(&parts.extensions) {
            Some(Caller::Known(principal)) => declared::<C>(principal, parts),
            Some(Caller::Anonymous(_)) => Ok(None),
            None => Err(unauthenticated(parts)),
        }
    }
}

fn known(parts: &Parts) -> Result<&Principal, Rejection> {
    match Caller::of(&parts.extensions) {
        Some(Caller::Known(principal)) => Ok(principal),
        Some(Caller::Anonymous(door)) => Err(refuse(
            Refusal::at_door(AuthError::CredentialMissing, door, None),
            None,
            &parts.extensions,
        )),
        None => Err(unauthenticated(parts)),
    }
}

/// The caller's claims of this type. A token whose layer has no issuer that declared the type is a wiring mistake.
fn declared<C: Send + Sync + 'static>(
    principal: &Principal,
    parts: &Parts,
) -> Result<Option<Claims<C>>, Rejection> {
    let claims = principal.claims::<C>();
    if claims.is_none()
        && principal.method() == Method::Jwt
        && !principal.door.claim_types.contains(&TypeId::of::<C>())
    {
        let refusal = Refusal::plain(AuthError::ClaimsUndeclared);
        return Err(refuse(refusal, Some(principal.method()), &parts.extensions));
    }
    Ok(claims)
}

fn unauthenticated(parts: &Parts) -> Rejection {
    refuse(
        Refusal::plain(AuthError::NotAuthenticated),
        None,
        &parts.extensions,
    )
}

fn refuse(refusal: Refusal, method: Option<Method>, extensions: &Extensions) -> Rejection {
    telemetry::refused(refusal, method, Trail::of(extensions), By::Handler)
}
