//! The demo that the README shows, in small.

#![allow(clippy::disallowed_methods, reason = "the program is started by hand, as a user does")]

use anyhow::{Result, ensure};
use dmf_e2e::Binaries;
use tokio::process::Command;

#[tokio::test]
async fn the_demo_moves_its_users_and_says_so() -> Result<()> {
    Binaries::for_test()?;
    let demo = Command::new(env!("CARGO_BIN_EXE_dmf-demo"))
        .args(["--users", "4", "--messages", "10"])
        .output()
        .await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    ensure!(demo.status.success(), "{}: {stdout}{stderr}", demo.status);
    for line in ["user4@example.com", "Every user was moved", "3 allowed"] {
        ensure!(stdout.contains(line), "{line:?} is missing: {stdout}");
    }
    // Each request is printed as a line that works in a shell.
    ensure!(stdout.matches("curl ").count() >= 7, "{stdout}");
    Ok(())
}
