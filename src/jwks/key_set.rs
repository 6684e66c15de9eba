use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::document;
use super::jwk::ParsedJwk;
use super::material::{KeyFlaw, KeyMaterial};
use super::verifying_key::{Algorithm, VerifyingKey};

/// More keys than any issuer publishes, and about as many RSA keys as fit in the 512 KiB of a document that is fetched. What
/// is longer is a mistake or an attack.
const MOST_KEYS: usize = 1_000;

/// The keys of one issuer, parsed and ready. Cloning costs a reference count.
///
/// A JWKS may hold keys that are unknown, malformed, or for another purpose: those are left out, each with its reason in
/// [`skipped`](Self::skipped), and the rest work (RFC 7517 section 5). Symmetric keys, keys whose private part was
/// published, and RSA keys that are easily broken (under 2048 bits, or with the flaw ROCA, CVE-2017-15361) are always left
/// out.
#[derive(Clone)]
pub struct KeySet {
    inner: Arc<Inner>,
    life: Option<Duration>,
}

/// Which set it was.
#[derive(Debug, Clone)]
pub(crate) struct KeySetMark(Weak<Inner>);

#[derive(Default)]
struct Inner {
    /// What this was read from, to know it again.
    document: Option<Box<str>>,
    keys: Vec<PublishedKey>,
    by_kid: HashMap<String, Vec<usize>>,
    by_algorithm: HashMap<Algorithm, Vec<usize>>,
    /// Keys given without a name, outside a JWKS: they answer to any.
    nameless: Vec<usize>,
    distinct: usize,
    skipped: Vec<SkippedKey>,
}

/// A key, and what its document says of it.
#[derive(Debug)]
pub(crate) struct PublishedKey {
    key: VerifyingKey,
    /// Whose tokens it signs (`issuer`, a member of Entra ID's); `None` if some entry of the key does not say.
    issuers: Option<Vec<Box<str>>>,
}

/// A key of a JWKS that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its place in the `keys` array, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not a JSON object with an array `keys`.
    #[error("the document is not a JSON Web Key Set: {0}")]
    NotAKeySet(&'static str),
    /// More than 1,000 keys.
    #[error("the document holds {0} keys, more than 1,000")]
    TooManyKeys(usize),
    /// No key in it can be used.
    #[error("the document holds no key that can be used; left out: {0:?}")]
    NoUsableKey(Vec<SkippedKey>),
    /// Not PEM or DER of a public key.
    #[error("not a public key in PEM or DER: {0}")]
    NotAPublicKey(String),
}

#[derive(Deserialize)]
struct Document<'j> {
    #[serde(borrow)]
    keys: Vec<&'j RawValue>,
}

/// What a token's `kid` and algorithm lead to.
#[derive(Debug)]
pub(crate) enum Selection<'k> {
    One(&'k PublishedKey),
    /// The set has no such key; a newer set may.
    Unknown,
    /// There are several, or the one that is named is of another kind; no newer set is likely to help.
    Unfit,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517 section 5). At least one key in it must be usable.
    pub fn from_jwks(text: &str) -> Result<Self, KeySetError> {
        let document: Document<'_> =
            document::object(text.as_bytes()).map_err(|error| not_a_key_set(&error))?;
        if document.keys.len() > MOST_KEYS {
            return Err(KeySetError::TooManyKeys(document.keys.len()));
        }
        let mut set = Inner {
            document: Some(text.into()),
            ..Inner::default()
        };
        let mut known = Known::new();
        for (index, json) in document.keys.iter().enumerate() {
            if let Err(flaw) = ParsedJwk::parse(json.get()).and_then(|jwk| set.add(&jwk, &mut known)) {
                set.skipped.push(SkippedKey {
                    index,
                    reason: flaw.to_string(),
                });
            }
        }
        if set.keys.is_empty() {
            return Err(KeySetError::NoUsableKey(set.skipped));
        }
        Ok(set.into())
    }

    /// A key from outside a JWKS, which answers to every `kid`.
    pub(super) fn nameless(material: &KeyMaterial) -> Result<Self, KeyFlaw> {
        let mut set = Inner::default();
        let mut flaw = KeyFlaw::Algorithm;
        for algorithm in Algorithm::all_for(material) {
            match VerifyingKey::parse(algorithm, material) {
                Ok(key) => {
                    let index = set.push(key, None);
                    set.nameless.push(index);
                }
                Err(other) => flaw = other,
            }
        }
        set.distinct = 1;
        if set.keys.is_empty() {
            Err(flaw)
        } else {
            Ok(set.into())
        }
    }

    /// The same keys, with the time for which their source says that they are good. `CachedKeys` keeps them for that long,
    /// within its limits; fixed keys are kept for ever. Default: the source says nothing.
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.life = Some(time);
        self
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.inner.distinct
    }

    /// Whether there is none: never, since a set without a key that can be used is an error and no set.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The keys of the document that are not used, and why.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.inner.skipped
    }

    /// What the keys are called, and the algorithms that they serve: for people.
    pub(crate) fn by_name(&self) -> BTreeMap<Option<&str>, BTreeSet<Algorithm>> {
        let set = &*self.inner;
        let mut keys: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (index, published) in set.keys.iter().enumerate() {
            let kids = set.by_kid.iter().filter(|(_, places)| places.contains(&index));
            let mut kids = kids.map(|(kid, _)| Some(kid.as_str())).peekable();
            let nameless = kids.peek().is_none().then_some(None);
            for kid in kids.chain(nameless) {
                let algorithms = keys.entry(kid).or_default();
                algorithms.insert(published.key.algorithm());
            }
        }
        keys
    }

    /// Whether this is the very same set, not only an equal one.
    pub(crate) fn is(&self, mark: &KeySetMark) -> bool {
        // What is marked keeps its address, so that no other set can come to stand there.
        std::ptr::eq(Arc::as_ptr(&self.inner), mark.0.as_ptr())
    }

    /// Something to know this very set by, which does not keep it.
    pub(crate) fn mark(&self) -> KeySetMark {
        KeySetMark(Arc::downgrade(&self.inner))
    }

    /// Whether this was read from the same document.
    #[cfg(feature = "remote")]
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.inner.document.is_some() && self.inner.document == other.inner.document
    }

    #[cfg(feature = "remote")]
    pub(super) fn life(&self) -> Option<Duration> {
        self.life
    }

    /// Whether some key serves this algorithm.
    pub(crate) fn serves(&self, algorithm: Algorithm) -> bool {
        self.inner.by_algorithm.contains_key(&algorithm)
    }

    /// Whether the set has a say in tokens of this name and algorithm, be it that it refuses them.
    #[cfg(feature = "remote")]
    pub(super) fn knows(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        !matches!(self.select(kid, algorithm), Selection::Unknown)
    }

    /// Exactly one key, or none. The algorithm is one that the issuer's list allows; a token without `kid` is judged only
    /// when a single key could be meant.
    pub(crate) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Selection<'_> {
        let set = &*self.inner;
        let Some(kid) = kid else {
            return match set.by_algorithm.get(&algorithm) {
                Some(indexes) => set.only(indexes, algorithm),
                None => Selection::Unknown,
            };
        };
        match set.by_kid.get(kid) {
            Some(indexes) => set.only(indexes, algorithm),
            None if set.nameless.is_empty() => Selection::Unknown,
            None => set.only(&set.nameless, algorithm),
        }
    }
}

/// What is wrong with the document, without a piece of it: somebody may have given a secret instead.
fn not_a_key_set(error: &serde_json::Error) -> KeySetError {
    KeySetError::NotAKeySet(match error.classify() {
        serde_json::error::Category::Data => "it is not an object with one array `keys`",
        _ => "it is not JSON",
    })
}

impl From<Inner> for KeySet {
    fn from(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            life: None,
        }
    }
}

/// The places of the public keys so far, so that a set of many takes no time that grows with their square.
type Known = HashMap<(Algorithm, Box<[u8]>), usize>;

impl Inner {
    /// A key that is published twice, also under two names, is one key.
    fn add(&mut self, jwk: &ParsedJwk, known: &mut Known) -> Result<(), KeyFlaw> {
        let algorithms = match jwk.algorithm {
            Some(algorithm) => vec![algorithm],
            None => Algorithm::all_for(&jwk.material).collect(),
        };
        let keys: Vec<VerifyingKey> = algorithms
            .into_iter()
            .map(|one| VerifyingKey::parse(one, &jwk.material))
            .collect::<Result<_, _>>()?;
        let before = self.keys.len();
        for key in keys {
            let index = match known.entry((key.algorithm(), key.public().into())) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(self.push(key, Some(Vec::new()))),
            };
            if let Some(key) = self.keys.get_mut(index) {
                key.serve(jwk.issuer.clone());
            }
            if let Some(kid) = &jwk.kid {
                let same_name = self.by_kid.entry(kid.clone()).or_default();
                if !same_name.contains(&index) {
                    same_name.push(index);
                }
            }
        }
        self.distinct += usize::from(self.keys.len() > before);
        Ok(())
    }

    fn push(&mut self, key: VerifyingKey, issuers: Option<Vec<Box<str>>>) -> usize {
        let index = self.keys.len();
        self.by_algorithm.entry(key.algorithm()).or_default().push(index);
        self.keys.push(PublishedKey { key, issuers });
        index
    }

    fn only(&self, indexes: &[usize], algorithm: Algorithm) -> Selection<'_> {
        let mut fitting = indexes
            .iter()
            .filter_map(|index| self.keys.get(*index))
            .filter(|published| published.key.algorithm() == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Selection::One(key),
            _ => Selection::Unfit,
        }
    }
}

impl PublishedKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(message, signature)
    }

    /// Whose tokens it signs, as its document writes it; `None` if nothing is said.
    pub(crate) fn issuers(&self) -> Option<&[Box<str>]> {
        self.issuers.as_deref()
    }

    /// One more entry of the key was read: for this issuer, or for anybody.
    fn serve(&mut self, issuer: Option<Box<str>>) {
        match (&mut self.issuers, issuer) {
            (Some(issuers), Some(issuer)) => issuers.push(issuer),
            (issuers, _) => *issuers = None,
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.len())
            .field("skipped", &self.skipped())
            .finish()
    }
}
