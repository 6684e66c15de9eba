//! Which cryptography jsonwebtoken uses.
//!
//! Its features unify across a tree, and with both of them a process must install a provider, once. The one that is installed
//! here asks a switch, so that peers which ship `RustCrypto` can be called with aws-lc-rs and as they ship, in turns.

use std::sync::atomic::{AtomicBool, Ordering};

static RUST_CRYPTO: AtomicBool = AtomicBool::new(false);

/// What jsonwebtoken uses from now on, in all threads: `RustCrypto`, or else aws-lc-rs.
pub fn use_rust_crypto(yes: bool) {
    RUST_CRYPTO.store(yes, Ordering::Relaxed);
}

/// Makes the switch work, for both major versions of jsonwebtoken that let their cryptography be chosen.
///
/// # Panics
///
/// If it is called twice.
pub fn install() {
    install_11();
    install_10();
}

fn rust_crypto() -> bool {
    RUST_CRYPTO.load(Ordering::Relaxed)
}

fn install_11() {
    use jsonwebtoken::crypto::{CryptoProvider, aws_lc, rust_crypto};
    let either = CryptoProvider {
        verifier_factory: |algorithm, key| {
            let rust = self::rust_crypto();
            let provider = if rust {
                &rust_crypto::DEFAULT_PROVIDER
            } else {
                &aws_lc::DEFAULT_PROVIDER
            };
            (provider.verifier_factory)(algorithm, key)
        },
        ..aws_lc::DEFAULT_PROVIDER.clone()
    };
    Box::leak(Box::new(either))
        .install_default()
        .expect("jsonwebtoken 11 has no provider yet");
}

fn install_10() {
    use jsonwebtoken_10::crypto::{CryptoProvider, aws_lc, rust_crypto};
    let either = CryptoProvider {
        verifier_factory: |algorithm, key| {
            let rust = self::rust_crypto();
            let provider = if rust {
                &rust_crypto::DEFAULT_PROVIDER
            } else {
                &aws_lc::DEFAULT_PROVIDER
            };
            (provider.verifier_factory)(algorithm, key)
        },
        ..aws_lc::DEFAULT_PROVIDER.clone()
    };
    Box::leak(Box::new(either))
        .install_default()
        .expect("jsonwebtoken 10 has no provider yet");
}
