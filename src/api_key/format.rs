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
/// one without asking anybody. A double click selects the whole key.
///
/// ```
/// use tower_resource_server::ApiKeyFormat;
///
/// let minted = ApiKeyFormat::new("sk", "test")?.mint()?;
/// let key = minted.key().expose_str().unwrap();   // show it once, store it nowhere
/// assert!(key.starts_with("sk_test_") && key.len() == 8 + 43 + 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyFormat {
    prefix: String,
}

/// The operating system gave no randomness; no key was made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness")]
#[non_exhaustive]
pub struct MintError(#[source] getrandom::Error);

/// A new key: the only time that it exists in plain. `Debug` does not show it, and it is erased when dropped.
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
            prefix: format!("{kind}_{environment}_"),
        })
    }

    /// Makes a key of 32 random bytes from the operating system.
    pub fn mint(&self) -> Result<MintedKey, MintError> {
        let mut random = Zeroizing::new([0; ENTROPY]);
        getrandom::fill(&mut *random).map_err(MintError)?;
        Ok(self.spell(&random))
    }

    fn spell(&self, random: &[u8; ENTROPY]) -> MintedKey {
        let mut key = Vec::with_capacity(self.prefix.len() + RANDOM_DIGITS + CHECKSUM_DIGITS);
        key.extend_from_slice(self.prefix.as_bytes());
        push_base62::<RANDOM_DIGITS>(&mut key, random);
        let checksum = crc32fast::hash(&key).to_be_bytes();
        push_base62::<CHECKSUM_DIGITS>(&mut key, &checksum);
        let shown = key.iter().take(self.prefix.len() + START);
        let start = shown.map(|byte| char::from(*byte)).collect();
        MintedKey {
            digest: KeyDigest::of(&key),
            key: Secret::new(key),
            start,
        }
    }
}

/// Writes a big-endian number with `DIGITS` digits, the most significant first.
fn push_base62<const DIGITS: usize>(out: &mut Vec<u8>, number: &[u8]) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new([0; DIGITS]);
    for digit in digits.iter_mut().rev() {
        let remainder = divide_by_62(&mut number);
        *digit = ALPHABET.get(remainder).copied().unwrap_or(b'0');
    }
    out.extend_from_slice(&*digits);
}

fn divide_by_62(number: &mut [u8]) -> usize {
    number.iter_mut().fold(0, |carry, byte| {
        let value = carry * 256 + usize::from(*byte);
        *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
        value % 62
    })
}

impl MintedKey {
    /// The key itself. Show it to its owner once.
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
