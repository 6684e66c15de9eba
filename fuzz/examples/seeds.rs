//! Writes `fuzz/seeds`, one folder for each target: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.
//!
//! They are the shapes that the crate's tests use, one of each; the same every time.

use std::fs;
use std::path::Path;

use tower_resource_server_fuzz::{API, GOOD_HEADER, ISSUER, NOW, b64, good_claims, sign};

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, seeds) in [
        ("bearer_header", bearer_header()),
        ("compact_token", compact_token()),
        ("header_json", header_json()),
        ("payload_json", payload_json()),
        ("jwks_document", jwks_document()),
        ("challenge_writer", challenge_writer()),
        ("api_key", api_key()),
    ] {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

fn texts<const N: usize>(seeds: [(&'static str, &str); N]) -> Seeds {
    seeds
        .into_iter()
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .collect()
}

fn bearer_header() -> Seeds {
    let token = sign(GOOD_HEADER, good_claims(""));
    texts([
        ("token", &format!("Authorization: Bearer {token}")),
        ("token-odd-case", &format!("authorization: bEARER   {token}")),
        ("token-moved", &format!("X-Forwarded-Access-Token: {token}")),
        (
            "token-moved-whole",
            &format!("X-Forwarded-Access-Token: Bearer {token}"),
        ),
        ("key", "X-API-Key: key-of-the-robot"),
        ("key-as-bearer", "Authorization: Bearer key-of-the-robot"),
        ("key-as-apikey", "Authorization: ApiKey key-of-the-robot"),
        (
            "both",
            &format!("Authorization: Bearer {token}\nX-API-Key: key-of-the-robot"),
        ),
        (
            "twice",
            "Authorization: Bearer a.b.c\nAuthorization: Bearer a.b.c",
        ),
        ("other-scheme", "Authorization: Basic dXNlcjpwYXNz\nAccept: */*"),
        ("no-credential", "Authorization: Bearer"),
        ("spaces", "Authorization: Bearer    \nX-API-Key: "),
        ("list", "Authorization: Bearer a.b.c, Bearer d.e.f"),
        ("padding", "Authorization: Bearer abc=="),
        ("parameters", "Authorization: Bearer token=\"abc\", realm=x"),
        ("no-space", "Authorization: Bearer,abc"),
        ("tab", "Authorization: Bearer\tabc"),
        ("not-ascii", "Authorization: Bearer \u{e4}"),
    ])
}

fn compact_token() -> Seeds {
    let good = sign(GOOD_HEADER, good_claims(""));
    let none = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(good_claims("")));
    let of = |letters| {
        sign(
            GOOD_HEADER,
            good_claims(&format!(r#""x":"{}","#, "x".repeat(letters))),
        )
    };
    let swapped = good.replace('-', "+").replace('_', "/");
    texts([
        ("good", &good),
        (
            "good-with-dashes",
            &sign(GOOD_HEADER, good_claims(r#""x":"???>>>~~~","#)),
        ),
        ("good-list-of-audiences", &sign(GOOD_HEADER, list_of_audiences())),
        ("nearly-too-long", &of(12_100)),
        ("too-long", &of(12_200)),
        ("alg-none", &none),
        ("padded", &format!("{good}=")),
        ("other-alphabet", &swapped),
        ("four-parts", &format!("{good}.x")),
        ("five-parts", "e30.e30.e30.e30.e30"),
        ("two-parts", "e30.e30"),
        ("dots", "...."),
        ("empty-parts", ".."),
        ("objects", "e30.e30.e30"),
        ("json", r#"{"payload":"e30","signature":"e30"}"#),
        ("not-canonical", "e31.e31.AB"),
        ("one-letter", "a.b.c"),
    ])
}

fn list_of_audiences() -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":["https://other.test","{API}"],"exp":{}}}"#,
        NOW + 300
    )
}

fn header_json() -> Seeds {
    texts([
        ("at-jwt", GOOD_HEADER),
        ("jwt", r#"{"typ":"JWT","alg":"HS256","kid":"key-1"}"#),
        ("without-typ", r#"{"alg":"HS256"}"#),
        (
            "application",
            r#"{"alg":"HS256","typ":"application/AT+JWT","cty":"json"}"#,
        ),
        ("escapes", r#"{"\u0061lg":"HS\u003256","kid":"\ud83d\ude00"}"#),
        (
            "brought-key",
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"jku":"https://x.test","x5c":["AA"]}"#,
        ),
        ("none", r#"{"alg":"none"}"#),
        ("other-algorithm", r#"{"alg":"RS256","typ":"at+jwt"}"#),
        ("crit", r#"{"alg":"HS256","crit":["exp"],"exp":1}"#),
        ("b64", r#"{"alg":"HS256","b64":false}"#),
        ("nested", r#"{"alg":"HS256","cty":"JWT"}"#),
        ("twice", r#"{"alg":"none","alg":"HS256"}"#),
        ("null", r#"{"alg":"HS256","kid":null,"typ":null}"#),
        ("dpop", r#"{"alg":"HS256","typ":"dpop+jwt"}"#),
        ("array", r#"["alg","HS256"]"#),
        ("behind", r#"{"alg":"HS256"} {}"#),
        ("deep", r#"{"alg":"HS256","x":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"#),
    ])
}

fn payload_json() -> Seeds {
    let full = concat!(
        r#""client_id":"app","azp":"app","iat":1799999999,"nbf":1799999999.5,"jti":"id","scope":"a b  c","#,
        r#""acr":"1","amr":["pwd"],"auth_time":1799999000,"act":{"sub":"bob","act":{"sub":"eve"}},"#,
        r#""cnf":{"kid":"x"},"authorization_details":[{"type":"t","x":[1,null,true]}],"token_version":3,"#,
        r#""realm_access":{"roles":["r","s t"]},"scp":"q","gty":"client-credentials","idtyp":"app","#,
    );
    let other_kind = r#""events":{},"at_hash":"x","token_use":"id","typ":"Refresh","#;
    let with = good_claims;
    let members = |count| {
        (0..count)
            .map(|index| format!(r#""{index}":0,"#))
            .collect::<String>()
    };
    texts([
        ("least", &with("")),
        ("full", &with(full)),
        ("most-members", &with(&members(252))),
        ("too-many-members", &with(&members(253))),
        ("list-of-audiences", &list_of_audiences()),
        ("other-kind", &with(other_kind)),
        ("bound", &with(r#""cnf":{"jkt":"x"},"#)),
        ("twice", &with(r#""iss":"https://idp.test","#)),
        (
            "twice-by-escape",
            &with(r#""\u0069ss":"https://idp.test","x":{"a":1,"a":2},"#),
        ),
        ("null", &with(r#""sub2":null,"jti":null,"#)),
        ("escapes", &with(r#""jti":"\u00e9\ud83d\ude00\n\"","#)),
        ("scp", &with(r#""scp":["a","b c"],"scope":["a"],"#)),
        (
            "numbers",
            &with(r#""x":[0,-0,1e3,-1.5E-7,18446744073709551615,1e308],"nbf":0,"#),
        ),
        ("overflow", &with(r#""nbf":1e999,"iat":-1,"#)),
        (
            "far",
            r#"{"iss":"https://idp.test","aud":"https://api.test","exp":253402300799.5}"#,
        ),
        (
            "expired",
            r#"{"iss":"https://idp.test","aud":"https://api.test","exp":1800000000}"#,
        ),
        (
            "text-date",
            r#"{"iss":"https://idp.test","aud":"https://api.test","exp":"1800000300"}"#,
        ),
        ("deep", &with(r#""x":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]],"#)),
        ("cognito", &with(r#""token_use":"access","client_id":"c","#)),
    ])
}

/// Public keys of RFC 7515 appendices A.2 and A.3, RFC 7517 appendix A.1, and RFC 8037 appendix A.2.
fn jwks_document() -> Seeds {
    let ec = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    let okp = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    let rsa = concat!(
        r#""kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"#,
        "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTB",
        "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
        r#"TW9gb54h4FRWyuXpoQ","e":"AQAB""#,
    );
    let set = |keys: &[String]| format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let key = |members: &str, more: &str| format!("{{{members}{more}}}");
    let named = r#","kid":"1","use":"sig","key_ops":["verify"]"#;
    let zeros = r#""kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA""#;
    texts([
        ("ec", &set(&[key(ec, r#","kid":"1","use":"sig","alg":"ES256""#)])),
        ("ed25519", &set(&[key(okp, r#","alg":"EdDSA""#)])),
        ("ed25519-by-its-name", &set(&[key(okp, r#","alg":"Ed25519""#)])),
        ("rsa", &set(&[key(rsa, r#","alg":"RS256","kid":"2011-04-29""#)])),
        ("without-alg", &set(&[key(rsa, named), key(ec, named)])),
        (
            "one-key-twice",
            &set(&[key(ec, ""), key(ec, named), key(okp, "")]),
        ),
        (
            "for-encryption",
            &set(&[key(ec, r#","use":"enc""#), key(okp, "")]),
        ),
        (
            "for-signing",
            &set(&[key(ec, r#","key_ops":["sign","verify","verify"]"#), key(okp, "")]),
        ),
        ("private", &set(&[key(ec, r#","d":"AA""#), key(okp, "")])),
        (
            "symmetric",
            &set(&[key(r#""kty":"oct","k":"AAAA""#, ""), key(okp, "")]),
        ),
        ("not-on-the-curve", &set(&[key(zeros, ""), key(okp, "")])),
        (
            "null-and-numbers",
            &set(&["null".into(), "1".into(), "[]".into(), key(okp, "")]),
        ),
        ("unknown-type", &set(&[key(r#""kty":"AKP""#, ""), key(okp, "")])),
        (
            "null-members",
            &set(&[key(ec, r#","alg":null,"use":null,"kid":null,"d":null"#)]),
        ),
        (
            "certificate",
            &set(&[key(rsa, r#","x5c":["AA"],"x5t":"AA","x5u":"https://x""#)]),
        ),
        ("empty", r#"{"keys":[]}"#),
        ("two-arrays", r#"{"keys":[],"keys":[]}"#),
        ("array", "[]"),
    ])
}

fn challenge_writer() -> Seeds {
    let seeds: [(&str, &[u8]); 10] = [
        ("one", b"api\xfforders:read"),
        ("several", b"api\xfforders:read\xfeorders:write\xfforders:admin"),
        ("empty-realm", b"\xffa"),
        ("spaces", b"the realm of orders \xffa"),
        ("quote", b"a\"b\xffa"),
        ("backslash", b"a\\b\xffa"),
        ("newline", b"a\r\nSet-Cookie: b\xffa"),
        ("comma", b"a, error=invalid\xffa,b\xfec=d"),
        ("space-in-scope", b"api\xffa b"),
        ("not-ascii", "r\u{e4}\u{1f600}\u{7f}".as_bytes()),
    ];
    seeds
        .into_iter()
        .map(|(name, bytes)| (name, bytes.to_vec()))
        .collect()
}

fn api_key() -> Seeds {
    let key_of = |length| [b"sk\xfflive\xff\x00\x00\xff", &*vec![b'k'; length]].concat();
    let (longest, too_long_by_one) = (key_of(512), key_of(513));
    let seeds: [(&str, &[u8]); 10] = [
        ("longest-key", &longest),
        ("key-too-long", &too_long_by_one),
        ("one", b"sk\xfflive\xff\x05\x01\xffkey-of-the-robot"),
        ("unchanged", b"sk\xfftest\xff\x00\x00\xffabc=="),
        ("space", b"k\xff1\xff\x00\x20\xff key"),
        (
            "long-words",
            b"abcdefghijklmnop\xff0123456789abcdef\xff\x30\xff\xffa.b.c",
        ),
        ("too-long", b"abcdefghijklmnopq\xffx\xff\x00\xff"),
        ("upper-case", b"SK\xffLIVE\xff\x00\x00\xff=="),
        ("empty", b"\xff\xff\xff"),
        ("underscore", b"s_k\xffx\xff\x02\x80\xff\xc3\xa4"),
    ];
    seeds
        .into_iter()
        .map(|(name, bytes)| (name, bytes.to_vec()))
        .collect()
}
