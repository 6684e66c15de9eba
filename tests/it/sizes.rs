//! Requests and tokens far beyond what a server would let through, given to the layers directly. What they cost is counted
//! in heap allocations and their bytes, which grow at most with what was sent; nothing here looks at a clock.
//! `cargo test --test it sizes -- --nocapture` prints the figures.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::{Duration, UNIX_EPOCH};

use allocation_counter::AllocationInfo;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::util::ServiceFn;
use tower::{Layer, Service};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyLayer, FixedKeys, Issuer, IssuerBuilder, JwtLayer, KeySet, Rejection, Secret, WithAudience,
};

use crate::support::{API, ISSUER, KEY, store};

const NOW: u64 = 1_800_000_000;
const SECRET: [u8; 64] = [7; 64];
const HEADER: &str = r#"{"alg":"HS256"}"#;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// More than any short answer needs: its texts, its headers, its place in the extensions.
const A_FEW_BYTES: u64 = 8 * 1024;
const A_FEW: u64 = 48;

fn shared() -> IssuerBuilder<WithAudience> {
    Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new(SECRET)))
        .clock(TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(NOW)))
}

fn jwt() -> JwtLayer {
    JwtLayer::new(shared().build().unwrap())
}

/// A layer that reads what the usual limit on the length of tokens would keep away from it.
fn without_limit() -> JwtLayer {
    jwt().longest_token(usize::MAX)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(header: &str, payload: &str) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

/// Good claims with these members, as text, before them.
fn claims(members: &str) -> String {
    let exp = NOW + 300;
    format!(r#"{{{members}"iss":"{ISSUER}","aud":"{API}","exp":{exp}}}"#)
}

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn bearer(token: &str) -> Request<()> {
    request(&[("authorization", &format!("Bearer {token}"))])
}

type Answer = Response<http_body_util::Empty<bytes::Bytes>>;
type Handled = Ready<Result<Answer, Infallible>>;
type Handler = ServiceFn<fn(Request<()>) -> Handled>;

fn handler() -> Handler {
    tower::service_fn(|_| ready(Ok(Answer::default())))
}

/// The reason code, or `ok`, and what is allocated from the call to the answer, by a service that answered before.
fn ask<L, R>(layer: &L, request: Request<()>) -> (&'static str, AllocationInfo)
where
    L: Layer<Handler>,
    L::Service: Service<Request<()>, Response = Response<R>, Error = Infallible>,
{
    let mut service = layer.layer(handler());
    drop(service.call(Request::new(())).now_or_never());
    let mut answer = None;
    let cost = allocation_counter::measure(|| answer = service.call(request).now_or_never());
    let response = answer.expect("no waiting").unwrap();
    let rejection = response.extensions().get::<Rejection>();
    (rejection.map_or("ok", Rejection::reason), cost)
}

#[test]
fn a_token_of_64_kib_is_refused_without_being_read() {
    let nested = format!(r#"{{"x":{}"#, "[".repeat(48 * KIB));
    let signed = sign(HEADER, &claims(&format!(r#""x":"{}","#, "a".repeat(48 * KIB))));
    let tokens = [
        ("dots", ".".repeat(64 * KIB)),
        ("letters", "a".repeat(64 * KIB)),
        ("two dots", format!("{0}.{0}.{0}", "a".repeat(22 * KIB))),
        ("deep JSON", format!("{}.{}.AA", b64(HEADER), b64(&nested))),
        ("a deep header", format!("{}.e30.AA", b64(&nested))),
        ("signed", signed.clone()),
    ];
    for (name, token) in tokens {
        assert!(token.len() >= 64 * KIB, "{name}");
        let (reason, cost) = ask(&jwt(), bearer(&token));
        println!("{name}: {cost:?}");
        assert_eq!(reason, "token_too_long", "{name}");
        assert!(
            cost.bytes_total <= A_FEW_BYTES && cost.count_total <= A_FEW,
            "{name}: {cost:?}"
        );
    }
    assert_eq!(ask(&without_limit(), bearer(&signed)).0, "ok");
}

/// A header, what is in it, its value with a piece of any length, and how the reason of the refusal starts.
type HeaderRow = (&'static str, &'static str, fn(&str) -> String, &'static str);

#[test]
fn a_header_of_a_megabyte_costs_no_more_than_a_short_one() {
    let either = jwt().or(ApiKeyLayer::new(store()));
    let (long, short) = ("a".repeat(MIB), "a");
    let rows: [HeaderRow; 6] = [
        (
            "authorization",
            "a key as Bearer",
            |key| format!("Bearer {key}"),
            "api_key",
        ),
        (
            "authorization",
            "a key as ApiKey",
            |key| format!("ApiKey {key}"),
            "api_key",
        ),
        (
            "authorization",
            "a token",
            |part| format!("Bearer {part}.a.a"),
            "token_",
        ),
        (
            "authorization",
            "another scheme",
            |rest| format!("Basic {rest}"),
            "credential_missing",
        ),
        (
            "authorization",
            "no scheme",
            |word| format!("{word}\u{e4}"),
            "header_unreadable",
        ),
        ("x-api-key", "a key in its own header", str::to_owned, "api_key"),
    ];
    for (header, name, value, expected) in rows {
        let (reason, least) = ask(&either, request(&[(header, &value(short))]));
        assert!(reason.starts_with(expected), "{name}: {reason}");
        let (reason, cost) = ask(&either, request(&[(header, &value(&long))]));
        println!("{name}: {reason}, {cost:?}");
        assert!(reason.starts_with(expected), "{name}: {reason}");
        assert!(cost.bytes_total <= least.bytes_total, "{name}: {cost:?}");
    }
}

const MANY: usize = 10_000;

/// Headers that nobody here reads.
fn others(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|index| (format!("x-other-{index}"), index.to_string()))
        .collect()
}

/// A request with this header before, after or in the middle of `count` others.
fn among(count: usize, place: usize, header: (&str, &str)) -> Request<()> {
    let others = others(count);
    let mut headers: Vec<(&str, &str)> = others.iter().map(|(name, value)| (&**name, &**value)).collect();
    headers.insert(place, header);
    request(&headers)
}

#[test]
fn ten_thousand_headers_around_a_credential_cost_nothing() {
    let either = jwt().or(ApiKeyLayer::new(store()));
    let good = |id| format!("Bearer {}", sign(HEADER, &claims(&format!(r#""jti":"{id}","#))));
    assert_eq!(ask(&either, among(0, 0, ("authorization", &good(0)))).0, "ok");
    for (id, place) in [0, MANY / 2, MANY].into_iter().enumerate() {
        let (reason, cost) = ask(&either, among(MANY, place, ("authorization", &good(id + 1))));
        println!("at {place}: {cost:?}");
        assert_eq!(reason, "ok", "at {place}");
        assert!(cost.bytes_total <= A_FEW_BYTES, "at {place}: {cost:?}");
        let (reason, cost) = ask(&either, among(MANY, place, ("x-api-key", KEY)));
        assert_eq!(reason, "ok", "at {place}");
        assert!(cost.bytes_total <= A_FEW_BYTES, "at {place}: {cost:?}");
        let (reason, cost) = ask(&either, among(MANY, place, ("authorization", "Bearer a b")));
        assert_eq!(reason, "header_unreadable", "at {place}");
        assert!(cost.bytes_total <= A_FEW_BYTES, "at {place}: {cost:?}");
    }
    let (reason, cost) = ask(&either, among(MANY, 0, ("x-other", "")));
    assert_eq!(reason, "credential_missing");
    assert!(cost.bytes_total <= A_FEW_BYTES, "{cost:?}");
}

#[test]
fn ten_thousand_lines_of_one_credential_are_refused_like_two() {
    let either = jwt().or(ApiKeyLayer::new(store()));
    let token = format!("Bearer {}", sign(HEADER, &claims("")));
    for header in [("authorization", &*token), ("x-api-key", KEY)] {
        let (reason, two) = ask(&either, request(&[header; 2]));
        assert_eq!(reason, "credential_repeated");
        let (reason, cost) = ask(&either, request(&vec![header; MANY]));
        println!("{}: {cost:?}", header.0);
        assert_eq!(reason, "credential_repeated");
        assert_eq!(
            (cost.count_total, cost.bytes_total),
            (two.count_total, two.bytes_total)
        );
        assert_eq!(ask(&either, request(&[header])).0, "ok");
    }
}

/// Members, each with its comma.
fn repeated(count: usize, member: impl Fn(usize) -> String) -> String {
    (0..count).map(|index| member(index) + ",").collect()
}

/// A list of `count` times the same value.
fn list(count: usize, value: &str) -> String {
    let values = format!("{value},").repeat(count);
    format!("[{}]", values.trim_end_matches(','))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// The claims of a token whose size goes with a number, and what is said of it.
type Row = (&'static str, fn(usize) -> String, &'static str);
type KeyRow = (&'static str, fn(usize) -> String, bool);

const LARGE_CLAIMS: [Row; 23] = [
    (
        "members",
        |n| repeated(n, |index| format!(r#""{index}":0"#)),
        "payload_malformed",
    ),
    (
        "members with escapes",
        |n| repeated(n, |index| format!(r#""\u0061{index}":0"#)),
        "payload_malformed",
    ),
    (
        "members of a member",
        |n| {
            format!(
                r#""x":{{{}"y":0}},"#,
                repeated(n, |index| format!(r#""{index}":0"#))
            )
        },
        "payload_malformed",
    ),
    (
        "a nested list",
        |n| format!(r#""x":{},"#, nested(n)),
        "payload_malformed",
    ),
    (
        "a nested tid",
        |n| format!(r#""tid":{},"#, nested(n)),
        "payload_malformed",
    ),
    (
        "a nested aud",
        |n| format!(r#""aud":{},"#, nested(n)),
        "payload_malformed",
    ),
    (
        "a nested act",
        |n| format!(r#""act":{{"act":{}}},"#, nested(n)),
        "payload_malformed",
    ),
    (
        "nested details",
        |n| format!(r#""authorization_details":{},"#, nested(n)),
        "payload_malformed",
    ),
    (
        "nested events",
        |n| format!(r#""events":{},"#, nested(n)),
        "kind_not_accepted",
    ),
    (
        "nested objects",
        |n| r#"{"x":"#.repeat(n).split_off(1),
        "payload_malformed",
    ),
    ("a long string", |n| format!(r#""x":"{}","#, "a".repeat(n)), "ok"),
    (
        "a long subject",
        |n| format!(r#""sub":"{}","#, "a".repeat(n)),
        "ok",
    ),
    (
        "a long subject with escapes",
        |n| format!(r#""sub":"{}","#, r"\u0061".repeat(n)),
        "ok",
    ),
    ("a long name", |n| format!(r#""{}":0,"#, "a".repeat(n)), "ok"),
    (
        "a long whole number",
        |n| format!(r#""x":1{},"#, "0".repeat(n)),
        "payload_malformed",
    ),
    (
        "a long fraction",
        |n| format!(r#""x":0.{},"#, "1".repeat(n)),
        "ok",
    ),
    ("a long date", |n| format!(r#""nbf":1.{},"#, "0".repeat(n)), "ok"),
    (
        "a long exponent",
        |n| format!(r#""nbf":1e-{},"#, "9".repeat(n)),
        "ok",
    ),
    ("a long list", |n| format!(r#""x":{},"#, list(n, r#""a""#)), "ok"),
    ("scopes", |n| format!(r#""scope":"{}","#, "a ".repeat(n)), "ok"),
    ("amr", |n| format!(r#""amr":{},"#, list(n, r#""a""#)), "ok"),
    (
        "details",
        |n| format!(r#""authorization_details":{},"#, list(n, r#"{"type":"a"}"#)),
        "ok",
    ),
    ("spaces", |n| " ".repeat(n), "ok"),
];

/// What may be allocated for each byte that was sent.
struct PerByte {
    in_all: u64,
    at_once: u64,
}

/// A token is decoded once, and what is kept of it is copied. The most is needed for lists of short values, each of which
/// becomes one of its own.
const OF_A_TOKEN: PerByte = PerByte {
    in_all: 40,
    at_once: 16,
};

/// The types of jsonwebtoken keep every member of a key aside until they know which kind of key it is.
const OF_A_KEY: PerByte = PerByte {
    in_all: 64,
    at_once: 40,
};

impl PerByte {
    fn assert_covers(&self, name: &str, sent: usize, cost: &AllocationInfo) {
        let (sent, peak) = (sent as u64, cost.bytes_max);
        let fits =
            cost.bytes_total <= self.in_all * sent + A_FEW_BYTES && peak <= self.at_once * sent + A_FEW_BYTES;
        assert!(fits, "{name}: {cost:?} for {sent} bytes");
    }
}

/// Twice as much of the same needs at most twice as many allocations.
fn assert_linear(name: &str, costs: &[AllocationInfo]) {
    for pair in costs.windows(2) {
        let [less, more] = [pair[0].count_total, pair[1].count_total];
        assert!(
            more <= 2 * less + A_FEW,
            "{name}: {less} and then {more} allocations"
        );
    }
}

#[test]
fn large_claims_cost_at_most_in_proportion_to_their_length() {
    for (name, members, expected) in LARGE_CLAIMS {
        let cost = [25_000, 50_000, 100_000].map(|count| {
            let token = sign(HEADER, &claims(&members(count)));
            let (reason, cost) = ask(&without_limit(), bearer(&token));
            assert_eq!(reason, expected, "{name}");
            println!("{name}: {count}, {} bytes, {cost:?}", token.len());
            OF_A_TOKEN.assert_covers(name, token.len(), &cost);
            // Beyond the usual limit nothing of it is read.
            let (reason, short) = ask(&jwt(), bearer(&token));
            assert_eq!(reason, "token_too_long", "{name}");
            assert!(short.bytes_total <= A_FEW_BYTES, "{name}: {short:?}");
            cost
        });
        assert_linear(name, &cost);
    }
}

const LARGE_HEADERS: [Row; 6] = [
    (
        "members",
        |n| repeated(n, |index| format!(r#""{index}":0"#)),
        "header_malformed",
    ),
    ("nested", |n| format!(r#""x":{},"#, nested(n)), "header_malformed"),
    (
        "crit",
        |n| format!(r#""crit":{},"#, nested(n)),
        "critical_extension",
    ),
    (
        "a long kid",
        |n| format!(r#""kid":"{}","#, "a".repeat(n)),
        "header_malformed",
    ),
    (
        "a long typ",
        |n| format!(r#""typ":"{}","#, "a".repeat(n)),
        "type_not_accepted",
    ),
    (
        "certificates",
        |n| format!(r#""x5c":{},"#, list(n, r#""AA==""#)),
        "ok",
    ),
];

#[test]
fn a_large_header_costs_at_most_in_proportion_to_its_length() {
    for (name, members, expected) in LARGE_HEADERS {
        let cost = [25_000, 50_000, 100_000].map(|count| {
            let header = format!(r#"{{{}"alg":"HS256"}}"#, members(count));
            let token = sign(&header, &claims(""));
            let (reason, cost) = ask(&without_limit(), bearer(&token));
            assert_eq!(reason, expected, "{name}");
            OF_A_TOKEN.assert_covers(name, token.len(), &cost);
            cost
        });
        assert_linear(name, &cost);
    }
}

const POINT: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

/// Members of a key beside [`POINT`], whose size goes with a number, and whether the key is used.
const LARGE_KEYS: [KeyRow; 7] = [
    ("a long name", |n| format!(r#""kid":"{}""#, "a".repeat(n)), true),
    (
        "a long member",
        |n| format!(r#""x5c":["{}"]"#, "a".repeat(n)),
        true,
    ),
    (
        "members",
        |n| repeated(n, |index| format!(r#""{index}":0"#)) + r#""z":0"#,
        true,
    ),
    (
        "operations",
        |n| {
            format!(
                r#""key_ops":[{}"verify"]"#,
                repeated(n, |index| format!(r#""{index}""#))
            )
        },
        true,
    ),
    (
        "operations, one of them twice",
        |n| {
            format!(
                r#""key_ops":[{}"verify","0"]"#,
                repeated(n, |index| format!(r#""{index}""#))
            )
        },
        false,
    ),
    ("a nested member", |n| format!(r#""z":{}"#, nested(n)), false),
    ("another modulus", |n| format!(r#""n":"{}""#, "A".repeat(n)), true),
];

#[test]
fn a_large_key_costs_at_most_in_proportion_to_its_length() {
    for (name, members, used) in LARGE_KEYS {
        let cost = [10_000, 20_000, 40_000].map(|count| {
            let document = format!(r#"{{"keys":[{{{POINT}}},{{{POINT},{}}}]}}"#, members(count));
            let mut set = None;
            let cost = allocation_counter::measure(|| set = KeySet::from_jwks(&document).ok());
            println!("{name}: {count}, {} bytes, {cost:?}", document.len());
            let left_out = set.unwrap().skipped().len();
            assert_eq!(left_out, usize::from(!used), "{name}");
            OF_A_KEY.assert_covers(name, document.len(), &cost);
            cost
        });
        assert_linear(name, &cost);
    }
}
