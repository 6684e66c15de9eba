//! Recipes of tokens, from good ones to garbage: what stands in the header and the claims, how they are written, who
//! signs, and what happens to the text afterwards.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::keys::{ALGORITHMS, KEYS, PUBLIC_ISSUER, SHARED_ISSUER, b64, issuer_of, kid_of};
use super::members::{Edit, Members, claim_edit, harmless_claim, harmless_member, member_edit};
use super::signatures::{Signature, signature};
use crate::support::API;

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) algorithm: &'static str,
    pub(super) header: Vec<Edit>,
    pub(super) claims: Vec<Edit>,
    header_frame: Frame,
    claims_frame: Frame,
    signature: Signature,
    spelling: Vec<Spelling>,
}

/// What is done to the bytes of a JSON text before it is signed.
#[derive(Debug, Clone)]
enum Frame {
    Plain,
    Before(&'static str),
    Behind(&'static str),
    Replaced(Index, u8),
    Inserted(Index, u8),
    Removed(Index),
    Whole(&'static [u8]),
}

/// What is done to the compact text after it is signed.
#[derive(Debug, Clone)]
enum Spelling {
    Insert(Index, char),
    Replace(Index, char),
    Remove(Index),
    Truncate(Index),
    OtherCase(Index),
    Padded(usize, usize),
    TrailingBits(usize),
    StandardAlphabet,
    Swapped(usize),
    Emptied(usize),
    Doubled(usize),
    Part(&'static str),
}

pub(super) fn plain(algorithm: &'static str) -> Case {
    Case {
        algorithm,
        header: Vec::new(),
        claims: Vec::new(),
        header_frame: Frame::Plain,
        claims_frame: Frame::Plain,
        signature: Signature::Own,
        spelling: Vec::new(),
    }
}

/// Cases of every kind, so that a good part of them is accepted and every kind of mistake is alone at times.
pub(super) fn case() -> impl Strategy<Value = Case> {
    prop_oneof![
        4 => harmless(),
        5 => (algorithm(), vec(member_edit(), 1..3))
            .prop_map(|(algorithm, header)| Case { header, ..plain(algorithm) }),
        6 => (algorithm(), vec(claim_edit(), 1..4))
            .prop_map(|(algorithm, claims)| Case { claims, ..plain(algorithm) }),
        3 => framed(),
        4 => forged(),
        4 => (algorithm(), vec(spelling(), 1..3))
            .prop_map(|(algorithm, spelling)| Case { spelling, ..plain(algorithm) }),
        2 => everything(),
    ]
}

/// Nothing in it should make a difference, dates excepted.
fn harmless() -> impl Strategy<Value = Case> {
    let edits = (vec(harmless_member(), 0..3), vec(harmless_claim(), 0..3));
    (algorithm(), edits).prop_map(|(algorithm, (header, claims))| Case {
        header,
        claims,
        ..plain(algorithm)
    })
}

/// Bytes of the JSON texts are changed.
fn framed() -> impl Strategy<Value = Case> {
    (algorithm(), frame(), frame(), any::<bool>()).prop_map(|(algorithm, one, other, both)| Case {
        header_frame: if both { other } else { Frame::Plain },
        claims_frame: one,
        ..plain(algorithm)
    })
}

/// Another's signature, or none.
fn forged() -> impl Strategy<Value = Case> {
    let issuer = prop_oneof![
        3 => Just(None),
        1 => select(&[PUBLIC_ISSUER, SHARED_ISSUER][..]).prop_map(Some),
    ];
    (algorithm(), signature(), any::<bool>(), issuer).prop_map(|(algorithm, signature, nameless, issuer)| {
        let issuer = issuer.map(|issuer| Edit::Set("iss", format!("{issuer:?}")));
        Case {
            header: nameless.then_some(Edit::Remove("kid")).into_iter().collect(),
            claims: issuer.into_iter().collect(),
            signature,
            ..plain(algorithm)
        }
    })
}

/// Several things at once.
fn everything() -> impl Strategy<Value = Case> {
    let edits = (vec(member_edit(), 0..2), vec(claim_edit(), 0..2));
    let frame = prop_oneof![4 => Just(Frame::Plain), 1 => frame()];
    let signature = prop_oneof![2 => Just(Signature::Own), 1 => signature()];
    (algorithm(), edits, frame, signature, vec(spelling(), 0..2)).prop_map(
        |(algorithm, (header, claims), claims_frame, signature, spelling)| Case {
            header,
            claims,
            claims_frame,
            signature,
            spelling,
            ..plain(algorithm)
        },
    )
}

/// Those that are quick to sign with come up more often.
fn algorithm() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        3 => select(&ALGORITHMS[0..3]),
        1 => select(&ALGORITHMS[3..9]),
        2 => select(&ALGORITHMS[9..12]),
        2 => select(&ALGORITHMS[12..14]),
    ]
    .prop_map(|(name, _)| name)
}

fn frame() -> impl Strategy<Value = Frame> {
    const OUTSIDE: &[&str] = &[
        " ", "\t\r\n", "\u{feff}", "\0", "{}", "null", ",", "[", "//", "}", "]",
    ];
    const WHOLE: &[&[u8]] = &[
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"\"\"",
        b"{\"alg\"",
        b"\xff\xfe{\0}\0",
    ];
    prop_oneof![
        3 => Just(Frame::Plain),
        1 => select(OUTSIDE).prop_map(Frame::Before),
        1 => select(OUTSIDE).prop_map(Frame::Behind),
        3 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Frame::Replaced(place, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Frame::Inserted(place, byte)),
        1 => any::<Index>().prop_map(Frame::Removed),
        1 => select(WHOLE).prop_map(Frame::Whole),
    ]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    const LETTERS: &[char] = &[
        'A', 'Q', 'g', 'w', 'z', '0', '9', '-', '_', '+', '/', '=', '.', ' ', '\t', '\n', '\r', '~', '%',
        ',', '{', '"', '\u{e9}', '\0',
    ];
    let letter = || select(LETTERS);
    let part = || 0..3_usize;
    prop_oneof![
        2 => (any::<Index>(), letter()).prop_map(|(place, letter)| Spelling::Insert(place, letter)),
        2 => (any::<Index>(), letter()).prop_map(|(place, letter)| Spelling::Replace(place, letter)),
        1 => any::<Index>().prop_map(Spelling::Remove),
        1 => any::<Index>().prop_map(Spelling::Truncate),
        1 => any::<Index>().prop_map(Spelling::OtherCase),
        1 => (part(), 1..3_usize).prop_map(|(part, length)| Spelling::Padded(part, length)),
        2 => part().prop_map(Spelling::TrailingBits),
        1 => Just(Spelling::StandardAlphabet),
        3 => part().prop_map(Spelling::Swapped),
        1 => part().prop_map(Spelling::Emptied),
        1 => part().prop_map(Spelling::Doubled),
        1 => select(&["", "e30", "AA", "."][..]).prop_map(Spelling::Part),
    ]
}

impl Case {
    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.header.push(Edit::Set(name, value.to_owned()));
        self
    }

    pub(super) fn token(&self, now: u64) -> String {
        let named = self.signature.named_algorithm(self.algorithm);
        let (header, claims) = texts(self.algorithm, named, now, &self.header, &self.claims);
        let input = format!(
            "{}.{}",
            b64(self.header_frame.around(header)),
            b64(self.claims_frame.around(claims))
        );
        let signature = self.signature.over(self.algorithm, input.as_bytes());
        let token = format!("{input}.{}", b64(signature));
        self.spelling
            .iter()
            .fold(token, |token, spelling| spelling.of(&token, self.algorithm, now))
    }
}

/// The JSON of a good header and of good claims, with these edits.
fn texts(key: &str, named: &str, now: u64, header: &[Edit], claims: &[Edit]) -> (String, String) {
    let quoted = |text: &str| format!("{text:?}");
    let head = [
        ("alg", quoted(named)),
        ("typ", quoted("at+jwt")),
        ("kid", quoted(kid_of(key))),
    ];
    let body = [
        ("iss", quoted(issuer_of(key))),
        ("aud", quoted(API)),
        ("exp", (now + 300).to_string()),
        ("iat", now.to_string()),
        ("sub", quoted("alice")),
    ];
    let head = Members::from(head).edited(header, now);
    (head, Members::from(body).edited(claims, now))
}

/// Another good token of the same issuer, to take parts of.
fn another(algorithm: &str, now: u64) -> String {
    let subject = Edit::Set("sub", r#""mallory""#.to_owned());
    let typ = Edit::Set("typ", r#""JWT""#.to_owned());
    let (header, claims) = texts(algorithm, algorithm, now, &[typ], &[subject]);
    let input = format!("{}.{}", b64(header), b64(claims));
    let signature = KEYS.sign(algorithm, input.as_bytes());
    format!("{input}.{}", b64(signature))
}

impl Frame {
    fn around(&self, text: String) -> Vec<u8> {
        let mut bytes = text.into_bytes();
        match self {
            Self::Plain => {}
            Self::Before(text) => return [text.as_bytes(), &bytes].concat(),
            Self::Behind(text) => bytes.extend(text.as_bytes()),
            Self::Replaced(place, byte) => *place.get_mut(&mut bytes) = *byte,
            Self::Inserted(place, byte) => bytes.insert(place.index(bytes.len()), *byte),
            Self::Removed(place) => drop(bytes.remove(place.index(bytes.len()))),
            Self::Whole(whole) => return whole.to_vec(),
        }
        bytes
    }
}

impl Spelling {
    fn of(&self, token: &str, algorithm: &str, now: u64) -> String {
        if token.is_empty() {
            return String::new();
        }
        let mut letters: Vec<char> = token.chars().collect();
        let at = |place: &Index| place.index(letters.len());
        match self {
            Self::Insert(place, letter) => letters.insert(at(place), *letter),
            Self::Replace(place, letter) => *place.get_mut(&mut letters) = *letter,
            Self::Remove(place) => drop(letters.remove(at(place))),
            Self::Truncate(place) => letters.truncate(at(place)),
            Self::OtherCase(place) => {
                let letter = place.get_mut(&mut letters);
                *letter = if letter.is_ascii_lowercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter.to_ascii_lowercase()
                };
            }
            Self::StandardAlphabet => return token.replace('-', "+").replace('_', "/"),
            Self::Part(text) => return format!("{token}.{text}"),
            Self::Padded(part, length) => {
                return with_part(token, *part, |part| format!("{part}{}", "=".repeat(*length)));
            }
            Self::TrailingBits(part) => return with_part(token, *part, with_trailing_bits),
            Self::Emptied(part) => return with_part(token, *part, |_| String::new()),
            Self::Doubled(part) => return with_part(token, *part, |part| format!("{part}.{part}")),
            Self::Swapped(index) => {
                let other = another(algorithm, now);
                let other = other.split('.').nth(*index).unwrap();
                return with_part(token, *index, |_| other.to_owned());
            }
        }
        letters.into_iter().collect()
    }
}

fn with_part(token: &str, index: usize, change: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(part) = parts.get_mut(index) {
        *part = change(part);
    }
    parts.join(".")
}

/// The next letter of the alphabet at the end: where bits are left over, the same bytes in another spelling.
fn with_trailing_bits(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let Some(index) = part.chars().last().and_then(|last| ALPHABET.find(last)) else {
        return part.to_owned();
    };
    let next = ALPHABET.chars().nth((index + 1) % 64).unwrap();
    format!("{}{next}", &part[..part.len() - 1])
}
