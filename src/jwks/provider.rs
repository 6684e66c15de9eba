//! Where an issuer's keys are, as its builder is told, and how a judge asks for them.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "remote")]
use super::cached::CachedKeys;
use super::fixed::FixedKeys;
use super::key_set::{KeySet, KeySetMark};
#[cfg(feature = "remote")]
use super::remote::RemoteKeys;
use super::status::KeyStatus;
use super::verifying_key::Algorithm;
use crate::authenticator::BoxFuture;
use crate::clock::Clock;
use crate::credential::Asking;
use crate::error::{AuthError, Problems};

/// What a judge is told when it asks for keys.
pub(crate) enum Lookup {
    /// What is in memory.
    Ready(KeySet),
    /// Something must be fetched first, for a bounded time.
    Wait(BoxFuture<Result<KeySet, AuthError>>),
    /// There is nothing, and for now nothing is fetched, or not for this request.
    Refused(AuthError),
}

/// The keys of one issuer while the service runs. Neither method waits or takes a lock that a fetch could hold.
pub(crate) trait KeyProvider: fmt::Debug + Send + Sync {
    /// The keys as they are now. Unless `asking` refuses, they are fetched if there are none.
    fn current(&self, asking: &dyn Asking) -> Lookup;

    /// Whether these are the very keys as they are now.
    fn is_current(&self, keys: &KeySetMark) -> bool;

    /// Somebody needs the key of this name and algorithm, which is not among the current ones. Unless `asking` refuses, a fetch may
    /// be made for it.
    fn beyond(&self, kid: Option<&str>, algorithm: Algorithm, asking: &dyn Asking) -> Lookup;

    /// Waits for keys for longer than a request would.
    fn warm_up(&self) -> BoxFuture<Result<(), AuthError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn status(&self) -> KeyStatus {
        KeyStatus::FIXED
    }

    /// A stranger had a say in which issuer this is. `only_public`: nothing is fetched from addresses that are not public.
    fn belongs_to_stranger(&self, _only_public: bool) {}
}

/// Where the keys of an issuer are: [`FixedKeys`], and with the `remote` feature `RemoteKeys` or `CachedKeys` over any
/// source of your own.
#[derive(Debug, Clone)]
pub struct Keys(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Fixed(FixedKeys),
    #[cfg(feature = "remote")]
    Cached(Box<CachedKeys>),
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "only the issuer for tests changes keys by hand")
    )]
    Live(Arc<dyn KeyProvider>),
}

impl Keys {
    #[cfg(feature = "testing")]
    pub(crate) fn live(provider: Arc<dyn KeyProvider>) -> Self {
        Self(Kind::Live(provider))
    }

    /// The list that an issuer has if its builder names none.
    pub(crate) fn default_algorithms(&self) -> Vec<Algorithm> {
        match &self.0 {
            Kind::Fixed(keys) if keys.is_shared_secret() => vec![Algorithm::Hs256],
            _ => vec![
                Algorithm::Rs256,
                Algorithm::Ps256,
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::EdDsa,
            ],
        }
    }

    /// What is wrong with the keys and the algorithms together.
    pub(crate) fn check(&self, algorithms: &[Algorithm], problems: &mut Problems) {
        let secret = match &self.0 {
            Kind::Fixed(keys) => keys.secret_length(),
            #[cfg(feature = "remote")]
            Kind::Cached(keys) => {
                keys.check(problems);
                None
            }
            Kind::Live(_) => return,
        };
        for algorithm in algorithms {
            match (secret, algorithm.is_symmetric()) {
                (Some(length), true) if length < algorithm.shortest_secret() => problems.add(
                    "keys",
                    format!(
                        "the secret has {length} bytes; {algorithm} needs {} or more",
                        algorithm.shortest_secret()
                    ),
                ),
                (Some(_), false) => problems.add(
                    "algorithms",
                    format!("{algorithm} needs a public key, not a secret"),
                ),
                (None, true) => {
                    problems.add(
                        "algorithms",
                        format!("{algorithm} needs a shared secret, and the keys are public"),
                    );
                }
                _ => {}
            }
        }
        if let Kind::Fixed(keys) = &self.0
            && secret.is_none()
            && !algorithms.is_empty()
            && let Some(set) = keys.clone().into_key_set()
            && !algorithms.iter().any(|algorithm| set.serves(*algorithm))
        {
            problems.add("keys", "no key serves any of the accepted algorithms");
        }
    }

    /// The keys, ready to be asked; nothing is fetched yet. `None` only for a secret that [`check`](Self::check) refuses.
    #[cfg_attr(
        not(feature = "remote"),
        allow(unused_variables, reason = "only remote keys tell the time and have a name")
    )]
    pub(crate) fn provider(self, name: &Arc<str>, clock: &Arc<dyn Clock>) -> Option<Arc<dyn KeyProvider>> {
        match self.0 {
            Kind::Fixed(keys) => keys
                .into_key_set()
                .map(|set| Arc::new(Fixed(set)) as Arc<dyn KeyProvider>),
            #[cfg(feature = "remote")]
            Kind::Cached(keys) => Some(keys.provider(Arc::clone(name), Arc::clone(clock))),
            Kind::Live(provider) => Some(provider),
        }
    }
}

impl From<FixedKeys> for Keys {
    fn from(keys: FixedKeys) -> Self {
        Self(Kind::Fixed(keys))
    }
}

#[cfg(feature = "remote")]
impl From<CachedKeys> for Keys {
    fn from(keys: CachedKeys) -> Self {
        Self(Kind::Cached(Box::new(keys)))
    }
}

#[cfg(feature = "remote")]
impl From<RemoteKeys> for Keys {
    fn from(keys: RemoteKeys) -> Self {
        CachedKeys::from(keys).into()
    }
}

#[derive(Debug)]
struct Fixed(KeySet);

impl KeyProvider for Fixed {
    fn current(&self, _: &dyn Asking) -> Lookup {
        Lookup::Ready(self.0.clone())
    }

    fn is_current(&self, keys: &KeySetMark) -> bool {
        self.0.is(keys)
    }

    fn beyond(&self, _: Option<&str>, _: Algorithm, _: &dyn Asking) -> Lookup {
        Lookup::Refused(AuthError::SigningKeyUnknown)
    }
}
