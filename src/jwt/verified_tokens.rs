//! Tokens that were verified before, so that a client's second request costs a hash and not a signature, and its claims
//! are decoded once.
//!
//! Holds no token: an entry is found by the SHA-256 digest of the whole token, and two tokens with one digest are out of
//! anybody's reach. Only good tokens enter, so junk evicts nothing. An entry counts for as long as its issuer's key set is
//! the very one that verified it, so a withdrawn key takes its entries along; whatever changes with time is asked again
//! on every hit, here for the dates and by the caller for revocations.

use std::fmt;
use std::sync::{Arc, Weak};

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::issuer::{Issuer, Judged, Rules};
use super::trusted::TrustedIssuers;
use crate::jwks::{KeyProvider, KeySet, Lookup};
use crate::principal::PrincipalData;

/// The length of all tokens that are remembered, together: some 20,000 tokens of the usual length. What is kept of a token
/// is about as long as the token.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Clone)]
pub(super) struct VerifiedTokens(Cache<TokenDigest, Arc<Entry>>);

/// Stands for a token without being one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

struct Entry {
    rules: Arc<Rules>,
    /// Weak, so that an issuer which was found at run time and is forgotten takes the task along that fetches its keys.
    issuer_keys: Weak<dyn KeyProvider>,
    keys: KeySet,
    judged: Judged,
    bytes: u32,
}

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST_BYTES)
            .weigher(|_, entry: &Arc<Entry>| entry.bytes);
        Self(cache.build())
    }

    /// The principal of a token that was verified before and is still good. `None`: judge it, and say what is wrong.
    pub(super) fn get(&self, token: TokenDigest, issuers: &TrustedIssuers) -> Option<Arc<PrincipalData>> {
        let entry = self.0.get(&token)?;
        let issuer = entry.issuer()?;
        if !issuers.trusts(&issuer) {
            return None;
        }
        let Lookup::Ready(keys) = issuer.keys.current() else {
            return None;
        };
        let is_good = keys.is(&entry.keys) && issuer.check_times(entry.judged.times).is_ok();
        is_good.then(|| Arc::clone(&entry.judged.data))
    }

    pub(super) fn remember(
        &self,
        token: TokenDigest,
        length: usize,
        issuer: &Issuer,
        keys: &KeySet,
        judged: &Judged,
    ) {
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let entry = Entry {
            rules: Arc::clone(&issuer.rules),
            issuer_keys: Arc::downgrade(&issuer.keys),
            keys: keys.clone(),
            judged: judged.clone(),
            bytes,
        };
        self.0.insert(token, Arc::new(entry));
    }
}

impl Entry {
    fn issuer(&self) -> Option<Issuer> {
        Some(Issuer {
            rules: Arc::clone(&self.rules),
            keys: self.issuer_keys.upgrade()?,
        })
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens")
            .field("entries", &self.0.entry_count())
            .finish_non_exhaustive()
    }
}
