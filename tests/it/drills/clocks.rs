//! A date that jumps: it decides about `exp`, `nbf` and `iat`, and about nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{Clock, FetchState, KeyState, RemoteKeys};

use super::{DAY, HOUR, LIFE, MINUTE, SECOND, Service, patient, until};
use crate::server::{Reply, Server};
use crate::support::API;

/// Counts how often the time is asked for.
#[derive(Debug, Clone)]
struct Watched(TestClock, Arc<AtomicUsize>);

impl Clock for Watched {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.monotonic()
    }
}

struct World {
    server: Server,
    idp: TestIssuer,
    service: Service,
    asked: Arc<AtomicUsize>,
}

impl World {
    async fn new() -> Self {
        let server = Server::start();
        let idp = TestIssuer::new(server.url(""), API);
        server.serve("/jwks", Reply::json(idp.jwks()));
        let asked = Arc::default();
        let clock = Watched(idp.clock().clone(), Arc::clone(&asked));
        let keys = patient(RemoteKeys::jwks_uri(server.url("/jwks")));
        let service = Service::with_clock(&idp, keys, clock);
        service.issuer.warm_up().await.unwrap();
        Self {
            server,
            idp,
            service,
            asked,
        }
    }

    /// Whether the task works without a pause, given every opportunity. Now and then its timer wakes it, which is no harm.
    async fn is_busy(&self) -> bool {
        let turns = async || {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        };
        // What the last request stirred up.
        turns().await;
        let before = self.asked.load(Ordering::SeqCst);
        turns().await;
        self.asked.load(Ordering::SeqCst) > before + 10
    }
}

/// Forth and back, by little and by much, and to the ends of what a date can be.
fn jumps(start: SystemTime) -> Vec<SystemTime> {
    let by = [SECOND, MINUTE, HOUR, DAY, DAY * 365, DAY * 365 * 40];
    let around = by.into_iter().flat_map(|by| [start + by, start - by, start]);
    let ends = [
        UNIX_EPOCH,
        UNIX_EPOCH - DAY,
        UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) + 1),
        UNIX_EPOCH + Duration::from_secs(1 << 37),
        start,
    ];
    around.chain(ends).collect()
}

/// What the dates in a token say of this moment, with the leeway of the issuer.
fn expected(now: SystemTime, issued: SystemTime, expiry: SystemTime) -> &'static str {
    let leeway = SECOND * 30;
    if now < UNIX_EPOCH {
        "token_not_yet_valid"
    } else if now >= expiry + leeway {
        "token_expired"
    } else if now + leeway < issued {
        "token_from_future"
    } else {
        "ok"
    }
}

#[tokio::test]
async fn a_date_that_jumps_refuses_nobody_but_by_the_dates_in_the_token() {
    let world = World::new().await;
    // Whole seconds, as in a token.
    let start = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    world.idp.clock().set_date(start);
    let sign = || world.idp.token().expires_in(HOUR * 2).sign();
    let (known, other) = (sign(), sign());
    let mut seen = std::collections::BTreeSet::new();
    for date in jumps(start) {
        world.idp.clock().set_date(date);
        let expected = expected(date, start, start + HOUR * 2);
        // Twice: by the judge, and by what it remembers.
        for token in [&known, &known, &other] {
            assert_eq!(world.service.reason(token).await, expected, "{date:?}");
        }
        // Issued now, so good now.
        if date >= UNIX_EPOCH {
            assert_eq!(world.service.reason(&sign()).await, "ok", "{date:?}");
        }
        assert_eq!(world.service.issuer.key_status().keys, KeyState::Fresh);
        assert!(!world.is_busy().await, "{date:?}");
        seen.insert(expected);
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(world.server.hits("/jwks"), 1);
}

#[tokio::test]
async fn a_date_that_jumps_in_an_outage_makes_keys_neither_older_nor_younger() {
    let world = World::new().await;
    let start = world.idp.clock().now();
    world.server.serve("/jwks", Reply::status(500));
    world.idp.clock().advance(LIFE);
    let before = world.server.hits("/jwks");
    assert_eq!(world.service.reason(&world.idp.token().sign()).await, "ok");
    until("the fetch has failed", async || {
        let status = world.service.issuer.key_status();
        world.server.hits("/jwks") > before && matches!(status.fetch, FetchState::Waiting { .. })
    })
    .await;
    for date in jumps(start) {
        world.idp.clock().set_date(date);
        if date >= UNIX_EPOCH {
            assert_eq!(
                world.service.reason(&world.idp.token().sign()).await,
                "ok",
                "{date:?}"
            );
        }
        let status = world.service.issuer.key_status();
        assert!(
            matches!(status.keys, KeyState::Stale { .. }),
            "{date:?} {status:?}"
        );
        assert!(!world.is_busy().await, "{date:?}");
    }
    assert_eq!(world.server.hits("/jwks"), before + 1);
    // And the schedule goes on as if nothing had been.
    world.server.serve("/jwks", Reply::json(world.idp.jwks()));
    world.idp.clock().advance(SECOND);
    assert_eq!(world.service.reason(&world.idp.token().sign()).await, "ok");
    until("the keys are fresh", async || {
        world.service.issuer.key_status().keys == KeyState::Fresh
    })
    .await;
    assert_eq!(world.server.hits("/jwks"), before + 2);
}
