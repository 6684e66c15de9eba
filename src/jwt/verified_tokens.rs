//! Tokens that were verified before, so that a client's second request costs a hash and not a signature, and its claims
//! are decoded once.
//!
//! Holds no token: an entry is found by a keyed hash of the whole token. Only good tokens enter, so junk evicts nothing. An
//! entry counts for as long as its issuer's key set is the very one that verified it, so a withdrawn key takes its entries
//! along; whatever changes with time is asked again on every hit, here for the dates and by the caller for revocations.
//!
//! # Why no token passes for another
//!
//! A hit lets a token in without its signature being checked, so two tokens of one name would be a forgery. The name is
//! SipHash-1-3 of 128 bits under a key of 128 random bits that each layer draws for itself and that never leaves the
//! process, over every byte of the token. Whoever does not know the key can do no better than guess: each guess costs a
//! request and hits one of the 10,000 names with a probability of 2^-114. Nothing of a name is ever seen outside (no log, no
//! answer, no time that depends on how much of it is right: a name is found or not), so a guess teaches nothing for the next
//! one. A plain digest such as SHA-256 would do as well without a key, and takes nearly as long as a whole hit does now:
//! `cargo bench --bench jwt` prints both.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::issuer::{Issuer, Judged, Rules};
use super::trusted::TrustedIssuers;
use crate::jwks::{KeyProvider, KeySet, Lookup};
use crate::principal::PrincipalData;

/// What all that is remembered may weigh.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// No more tokens than this, however short they are.
const MOST_TOKENS: u32 = 10_000;
/// What is kept of a token beside the strings of its claims, which are about as long as the token: the entry, the principal,
/// their places in the cache.
const OVERHEAD: u64 = 1_024;

#[derive(Clone)]
pub(super) struct VerifiedTokens {
    entries: Arc<Cache<TokenName, Arc<Entry>, ByBytes>>,
    namer: SipHasher13,
}

/// Stands for a token without being one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenName(u128);

struct Entry {
    rules: Arc<Rules>,
    /// Weak, so that an issuer which was found at run time and is forgotten takes the task along that fetches its keys.
    issuer_keys: Weak<dyn KeyProvider>,
    keys: KeySet,
    judged: Judged,
    bytes: usize,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<TokenName, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &TokenName, entry: &Arc<Entry>) -> u64 {
        (entry.bytes as u64 + OVERHEAD).max(MOST_BYTES / u64::from(MOST_TOKENS))
    }
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        // The standard library's keys are random for each process, and its hash gives two numbers from which nobody learns
        // them.
        let random = RandomState::new();
        let entries = Cache::with_weighter(MOST_TOKENS as usize, MOST_BYTES, ByBytes);
        Self {
            entries: Arc::new(entries),
            namer: SipHasher13::new_with_keys(random.hash_one(0_u8), random.hash_one(1_u8)),
        }
    }

    pub(super) fn name(&self, token: &str) -> TokenName {
        let mut namer = self.namer;
        namer.write(token.as_bytes());
        TokenName(namer.finish128().as_u128())
    }

    /// The principal of a token that was verified before and is still good. `None`: judge it, and say what is wrong.
    pub(super) fn get(&self, token: TokenName, issuers: &TrustedIssuers) -> Option<Arc<PrincipalData>> {
        let entry = self.entries.get(&token)?;
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
        token: TokenName,
        length: usize,
        issuer: &Issuer,
        keys: &KeySet,
        judged: &Judged,
    ) {
        let entry = Entry {
            rules: Arc::clone(&issuer.rules),
            issuer_keys: Arc::downgrade(&issuer.keys),
            keys: keys.clone(),
            judged: judged.clone(),
            bytes: length,
        };
        self.entries.insert(token, Arc::new(entry));
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
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}
