//! A user's own use of jsonwebtoken goes on working beside this crate, whichever of its crypto features is on.

use std::path::Path;
use std::process::Command;

/// Builds and runs a package of `tests/neighbours/` and gives what it printed.
fn run(package: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/neighbours")
        .join(package);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("neighbours");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--target-dir"])
        .arg(target)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{package}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn jsonwebtoken_with_aws_lc_rs_still_encodes_and_decodes() {
    assert_eq!(run("aws_lc_rs"), r#""alice""#);
}

#[test]
fn jsonwebtoken_with_rust_crypto_still_encodes_and_decodes() {
    assert_eq!(run("rust_crypto"), r#""alice""#);
}
