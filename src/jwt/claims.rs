//! The claims that decide (RFC 7519 section 4.1, RFC 8693 section 4, RFC 9068 section 2.2), read in one borrowed pass.

use super::json::{Flaw, Members, NumericDate, OneOrMany, Reader, Text, TextOrOther, Value, WholeNumber};

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
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw> {
        match name {
            "iss" => self.iss = Some(value.read()?),
            "sub" => self.sub = Some(value.read()?),
            "aud" => self.aud = Some(value.read()?),
            "exp" => self.exp = Some(value.read()?),
            "nbf" => self.nbf = Some(value.read()?),
            "iat" => self.iat = Some(value.read()?),
            "jti" => self.jti = Some(value.read()?),
            "client_id" => self.client_id = Some(value.read()?),
            "azp" => self.azp = Some(value.read()?),
            "scope" => self.scope = Some(value.read()?),
            "acr" => self.acr = Some(value.read()?),
            "amr" => self.amr = Some(value.read()?),
            "auth_time" => self.auth_time = Some(value.read()?),
            "tid" => self.tid = Some(value.read()?),
            "token_version" => self.token_version = Some(value.read()?),
            "act" => self.act = Some(value.object()?),
            "cnf" => self.confirmation = Some(value.object()?),
            "authorization_details" => self.authorization_details = Some(value.read()?),
            _ => return self.kind.take(name, value),
        }
        Ok(true)
    }
}

impl<'t> Members<'t> for KindSigns<'t> {
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw> {
        match name {
            "events" => self.has_events = value.skip().map(|()| true)?,
            "at_hash" | "c_hash" => {
                let hash: TextOrOther<'_> = value.read()?;
                self.has_hashes = true;
                self.has_odd_hash |= hash.as_str().is_none();
            }
            "token_use" => self.token_use = Some(value.read()?),
            "typ" => self.typ = Some(value.read()?),
            "gty" => self.gty = Some(value.read()?),
            "idtyp" => self.idtyp = Some(value.read()?),
            "appid" => self.appid = Some(value.read()?),
            "oid" => self.oid = Some(value.read()?),
            "scp" => self.scp = Some(value.read()?),
            "preferred_username" => self.preferred_username = Some(value.read()?),
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
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw> {
        match name {
            "sub" => self.sub = Some(value.read()?),
            "iss" => self.iss = Some(value.read()?),
            "client_id" => self.client_id = Some(value.read()?),
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
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw> {
        let needs_proof = matches!(name, "jkt" | "x5t#S256");
        if needs_proof {
            value.skip()?;
            self.needs_proof = true;
        }
        Ok(needs_proof)
    }
}

/// One of the `authorization_details` (RFC 9396 section 2): an object with a `type`, and whatever that type says.
#[derive(Debug)]
pub(super) struct Detail<'t> {
    pub(super) kind: Text<'t>,
    pub(super) json: &'t str,
}

#[derive(Default)]
struct DetailType<'t>(Option<Text<'t>>);

impl<'t> Members<'t> for DetailType<'t> {
    fn take(&mut self, name: &str, value: &mut Reader<'t>) -> Result<bool, Flaw> {
        if name == "type" {
            self.0 = Some(value.read()?);
        }
        Ok(name == "type")
    }
}

impl<'t> Value<'t> for Vec<Detail<'t>> {
    fn read(reader: &mut Reader<'t>) -> Result<Self, Flaw> {
        let mut details = Vec::new();
        reader.each_element(|element| {
            let (DetailType(kind), json) = element.object_as_written()?;
            let kind = kind.ok_or("an authorization detail has no type")?;
            details.push(Detail { kind, json });
            Ok(())
        })?;
        Ok(details)
    }
}
