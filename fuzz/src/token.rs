//! Tokens that the targets sign themselves, so that what stands behind the signature is reached.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_resource_server::{Algorithm, Clock, FixedKeys, Issuer, IssuerBuilder, Secret, WithAudience};

pub const ISSUER: &str = "https://idp.test";
pub const API: &str = "https://api.test";
/// What the clock shows, always, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;
pub const SECRET: [u8; 32] = [7; 32];
pub const GOOD_HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A clock that always shows [`NOW`].
pub fn stopped() -> impl Clock {
    Stopped
}

/// An issuer that shares [`SECRET`] and signs with HS256 alone; no leeway.
pub fn issuer() -> IssuerBuilder<WithAudience> {
    Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new(SECRET)))
        .algorithms([Algorithm::Hs256])
        .clock(Stopped)
        .leeway(Duration::ZERO)
}

/// Claims that are accepted, with these members, as text, before them.
pub fn good_claims(members: &str) -> String {
    let exp = NOW + 300;
    format!(r#"{{{members}"iss":"{ISSUER}","aud":"{API}","exp":{exp},"sub":"alice"}}"#)
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs two parts that are encoded already.
pub fn sign_parts(header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

pub fn sign(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign_parts(&b64(header), &b64(payload))
}

/// Base64 as the most careless reader would have it: both alphabets, padding anywhere, leftover bits dropped, foreign
/// characters skipped. Shows whether two spellings mean the same bytes.
pub fn lenient(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut bytes) = (0u32, 0u32, Vec::new());
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}
