use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use http::StatusCode;
use metrics_util::debugging::DebugValue;
use tower_resource_server::{AuditLayer, AuditLog, AuditRecord, AuditSink, ChannelSink};

use crate::support::{Down, call, request, whoami};
use crate::telemetry::{logged, measured};

/// A sink that does what it is told to, and keeps what it has written.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hangs: AtomicBool,
    fails: AtomicU32,
    panics: AtomicBool,
    written: Mutex<Vec<String>>,
}

impl AuditSink for Sink {
    type Error = Down;

    async fn write(&mut self, records: &[AuditRecord]) -> Result<(), Down> {
        if self.0.hangs.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        assert!(!self.0.panics.swap(false, Ordering::SeqCst), "on request");
        let less = |left: u32| left.checked_sub(1);
        if self
            .0
            .fails
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            return Err(Down);
        }
        let ids = records
            .iter()
            .map(|record| record.request_id().unwrap().to_owned());
        self.0.written.lock().unwrap().extend(ids);
        Ok(())
    }
}

impl Sink {
    fn written(&self) -> Vec<String> {
        self.0.written.lock().unwrap().clone()
    }

    fn hang(&self, hangs: bool) {
        self.0.hangs.store(hangs, Ordering::SeqCst);
    }

    fn fail(&self, times: u32) {
        self.0.fails.store(times, Ordering::SeqCst);
    }
}

fn app(log: &AuditLog) -> Router {
    let layer = AuditLayer::new(log.clone());
    whoami().layer(layer.request_id(|request| Some(request.headers()["x-id"].to_str().unwrap().to_owned())))
}

/// Requests of these numbers, each of which is answered although it has no authentication to answer for.
async fn ask(app: &Router, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let answer = call(app, request(&[("x-id", &number.to_string())])).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

fn ids(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn behind_a_sink_that_hangs_requests_pass_and_those_without_room_are_counted() {
    let sink = Sink::default();
    sink.hang(true);
    let log = AuditLog::new(sink.clone()).most_queued(10);
    let app = app(&log);
    let start = tokio::time::Instant::now();
    ask(&app, 0..25).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let status = log.status();
    assert_eq!(
        (status.queued, status.dropped, status.written),
        (10, 15, 0),
        "{status:?}"
    );
    let error = log.flush().await.unwrap_err();
    assert_eq!(error.left, 10);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn while_the_sink_fails_nothing_is_lost_and_the_order_is_kept() {
    let sink = Sink::default();
    sink.fail(5);
    let log = AuditLog::new(sink.clone()).most_queued(1000);
    let app = app(&log);
    ask(&app, 0..300).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(sink.written().is_empty());
    ask(&app, 300..1000).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sink.written(), ids(0..1000));
    let status = log.status();
    assert_eq!((status.queued, status.dropped), (0, 0), "{status:?}");
    assert_eq!((status.written, status.failed_writes), (1000, 5), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_is_tried_less_and_less_often_and_at_least_twice_a_minute() {
    let sink = Sink::default();
    sink.fail(u32::MAX);
    let log = AuditLog::new(sink.clone());
    ask(&app(&log), 0..1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let first = log.status().failed_writes;
    assert!((8..=14).contains(&first), "{first}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let more = log.status().failed_writes - first;
    assert!((20..=40).contains(&more), "{more}");
    sink.fail(0);
    let start = tokio::time::Instant::now();
    log.flush().await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "a flush waits for no pause"
    );
    assert_eq!(sink.written(), ids(0..1));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_asked_again() {
    let sink = Sink::default();
    sink.0.panics.store(true, Ordering::SeqCst);
    let log = AuditLog::new(sink.clone());
    ask(&app(&log), 0..3).await;
    log.flush().await.unwrap();
    assert_eq!(sink.written(), ids(0..3));
    assert_eq!(log.status().failed_writes, 1);
}

#[test]
fn when_its_runtime_is_gone_the_next_one_writes_what_was_queued() {
    let sink = Sink::default();
    let log = AuditLog::new(sink.clone()).most_queued(20);
    let app = app(&log);
    ask(&app, 0..3).now_or_never().expect("without any runtime");
    assert_eq!(log.status().queued, 3);
    log.flush()
        .now_or_never()
        .expect("nobody could write")
        .unwrap_err();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    sink.hang(true);
    runtime().block_on(async {
        ask(&app, 3..6).await;
        tokio::task::yield_now().await;
    });
    sink.hang(false);
    assert!(sink.written().is_empty());
    runtime().block_on(async {
        ask(&app, 6..9).await;
        log.flush().await.unwrap();
    });
    assert_eq!(sink.written(), ids(0..9));
    runtime().block_on(log.flush()).unwrap();
}

#[tokio::test]
async fn after_the_last_handle_the_rest_is_written_and_the_task_ends() {
    let (sink, mut records) = ChannelSink::new(2);
    let log = AuditLog::new(sink);
    let app = app(&log);
    ask(&app, 0..10).await;
    drop((log, app));
    for id in ids(0..10) {
        assert_eq!(records.recv().await.unwrap().request_id(), Some(id.as_str()));
    }
    assert!(records.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_receiver_a_channel_fails_and_requests_pass() {
    let (sink, records) = ChannelSink::new(2);
    drop(records);
    let log = AuditLog::new(sink).most_queued(3);
    ask(&app(&log), 0..5).await;
    assert_eq!(log.status().dropped, 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(log.status().failed_writes > 1);
    let text = log.flush().await.unwrap_err().to_string();
    assert_eq!(text, "3 records of the audit are not written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_requests_from_all_sides_each_is_written_once_or_counted() {
    let sink = Sink::default();
    let log = AuditLog::new(sink.clone()).most_queued(16);
    let app = app(&log);
    let tasks: Vec<_> = (0..8)
        .map(|task: u32| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, task * 200..(task + 1) * 200).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    log.flush().await.unwrap();
    let (written, status) = (sink.written(), log.status());
    let different: BTreeSet<_> = written.iter().collect();
    assert_eq!(different.len(), written.len());
    assert_eq!(status.written, written.len() as u64);
    assert_eq!(status.written + status.dropped, 1600);
    assert_eq!(status.queued, 0);
}

async fn fail_and_recover(sink: &Sink) {
    sink.fail(3);
    let log = AuditLog::new(sink.clone()).most_queued(4);
    ask(&app(&log), 0..6).await;
    for _ in 0..3 {
        log.flush().await.unwrap();
    }
}

#[test]
fn what_is_dropped_and_what_waits_is_measured() {
    let metrics = measured(async { fail_and_recover(&Sink::default()).await });
    let of = |name: &str| {
        metrics
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    };
    let dropped = of("resource_server_audit_dropped_total{}");
    assert_eq!(dropped, Some(&DebugValue::Counter(2)), "{metrics:?}");
    let queue = of("resource_server_audit_queue{}");
    assert_eq!(queue, Some(&DebugValue::Gauge(0.0.into())), "{metrics:?}");
}

#[test]
fn that_the_sink_fails_is_said_once_and_so_is_that_it_works_again() {
    let ((), said) = logged(fail_and_recover(&Sink::default()));
    assert_eq!(
        said.matches("audit not written error=the database is down")
            .count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("audit written again").count(), 1, "{said}");
}

#[test]
fn a_log_prints_its_status_and_no_record() {
    let log = AuditLog::new(Sink::default());
    let text = format!("{log:?} {:?}", AuditLayer::new(log.clone()));
    assert!(text.contains("queued: 0"), "{text}");
}
