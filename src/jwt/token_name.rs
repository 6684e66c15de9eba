//! What a token is remembered by.
//!
//! # Why no token passes for another
//!
//! A remembered token is let in without its signature being checked, so two tokens of one name would be a forgery. The name is
//! the tag of AES-128-GCM over the whole token as associated data (GMAC, NIST SP 800-38D), under a key that each layer draws
//! at random for itself and that never leaves the process. Before its last step the tag is a polynomial over the token's blocks
//! and length, taken at a secret point of 128 bits; the last step adds a secret mask. Two different tokens of n blocks have
//! one name with a probability of at most (n + 1) / 2^128, whatever they are, as long as their choice does not depend on the key:
//! less than 2^-117 for the longest tokens that are accepted by default. So a forger has, in each request, a chance of less
//! than 2^-103 to meet one of the 10,000 names in memory.
//!
//! The nonce is the same for all. For messages that are sent that would be fatal, since whoever sees two tags under one nonce
//! can compute the point. Nobody sees a tag: none is sent, stored or logged, and an answer tells of it only whether the token
//! was known. With a new nonce for each token, the same token would have another name whenever it comes.
//!
//! SHA-256 would need no key and no argument; it takes five times as long, which is longer than all the rest that is done for a
//! known token. `cargo bench --bench speed -- --ratios` prints both.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;

/// Stands for a token without being one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenName(u128);

/// Names tokens.
#[derive(Clone)]
pub(super) struct TokenNamer {
    /// None, if the system gave no random bytes: then nothing can be named.
    key: Option<Arc<LessSafeKey>>,
}

impl TokenNamer {
    /// With a key of its own: what another namer says is of no use to it.
    pub(super) fn new() -> Self {
        let mut key = [0; 16];
        let drawn = rand::fill(&mut key).and_then(|()| UnboundKey::new(&AES_128_GCM, &key));
        Self {
            key: drawn.ok().map(|key| Arc::new(LessSafeKey::new(key))),
        }
    }

    pub(super) fn name(&self, token: &[u8]) -> Option<TokenName> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self
            .key
            .as_ref()?
            .seal_in_place_separate_tag(nonce, Aad::from(token), &mut [])
            .ok()?;
        tag.as_ref()
            .try_into()
            .ok()
            .map(u128::from_ne_bytes)
            .map(TokenName)
    }
}
