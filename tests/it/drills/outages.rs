//! Every trouble for an hour by the clock. Whoever has a valid token does not notice; a service that never had keys says
//! 503; and the first attempt after the trouble is enough.

use std::process::Command;

use super::trouble::{Trouble, drill};

#[tokio::test]
async fn an_issuer_that_is_down_stops_nobody() {
    drill(Trouble::Down).await;
}

#[tokio::test]
async fn an_issuer_that_hangs_stops_nobody() {
    drill(Trouble::Hangs).await;
}

#[tokio::test]
async fn an_issuer_that_resets_connections_stops_nobody() {
    drill(Trouble::Resets).await;
}

#[tokio::test]
async fn an_issuer_that_answers_500_stops_nobody() {
    drill(Trouble::InternalError).await;
}

#[tokio::test]
async fn an_issuer_that_asks_for_a_pause_stops_nobody() {
    drill(Trouble::TooManyRequests).await;
}

#[tokio::test]
async fn an_issuer_that_sends_byte_by_byte_stops_nobody() {
    drill(Trouble::Drips).await;
}

#[tokio::test]
async fn a_document_of_50_mb_stops_nobody() {
    drill(Trouble::Pours).await;
}

#[tokio::test]
async fn a_document_of_50_mb_that_does_not_tell_its_length_stops_nobody() {
    drill(Trouble::PoursWithoutLength).await;
}

#[tokio::test]
async fn a_page_in_place_of_the_keys_stops_nobody() {
    drill(Trouble::WrongContent).await;
}

#[tokio::test]
async fn truncated_json_stops_nobody() {
    drill(Trouble::TruncatedJson).await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_in_the_document_stops_nobody() {
    drill(Trouble::BreaksOff).await;
}

#[tokio::test]
async fn a_document_without_keys_stops_nobody() {
    drill(Trouble::NoKeys).await;
}

#[tokio::test]
async fn a_redirect_to_another_host_stops_nobody_and_is_not_followed() {
    drill(Trouble::Redirects).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_stops_nobody() {
    drill(Trouble::UntrustedCertificate).await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_stops_nobody() {
    drill(Trouble::NameThatDoesNotExist).await;
}

const ALONE: &str = "DRILL_IN_A_PROCESS_OF_ITS_OWN";
const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// In a process that does nothing else.
#[cfg(target_os = "linux")]
#[test]
fn no_trouble_takes_more_than_20_mb_of_memory() {
    if std::env::var_os(ALONE).is_some() {
        return every_trouble_within_20_mb();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "--nocapture",
        "drills::outages::no_trouble_takes_more_than_20_mb_of_memory",
    ]);
    let output = child.env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{errors}"
    );
    println!("{}", said.lines().find(|line| line.contains("peak")).unwrap());
}

#[cfg(target_os = "linux")]
fn every_trouble_within_20_mb() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // What every process pays once: the client, the root certificates, the threads.
    runtime.block_on(drill(Trouble::UntrustedCertificate));
    let before = memory("VmRSS");
    for trouble in Trouble::ALL {
        runtime.block_on(drill(trouble));
    }
    let peak = memory("VmHWM") - before;
    println!(
        "peak of resident memory over {} troubles: {} KiB",
        Trouble::ALL.len(),
        peak / 1024
    );
    assert!(peak <= MOST_BYTES, "{peak}");
    // The measure is one: a document that is kept would show.
    let kept = vec![1u8; 50 * 1024 * 1024];
    let with_document = memory("VmHWM") - before;
    assert!(with_document > MOST_BYTES, "{with_document} {}", kept.len());
}

/// A line of `/proc/self/status`, in bytes.
#[cfg(target_os = "linux")]
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
