//! The claims that decide (RFC 7519 section 4.1, RFC 8693 section 4, RFC 9068 section 2.2), read in one borrowed pass.

use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use super::json::{Members, NumericDate, OneOrMany, Text, TextOrOther, WholeNumber, next_object};

#[derive(Debug, Default)]
pub(super) struct Claims<'t> {
    pub(super) iss: Option<Text<'t>>,
    pub(super) sub: Option<Text<'t>>,
    pub(super) aud: Option<OneOrMany<'t>>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
    pub(super) jti: Option<Text<'t>>,
    pub(super) client_id: Option<Text<'t>>,
    pub(super) azp: Option<Text<'t>>,
    pub(super) scope: Option<OneOrMany<'t>>,
    pub(super) act: Option<Actor<'t>>,
    pub(super) acr: Option<Text<'t>>,
    pub(super) amr: Option<Vec<Text<'t>>>,
    pub(super) auth_time: Option<NumericDate>,
    /// The tenant that an issuer of many issued the token for (Entra ID).
    pub(super) tid: Option<TextOrOther<'t>>,
    /// Compared with a minimum, where a revocation sets one.
    pub(super) token_version: Option<WholeNumber>,
    pub(super) authorization_details: Option<Vec<Detail<'t>>>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) kind: KindSigns<'t>,
}

/// What tells tokens of another kind from access tokens (RFC 8725 section 3.12), and clients from users: words that have a
/// meaning at some issuers only, so another type of value is no error.
#[derive(Debug, Default)]
pub(super) struct KindSigns<'t> {
    /// `events`: logout and security-event tokens.
    pub(super) has_events: bool,
    /// `at_hash`, `c_hash`: ID tokens.
    pub(super) has_hashes: bool,
    /// One of them is no string, so this is not even an ID token.
    pub(super) has_odd_hash: bool,
    /// Cognito's word for the kind.
    pub(super) token_use: Option<TextOrOther<'t>>,
    /// Keycloak's word for the kind.
    pub(super) typ: Option<TextOrOther<'t>>,
    /// Auth0's word for the grant.
    pub(super) gty: Option<TextOrOther<'t>>,
    /// Entra ID's words for the kind of caller and, in its first version, for the client.
    pub(super) idtyp: Option<TextOrOther<'t>>,
    pub(super) appid: Option<TextOrOther<'t>>,
    /// Entra ID's words for what the subject is, and for what a user granted.
    pub(super) oid: Option<TextOrOther<'t>>,
    pub(super) scp: Option<TextOrOther<'t>>,
    /// OpenID Connect's, where Keycloak names the accounts of its clients.
    pub(super) preferred_username: Option<TextOrOther<'t>>,
}

impl<'t> Members<'t> for Claims<'t> {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "iss" => self.iss = Some(map.next_value()?),
            "sub" => self.sub = Some(map.next_value()?),
            "aud" => self.aud = Some(map.next_value()?),
            "exp" => self.exp = Some(map.next_value()?),
            "nbf" => self.nbf = Some(map.next_value()?),
            "iat" => self.iat = Some(map.next_value()?),
            "jti" => self.jti = Some(map.next_value()?),
            "client_id" => self.client_id = Some(map.next_value()?),
            "azp" => self.azp = Some(map.next_value()?),
            "scope" => self.scope = Some(map.next_value()?),
            "acr" => self.acr = Some(map.next_value()?),
            "amr" => self.amr = Some(map.next_value()?),
            "auth_time" => self.auth_time = Some(map.next_value()?),
            "tid" => self.tid = Some(map.next_value()?),
            "token_version" => self.token_version = Some(map.next_value()?),
            "act" => self.act = Some(next_object(map)?),
            "cnf" => self.confirmation = Some(next_object(map)?),
            "authorization_details" => self.authorization_details = Some(map.next_value()?),
            _ => return self.kind.take(name, map),
        }
        Ok(true)
    }
}

impl<'t> Members<'t> for KindSigns<'t> {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "events" => self.has_events = map.next_value::<IgnoredAny>().map(|_| true)?,
            "at_hash" | "c_hash" => {
                let hash: TextOrOther<'_> = map.next_value()?;
                self.has_hashes = true;
                self.has_odd_hash |= hash.as_str().is_none();
            }
            "token_use" => self.token_use = Some(map.next_value()?),
            "typ" => self.typ = Some(map.next_value()?),
            "gty" => self.gty = Some(map.next_value()?),
            "idtyp" => self.idtyp = Some(map.next_value()?),
            "appid" => self.appid = Some(map.next_value()?),
            "oid" => self.oid = Some(map.next_value()?),
            "scp" => self.scp = Some(map.next_value()?),
            "preferred_username" => self.preferred_username = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The outermost actor; who acted before it is history (RFC 8693 section 4.1).
#[derive(Debug, Default)]
pub(super) struct Actor<'t> {
    pub(super) sub: Option<Text<'t>>,
    pub(super) iss: Option<Text<'t>>,
    pub(super) client_id: Option<Text<'t>>,
}

impl<'t> Members<'t> for Actor<'t> {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "sub" => self.sub = Some(map.next_value()?),
            "iss" => self.iss = Some(map.next_value()?),
            "client_id" => self.client_id = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `cnf`: the key that the token is bound to. Methods that are not known are ignored (RFC 7800 section 3.1).
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// `jkt` (RFC 9449 section 6.1) or `x5t#S256` (RFC 8705 section 3.1).
    pub(super) needs_proof: bool,
}

impl<'t> Members<'t> for Confirmation {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let needs_proof = matches!(name, "jkt" | "x5t#S256");
        if needs_proof {
            map.next_value::<IgnoredAny>()?;
            self.needs_proof = true;
        }
        Ok(needs_proof)
    }
}

/// One of the `authorization_details` (RFC 9396 section 2): an object with a `type`, and whatever that type says.
#[derive(Debug)]
pub(super) struct Detail<'t> {
    pub(super) kind: Text<'t>,
    pub(super) json: &'t RawValue,
}

#[derive(Default)]
struct DetailType<'t>(Option<Text<'t>>);

impl<'t> Members<'t> for DetailType<'t> {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name == "type" {
            self.0 = Some(map.next_value()?);
        }
        Ok(name == "type")
    }
}

impl<'t> serde::Deserialize<'t> for Detail<'t> {
    fn deserialize<D: serde::Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        let DetailType(kind) =
            super::json::read_object(json.get().as_bytes()).map_err(serde::de::Error::custom)?;
        let kind = kind.ok_or_else(|| serde::de::Error::custom("an authorization detail has no type"))?;
        Ok(Self { kind, json })
    }
}
