//! What must hold for every answer.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tower_resource_server::{Principal, Rejection};

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub rejection: Option<Rejection>,
    pub principal: Option<Principal>,
    /// The headers that the handler saw; `None` for a refusal.
    pub seen: Option<HeaderMap>,
}

/// The schemes that a layer challenges with, in their order.
pub type Schemes = &'static [&'static str];

/// All that a client may be told about a request without scopes. It is a closed list of constants, and the answer is made
/// of nothing else, so no byte of a request can be in it.
const DETAILS: [(u16, Option<&str>, &str); 6] = [
    (401, None, "this resource asks for a credential"),
    (
        400,
        Some("invalid_request"),
        "the header with the credential cannot be read",
    ),
    (400, Some("invalid_request"), "the credential is empty"),
    (
        400,
        Some("invalid_request"),
        "more than one credential was presented",
    ),
    (401, Some("invalid_token"), "the token has expired"),
    (401, Some("invalid_token"), "the credential is not valid here"),
];

impl Answer {
    /// `ok`, or the reason code of the refusal.
    pub fn reason(&self) -> &'static str {
        self.rejection.as_ref().map_or("ok", Rejection::reason)
    }

    pub fn is_accepted(&self) -> bool {
        self.rejection.is_none()
    }

    pub fn challenges(&self) -> Vec<&str> {
        let values = self.headers.get_all("www-authenticate");
        values.iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Asserts that this is an acceptance with a principal, or a refusal that consists of one of the constant answers, to
    /// the letter.
    pub fn check(&self, realm: &str, schemes: Schemes) {
        let Some(rejection) = &self.rejection else {
            assert_eq!(self.status, 200);
            assert!(self.principal.is_some(), "accepted without a principal");
            assert!(self.challenges().is_empty());
            return;
        };
        assert!(
            self.principal.is_none() && self.seen.is_none(),
            "a refusal reached the handler"
        );
        let (status, code, detail) = DETAILS
            .into_iter()
            .find(|(_, _, detail)| *detail == rejection.detail())
            .unwrap_or_else(|| panic!("{} is no known detail", rejection.detail()));
        assert_eq!(self.status, status);
        self.check_body(code, detail);
        self.check_challenges(realm, schemes, code, detail);
    }

    fn check_body(&self, code: Option<&str>, detail: &str) {
        let title = if self.status == 400 {
            "Bad Request"
        } else {
            "Unauthorized"
        };
        let mut expected =
            json!({ "type": "about:blank", "title": title, "status": self.status, "detail": detail });
        if let Some(code) = code {
            expected["error"] = code.into();
        }
        assert_eq!(serde_json::from_slice::<Value>(&self.body).unwrap(), expected);
        assert_eq!(self.headers["content-type"], "application/problem+json");
    }

    fn check_challenges(&self, realm: &str, schemes: Schemes, code: Option<&str>, detail: &str) {
        let challenges = self.challenges();
        assert_eq!(challenges.len(), schemes.len());
        let mut detailed = 0;
        for (text, scheme) in challenges.into_iter().zip(schemes) {
            let plain = format!("{scheme} realm=\"{realm}\"");
            let full = code
                .map(|code| format!("{plain}, error=\"{code}\", error_description=\"{detail}\""))
                .unwrap_or_default();
            assert!(text == plain || text == full, "{text}");
            detailed += usize::from(text == full);
        }
        assert_eq!(detailed > 0, code.is_some(), "no challenge tells what went wrong");
    }
}

/// Reads a challenge back: `scheme SP name="value" *( ", " name="value" )`, each name once, each value of the characters
/// that RFC 6750 section 3 allows, so that nothing is to be unescaped.
pub fn challenge(text: &str) -> (&str, Vec<(&str, &str)>) {
    let (scheme, mut rest) = text.split_once(' ').expect("a scheme and its parameters");
    assert!(scheme.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    loop {
        let (name, behind) = rest.split_once("=\"").expect("a name and a quoted value");
        let (value, behind) = behind.split_once('"').expect("a closing quote");
        assert!(
            matches!(name, "realm" | "error" | "error_description" | "scope"),
            "{name:?}"
        );
        assert!(quotable(value), "{value:?}");
        assert!(parameters.iter().all(|(other, _)| *other != name), "{name} twice");
        parameters.push((name, value));
        if behind.is_empty() {
            return (scheme, parameters);
        }
        rest = behind.strip_prefix(", ").expect("a comma between parameters");
    }
}

/// RFC 6750 section 3: what may stand between the quotes of `realm` and `error_description`.
pub fn quotable(text: &str) -> bool {
    text.bytes()
        .all(|byte| (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\')
}

/// RFC 9110 section 11.2.
pub fn token_word(bytes: &[u8]) -> bool {
    let body = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
    body > 0
        && bytes[..body]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
        && bytes[body..].iter().all(|byte| *byte == b'=')
}
