//! What a token is remembered by: the tag of AES-128-GCM over the whole token as associated data (GMAC), under a key that each
//! layer draws at random for itself.
//!
//! A remembered token is let in without its signature being checked, so two tokens of one name would be a forgery. Why there are
//! none stands in the guide, under "Tokens that are remembered". It rests on this: the key never leaves the process, and no tag
//! is ever sent, stored or logged. Only therefore may all of them have the same nonce, which a token must have whenever it comes.

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
