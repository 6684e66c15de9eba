//! Where a credential stands in a request: lines `name: value`, of which those named below count, each as often as it
//! comes. The model reads them by RFC 9110 section 11.4 and RFC 6750 section 2.1.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service};
use tower_resource_server::{ApiKeyLayer, ApiKeyRecord, JwtLayer, KeyDigest, MemoryKeyStore};
use tower_resource_server_fuzz::{
    Answer, GOOD_HEADER, Schemes, ask, bare, get, good_claims, issuer, sign, token_word,
};

const AUTHORIZATION: &str = "authorization";
const OWN: &str = "x-api-key";
const MOVED: &str = "x-forwarded-access-token";
const NAMES: [&str; 4] = [AUTHORIZATION, OWN, MOVED, "accept"];
const KEY: &str = "key-of-the-robot";
const BOTH: Schemes = &["Bearer", "ApiKey"];

/// The one token that is accepted.
static GOOD: LazyLock<String> = LazyLock::new(|| sign(GOOD_HEADER, good_claims("")));
static JWT: LazyLock<JwtLayer> = LazyLock::new(|| JwtLayer::new(issuer().build().unwrap()));
static KEYS: LazyLock<ApiKeyLayer> = LazyLock::new(|| {
    let record = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(KEY)).build();
    ApiKeyLayer::new(MemoryKeyStore::from_iter([record]))
});

#[derive(Debug, Clone, PartialEq)]
enum Found<'r> {
    Nothing,
    One {
        place: &'static str,
        value: &'r [u8],
        bearer: bool,
    },
    Flaw(&'static str),
}

fuzz_target!(|data: &[u8]| {
    let lines = lines(data);
    let auth = single(&lines, AUTHORIZATION, |value| field(value, &["bearer"]));
    let any_auth = single(&lines, AUTHORIZATION, |value| field(value, &["bearer", "apikey"]));
    let own = single(&lines, OWN, own_header);
    let moved = single(&lines, MOVED, moved_header);

    let by_token = |value: &[u8], _| value == GOOD.as_bytes();
    let by_key = |value: &[u8], _| value == KEY.as_bytes();
    let by_shape = |value: &[u8], bearer| {
        let is_token = bearer && value.iter().filter(|byte| **byte == b'.').count() == 2;
        value == if is_token { GOOD.as_bytes() } else { KEY.as_bytes() }
    };
    let header = HeaderName::from_static(MOVED);
    expect(&JWT.layer(bare()), &lines, &["Bearer"], &[auth], by_token);
    expect(
        &JWT.clone().header(header).layer(bare()),
        &lines,
        &["Bearer"],
        &[moved],
        by_token,
    );
    expect(
        &KEYS.layer(bare()),
        &lines,
        BOTH,
        &[own.clone(), any_auth.clone()],
        by_key,
    );
    let either = JWT.clone().or(KEYS.clone());
    expect(
        &either.layer(bare()),
        &lines,
        BOTH,
        &[own.clone(), any_auth.clone()],
        by_shape,
    );

    // Optional: only a request without any credential is let through, and without a principal.
    let mut optional = either.optional().layer(bare());
    let answer = ask(&mut optional, request(&lines));
    let nothing = own == Found::Nothing && any_auth == Found::Nothing;
    assert_eq!(nothing, answer.seen.is_some() && answer.principal.is_none());

    // A credential that is to be removed does not reach the handler.
    let answer = ask(&mut JWT.clone().strip_credential().layer(bare()), request(&lines));
    if let Some(seen) = &answer.seen {
        assert!(!seen.contains_key(AUTHORIZATION));
    }
});

fn lines(data: &[u8]) -> Vec<(&'static str, HeaderValue)> {
    let parse = |line: &[u8]| {
        let colon = line.windows(2).position(|pair| pair == b": ")?;
        let (name, value) = (&line[..colon], &line[colon + 2..]);
        let name = NAMES
            .into_iter()
            .find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    };
    data.split(|byte| *byte == b'\n')
        .filter_map(parse)
        .take(64)
        .collect()
}

fn request(lines: &[(&'static str, HeaderValue)]) -> Request<()> {
    let mut request = get();
    for (name, value) in lines {
        request
            .headers_mut()
            .append(HeaderName::from_static(name), value.clone());
    }
    request
}

/// What one place holds; more than one line of it is a flaw.
fn single<'r>(
    lines: &'r [(&'static str, HeaderValue)],
    place: &'static str,
    read: impl Fn(&'r [u8]) -> Result<Option<(&'r [u8], bool)>, &'static str>,
) -> Found<'r> {
    let mut values = lines.iter().filter(|(name, _)| *name == place);
    match (values.next(), values.next()) {
        (None, _) => Found::Nothing,
        (Some(_), Some(_)) => Found::Flaw("credential_repeated"),
        (Some((_, value)), None) => match read(value.as_bytes()) {
            Ok(None) => Found::Nothing,
            Ok(Some((value, bearer))) => Found::One { place, value, bearer },
            Err(reason) => Found::Flaw(reason),
        },
    }
}

/// `scheme 1*SP token68`.
fn field<'r>(value: &'r [u8], schemes: &[&str]) -> Result<Option<(&'r [u8], bool)>, &'static str> {
    if value.is_empty() {
        return Err("credential_empty");
    }
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let is_tchar = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    if scheme.is_empty() || !scheme.iter().all(is_tchar) {
        return Err("header_unreadable");
    }
    let scheme = scheme.to_ascii_lowercase();
    if !schemes.iter().any(|known| known.as_bytes() == scheme) {
        return Ok(None);
    }
    let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
    one(&rest[start..], token_word(&rest[start..])).map(|value| Some((value, scheme == b"bearer")))
}

fn own_header(value: &[u8]) -> Result<Option<(&[u8], bool)>, &'static str> {
    one(value, value.iter().all(u8::is_ascii_graphic)).map(|value| Some((value, false)))
}

/// A header that a proxy moved the token to: the bare token, or the whole field.
fn moved_header(value: &[u8]) -> Result<Option<(&[u8], bool)>, &'static str> {
    if value.contains(&b' ') || value.eq_ignore_ascii_case(b"bearer") {
        return field(value, &["bearer"])?.map(Some).ok_or("header_unreadable");
    }
    one(value, token_word(value)).map(|value| Some((value, true)))
}

fn one(value: &[u8], is_legal: bool) -> Result<&[u8], &'static str> {
    match (value.is_empty(), is_legal) {
        (true, _) => Err("credential_empty"),
        (false, false) => Err("header_unreadable"),
        (false, true) => Ok(value),
    }
}

/// Asks a service and compares its answer with what was found in the places that it looks at.
fn expect<S, R>(
    service: &S,
    lines: &[(&'static str, HeaderValue)],
    schemes: Schemes,
    places: &[Found<'_>],
    is_good: impl Fn(&[u8], bool) -> bool,
) where
    S: Clone + Service<Request<()>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes, Error = Infallible>,
{
    let answer = ask(&mut service.clone(), request(lines));
    answer.check("api", schemes);
    let flaws: Vec<&str> = places
        .iter()
        .filter_map(|place| match place {
            Found::Flaw(reason) => Some(*reason),
            _ => None,
        })
        .collect();
    let found: Vec<_> = places
        .iter()
        .filter_map(|place| match place {
            Found::One { place, value, bearer } => Some((*place, *value, *bearer)),
            _ => None,
        })
        .collect();
    if !flaws.is_empty() {
        assert_eq!(answer.status, 400);
        assert!(
            flaws.contains(&answer.reason()),
            "{} and not {flaws:?}",
            answer.reason()
        );
        return;
    }
    match found.as_slice() {
        [] => assert_eq!(answer.reason(), "credential_missing"),
        [(place, value, bearer)] => judged(&answer, place, is_good(value, *bearer)),
        _ => assert_eq!(answer.reason(), "credential_repeated"),
    }
}

fn judged(answer: &Answer, place: &str, is_good: bool) {
    assert_eq!(
        answer.status,
        if is_good { 200 } else { 401 },
        "{}",
        answer.reason()
    );
    if let Some(seen) = &answer.seen {
        assert!(
            seen[place].is_sensitive(),
            "the credential could be logged by the handler"
        );
    }
}
