use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, AuditLayer, AuditLog, AuditRecord, JsonLines, JwtLayer, KeyDigest, MemoryKeyStore,
    ScopeLayer, TracingSink,
};

use super::Audited;
use crate::support::{ISSUER, READ, WRITE, bearer, call, idp, record, request, whoami};
use crate::telemetry::{Log, logged};

const CANARY: &str = "CanaryCanaryCanaryCanaryCanary00";

/// What ends a line for somebody, or for JSON, or for a reader's eyes.
const FORGED: &str = "bob\n{\"decision\":\"allowed\"}\r\u{85}\u{2028}\u{2029}\u{202e}\"\\\t\0\u{7f}é";

async fn records_of(idp: &TestIssuer, requests: Vec<Request>) -> Vec<AuditRecord> {
    let mut audited = Audited::new();
    let app = whoami()
        .layer(ScopeLayer::all([WRITE]))
        .layer(JwtLayer::new(idp.issuer()))
        .layer(audited.layer());
    for request in requests {
        call(&app, request).await;
    }
    audited.all().await
}

async fn record_at(time: SystemTime) -> Value {
    let mut audited = Audited::new();
    audited.clock.set_date(time);
    call(&whoami().layer(audited.layer()), request(&[])).await;
    serde_json::to_value(audited.one().await).unwrap()
}

#[tokio::test]
async fn the_json_of_a_record_is_what_the_guide_says() {
    let mut audited = Audited::new();
    let idp = idp();
    audited
        .clock
        .set_date(UNIX_EPOCH + Duration::from_micros(1_795_368_785_000_250));
    let layer = audited
        .layer()
        .route(|_| Some("/orders/{id}".to_owned()))
        .address(|_| "2001:db8::1".parse().ok())
        .request_id(|_| Some("r-1".to_owned()));
    let app = whoami()
        .layer(ScopeLayer::all([WRITE]))
        .layer(JwtLayer::new(idp.issuer()))
        .layer(layer);
    let token = idp
        .token()
        .subject("alice")
        .client("web")
        .token_id("t1")
        .scopes([READ]);
    let token = token.claim("act", json!({ "sub": "agent", "client_id": "helper" }));
    call(&app, bearer(&token.sign())).await;
    let text = serde_json::to_string(&audited.one().await).unwrap();
    let guide = include_str!("../../../src/guide/audit.md");
    let (_, example) = guide.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("\n```").unwrap();
    let expected = r#"{"time":"2026-11-22T17:33:05.000250Z","taken_us":0,"http_method":"GET","route":"/orders/{id}","decision":"refused","reason":"scope_missing","ending":"answered","status":403,"method":"jwt","issuer":"https://idp.test","subject":"alice","user":true,"client":"web","token_id":"t1","actor":{"subject":"agent","client":"helper"},"requirement":"scope=\"orders:write\"","address":"2001:db8::1","request_id":"r-1"}"#;
    assert_eq!(text, expected);
    let lines: Vec<&str> = example.lines().map(str::trim).collect();
    assert_eq!(lines.concat(), expected);

    let app = whoami()
        .layer(ApiKeyLayer::new(crate::support::store()).optional())
        .layer(audited.layer());
    call(&app, request(&[])).await;
    let bare = r#"{"time":"2026-11-22T17:33:05.000250Z","taken_us":0,"http_method":"GET","decision":"anonymous","reason":"ok","ending":"answered","status":200}"#;
    assert_eq!(serde_json::to_string(&audited.one().await).unwrap(), bare);
}

#[tokio::test]
async fn times_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, "2000-02-28T23:59:59.000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000Z"),
        (951_868_800, "2000-03-01T00:00:00.000000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        (253_402_300_800, "9999-12-31T23:59:59.000000Z"),
    ] {
        assert_eq!(
            record_at(UNIX_EPOCH + Duration::from_secs(seconds)).await["time"],
            expected
        );
    }
    let before = record_at(UNIX_EPOCH - Duration::from_secs(1)).await;
    assert_eq!(before["time"], "1970-01-01T00:00:00.000000Z");
}

/// The calendar of another crate, day by day.
#[tokio::test]
async fn times_agree_with_another_calendar() {
    for day in (0..2_932_896_u64).step_by(1237) {
        let moment = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
        let ours = record_at(moment).await["time"].as_str().unwrap().to_owned();
        assert_eq!(ours, humantime::format_rfc3339_micros(moment).to_string());
    }
}

#[tokio::test]
async fn a_record_is_one_line_whatever_is_in_it() {
    let idp = idp();
    let text = Log::default();
    let log = AuditLog::new(JsonLines::new(text.clone()));
    let layer = AuditLayer::new(log.clone()).route(|_| Some(FORGED.to_owned()));
    let app = whoami().layer(JwtLayer::new(idp.issuer())).layer(layer);
    for subject in [FORGED, "alice", "日本"] {
        call(&app, bearer(&idp.token().subject(subject).sign())).await;
    }
    log.flush().await.unwrap();
    let text = text.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with('\n'), "{text}");
    assert!(text.contains("日本"), "{text}");
    let unseen =
        |letter: char| letter != '\n' && (letter.is_control() || ('\u{2028}'..='\u{202e}').contains(&letter));
    assert!(!text.contains(unseen), "{text}");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["subject"], FORGED);
    assert_eq!(lines[1]["subject"], "alice");
}

/// Takes a few bytes each time, and every third time none.
#[derive(Clone, Default)]
struct Stubborn {
    text: Log,
    asked: Arc<Mutex<u32>>,
}

impl Write for Stubborn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        match *asked % 4 {
            1 => Err(io::ErrorKind::Interrupted.into()),
            3 => Err(io::ErrorKind::StorageFull.into()),
            _ => self.text.write(&bytes[..bytes.len().min(97)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        if asked.is_multiple_of(3) {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_was_torn_is_made_whole_and_none_is_written_twice() {
    let writer = Stubborn::default();
    let log = AuditLog::new(JsonLines::new(writer.clone()));
    let layer = AuditLayer::new(log.clone())
        .request_id(|request| Some(request.headers()["x-id"].to_str().unwrap().to_owned()));
    let app = whoami().layer(layer);
    for number in 0..20 {
        call(&app, request(&[("x-id", &number.to_string())])).await;
    }
    while log.status().queued > 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let text = writer.text.text();
    let ids: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["request_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(log.status().failed_writes > 5, "{:?}", log.status());
}

#[test]
fn tracing_gets_an_event_for_each_record_and_a_warning_for_each_refusal() {
    let ((), said) = logged(async {
        let idp = idp();
        let log = AuditLog::new(TracingSink::new());
        let layer = AuditLayer::new(log.clone()).route(|_| Some("/".to_owned()));
        let app = whoami().layer(JwtLayer::new(idp.issuer())).layer(layer);
        call(&app, bearer(&idp.token().subject(FORGED).sign())).await;
        call(&app, request(&[])).await;
        log.flush().await.unwrap();
    });
    let events: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("request decided"))
        .collect();
    assert_eq!(events.len(), 2, "{said}");
    assert!(
        events[0].contains("INFO") && events[0].contains("tower_resource_server::audit"),
        "{said}"
    );
    assert!(
        events[0].contains("decision=\"allowed\"") && events[0].contains("route=\"/\""),
        "{said}"
    );
    assert!(
        events[1].contains("WARN") && events[1].contains("reason=\"credential_missing\""),
        "{said}"
    );
    assert!(
        !events[1].contains("subject"),
        "what is absent is left out: {said}"
    );
}

#[tokio::test]
async fn every_record_can_be_cloned_and_printed() {
    let idp = idp();
    let token = idp.token().subject("alice").sign();
    let records = records_of(&idp, vec![bearer(&token)]).await;
    let text = format!("{:?}", records[0].clone());
    for part in ["alice", ISSUER, "scope_missing", "orders:write"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Canaries wherever a request can hold a secret, with credentials that are good, bad, and not asked for.
fn with_canaries(idp: &TestIssuer) -> Vec<Request> {
    let token = idp.token().subject("alice").claim("note", CANARY).sign();
    let credentials = [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Bearer {CANARY}.{CANARY}.{CANARY}")),
        ("authorization", format!("Bearer {CANARY}")),
        ("authorization", format!("Basic {CANARY}")),
        ("authorization", format!("ApiKey {CANARY}-good")),
        ("x-api-key", format!("{CANARY}-good")),
        ("x-api-key", format!("{CANARY}-bad")),
        ("x-api-key", format!("{CANARY} {CANARY}")),
        ("x-other", CANARY.to_owned()),
    ];
    let request = |(name, value): (&'static str, String)| {
        let uri = format!("/?token={CANARY}&access_token={CANARY}");
        Request::get(uri)
            .header(name, value)
            .header("cookie", format!("session={CANARY}"))
            .header("referer", format!("https://x.test/{CANARY}"))
            .body(axum::body::Body::empty())
            .unwrap()
    };
    credentials.map(request).into()
}

#[test]
fn no_record_holds_a_secret_of_the_request() {
    let ((), said) = logged(async {
        let idp = idp();
        let good = record("x").build();
        let store = MemoryKeyStore::from_iter([record(&format!("{CANARY}-good")).build(), good]);
        let (mut audited, text) = (Audited::new(), Log::default());
        let lines = AuditLog::new(JsonLines::new(text.clone()));
        let events = AuditLog::new(TracingSink::new());
        let either = JwtLayer::new(idp.issuer()).or(ApiKeyLayer::new(store));
        for scope in [READ, WRITE] {
            for layer in [
                audited.layer(),
                AuditLayer::new(lines.clone()),
                AuditLayer::new(events.clone()),
            ] {
                let app = whoami()
                    .layer(ScopeLayer::all([scope.clone()]))
                    .layer(either.clone())
                    .layer(layer);
                for request in with_canaries(&idp) {
                    call(&app, request).await;
                }
            }
        }
        lines.flush().await.unwrap();
        events.flush().await.unwrap();
        let records = audited.all().await;
        assert_eq!(records.len(), 18);
        assert!(records.iter().any(|record| record.key_id() == Some("key_1")));
        let digest = format!("{:?}", KeyDigest::of(format!("{CANARY}-good")));
        let json = serde_json::to_string(&records).unwrap();
        for told in [format!("{records:?} {records:#?}"), json, text.text()] {
            assert!(
                told.contains("alice") && !told.to_lowercase().contains("canary"),
                "{told}"
            );
            assert!(!told.contains(&digest), "{told}");
        }
    });
    assert_eq!(said.matches("request decided").count(), 18);
    assert!(!said.to_lowercase().contains("canary"), "{said}");
}
