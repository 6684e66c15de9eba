//! What is timed, and how: a service or the limit, called on one thread or on several at once.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode};
use tower_resource_server::Algorithm;

use crate::authority::Terms;
use crate::service::{Guarded, bearer, request};

/// What is called again and again is called for at least so long.
const ENOUGH: Duration = Duration::from_millis(2);

/// A token as each of those who are timed wants it.
pub struct Presented {
    header: HeaderValue,
    signed: String,
    signature: Vec<u8>,
}

impl Presented {
    /// # Panics
    ///
    /// If it is no token.
    pub fn new(token: &str) -> Self {
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        Self {
            header: bearer(token),
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).expect("a signature"),
        }
    }
}

/// Something that is done with a token.
pub trait Work: Send {
    fn once(&mut self, token: &Presented);

    /// The same, for another thread.
    fn another(&self) -> Box<dyn Work>;
}

impl Work for Box<dyn Guarded> {
    fn once(&mut self, token: &Presented) {
        let status = (**self).answer(request(&token.header));
        assert_eq!(status, StatusCode::OK, "a good token was refused");
    }

    fn another(&self) -> Box<dyn Work> {
        Box::new((**self).another())
    }
}

/// Nothing but the signature, checked by aws-lc-rs with a key that was parsed once.
#[derive(Clone)]
pub struct Limit(ParsedPublicKey);

impl Limit {
    /// # Panics
    ///
    /// If the key is none.
    pub fn new(terms: &Terms) -> Self {
        let jwk = terms.jwk();
        let part = |name: &str| {
            let text = jwk[name].as_str().expect("a part of the key");
            URL_SAFE_NO_PAD.decode(text).expect("base64url")
        };
        let key = match terms.algorithm {
            Algorithm::Rs256 => RsaPublicKeyComponents {
                n: part("n"),
                e: part("e"),
            }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Es256 => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            Algorithm::EdDsa => ParsedPublicKey::new(&signature::ED25519, part("x")),
            other => panic!("{other:?} is not measured"),
        };
        Self(key.expect("a public key"))
    }
}

impl Work for Limit {
    fn once(&mut self, token: &Presented) {
        let checked = self.0.verify_sig(token.signed.as_bytes(), &token.signature);
        black_box(checked).expect("a good signature");
    }

    fn another(&self) -> Box<dyn Work> {
        Box::new(self.clone())
    }
}

/// How a thread goes through its tokens.
#[derive(Clone, Copy, PartialEq)]
pub enum Pass {
    /// Once, for those who would know a token the second time.
    Once,
    /// Over and over, until the time is long enough to be measured.
    Again,
}

/// Threads that are kept: a new one would have nothing in its caches, nor in those of its allocator.
pub struct Crew<'t> {
    threads: Vec<Sender<Job<'t>>>,
}

struct Job<'t> {
    work: Box<dyn Work>,
    warming: &'t Presented,
    tokens: &'t [Presented],
    pass: Pass,
    /// How many threads are not ready yet.
    waiting: Arc<AtomicUsize>,
    time: Sender<f64>,
}

impl<'t> Crew<'t> {
    /// As many threads, until this is dropped.
    pub fn new<'s>(scope: &'s thread::Scope<'s, 't>, threads: usize) -> Self {
        let start = |_| {
            let (sender, jobs) = channel::<Job<'t>>();
            scope.spawn(move || jobs.into_iter().for_each(Job::run));
            sender
        };
        Self {
            threads: (0..threads).map(start).collect(),
        }
    }

    /// Nanoseconds a call, as a thread sees it that does this with its tokens, while the others do so with theirs.
    ///
    /// # Panics
    ///
    /// If a good token is refused, or there are more rows of tokens than threads.
    pub fn time(
        &self,
        work: &dyn Work,
        warming: &'t Presented,
        tokens: &[&'t [Presented]],
        pass: Pass,
    ) -> f64 {
        let waiting = Arc::new(AtomicUsize::new(tokens.len()));
        let (time, times) = channel();
        for (number, tokens) in tokens.iter().enumerate() {
            let job = Job {
                work: work.another(),
                warming,
                tokens,
                pass,
                waiting: Arc::clone(&waiting),
                time: time.clone(),
            };
            let given = self.threads[number].send(job);
            assert!(given.is_ok(), "a thread has ended");
        }
        drop(time);
        let each: Vec<f64> = times.into_iter().collect();
        assert_eq!(each.len(), tokens.len(), "a good token was refused");
        let threads = u32::try_from(each.len()).expect("few threads");
        each.iter().sum::<f64>() / f64::from(threads)
    }
}

impl Job<'_> {
    fn run(mut self) {
        (0..5).for_each(|_| self.work.once(self.warming));
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        while self.waiting.load(Ordering::Acquire) > 0 {
            spin_loop();
        }
        let mut calls = 0_u32;
        let begun = Instant::now();
        loop {
            for token in self.tokens {
                self.work.once(token);
                calls += 1;
            }
            let elapsed = begun.elapsed();
            if self.pass == Pass::Once || elapsed >= ENOUGH {
                let time = elapsed.as_secs_f64() * 1e9 / f64::from(calls);
                // Nobody waits for it any more, if another thread has panicked.
                return self.time.send(time).unwrap_or_default();
            }
        }
    }
}
