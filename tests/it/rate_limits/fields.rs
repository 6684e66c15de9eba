//! `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10: the values of its examples, and the grammar.

use std::time::Duration;

use http::StatusCode;
use sfv::{BareItem, FieldType, List, ListEntry, Parser};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{ApiKeyLayer, Quota, RateLimitLayer, RateLimits};

use super::{behind_keys, key};
use crate::support::{Answer, KEY, call, store, whoami};

/// All members of a field, from all of its lines (RFC 9651 section 4.2: they are one list), by a parser that is not ours.
fn members(answer: &Answer, field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let lines: Vec<&str> = answer
        .headers
        .get_all(field)
        .iter()
        .map(|line| line.to_str().unwrap())
        .collect();
    let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
    assert_eq!(
        list.serialize().unwrap(),
        list_of(&lines),
        "not in canonical form"
    );
    list.iter().map(member).collect()
}

fn list_of(lines: &[&str]) -> String {
    lines.join(", ")
}

fn member(entry: &ListEntry) -> (String, Vec<(String, i64)>) {
    let ListEntry::Item(item) = entry else {
        panic!("{entry:?} is no item");
    };
    let BareItem::String(name) = &item.bare_item else {
        panic!("{item:?} is no string");
    };
    let number = |value: &BareItem| match value {
        BareItem::Integer(number) => i64::from(*number),
        other => panic!("{other:?} is no number"),
    };
    let parameters = item.params.iter();
    let parameters = parameters.map(|(name, value)| (name.to_string(), number(value)));
    (name.to_string(), parameters.collect())
}

async fn after(requests: usize, plan: &str, quota: Quota) -> Answer {
    let limits = RateLimits::builder(plan, quota).clock(TestClock::new());
    let app = behind_keys(store(), limits.build().unwrap());
    for _ in 1..requests {
        call(&app, key(KEY)).await;
    }
    call(&app, key(KEY)).await
}

#[tokio::test]
async fn policies_are_those_of_the_drafts_examples() {
    for (plan, quota, value) in [
        (
            "default",
            Quota::new(100, Duration::from_secs(10)),
            "\"default\";q=100;w=10",
        ),
        ("permin", Quota::per_minute(50), "\"permin\";q=50;w=60"),
        ("perhr", Quota::per_hour(1000), "\"perhr\";q=1000;w=3600"),
        ("burst", Quota::per_minute(100), "\"burst\";q=100;w=60"),
        ("daily", Quota::per_day(1000), "\"daily\";q=1000;w=86400"),
        ("peruser", Quota::per_minute(100), "\"peruser\";q=100;w=60"),
    ] {
        let answer = after(1, plan, quota).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), Some(value));
    }
}

#[tokio::test]
async fn service_limits_are_those_of_the_drafts_examples() {
    // 50 of 100 remain, and one more comes in 30 seconds.
    let answer = after(50, "default", Quota::new(100, Duration::from_secs(3000))).await;
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=50;t=30"));
    // One remains, and one more comes in 7 seconds.
    let answer = after(2, "default", Quota::new(3, Duration::from_secs(21))).await;
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=1;t=7"));
    // None remains for 10 seconds.
    let answer = after(7, "problemPolicy", Quota::new(6, Duration::from_secs(60))).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("ratelimit"), Some("\"problemPolicy\";r=0;t=10"));
    assert_eq!(answer.header("retry-after"), Some("10"), "never before the reset");
}

/// The draft's `"burst";q=100;w=60,"daily";q=1000;w=86400`.
#[tokio::test]
async fn two_limits_are_two_members_of_one_list() {
    let limits = |plan: &str, quota: Quota| {
        let limits = RateLimits::builder(plan, quota).clock(TestClock::new());
        RateLimitLayer::new(limits.build().unwrap())
    };
    let app = whoami()
        .layer(limits("daily", Quota::per_day(1000)))
        .layer(limits("burst", Quota::per_minute(100)))
        .layer(ApiKeyLayer::new(store()));
    let answer = call(&app, key(KEY)).await;
    let number = |name: &str, number| (name.to_owned(), number);
    let mut policies = members(&answer, "ratelimit-policy");
    policies.sort();
    assert_eq!(
        policies,
        [
            ("burst".to_owned(), vec![number("q", 100), number("w", 60)]),
            ("daily".to_owned(), vec![number("q", 1000), number("w", 86_400)]),
        ]
    );
    let mut limits = members(&answer, "ratelimit");
    limits.sort();
    assert_eq!(
        limits,
        [
            ("burst".to_owned(), vec![number("r", 99), number("t", 1)]),
            ("daily".to_owned(), vec![number("r", 999), number("t", 87)]),
        ]
    );
}

#[tokio::test]
async fn names_and_numbers_at_their_bounds_are_structured_fields() {
    let longest = "~".repeat(64);
    for (plan, quota) in [
        ("a plan, with; marks = and 'quotes' (10%)", Quota::per_second(1)),
        (&*longest, Quota::per_second(u32::MAX)),
        ("x", Quota::new(1, Duration::from_secs(366 * 24 * 60 * 60))),
        ("y", Quota::new(u32::MAX, Duration::from_nanos(1))),
        ("z", Quota::new(7, Duration::from_secs(60)).at_once(3)),
    ] {
        for answer in [after(1, plan, quota).await, after(3, plan, quota).await] {
            for field in ["ratelimit", "ratelimit-policy"] {
                let members = members(&answer, field);
                assert_eq!(members.len(), 1);
                assert_eq!(members[0].0, plan);
                // An Integer of RFC 9651 has 15 digits.
                assert!(
                    members[0]
                        .1
                        .iter()
                        .all(|(_, number)| (0..1_000_000_000_000_000).contains(number))
                );
            }
            let window = members(&answer, "ratelimit-policy")[0].1[1].1;
            assert!(window > 0, "the draft: a window is not zero");
        }
    }
}

/// A quota of 600 a minute with 50 at once is one of 50 in 5 seconds: what a client may do at once, and when that is back.
#[tokio::test]
async fn the_policy_of_a_quota_with_less_at_once_is_no_faster_than_it() {
    let answer = after(1, "x", Quota::per_minute(600).at_once(50)).await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"x\";q=50;w=5"));
    let answer = after(1, "x", Quota::per_minute(7).at_once(3)).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"x\";q=3;w=26"),
        "25.7 seconds"
    );
}

#[tokio::test]
async fn fields_of_a_handler_stay_beside_ours() {
    let limits = RateLimits::builder("ours", Quota::per_minute(60)).clock(TestClock::new());
    let handler = || async { ([("ratelimit", "\"upstream\";r=5;t=1")], "hello") };
    let app = axum::Router::new()
        .route("/", axum::routing::get(handler))
        .layer(RateLimitLayer::new(limits.build().unwrap()))
        .layer(ApiKeyLayer::new(store()));
    let members = members(&call(&app, key(KEY)).await, "ratelimit");
    let names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["upstream", "ours"]);
}
