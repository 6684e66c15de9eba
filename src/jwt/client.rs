//! Which client a token was issued to, and whether a user is behind it or the client itself.

use std::borrow::Cow;

use super::claims::Claims;
use super::json::{OneOrMany, Text, TextOrOther};
use super::path::strings_at;
use crate::error::AuthError;

/// The client, from the claim that the configuration names, which must be there; or else `client_id` (RFC 9068 section
/// 2.2), or what OpenID Connect (`azp`) and Entra ID (`appid`) call it.
pub(super) fn client<'c>(
    claims: &'c Claims<'_>,
    payload: &'c [u8],
    named: Option<&'static str>,
) -> Result<Option<Cow<'c, str>>, AuthError> {
    let Some(claim) = named else {
        return Ok(usual(claims).map(Cow::Borrowed));
    };
    match strings_at(payload, &[claim]) {
        Ok(Some(OneOrMany::One(Text(client)))) => Ok(Some(client)),
        Ok(None) => Err(AuthError::ClaimMissing(claim)),
        _ => Err(AuthError::PayloadMalformed("its client is not a string")),
    }
}

fn usual<'c>(claims: &'c Claims<'_>) -> Option<&'c str> {
    let named = claims.client_id.as_ref().or(claims.azp.as_ref());
    named
        .map(|client| &*client.0)
        .or_else(|| text(claims.kind.appid.as_ref()))
}

/// A subject that is not a client acting for itself: by RFC 9068 section 5, and by what particular issuers write.
pub(super) fn is_user(claims: &Claims<'_>, client: Option<&str>) -> bool {
    let Some(Text(subject)) = &claims.sub else {
        return false;
    };
    let claimed = [&claims.client_id, &claims.azp]
        .into_iter()
        .flatten()
        .map(|client| &*client.0);
    let clients = claimed.chain(text(claims.kind.appid.as_ref())).chain(client);
    !clients
        .into_iter()
        .any(|client| is_of_client(claims, subject, client))
        && !says_client(claims, subject)
}

/// Whether the subject stands for this client. Auth0 appends `@clients` to its name; Keycloak gives it a user of its own,
/// whose name it is part of.
fn is_of_client(claims: &Claims<'_>, subject: &str, client: &str) -> bool {
    let account =
        text(claims.kind.preferred_username.as_ref()).and_then(|name| name.strip_prefix("service-account-"));
    subject == client
        || subject.strip_suffix("@clients") == Some(client)
        || account.is_some_and(|name| name.eq_ignore_ascii_case(client))
}

/// Whether the issuer says so: Auth0 by the grant (`gty`), Entra ID by the kind of caller (`idtyp`). Where `idtyp` is not
/// configured, a subject of Entra ID's that is its own object (`oid`), and was granted nothing by a user (`scp`), is an
/// application: a user's subject is another one for each application.
fn says_client(claims: &Claims<'_>, subject: &str) -> bool {
    let signs = &claims.kind;
    let is_object = claims.tid.is_some() && text(signs.oid.as_ref()) == Some(subject);
    text(signs.gty.as_ref()) == Some("client-credentials")
        || text(signs.idtyp.as_ref()) == Some("app")
        || is_object && signs.scp.is_none()
}

fn text<'c>(claim: Option<&'c TextOrOther<'_>>) -> Option<&'c str> {
    claim.and_then(TextOrOther::as_str)
}
