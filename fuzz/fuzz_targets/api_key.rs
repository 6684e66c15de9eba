//! API keys: the words of a format, a place and a change in a key that was minted with it, and a key made elsewhere, with
//! 0xFF between these parts. A minted key is what its format says, it is accepted to the letter and nothing else is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower::Layer;
use tower_resource_server::{ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, KeyDigest, MemoryKeyStore, MintedKey};
use tower_resource_server_fuzz::{Answer, ask, bare, header, token_word};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LONGEST: usize = 512;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(4, |byte| *byte == 0xff);
    let mut next = || parts.next().unwrap_or_default();
    let (kind, environment, change, foreign) = (next(), next(), next(), next());
    check_foreign(foreign);
    let (Ok(kind), Ok(environment)) = (std::str::from_utf8(kind), std::str::from_utf8(environment)) else {
        return;
    };
    let format = ApiKeyFormat::new(kind, environment);
    assert_eq!(format.is_ok(), is_word(kind) && is_word(environment));
    let Ok(format) = format else { return };
    let minted = format.mint().unwrap();
    check_form(&minted, &format!("{kind}_{environment}_"));
    check_change(&minted, change);
});

fn is_word(word: &str) -> bool {
    let letters = word.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9'));
    letters && (1..=16).contains(&word.len())
}

/// Prefix, 43 digits of randomness, 6 digits of checksum.
fn check_form(minted: &MintedKey, prefix: &str) {
    let key = minted.key().expose_str().unwrap();
    let digits = key.strip_prefix(prefix).expect("the prefix");
    assert_eq!(digits.len(), 49);
    let (random, checksum) = digits.split_at(43);
    assert!(
        number(random).is_none(),
        "32 random bytes are more than a number holds"
    );
    let signed = &key[..key.len() - checksum.len()];
    assert_eq!(number(checksum), Some(u128::from(crc32(signed.as_bytes()))));
    assert_eq!(*minted.digest(), KeyDigest::of(key));
    assert_eq!(minted.start(), &key[..prefix.len() + 4]);
    assert!(!format!("{minted:?}").contains(random));
}

/// The value of digits in base 62, if it fits.
fn number(digits: &str) -> Option<u128> {
    digits.bytes().try_fold(0u128, |number, digit| {
        let value = DIGITS.iter().position(|known| *known == digit).expect("a digit");
        number.checked_mul(62)?.checked_add(value as u128)
    })
}

/// CRC-32 as in zlib, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// A store that knows one key of this text.
fn layer(key: &[u8]) -> ApiKeyLayer {
    let record = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(key)).build();
    ApiKeyLayer::new(MemoryKeyStore::from_iter([record]))
}

fn answer(layer: &ApiKeyLayer, name: &'static str, value: &[u8]) -> Option<Answer> {
    let answer = ask(&mut layer.layer(bare()), header(name, value)?);
    answer.check("api", &["Bearer", "ApiKey"]);
    Some(answer)
}

/// The key itself is accepted in its three places, and no key that differs in one byte or in its length is.
fn check_change(minted: &MintedKey, change: &[u8]) {
    let key = minted.key().expose();
    let layer = layer(key);
    let in_authorization =
        |scheme: &[u8], key: &[u8]| answer(&layer, "authorization", &[scheme, key].concat());
    for found in [
        answer(&layer, "x-api-key", key),
        in_authorization(b"Bearer ", key),
        in_authorization(b"apikey  ", key),
    ] {
        let caller = found.unwrap().principal.expect("the key is accepted");
        assert_eq!(
            (caller.key_id(), caller.subject()),
            (Some("key_1"), Some("robot"))
        );
    }
    let [place, other, ..] = *change else { return };
    let place = usize::from(place) % key.len();
    let mut changed = key.to_vec();
    changed[place] ^= other;
    let (mut shorter, mut longer) = (key.to_vec(), key.to_vec());
    shorter.remove(place);
    longer.insert(place, other);
    for (candidate, is_same) in [(changed, other == 0), (shorter, false), (longer, false)] {
        for found in [
            answer(&layer, "x-api-key", &candidate),
            // A space in front of the key belongs to the field and not to the key.
            in_authorization(b"Bearer ", &candidate).filter(|_| !candidate.starts_with(b" ")),
        ] {
            assert!(found.is_none_or(|answer| answer.is_accepted() == is_same));
        }
    }
}

/// A key that was made elsewhere: any text that the header can carry, up to the longest.
fn check_foreign(key: &[u8]) {
    let layer = layer(key);
    if let Some(answer) = answer(&layer, "x-api-key", key) {
        let is_legal = !key.is_empty() && key.iter().all(u8::is_ascii_graphic);
        let expected = match (is_legal, key.len() <= LONGEST) {
            (false, _) => 400,
            (true, false) => 401,
            (true, true) => 200,
        };
        assert_eq!(answer.status, expected, "{}", answer.reason());
    }
    if let Some(answer) = answer(&layer, "authorization", &[b"Bearer ", key].concat()) {
        let is_accepted = token_word(key) && key.len() <= LONGEST;
        assert_eq!(answer.is_accepted(), is_accepted, "{}", answer.reason());
    }
}
