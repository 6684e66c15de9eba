use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyLayer, CallerAddress, FailedAttemptLayer, FailedAttempts, Quota, ResponseBody,
};

use super::MINUTE;
use crate::support::store;

const MOST: usize = 100_000;

fn attempts(clock: &TestClock) -> FailedAttempts {
    let address = CallerAddress::of_peer(|extensions| extensions.get().copied());
    FailedAttempts::builder(address)
        .quota(Quota::per_minute(2))
        .most_addresses(MOST)
        .clock(clock.clone())
        .build()
        .unwrap()
}

/// Has each of these addresses present a key that nobody knows.
fn fail(attempts: &FailedAttempts, addresses: impl Iterator<Item = u32>) {
    type Body = http_body_util::Empty<bytes::Bytes>;
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::new())))
    });
    let keys = ApiKeyLayer::new(store()).layer(inner);
    let mut service = FailedAttemptLayer::new(attempts.clone()).layer(keys);
    for address in addresses {
        let mut request = Request::get("/").header("x-api-key", "guess").body(()).unwrap();
        let address = IpAddr::V4(Ipv4Addr::from_bits(address));
        request.extensions_mut().insert(address);
        let answer = service.call(request).now_or_never().unwrap().unwrap();
        let _: &ResponseBody<ResponseBody<Body>> = answer.body();
        assert_eq!(answer.status(), 401);
    }
}

/// `cargo test --test it a_million_addresses -- --nocapture` prints what they take.
#[test]
fn a_million_addresses_take_no_more_than_was_set() {
    let clock = TestClock::new();
    let attempts = attempts(&clock);
    let bytes = |addresses: std::ops::Range<u32>| {
        let info = allocation_counter::measure(|| fail(&attempts, addresses));
        info.bytes_current
    };
    let most = u32::try_from(MOST).unwrap();
    let full = bytes(0..most);
    assert_eq!(attempts.status().addresses, MOST);
    let beyond = bytes(most..1_000_000);
    println!(
        "{} bytes for each of {MOST} addresses; {beyond} bytes for the rest of a million",
        full / i64::from(most)
    );
    assert_eq!(attempts.status().addresses, MOST);
    assert!(full <= 80 * i64::from(most), "{full}");
    assert!(beyond <= 1_000_000, "{beyond}");

    // Who has paid back makes room.
    clock.advance(MINUTE);
    let again = bytes(1_000_000..1_100_000);
    println!("{again} bytes for {MOST} others, later");
    assert!(again <= full / 2, "{again}");
    assert!(attempts.status().addresses <= MOST);
}
