use std::fmt;

use zeroize::Zeroizing;

use super::KeyDigest;
use crate::error::{ConfigError, Problems};
use crate::secret::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ENTROPY: usize = 32;
/// 62^43 is the first power of 62 above 2^256.
const RANDOM_DIGITS: usize = 43;
/// 62^6 is the first power of 62 above 2^32.
const CHECKSUM_DIGITS: usize = 6;
const START: usize = 4;

/// How this service's API keys look: `sk_live_<43 characters><6 characters>`.
///
/// The first two words are yours: the kind of key and the environment. The 43 characters are 32 random bytes in base 62;
/// the last six are the CRC-32 of all that stands before them, so that a mistyped or invented key can be told from a real
/// one without asking anybody: `ApiKeyLayer::minted_only` does. A checksum is no secret, and a key that has a good one is not
/// yet a key that anybody knows.
///
/// A double click selects the whole key, and it splits in one way only: a `_` stands after each word and nowhere else.
///
/// ```
/// use tower_resource_server::ApiKeyFormat;
///
/// let format = ApiKeyFormat::new("sk", "test")?;
/// let minted = format.mint()?;
/// let key = minted.expose();   // show it once, store it nowhere
/// assert!(key.starts_with("sk_test_") && key.len() == 8 + 43 + 6);
/// assert!(format.is_well_formed(key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyFormat {
    kind: Box<str>,
    environment: Box<str>,
}

/// The operating system gave no randomness; no key was made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness")]
#[non_exhaustive]
pub struct MintError(#[source] pub(super) getrandom::Error);

/// A new key: the only time that it exists in plain. `Debug` does not show it, it is erased when dropped, and there is no
/// way to serialise it.
///
/// ```compile_fail
/// fn answer(minted: &tower_resource_server::MintedKey) -> String {
///     serde_json::to_string(minted).unwrap()
/// }
/// ```
#[derive(Debug)]
pub struct MintedKey {
    key: Secret,
    digest: KeyDigest,
    start: String,
}

impl ApiKeyFormat {
    /// The kind of key (`sk`) and the environment (`live`, `test`): each 1 to 16 lower-case letters and digits.
    pub fn new(kind: &str, environment: &str) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        for (setter, word) in [("kind", kind), ("environment", environment)] {
            let fits = word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            if !fits || !(1..=16).contains(&word.len()) {
                problems.add(
                    setter,
                    format!("{word:?} is not 1 to 16 lower-case letters and digits"),
                );
            }
        }
        problems.into_result()?;
        Ok(Self {
            kind: kind.into(),
            environment: environment.into(),
        })
    }

    /// Makes a key of 32 random bytes from the operating system.
    pub fn mint(&self) -> Result<MintedKey, MintError> {
        let mut random = Zeroizing::new([0; ENTROPY]);
        getrandom::fill(&mut *random).map_err(MintError)?;
        Ok(self.spell(&random))
    }

    fn spell(&self, random: &[u8; ENTROPY]) -> MintedKey {
        let prefix = self.to_string();
        let mut key = Vec::with_capacity(prefix.len() + RANDOM_DIGITS + CHECKSUM_DIGITS);
        key.extend_from_slice(prefix.as_bytes());
        push_base62::<RANDOM_DIGITS>(&mut key, random);
        let checksum = checksum(&key);
        key.extend_from_slice(&checksum);
        let shown = key.iter().take(prefix.len() + START);
        let start = shown.map(|byte| char::from(*byte)).collect();
        MintedKey {
            digest: KeyDigest::of(&key),
            key: Secret::new(key),
            start,
        }
    }

    /// Whether a key has this form, these two words and the right checksum. It says nothing about whether the key was
    /// ever minted.
    pub fn is_well_formed(&self, key: &str) -> bool {
        Spelling::of(key).is_some_and(|key| self.spells(&key))
    }

    pub(super) fn spells(&self, key: &Spelling<'_>) -> bool {
        *self.kind == *key.kind && *self.environment == *key.environment
    }

    /// Whether a key of this kind says that it is for somewhere else.
    pub(super) fn is_elsewhere(&self, key: &Spelling<'_>) -> bool {
        *self.kind == *key.kind && *self.environment != *key.environment
    }

    /// A regular expression for scanners of source code, logs and chats. It is plain enough for any engine (`grep -P`,
    /// Rust, RE2, JavaScript). What it finds can be sifted with [`is_well_formed`](Self::is_well_formed), which sees the
    /// checksum; then nothing that was not minted raises an alarm.
    ///
    /// ```
    /// let format = tower_resource_server::ApiKeyFormat::new("sk", "live")?;
    /// assert_eq!(format.scan_pattern(), r"\bsk_live_[0-9A-Za-z]{49}\b");
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    pub fn scan_pattern(&self) -> String {
        let digits = RANDOM_DIGITS + CHECKSUM_DIGITS;
        format!(r"\b{self}[0-9A-Za-z]{{{digits}}}\b")
    }
}

/// What each key begins with: `sk_live_`.
impl fmt::Display for ApiKeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_", self.kind, self.environment)
    }
}

/// The words of a key that has the form of a minted one and the right checksum.
pub(super) struct Spelling<'k> {
    kind: &'k str,
    environment: &'k str,
}

impl<'k> Spelling<'k> {
    pub(super) fn of(key: &'k str) -> Option<Self> {
        let (kind, rest) = key.split_once('_')?;
        let (environment, digits) = rest.split_once('_')?;
        let (spelled, told) = key.as_bytes().split_last_chunk::<CHECKSUM_DIGITS>()?;
        let has_form = digits.len() == RANDOM_DIGITS + CHECKSUM_DIGITS
            && digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
        (has_form && checksum(spelled) == *told).then_some(Self { kind, environment })
    }
}

fn checksum(spelled: &[u8]) -> [u8; CHECKSUM_DIGITS] {
    let mut number = crc32fast::hash(spelled);
    let mut digits = [b'0'; CHECKSUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = letter((number % 62) as usize);
        number /= 62;
    }
    digits
}

/// Writes a big-endian number with `DIGITS` digits, the most significant first.
pub(super) fn push_base62<const DIGITS: usize>(out: &mut Vec<u8>, number: &[u8]) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new([0; DIGITS]);
    for digit in digits.iter_mut().rev() {
        *digit = letter(divide_by_62(&mut number));
    }
    out.extend_from_slice(&*digits);
}

fn letter(digit: usize) -> u8 {
    ALPHABET.get(digit).copied().unwrap_or(b'0')
}

fn divide_by_62(number: &mut [u8]) -> usize {
    number.iter_mut().fold(0, |carry, byte| {
        let value = carry * 256 + usize::from(*byte);
        *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
        value % 62
    })
}

impl MintedKey {
    /// The key itself, as text. Show it to its owner once.
    pub fn expose(&self) -> &str {
        self.key.expose_str().unwrap_or_default()
    }

    /// The key itself, as a value that does not leak by accident.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// What to store.
    pub fn digest(&self) -> &KeyDigest {
        &self.digest
    }

    /// The prefix and the first four characters, for people to recognise the key by.
    pub fn start(&self) -> &str {
        &self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_62_is_a_number_in_base_62() {
        let spell = |number: &[u8]| {
            let mut out = Vec::new();
            push_base62::<6>(&mut out, number);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(spell(&[0]), "000000");
        assert_eq!(spell(&[61]), "00000z");
        assert_eq!(spell(&[62]), "000010");
        assert_eq!(spell(&u32::MAX.to_be_bytes()), "4gfFC3");
        // The check value of CRC-32.
        assert_eq!(
            checksum(b"123456789"),
            *spell(&0xcbf4_3926_u32.to_be_bytes()).as_bytes()
        );
    }

    #[test]
    fn the_largest_random_number_fits_its_digits() {
        let mut out = Vec::new();
        push_base62::<RANDOM_DIGITS>(&mut out, &[0xff; ENTROPY]);
        let restored = out.iter().fold(vec![0u8; 33], |mut number, digit| {
            let mut carry = ALPHABET.iter().position(|letter| letter == digit).unwrap();
            for byte in number.iter_mut().rev() {
                let value = usize::from(*byte) * 62 + carry;
                *byte = u8::try_from(value % 256).unwrap();
                carry = value / 256;
            }
            number
        });
        assert_eq!(restored[1..], [0xff; ENTROPY]);
    }
}
