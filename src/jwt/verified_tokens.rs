//! Tokens that were verified before, so that a client's second request costs a hash and not a signature, and its claims
//! are decoded once.
//!
//! Holds no token: an entry is found by a keyed hash of the whole token (`token_name`). Only good tokens enter, so junk evicts
//! nothing. An entry counts for as long as its issuer's key set is the very one that verified it, so a withdrawn key takes its
//! entries along; whatever changes with time is asked again on every hit, here for the dates and by the caller for revocations.
//!
//! What is needed for that stands in the principal itself, so a hit counts one reference more and nothing else: counts are
//! what threads with one hot token fight over.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::Weak;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use super::issuer::{Issuer, Judged};
use super::rules::Times;
use super::token_name::{TokenName, TokenNamer};
use super::trusted::TrustedIssuers;
use crate::jwks::{KeySet, KeySetMark};
use crate::principal::PrincipalData;
use crate::telemetry;
#[cfg(feature = "remote")]
use {super::issuer::Rules, crate::jwks::KeyProvider};

/// What all that is remembered may weigh.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// No more tokens than this, however short they are.
const MOST_TOKENS: u32 = 10_000;
/// What is kept of a token beside the strings of its claims, which are about as long as the token: the principal, what
/// vouches for it, their places in the cache.
const OVERHEAD: u64 = 1_024;

#[derive(Clone)]
pub(super) struct VerifiedTokens {
    known: Arc<Cache<TokenName, Arc<PrincipalData>, ByBytes, DefaultHashBuilder, Crowded>>,
    namer: TokenNamer,
}

/// Why a principal counts.
struct Vouch {
    issuer: Seat,
    keys: KeySetMark,
    times: Times,
    bytes: usize,
}

/// Where the issuer is found again, without holding its keys alive.
enum Seat {
    Configured(usize),
    /// Weak, so that an issuer which is forgotten takes the task along that fetches its keys.
    #[cfg(feature = "remote")]
    Found {
        rules: Arc<Rules>,
        keys: Weak<dyn KeyProvider>,
    },
}

#[derive(Clone)]
struct ByBytes;

/// Counts what had to make room.
#[derive(Clone)]
struct Crowded;

impl Lifecycle<TokenName, Arc<PrincipalData>> for Crowded {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: TokenName, _: Arc<PrincipalData>) {
        telemetry::cache(telemetry::Cache::Tokens, telemetry::Looked::Evicted);
    }
}

impl Weighter<TokenName, Arc<PrincipalData>> for ByBytes {
    fn weight(&self, _: &TokenName, data: &Arc<PrincipalData>) -> u64 {
        let bytes = Vouch::of(data).map_or(0, |vouch| vouch.bytes as u64);
        (bytes + OVERHEAD).max(MOST_BYTES / u64::from(MOST_TOKENS))
    }
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        let known = Cache::with(MOST_TOKENS as usize, MOST_BYTES, ByBytes, hasher, Crowded);
        Self {
            known: Arc::new(known),
            namer: TokenNamer::new(),
        }
    }

    /// `None`: it cannot be remembered.
    pub(super) fn name(&self, token: &[u8]) -> Option<TokenName> {
        self.namer.name(token)
    }

    /// The principal of a token that was verified before and is still good. `None`: judge it, and say what is wrong.
    pub(super) fn get(&self, token: TokenName, issuers: &TrustedIssuers) -> Option<Arc<PrincipalData>> {
        let data = self.known.get(&token)?;
        let vouch = Vouch::of(&data)?;
        if vouch.is_good(issuers) {
            return Some(data);
        }
        self.known.remove(&token);
        None
    }

    /// The principal of a token that was just judged; from now on it is known.
    pub(super) fn remember(
        &self,
        token: Option<TokenName>,
        length: usize,
        (issuers, issuer): (&TrustedIssuers, &Issuer),
        keys: &KeySet,
        judged: Judged,
    ) -> Arc<PrincipalData> {
        let mut data = judged.data;
        let (Some(token), Some(seat)) = (token, Seat::of(issuer, issuers)) else {
            return Arc::new(data);
        };
        data.vouch = Some(Arc::new(Vouch {
            issuer: seat,
            keys: keys.mark(),
            times: judged.times,
            bytes: length,
        }));
        let data = Arc::new(data);
        // Of several first requests with one token one is enough; to replace it would count as having made room.
        if self.known.peek(&token).is_none() {
            self.known.insert(token, Arc::clone(&data));
        }
        data
    }
}

impl Vouch {
    fn of(data: &PrincipalData) -> Option<&Self> {
        data.vouch.as_ref()?.downcast_ref()
    }

    fn is_good(&self, issuers: &TrustedIssuers) -> bool {
        match &self.issuer {
            Seat::Configured(place) => issuers.at(*place).is_some_and(|issuer| self.is_good_at(issuer)),
            #[cfg(feature = "remote")]
            Seat::Found { rules, keys } => keys.upgrade().is_some_and(|keys| {
                let rules = Arc::clone(rules);
                let issuer = Issuer { rules, keys };
                issuers.still_finds(&issuer) && self.is_good_at(&issuer)
            }),
        }
    }

    fn is_good_at(&self, issuer: &Issuer) -> bool {
        issuer.keys.is_current(&self.keys) && issuer.check_times(self.times).is_ok()
    }
}

impl Seat {
    fn of(issuer: &Issuer, issuers: &TrustedIssuers) -> Option<Self> {
        let configured = issuers.place_of(issuer).map(Self::Configured);
        #[cfg(feature = "remote")]
        let configured = configured.or_else(|| {
            Some(Self::Found {
                rules: Arc::clone(&issuer.rules),
                keys: Arc::downgrade(&issuer.keys),
            })
        });
        configured
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}
