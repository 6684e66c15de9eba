//! What an issuer's troubles cost in memory.

use std::process::Command;

use super::trouble::{Trouble, drill};

const ALONE: &str = "DRILL_IN_A_PROCESS_OF_ITS_OWN";
const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// In a process that does nothing else.
#[test]
fn no_trouble_takes_more_than_20_mb_of_memory() {
    if std::env::var_os(ALONE).is_some() {
        return every_trouble_within_20_mb();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "--nocapture",
        "drills::memory::no_trouble_takes_more_than_20_mb_of_memory",
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
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
