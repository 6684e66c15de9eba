//! A flood of invented keys beside honest traffic, through a layer: what reaches the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, CachedKeyStore, KeyDigest, KeyRegistry, KeyStore,
    MemoryKeyStore, NewKey,
};

use crate::support::{call, request, whoami};

const SECOND: Duration = Duration::from_secs(1);

/// A store that counts, and whose answers take a turn of the runtime.
#[derive(Default)]
struct Counted {
    keys: MemoryKeyStore,
    asked: AtomicUsize,
}

impl KeyStore for Counted {
    type Error = std::convert::Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Self::Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.keys.find(key).await
    }
}

struct Service {
    store: Arc<Counted>,
    clock: TestClock,
    app: Router,
    format: ApiKeyFormat,
    honest: Vec<String>,
}

impl Service {
    async fn start() -> Self {
        let (store, clock) = (Arc::new(Counted::default()), TestClock::new());
        let format = ApiKeyFormat::new("sk", "live").unwrap();
        let mut honest = Vec::new();
        for _ in 0..10 {
            let key = store.keys.mint(&format, NewKey::of("robot")).await.unwrap();
            honest.push(key.key().expose().to_owned());
        }
        let cache = CachedKeyStore::new(Arc::clone(&store)).clock(clock.clone());
        let layer = ApiKeyLayer::new(cache).minted_only(format.clone());
        let service = Self {
            store,
            clock,
            app: whoami().layer(layer),
            format,
            honest,
        };
        for key in &service.honest {
            assert_eq!(service.status(key).await, 200);
        }
        service
    }

    async fn status(&self, key: &str) -> u16 {
        call(&self.app, request(&[("x-api-key", key)]))
            .await
            .status
            .as_u16()
    }

    /// An honest request, which must not have to wait.
    fn honest(&self, number: usize) {
        let key = &self.honest[number % self.honest.len()];
        assert_eq!(self.status(key).now_or_never(), Some(200));
    }

    fn asked(&self) -> usize {
        self.store.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn of_a_hundred_thousand_keys_with_bad_checksums_none_reaches_the_store() {
    let service = Service::start().await;
    let before = service.asked();
    let good = service.format.mint().unwrap().expose().to_owned();
    for number in 0..100_000 {
        let invented = format!("{}{number:07}", &good[..good.len() - 7]);
        // One in 62^6 would have the right checksum by chance.
        if !service.format.is_well_formed(&invented) {
            assert_eq!(service.status(&invented).now_or_never(), Some(401));
        }
        if number % 100 == 0 {
            service.honest(number);
        }
    }
    assert_eq!(service.asked(), before);
}

#[tokio::test]
async fn of_a_hundred_thousand_keys_with_good_checksums_the_store_sees_two_hundred_a_second() {
    let service = Service::start().await;
    let before = service.asked();
    let (mut refused, mut put_off) = (0, 0);
    for number in 0..100_000 {
        let invented = service.format.mint().unwrap();
        match service.status(invented.expose()).await {
            401 => refused += 1,
            503 => put_off += 1,
            other => panic!("{other}"),
        }
        if number % 100 == 0 {
            service.honest(number);
        }
        if number % 10_000 == 9_999 {
            service.clock.advance(SECOND);
        }
    }
    assert_eq!((refused, put_off), (2_000, 98_000));
    // The honest keys were renewed ahead besides, once each.
    assert!(
        service.asked() - before <= 2_000 + service.honest.len(),
        "{}",
        service.asked() - before
    );
}
