//! Whose address a request is taken to have come from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use tower_resource_server::{AddressSource, CallerAddress, ConfigError, FailedAttempts};

fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
    let line = |line: &&str| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(line).unwrap(),
        )
    };
    lines.iter().map(line).collect()
}

/// What the headers say, or `-`.
fn said(address: &CallerAddress, headers: &HeaderMap) -> String {
    let address = address.address(headers, &Extensions::new());
    address.map_or_else(|| "-".to_owned(), |address| address.to_string())
}

#[test]
fn behind_proxies_it_is_the_entry_that_the_first_of_them_wrote() {
    let cases: &[(usize, &[&str], &str)] = &[
        (1, &["192.0.2.1"], "192.0.2.1"),
        (1, &["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        (2, &["198.51.100.7, 192.0.2.1"], "198.51.100.7"),
        (2, &["6.6.6.6, 198.51.100.7,192.0.2.1"], "198.51.100.7"),
        (3, &["6.6.6.6\t,\t198.51.100.7 , 192.0.2.1"], "6.6.6.6"),
        // Several lines are one list.
        (1, &["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (2, &["6.6.6.6, 198.51.100.7", "192.0.2.1"], "198.51.100.7"),
        (3, &["6.6.6.6, 198.51.100.7", "192.0.2.1"], "6.6.6.6"),
        (2, &["198.51.100.7", "", "192.0.2.1"], "-"),
        // What stands further left is not looked at.
        (1, &["unknown, \", ;;, 192.0.2.1"], "192.0.2.1"),
        (1, &["", "192.0.2.1"], "192.0.2.1"),
        // Fewer entries than proxies.
        (1, &[], "-"),
        (1, &[""], "-"),
        (2, &["192.0.2.1"], "-"),
        (3, &["198.51.100.7", "192.0.2.1"], "-"),
        (usize::MAX, &["198.51.100.7, 192.0.2.1"], "-"),
        // No address, and nobody else's in its place.
        (1, &["192.0.2.1, unknown"], "-"),
        (1, &["192.0.2.1,"], "-"),
        (1, &["192.0.2.1, _hidden"], "-"),
        (1, &["192.0.2.1, 192.0.2"], "-"),
        (1, &["192.0.2.1, 192.0.2.256"], "-"),
        (1, &["192.0.2.1, 192.0.2.01"], "-"),
        (1, &["192.0.2.1, 192.0.2.1.example"], "-"),
        (1, &["\"192.0.2.1\""], "-"),
        (1, &["192.0.2.1 192.0.2.2"], "-"),
        (2, &["unknown, 192.0.2.1"], "-"),
        // Ports.
        (1, &["192.0.2.1:80"], "192.0.2.1"),
        (1, &["192.0.2.1:65536"], "-"),
        (1, &["192.0.2.1:"], "-"),
        (1, &["[2001:db8::1]:80"], "2001:db8::1"),
        (1, &["[2001:db8::1]"], "2001:db8::1"),
        (1, &["2001:db8::1"], "2001:db8::1"),
        (1, &["2001:DB8:0:0:0:0:0:1"], "2001:db8::1"),
        (1, &["[2001:db8::1"], "-"),
        (1, &["[192.0.2.1]"], "-"),
        (1, &["2001:db8::1:2:3:4:5:6:7"], "-"),
        // One address however it is written.
        (1, &["::ffff:192.0.2.1"], "192.0.2.1"),
        (1, &["[::ffff:c000:201]:80"], "192.0.2.1"),
    ];
    for (proxies, lines, expected) in cases {
        let address = CallerAddress::of_x_forwarded_for(*proxies);
        let headers = headers("x-forwarded-for", lines);
        assert_eq!(said(&address, &headers), *expected, "{proxies} {lines:?}");
    }
}

#[test]
fn forwarded_is_read_from_the_right_too() {
    let cases: &[(usize, &[&str], &str)] = &[
        (1, &["for=192.0.2.1"], "192.0.2.1"),
        (1, &["For=\"192.0.2.1\""], "192.0.2.1"),
        (1, &["FOR=\"192.0.2.1:4711\""], "192.0.2.1"),
        (1, &["for=\"[2001:db8::1]\""], "2001:db8::1"),
        (1, &["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
        (1, &["for=\"[::ffff:192.0.2.1]\""], "192.0.2.1"),
        (1, &["proto=http;for=192.0.2.1;by=203.0.113.43"], "192.0.2.1"),
        (1, &["by=203.0.113.43; for=192.0.2.1 ;proto=http"], "192.0.2.1"),
        (1, &["for=192.0.2.1;by=\"a,b;for=6.6.6.6\""], "192.0.2.1"),
        (2, &["for=198.51.100.7, for=192.0.2.1;by=\"a,b\""], "198.51.100.7"),
        (
            2,
            &["for=6.6.6.6, for=198.51.100.7", "for=192.0.2.1"],
            "198.51.100.7",
        ),
        // Whatever a caller opened further left.
        (1, &["for=\"6.6.6.6, for=192.0.2.1"], "192.0.2.1"),
        (1, &["for=\"6.6.6.6\\", "for=192.0.2.1"], "192.0.2.1"),
        (2, &["for=\", for=198.51.100.7, for=192.0.2.1"], "198.51.100.7"),
        // No address.
        (1, &[], "-"),
        (1, &["for=unknown"], "-"),
        (1, &["for=\"_gazonk\""], "-"),
        (1, &["for=_gazonk:80"], "-"),
        (1, &["for="], "-"),
        (1, &["for"], "-"),
        (1, &["192.0.2.1"], "-"),
        (1, &["proto=http"], "-"),
        (1, &["for=192.0.2.1;for=192.0.2.2"], "-"),
        (1, &["for=\"192.0.2.1"], "-"),
        (1, &["for=192.0.2.1\""], "-"),
        (1, &["for=\"192.0.2.1\\\""], "-"),
        (1, &["for=192.0.2.1;host=\"a\\\"b\""], "-"),
        (2, &["for=198.51.100.7, for=\"192.0.2.1"], "-"),
        (2, &["for=198.51.100.7", "for=\"192.0.2.1"], "-"),
        (2, &["for=192.0.2.1"], "-"),
    ];
    for (proxies, lines, expected) in cases {
        let address = CallerAddress::of_forwarded(*proxies);
        let headers = headers("forwarded", lines);
        assert_eq!(said(&address, &headers), *expected, "{proxies} {lines:?}");
    }
}

#[test]
fn a_header_with_one_address_counts_only_once() {
    let address = CallerAddress::of_header(HeaderName::from_static("cf-connecting-ip"));
    let cases: &[(&[&str], &str)] = &[
        (&["192.0.2.1"], "192.0.2.1"),
        (&[" 2001:db8::1 "], "2001:db8::1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&[], "-"),
        (&[""], "-"),
        (&["192.0.2.1, 192.0.2.2"], "-"),
        (&["192.0.2.1", "192.0.2.1"], "-"),
        (&["unknown"], "-"),
    ];
    for (lines, expected) in cases {
        let headers = headers("cf-connecting-ip", lines);
        assert_eq!(said(&address, &headers), *expected, "{lines:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_address() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-forwarded-for",
        HeaderValue::from_bytes(b"192.0.2.\xff").unwrap(),
    );
    assert_eq!(said(&CallerAddress::of_x_forwarded_for(1), &headers), "-");
}

/// Ten times as long takes as long.
#[test]
fn a_header_of_a_megabyte_is_read_at_its_right_end_only() {
    let long = "6.6.6.6, ".repeat(120_000) + "198.51.100.7, 192.0.2.1";
    let of = CallerAddress::of_x_forwarded_for;
    let all = headers("x-forwarded-for", &[&long]);
    assert_eq!(said(&of(1), &all), "192.0.2.1");
    assert_eq!(said(&of(2), &all), "198.51.100.7");
    for entry in [
        "1".repeat(1_000_000),
        " ".repeat(1_000_000),
        "\"".repeat(1_000_000),
    ] {
        let last = format!("192.0.2.1, {entry}x");
        let passed = format!("192.0.2.1, {entry}, 198.51.100.7");
        for (name, address) in [
            (
                "x-forwarded-for",
                CallerAddress::of_x_forwarded_for as fn(usize) -> _,
            ),
            ("forwarded", CallerAddress::of_forwarded),
        ] {
            assert_eq!(said(&address(1), &headers(name, &[&last])), "-");
            assert_eq!(said(&address(3), &headers(name, &[&passed])), "-");
        }
    }
}

#[test]
fn the_peer_is_what_the_server_says() {
    let address =
        CallerAddress::of_peer(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    let headers = headers("x-forwarded-for", &["6.6.6.6"]);
    let mut extensions = Extensions::new();
    assert_eq!(address.address(&headers, &extensions), None);
    for (peer, expected) in [
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        // As a socket that serves both says it.
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
    ] {
        extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let found = address.address(&headers, &extensions).unwrap();
        assert_eq!(found.to_string(), expected);
    }
}

#[test]
fn a_source_of_your_own_sees_headers_and_extensions() {
    struct Own;

    impl AddressSource for Own {
        fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
            extensions.get::<u8>()?;
            headers.get("x-own")?.to_str().ok()?.parse().ok()
        }
    }

    let (address, headers) = (CallerAddress::new(Own), headers("x-own", &["::ffff:192.0.2.1"]));
    let mut extensions = Extensions::new();
    assert_eq!(address.address(&headers, &extensions), None);
    extensions.insert(1_u8);
    assert_eq!(address.address(&headers, &extensions), "192.0.2.1".parse().ok());
}

#[test]
fn behind_no_proxy_no_header_can_be_trusted() {
    for address in [
        CallerAddress::of_x_forwarded_for(0),
        CallerAddress::of_forwarded(0),
    ] {
        assert_eq!(said(&address, &headers("x-forwarded-for", &["6.6.6.6"])), "-");
        let error: ConfigError = FailedAttempts::builder(address).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "address: behind no proxy the header is the caller's own word: of_peer"
        );
    }
}
