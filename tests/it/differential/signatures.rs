//! Signatures that are right, and what becomes of them.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::keys::{ALGORITHMS, KEYS, tag};

#[derive(Debug, Clone)]
pub(super) enum Signature {
    Own,
    /// By the key and with the method of another algorithm.
    Of(&'static str),
    /// The token names HMAC, and the "secret" is something public.
    Confused(&'static str, Index),
    Changed(Change),
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Empty,
    Bit(Index),
    Longer {
        front: bool,
        byte: u8,
    },
    Shorter {
        front: bool,
    },
    Zeros,
    Ones,
    /// ECDSA: as ASN.1 DER, what other protocols use (RFC 7518 section 3.4 does not).
    Der,
    /// ECDSA: `n - s`, which is as good a signature, and no JOSE rule forbids it.
    OtherHalf,
    /// ECDSA: `s + n`, which does not fit into the field but into the bytes of P-521.
    Overflowing,
    /// ECDSA: `s` before `r`.
    Crossed,
}

/// The orders of P-256, P-384 and P-521 (FIPS 186-4 appendix D.1.2), each in as many bytes as a coordinate has.
const ORDERS: [(&str, &str); 3] = [
    (
        "ES256",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ),
    (
        "ES384",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    (
        "ES512",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ),
];

pub(super) fn signature() -> impl Strategy<Value = Signature> {
    let end = || any::<bool>();
    let change = prop_oneof![
        1 => Just(Change::Empty),
        2 => any::<Index>().prop_map(Change::Bit),
        2 => (end(), select(&[0, 1, 255][..])).prop_map(|(front, byte)| Change::Longer { front, byte }),
        2 => end().prop_map(|front| Change::Shorter { front }),
        1 => Just(Change::Zeros),
        1 => Just(Change::Ones),
        2 => Just(Change::Der),
        3 => Just(Change::OtherHalf),
        2 => Just(Change::Overflowing),
        1 => Just(Change::Crossed),
    ];
    prop_oneof![
        1 => select(&ALGORITHMS[..]).prop_map(|(name, _)| Signature::Of(name)),
        1 => (select(&ALGORITHMS[0..3]), any::<Index>())
            .prop_map(|((name, _), which)| Signature::Confused(name, which)),
        4 => change.prop_map(Signature::Changed),
    ]
}

impl Signature {
    /// What the header says.
    pub(super) fn named_algorithm(&self, own: &'static str) -> &'static str {
        match self {
            Self::Confused(named, _) => named,
            _ => own,
        }
    }

    pub(super) fn over(&self, own: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Own => KEYS.sign(own, message),
            Self::Of(other) => KEYS.sign(other, message),
            Self::Confused(named, which) => {
                let public = KEYS.mistaken_for_secret();
                let which = which.index(public.len());
                tag(named, &public[which], message)
            }
            Self::Changed(change) => change.of(own, KEYS.sign(own, message)),
        }
    }
}

impl Change {
    fn of(&self, algorithm: &str, mut signature: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Empty => signature.clear(),
            Self::Bit(place) => {
                let bit = place.index(signature.len() * 8);
                signature[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Longer { front: true, byte } => signature.insert(0, *byte),
            Self::Longer { front: false, byte } => signature.push(*byte),
            Self::Shorter { front: true } => drop(signature.remove(0)),
            Self::Shorter { front: false } => drop(signature.pop()),
            Self::Zeros => signature.fill(0),
            Self::Ones => signature.fill(255),
            Self::Der | Self::OtherHalf | Self::Overflowing | Self::Crossed => {
                return self.of_ecdsa(algorithm, signature);
            }
        }
        signature
    }

    /// Signatures of other algorithms stay as they are.
    fn of_ecdsa(&self, algorithm: &str, signature: Vec<u8>) -> Vec<u8> {
        let Some((_, order)) = ORDERS.iter().find(|(name, _)| *name == algorithm) else {
            return signature;
        };
        let order = from_hex(order);
        let (r, s) = signature.split_at(signature.len() / 2);
        match self {
            Self::Der => {
                let body = [integer(r), integer(s)].concat();
                [sequence_of(body.len()), body].concat()
            }
            Self::OtherHalf => [r.to_vec(), subtract(&order, s)].concat(),
            Self::Overflowing => [r.to_vec(), add(&order, s)].concat(),
            _ => [s, r].concat(),
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The difference of two numbers in big-endian bytes of one length.
fn subtract(from: &[u8], what: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let bytes = from.iter().zip(what).rev().map(|(a, b)| {
        let (first, one) = a.overflowing_sub(*b);
        let (second, two) = first.overflowing_sub(u8::from(borrow));
        borrow = one || two;
        second
    });
    reversed(bytes.collect())
}

/// Their sum, without a carry beyond the first byte.
fn add(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let bytes = one.iter().zip(other).rev().map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        u8::try_from(sum & 0xff).unwrap()
    });
    reversed(bytes.collect())
}

fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

/// A positive number in DER.
fn integer(number: &[u8]) -> Vec<u8> {
    let start = number
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(number.len() - 1);
    let digits = &number[start..];
    let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
    let length = u8::try_from(sign.len() + digits.len()).unwrap();
    [&[2, length], sign, digits].concat()
}

fn sequence_of(length: usize) -> Vec<u8> {
    let length = u8::try_from(length).unwrap();
    if length < 0x80 {
        vec![0x30, length]
    } else {
        vec![0x30, 0x81, length]
    }
}
