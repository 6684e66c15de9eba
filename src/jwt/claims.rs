//! The claims that decide (RFC 7519 section 4.1, RFC 8693 section 4, RFC 9068 section 2.2), read in one borrowed pass.

use serde::de::{IgnoredAny, MapAccess};

use super::json::{Members, NumericDate, OneOrMany, Text};

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
    pub(super) scope: Option<Text<'t>>,
    pub(super) act: Option<Actor<'t>>,
    /// A claim that only tokens of another kind carry (RFC 8725 section 3.12).
    pub(super) of_another_kind: bool,
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
            "act" => self.act = Some(read_nested(map)?),
            // Logout and security-event tokens; ID tokens.
            "events" | "at_hash" | "c_hash" => {
                map.next_value::<IgnoredAny>()?;
                self.of_another_kind = true;
            }
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

fn read_nested<'t, M: Members<'t>, A: MapAccess<'t>>(map: &mut A) -> Result<M, A::Error> {
    map.next_value_seed(super::json::Object::<M>::default())
}
