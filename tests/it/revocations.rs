//! What was withdrawn is refused by the next request, whatever kind of credential it is and wherever its judgement came from.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use http::StatusCode;
use proptest::prelude::*;
use tower_resource_server::testing::{TestClock, TestIssuer, TokenBuilder};
use tower_resource_server::{
    ApiKeyLayer, CachedKeyStore, Clock, CredentialFacts, JwtLayer, MemoryRevocations, Revocation,
    RevocationCheckLayer, Revocations, Standing,
};

use crate::support::{API, ISSUER, KEY, bearer, call, idp, record, request, store, whoami};

const MINUTE: Duration = Duration::from_secs(60);

fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

fn guarded(idp: &TestIssuer, revocations: &MemoryRevocations) -> Router {
    whoami().layer(JwtLayer::new(idp.issuer()).revocations(revocations.clone()))
}

async fn reason(app: &Router, token: TokenBuilder) -> &'static str {
    call(app, bearer(&token.sign())).await.reason()
}

fn alices(idp: &TestIssuer) -> TokenBuilder {
    idp.token().subject("alice").client("web").token_id("t-1")
}

#[tokio::test]
async fn each_kind_of_revocation_meets_its_own_tokens_and_no_others() {
    let idp = idp();
    let now = idp.clock().now();
    let issued = |token: TokenBuilder, at: SystemTime| {
        token.claim(
            "iat",
            at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
        )
    };
    let orders = [
        ("token", Revocation::token(ISSUER, "t-1", later())),
        (
            "subject",
            Revocation::subject(ISSUER, "alice", now - MINUTE, later()),
        ),
        ("version", Revocation::version(ISSUER, "alice", 3, later())),
        ("client", Revocation::client(ISSUER, "web", now - MINUTE, later())),
        ("issuer", Revocation::issuer(ISSUER, now - MINUTE, later())),
        (
            "issuer of others",
            Revocation::issuer("https://other.test", now, later()),
        ),
        ("key", Revocation::api_key("t-1", later())),
    ];
    for (name, order) in orders {
        let revocations = MemoryRevocations::new();
        revocations.revoke(&order);
        let app = guarded(&idp, &revocations);
        let old = || issued(alices(&idp), now - MINUTE);
        let young = || issued(alices(&idp), now - MINUTE + Duration::from_secs(1));
        for (which, token, withdrawn_by) in [
            (
                "hers",
                old(),
                &["token", "subject", "version", "client", "issuer"][..],
            ),
            ("a younger one of hers", young(), &["token", "version"]),
            (
                "another one of hers",
                old().token_id("t-2"),
                &["subject", "version", "client", "issuer"],
            ),
            (
                "of her third version",
                old().claim("token_version", 3),
                &["token", "subject", "client", "issuer"],
            ),
            ("bob's", old().subject("bob"), &["token", "client", "issuer"]),
            (
                "of another client",
                old().client("app"),
                &["token", "subject", "version", "issuer"],
            ),
            (
                "bob's by another client, younger",
                young().subject("bob").client("app").token_id("t-2"),
                &[],
            ),
        ] {
            let expected = if withdrawn_by.contains(&name) {
                "token_revoked"
            } else {
                "ok"
            };
            assert_eq!(reason(&app, token).await, expected, "{name}: {which}");
        }
    }
}

type Relax = fn(MemoryRevocations) -> MemoryRevocations;

#[tokio::test]
async fn a_token_that_nobody_can_tell_of_is_refused_unless_that_is_relaxed_by_name() {
    let idp = idp();
    let now = idp.clock().now();
    let of_subject = || Revocation::subject(ISSUER, "bob", now, later());
    let rows: [(&str, Option<Revocation>, TokenBuilder, Relax); 6] = [
        (
            "no id",
            None,
            idp.token().without("jti"),
            MemoryRevocations::accept_tokens_without_id,
        ),
        (
            "no subject",
            Some(of_subject()),
            idp.token().without("sub"),
            MemoryRevocations::accept_tokens_without_subject,
        ),
        (
            "no subject, and a version",
            Some(Revocation::version(ISSUER, "bob", 1, later())),
            idp.token().without("sub"),
            MemoryRevocations::accept_tokens_without_subject,
        ),
        (
            "no client",
            Some(Revocation::client(ISSUER, "app", now, later())),
            idp.token().without("client_id"),
            MemoryRevocations::accept_tokens_without_client,
        ),
        (
            "no time, her own",
            Some(of_subject()),
            idp.token().subject("bob").without("iat"),
            MemoryRevocations::accept_tokens_without_issue_time,
        ),
        (
            "no time, of the issuer",
            Some(Revocation::issuer(ISSUER, now, later())),
            idp.token().without("iat"),
            MemoryRevocations::accept_tokens_without_issue_time,
        ),
    ];
    for (name, order, token, relax) in rows {
        let token = token.sign();
        for (revocations, expected) in [
            (MemoryRevocations::new(), "claim_missing"),
            (relax(MemoryRevocations::new()), "ok"),
        ] {
            if let Some(order) = &order {
                revocations.revoke(order);
            }
            let app = guarded(&idp, &revocations);
            assert_eq!(call(&app, bearer(&token)).await.reason(), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn claims_of_other_names_are_told_by_the_issuer() {
    let idp = idp();
    let issuer = idp
        .issuer_builder()
        .token_id_claim("uti")
        .token_version_claim("ver")
        .build()
        .unwrap();
    let revocations = MemoryRevocations::new();
    let app = whoami().layer(JwtLayer::new(issuer).revocations(revocations.clone()));
    revocations.revoke(&Revocation::token(ISSUER, "u-1", later()));
    revocations.revoke(&Revocation::version(ISSUER, "alice", 2, later()));
    let token = || idp.token().subject("alice").claim("uti", "u-2").claim("ver", 2);
    for (token, expected) in [
        (token(), "ok"),
        (token().claim("uti", "u-1"), "token_revoked"),
        (token().token_id("u-1"), "ok"),
        (token().without("uti"), "claim_missing"),
        (token().claim("uti", 1), "payload_malformed"),
        (token().claim("ver", 1), "token_revoked"),
        (token().claim("ver", "2"), "token_revoked"),
        (token().claim("ver", json_null()), "token_revoked"),
        (token().without("ver").claim("token_version", 2), "token_revoked"),
    ] {
        assert_eq!(reason(&app, token).await, expected);
    }
}

fn json_null() -> serde_json::Value {
    serde_json::Value::Null
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_whatever_its_record_or_a_cache_says() {
    let revocations = MemoryRevocations::new();
    let plain = ApiKeyLayer::new(store());
    let cached = ApiKeyLayer::new(CachedKeyStore::new(Arc::new(store())));
    let with_key = || request(&[("x-api-key", KEY)]);
    let id = record(KEY).build().id().to_owned();
    for layer in [plain, cached] {
        let revocations = revocations.clone();
        let app = whoami().layer(layer.revocations(revocations));
        assert_eq!(call(&app, with_key()).await.status, StatusCode::OK);
    }
    revocations.revoke(&Revocation::api_key(id, later()));
    for layer in [
        ApiKeyLayer::new(store()),
        ApiKeyLayer::new(CachedKeyStore::new(Arc::new(store()))),
    ] {
        let app = whoami().layer(layer.revocations(revocations.clone()));
        let answer = call(&app, with_key()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (401, "api_key_revoked")
        );
    }
}

#[tokio::test]
async fn each_kind_on_a_route_has_revocations_of_its_own() {
    let idp = idp();
    let (of_tokens, of_keys) = (MemoryRevocations::new(), MemoryRevocations::new());
    let jwt = JwtLayer::new(idp.issuer()).revocations(of_tokens.clone());
    let keys = ApiKeyLayer::new(store()).revocations(of_keys.clone());
    let app = whoami().layer(jwt.or(keys));
    let id = record(KEY).build().id().to_owned();
    let (token, key) = (alices(&idp).sign(), || request(&[("x-api-key", KEY)]));
    of_tokens.revoke(&Revocation::api_key(id.clone(), later()));
    of_keys.revoke(&Revocation::token(ISSUER, "t-1", later()));
    assert_eq!(call(&app, key()).await.reason(), "ok");
    assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
    of_keys.revoke(&Revocation::api_key(id, later()));
    of_tokens.revoke(&Revocation::token(ISSUER, "t-1", later()));
    assert_eq!(call(&app, key()).await.reason(), "api_key_revoked");
    assert_eq!(call(&app, bearer(&token)).await.reason(), "token_revoked");
}

#[test]
fn what_no_longer_counts_is_forgotten() {
    let clock = TestClock::new();
    let revocations = MemoryRevocations::with_clock(clock.clone());
    for round in 0..10 {
        for number in 0..2_000 {
            let id = format!("{round}-{number}");
            revocations.revoke(&Revocation::token(ISSUER, id, clock.now() + MINUTE));
        }
        clock.advance(10 * MINUTE);
    }
    // 20,000 were ordered; no more than 2,000 ever counted at once.
    assert!(revocations.len() <= 6_000, "{}", revocations.len());
}

#[tokio::test]
async fn a_claim_is_missed_only_while_somebody_of_that_issuer_is_withdrawn() {
    let (idp, other) = (idp(), TestIssuer::new("https://other.test", API));
    let clock = idp.clock().clone();
    let revocations = MemoryRevocations::with_clock(clock.clone());
    let end = clock.now() + MINUTE;
    revocations.revoke(&Revocation::subject(ISSUER, "bob", clock.now(), end));
    revocations.revoke(&Revocation::client(ISSUER, "app", clock.now(), end));
    // What is over when it is ordered is not even that.
    let over = clock.now() - 10 * MINUTE;
    revocations.revoke(&Revocation::client("https://other.test", "app", over, over));
    for lacking in ["sub", "client_id"] {
        let theirs = other.token().without(lacking);
        assert_eq!(
            reason(&guarded(&other, &revocations), theirs).await,
            "ok",
            "{lacking}"
        );
        let ours = idp.token().without(lacking);
        assert_eq!(
            reason(&guarded(&idp, &revocations), ours).await,
            "claim_missing",
            "{lacking}"
        );
    }
    // The leeway of an issuer has passed as well.
    clock.advance(6 * MINUTE);
    for lacking in ["sub", "client_id"] {
        let ours = idp.token().without(lacking);
        assert_eq!(
            reason(&guarded(&idp, &revocations), ours).await,
            "ok",
            "{lacking}"
        );
    }
}

#[tokio::test]
async fn an_order_that_has_ended_is_not_brought_back_by_a_later_one() {
    let idp = idp();
    let clock = idp.clock().clone();
    let revocations = MemoryRevocations::with_clock(clock.clone());
    let app = guarded(&idp, &revocations);
    let token = || alices(&idp).claim("token_version", 1);
    revocations.revoke(&Revocation::version(ISSUER, "alice", 2, clock.now() + MINUTE));
    assert_eq!(reason(&app, token()).await, "token_revoked");
    clock.advance(10 * MINUTE);
    let (now, end) = (clock.now(), clock.now() + 100 * MINUTE);
    revocations.revoke(&Revocation::subject(ISSUER, "alice", now, end));
    assert_eq!(reason(&app, token()).await, "token_revoked");
    clock.advance(MINUTE);
    // She logged in again.
    assert_eq!(reason(&app, token()).await, "ok");
    // Of two, each keeps its own end.
    let soon = clock.now() + MINUTE;
    revocations.revoke(&Revocation::subject(ISSUER, "alice", clock.now(), soon));
    assert_eq!(reason(&app, token()).await, "token_revoked");
    clock.advance(7 * MINUTE);
    let age = |minutes: u32| {
        let issued = clock.now() - minutes * MINUTE;
        token().claim(
            "iat",
            issued.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
        )
    };
    assert_eq!(reason(&app, age(7)).await, "ok");
    assert_eq!(reason(&app, age(8)).await, "token_revoked");
}

/// `cargo test --test it a_million_revocations -- --nocapture` prints what they take.
#[test]
fn a_million_revocations_take_at_most_150_bytes_each() {
    const COUNT: u64 = 1_000_000;
    let revocations = MemoryRevocations::new();
    let info = allocation_counter::measure(|| {
        for number in 0..COUNT {
            // As long as a UUID.
            revocations.revoke(&Revocation::token(ISSUER, format!("{number:036}"), later()));
        }
    });
    let each = info.bytes_current / i64::try_from(COUNT).unwrap();
    println!("{each} bytes for each of {COUNT} entries");
    assert!(each <= 150, "{each}");
    assert_eq!(revocations.len(), 1_000_000);
}

/// A few orders that concern one token.
fn orders() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    prop::collection::vec((0_u8..5, 0_u64..6, 1_u64..6), 0..8)
}

fn order((kind, value, until): (u8, u64, u64), start: SystemTime) -> Revocation {
    let at = |minutes: u64| start + MINUTE * u32::try_from(minutes).unwrap();
    match kind {
        0 => Revocation::token(ISSUER, "t-1", at(until)),
        1 => Revocation::subject(ISSUER, "alice", at(value), at(until)),
        2 => Revocation::version(ISSUER, "alice", value, at(until)),
        3 => Revocation::client(ISSUER, "web", at(value), at(until)),
        _ => Revocation::issuer(ISSUER, at(value), at(until)),
    }
}

proptest! {
    /// So nodes that heard the same orders in another order agree, and nothing that was withdrawn becomes good again by
    /// another order.
    #[test]
    fn orders_commute_and_only_add(orders in orders(), more in orders(), waited in 0_u64..6) {
        let idp = idp();
        let start = idp.clock().now();
        let layer = |orders: &[(u8, u64, u64)]| {
            let revocations = MemoryRevocations::with_clock(idp.clock().clone());
            for one in orders {
                revocations.revoke(&order(*one, start));
            }
            guarded(&idp, &revocations)
        };
        let backwards: Vec<_> = orders.iter().rev().copied().collect();
        let both: Vec<_> = more.iter().chain(&orders).copied().collect();
        let apps = [&orders, &backwards, &both].map(|orders| layer(orders));
        let token = alices(&idp)
            .claim("iat", start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
            .claim("token_version", 2)
            .expires_in(MINUTE * 60)
            .sign();
        idp.clock().advance(MINUTE * u32::try_from(waited).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let [there, back, added] = apps.map(|app| runtime.block_on(call(&app, bearer(&token))).reason());
        prop_assert_eq!(there, back);
        prop_assert!(there == "ok" || added == there);
    }
}

/// Hears nothing of anything, and is told by the engine.
#[derive(Debug, Clone, Copy)]
enum Engine {
    Good,
    Revoked,
    Down,
}

impl Revocations for Engine {
    type Error = io::Error;

    fn standing(&self, _: &CredentialFacts<'_>) -> Standing {
        Standing::Good
    }

    async fn confirm(&self, credential: &CredentialFacts<'_>) -> Result<Standing, io::Error> {
        tokio::task::yield_now().await;
        assert_eq!(credential.id, Some("t-1"));
        match self {
            Self::Good => Ok(Standing::Good),
            Self::Revoked => Ok(Standing::Revoked),
            Self::Down => Err(io::Error::other("the engine is down")),
        }
    }
}

#[tokio::test]
async fn a_route_that_asks_the_engine_fails_closed() {
    let idp = idp();
    let token = alices(&idp).sign();
    for (engine, status, expected) in [
        (Engine::Good, 200, "ok"),
        (Engine::Revoked, 401, "token_revoked"),
        (Engine::Down, 503, "revocations_unavailable"),
    ] {
        let jwt = JwtLayer::new(idp.issuer()).revocations(engine);
        let open = whoami().layer(jwt.clone());
        assert_eq!(call(&open, bearer(&token)).await.reason(), "ok");
        let asking = whoami().layer(RevocationCheckLayer::new(engine)).layer(jwt);
        let answer = call(&asking, bearer(&token)).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (status, expected));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        let challenges = answer.challenges().join(", ");
        assert_eq!(
            challenges.contains("invalid_token"),
            status == 401,
            "{challenges}"
        );
    }
}

#[tokio::test]
async fn a_route_that_asks_the_engine_lets_nobody_in_who_is_nobody() {
    let idp = idp();
    let check = RevocationCheckLayer::new(Engine::Good);
    let optional = whoami()
        .layer(check.clone())
        .layer(JwtLayer::new(idp.issuer()).optional());
    let answer = call(&optional, request(&[])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (401, "credential_missing")
    );
    let forgotten = whoami().layer(check);
    let answer = call(&forgotten, bearer(&idp.token().sign())).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (500, "not_authenticated")
    );
}

/// Has not heard for too long.
#[derive(Debug)]
struct Deaf;

impl Revocations for Deaf {
    type Error = Infallible;

    fn standing(&self, _: &CredentialFacts<'_>) -> Standing {
        Standing::Unheard {
            retry_after: Duration::from_secs(7),
        }
    }
}

#[tokio::test]
async fn while_revocations_cannot_be_heard_the_credential_may_still_be_good() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()).revocations(Deaf));
    let answer = call(&app, bearer(&idp.token().sign())).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (503, "revocations_unheard")
    );
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn another_issuers_names_are_other_names() {
    let (idp, other) = (idp(), TestIssuer::new("https://other.test", API));
    let revocations = MemoryRevocations::new();
    let now = idp.clock().now();
    revocations.revoke(&Revocation::token(ISSUER, "t-1", later()));
    revocations.revoke(&Revocation::subject(ISSUER, "alice", now, later()));
    revocations.revoke(&Revocation::client(ISSUER, "web", now, later()));
    assert_eq!(
        reason(&guarded(&idp, &revocations), alices(&idp)).await,
        "token_revoked"
    );
    assert_eq!(reason(&guarded(&other, &revocations), alices(&other)).await, "ok");
}
