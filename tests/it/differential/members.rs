//! The members of a header or of claims as they are written, and what can be done to them.

use proptest::prelude::*;
use proptest::sample::select;

use super::keys::ALGORITHMS;
use super::peers::LEEWAY;

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Remove(&'static str),
    /// In the place of the member of this name, else at the end. The value is JSON, or nearly.
    Set(&'static str, String),
    /// A second one, before or behind the rest.
    Repeat(&'static str, String, bool),
    /// The name is written with an escape.
    EscapeName(&'static str),
    /// The string value is written with an escape.
    EscapeValue(&'static str),
    /// A date in seconds from now, and what is written behind its digits.
    Date(&'static str, i64, &'static str),
}

/// Names and values, both as JSON.
pub(super) struct Members(Vec<(String, String)>);

type Names = &'static [&'static str];

const HEADER: Names = &[
    "alg",
    "kid",
    "typ",
    "cty",
    "crit",
    "b64",
    "jwk",
    "jku",
    "x5u",
    "x5c",
    "x5t",
    "x5t#S256",
    "zip",
    "enc",
    "url",
    "nonce",
    "iss",
    "exp",
    "Alg",
    "alg ",
    "",
    "__proto__",
    "constructor",
    "\u{430}lg",
];

const CLAIMS: Names = &[
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "sub",
    "jti",
    "client_id",
    "azp",
    "scope",
    "acr",
    "amr",
    "auth_time",
    "act",
    "cnf",
    "authorization_details",
    "events",
    "at_hash",
    "c_hash",
    "token_use",
    "typ",
    "tid",
    "gty",
    "idtyp",
    "appid",
    "token_version",
    "nonce",
    "Iss",
    "exp ",
    "",
    "__proto__",
    "toString",
    "\u{430}ud",
];

const DATES: Names = &["exp", "nbf", "iat", "auth_time"];

/// Values of every type, some of which are no JSON.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "1e308",
    "1e309",
    "-1e400",
    "1e-400",
    "01",
    "+1",
    ".5",
    "1.",
    "0x10",
    "NaN",
    "Infinity",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993",
    "253402300799",
    "253402300800",
    "99999999999999999999999999999999",
    r#""""#,
    r#""x""#,
    r#""1""#,
    r#""null""#,
    r#""\u0000""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\x""#,
    "\"\u{7f}\u{e9}\"",
    "\"a\tb\"",
    "'x'",
    "[]",
    "[null]",
    r#"["x"]"#,
    "[[]]",
    "[1,]",
    "{}",
    r#"{"x":1}"#,
    r#"{"x":1,"x":2}"#,
    r#"{"jkt":"x"}"#,
    r#"{"kid":"x"}"#,
    r#"[{"type":"x"}]"#,
    r#"[{"type":1}]"#,
    r#"{"sub":"x"}"#,
    r#"{"sub":1}"#,
    "[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]",
    "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]",
];

const KIDS: &[&str] = &[
    r#""shared""#,
    r#""rsa""#,
    r#""p256""#,
    r#""other-p256""#,
    r#""p384""#,
    r#""p521""#,
    r#""ed25519""#,
    r#""RSA""#,
    r#""""#,
    r#""../rsa""#,
    r#""rsa\u0000""#,
];

const TYPES: &[&str] = &[
    r#""JWT""#,
    r#""jwt""#,
    r#""at+jwt""#,
    r#""AT+JWT""#,
    r#""application/at+jwt""#,
    r#""Application/JWT""#,
    r#""dpop+jwt""#,
    r#""logout+jwt""#,
    r#""JOSE""#,
    r#""text/jwt""#,
    r#""at+jwt ""#,
    r#""application/application/jwt""#,
];

const EXTENSIONS: &[(&str, &str)] = &[
    ("crit", r#"["exp"]"#),
    ("crit", r#"["b64"]"#),
    ("crit", "[]"),
    ("crit", r#"["alg"]"#),
    ("crit", r#"["x","x"]"#),
    ("b64", "true"),
    ("b64", "false"),
    ("zip", r#""DEF""#),
    ("enc", r#""A128GCM""#),
    ("cty", r#""JWT""#),
    ("cty", r#""application/jwt""#),
    ("cty", r#""json""#),
];

/// What a good header may hold beside the rest.
const HARMLESS_HEADER: &[(&str, &str)] = &[
    ("typ", r#""JWT""#),
    ("typ", r#""jwt""#),
    ("typ", r#""AT+JWT""#),
    ("typ", r#""application/at+jwt""#),
    ("cty", r#""json""#),
    ("jku", r#""https://evil.test/keys""#),
    ("x5u", r#""https://evil.test/x""#),
    ("x5c", r#"["AA=="]"#),
    ("x5t", r#""AA""#),
    ("x5t#S256", r#""AA""#),
    ("nonce", r#""n""#),
    ("url", r#""https://x.test""#),
    ("jwk", r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#),
    ("iss", r#""https://evil.test""#),
    ("x", r#"{"y":[1,null,"\u00e9"]}"#),
    ("", "0"),
    ("Alg", r#""none""#),
    ("\u{e9}", "[]"),
];

const HARMLESS_CLAIMS: &[(&str, &str)] = &[
    ("aud", r#"["https://api.test"]"#),
    ("aud", r#"["x","https://api.test"]"#),
    ("aud", r#"["https:\/\/api.test",""]"#),
    ("sub", r#""\u0061lice""#),
    ("sub", "\"\u{e9}\u{1f600}\""),
    ("sub", r#""\ud83d\ude00""#),
    ("jti", r#""1""#),
    ("client_id", r#""app""#),
    ("azp", r#""app""#),
    ("scope", r#""orders:read x""#),
    ("scope", r#""""#),
    ("acr", r#""0""#),
    ("amr", r#"["pwd","otp"]"#),
    ("auth_time", "1"),
    ("act", r#"{"sub":"x","act":{"sub":1}}"#),
    ("cnf", r#"{"kid":"x"}"#),
    ("authorization_details", r#"[{"type":"x","y":[{}]}]"#),
    ("token_use", r#""access""#),
    ("typ", r#""Bearer""#),
    ("tid", "1"),
    ("x", r#"{"a":[0.1,-1E+2,true,null]}"#),
    ("__proto__", "{}"),
    ("", r#""""#),
    ("Exp", "1"),
];

/// What makes a token one of another kind, or bound to a key.
const SIGNS: &[(&str, &str)] = &[
    ("cnf", r#"{"jkt":"x"}"#),
    ("cnf", r#"{"x5t#S256":"x"}"#),
    ("cnf", r#"{"kid":"x","jkt":null}"#),
    ("cnf", "{}"),
    ("events", "{}"),
    ("at_hash", r#""x""#),
    ("c_hash", r#""x""#),
    ("token_use", r#""id""#),
    ("token_use", "1"),
    ("typ", r#""ID""#),
    ("typ", r#""Refresh""#),
    ("typ", r#""Offline""#),
    ("typ", r#""Logout""#),
];

const AUDIENCES: &[&str] = &[
    "\"https://api.test\"",
    r#""https://API.test""#,
    r#""https://api.test/""#,
    r#""""#,
    "[]",
    r#"["x"]"#,
    r#"["https://api.test",1]"#,
    r#"["https://api.test",null]"#,
    r#"[["https://api.test"]]"#,
    r#"{"https://api.test":true}"#,
    r#""x https://api.test""#,
    r#"["https://api.test","https://api.test"]"#,
];

const ISSUERS: &[&str] = &[
    "\"https://published.test\"",
    "\"https://shared.test\"",
    r#""https://published.test/""#,
    r#""HTTPS://published.test""#,
    r#"["https://published.test"]"#,
    r#"["https://shared.test"]"#,
    r#"["https://published.test","https://shared.test"]"#,
    r#""https:\/\/shared.test""#,
    r#""https://evil.test""#,
    "\"https://published.test\u{200b}\"",
];

/// Every way to write the end of a number.
const ENDINGS: &[&str] = &[
    "", "", "", ".0", ".25", ".5", ".75", ".000001", ".999999", "e0", "E+00", ".5e0", ".", "e", "e1", "e-1",
    ".0e00", "\"",
];

pub(super) fn harmless_member() -> impl Strategy<Value = Edit> {
    let set = |(name, value): (&'static str, &str)| Edit::Set(name, value.to_owned());
    prop_oneof![
        6 => select(HARMLESS_HEADER).prop_map(set),
        1 => select(&["typ", "kid"][..]).prop_map(Edit::Remove),
        1 => select(&["alg", "typ", "kid"][..]).prop_map(Edit::EscapeName),
        1 => select(&["alg", "typ", "kid"][..]).prop_map(Edit::EscapeValue),
    ]
}

pub(super) fn member_edit() -> impl Strategy<Value = Edit> {
    let algorithm = ALGORITHMS.map(|(name, _)| name);
    let others = [
        "none", "None", "NONE", "", "hs256", "RS1", "ES256K", "Ed448", "dir", "RSA-OAEP", "HS256 ",
    ];
    let names: Vec<&str> = algorithm.into_iter().chain(others).collect();
    prop_oneof![
        3 => harmless_member(),
        3 => (select(HEADER), select(VALUES)).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        2 => (select(HEADER), select(VALUES), any::<bool>())
            .prop_map(|(name, value, first)| Edit::Repeat(name, value.to_owned(), first)),
        2 => select(names).prop_map(|name| Edit::Set("alg", format!("{name:?}"))),
        2 => select(KIDS).prop_map(|kid| Edit::Set("kid", kid.to_owned())),
        2 => select(TYPES).prop_map(|typ| Edit::Set("typ", typ.to_owned())),
        2 => select(EXTENSIONS).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        1 => select(HEADER).prop_map(Edit::Remove),
        1 => select(HEADER).prop_map(Edit::EscapeName),
        1 => select(HEADER).prop_map(Edit::EscapeValue),
    ]
}

pub(super) fn harmless_claim() -> impl Strategy<Value = Edit> {
    let set = |(name, value): (&'static str, &str)| Edit::Set(name, value.to_owned());
    prop_oneof![
        4 => select(HARMLESS_CLAIMS).prop_map(set),
        2 => date(),
        1 => select(CLAIMS).prop_map(Edit::EscapeName),
        1 => select(&["iss", "aud", "sub"][..]).prop_map(Edit::EscapeValue),
    ]
}

pub(super) fn claim_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => harmless_claim(),
        4 => date(),
        3 => (select(CLAIMS), select(VALUES)).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        1 => (select(CLAIMS), select(VALUES), any::<bool>())
            .prop_map(|(name, value, first)| Edit::Repeat(name, value.to_owned(), first)),
        1 => select(AUDIENCES).prop_map(|value| Edit::Set("aud", value.to_owned())),
        1 => select(ISSUERS).prop_map(|value| Edit::Set("iss", value.to_owned())),
        1 => select(SIGNS).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        1 => select(CLAIMS).prop_map(Edit::Remove),
    ]
}

/// Near the edges, exactly there, and far from them.
fn date() -> impl Strategy<Value = Edit> {
    let edge = i64::try_from(LEEWAY).unwrap();
    let near = prop_oneof![(-edge - 2)..(2 - edge), -2..=2_i64, (edge - 2)..(edge + 2)];
    let seconds = prop_oneof![4 => near, 1 => -1_000..1_000_i64, 1 => Just(1_000_000)];
    (select(DATES), seconds, select(ENDINGS))
        .prop_map(|(name, seconds, ending)| Edit::Date(name, seconds, ending))
}

impl<const N: usize> From<[(&str, String); N]> for Members {
    fn from(members: [(&str, String); N]) -> Self {
        Self(members.map(|(name, value)| (quoted(name), value)).into())
    }
}

impl Members {
    /// The text of the object after these edits.
    pub(super) fn edited(mut self, edits: &[Edit], now: u64) -> String {
        for edit in edits {
            self.apply(edit, now);
        }
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    fn apply(&mut self, edit: &Edit, now: u64) {
        match edit {
            Edit::Remove(name) => self.0.retain(|(known, _)| *known != quoted(name)),
            Edit::Set(name, value) => self.set(name, value.clone()),
            Edit::Repeat(name, value, first) => {
                let place = if *first { 0 } else { self.0.len() };
                self.0.insert(place, (quoted(name), value.clone()));
            }
            Edit::EscapeName(name) => {
                if let Some((known, _)) = self.0.iter_mut().find(|(known, _)| *known == quoted(name)) {
                    *known = escaped(known);
                }
            }
            Edit::EscapeValue(name) => {
                if let Some((_, value)) = self.0.iter_mut().find(|(known, _)| *known == quoted(name)) {
                    *value = escaped(value);
                }
            }
            Edit::Date(name, seconds, ending) => {
                self.set(name, format!("{}{ending}", now.saturating_add_signed(*seconds)));
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == quoted(name)) {
            Some((_, known)) => *known = value,
            None => self.0.push((quoted(name), value)),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// The first letter of a JSON string as `\u…`; other values stay.
fn escaped(json: &str) -> String {
    let mut letters = json.chars();
    match (letters.next(), letters.next()) {
        (Some('"'), Some(first)) if first.is_ascii_alphanumeric() => {
            format!("\"\\u{:04x}{}", u32::from(first), letters.as_str())
        }
        _ => json.to_owned(),
    }
}
