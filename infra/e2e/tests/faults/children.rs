//! Guards and children that die, and the commands around a migration that its worker did not survive.

use anyhow::{Result, ensure};
use dmf_e2e::Fleet;
use dmf_e2e::faults::HookLog;
use nix::sys::signal::Signal;

use crate::field::{Field, on_field};

#[tokio::test]
async fn a_child_dies_with_its_guard_and_its_migration_is_run_again() -> Result<()> {
    on_field(Fleet::builder(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let child = field.child_of("one").await?;
        child.guard.signal(Signal::SIGKILL);
        field.wait_for_connections(0).await?;
        field
            .wait_until("the child outlived its guard", async || {
                ensure!(!child.child.lives(), "{child:?}");
                Ok(())
            })
            .await?;
        field.wait_for_log(field.worker(1), "guard").await?;
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_killed_child_is_recorded_or_run_again_and_nothing_is_left() -> Result<()> {
    on_field(Fleet::builder(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        field.child_of("one").await?.child.signal(Signal::SIGKILL);
        field.wait_for_connections(0).await?;
        field.host.proxy.stall(false);
        field.wait_until_ended("one").await?;
        let record = field.customer.latest("one").await?;
        ensure!(record["details"].to_string().contains("signal") || record["attempt"] == 2, "{record}");
        if record["status"] != "SUCCESS" {
            field.customer.submit_again("one", "PRE_SYNC").await?;
        }
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_migration_given_up_after_its_pre_command_gets_its_failure_command() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = HookLog::create(dir.path())?;
    on_field(Fleet::builder().worker_settings(&log.settings()), 1, async |field| {
        field.submit_stalled(&["one"]).await?;
        for _ in 1..=3 {
            field.wait_for_row("one", "SYNC").await?;
            field.wait_for_connections(1).await?;
            field.worker(1).restart().await?;
            field.wait_for_connections(0).await?;
        }
        field.wait_until_ended("one").await?;
        expect_cleaned_up(field, &log, "FAILURE", 3).await
    })
    .await
}

#[tokio::test]
async fn a_migration_cancelled_after_its_pre_command_gets_its_failure_command() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = HookLog::create(dir.path())?;
    on_field(Fleet::builder().worker_settings(&log.settings()), 1, async |field| {
        field.submit_stalled(&["one"]).await?;
        field.worker(1).pause();
        ensure!(field.cancel("one").await? == 202, "the cancel was refused");
        field.worker(1).restart().await?;
        field.wait_until_ended("one").await?;
        expect_cleaned_up(field, &log, "ABORTED", 1).await
    })
    .await
}

/// The failure command ran once, last, in a lease after those that were lost; nothing else ran with it.
async fn expect_cleaned_up(field: &Field<'_>, log: &HookLog, status: &str, leases: usize) -> Result<()> {
    let row = field.books.row("one").await?;
    ensure!(row.status == status, "{row:?}");
    let written = log.runs_of("one");
    let words: Vec<&str> = written.iter().map(|run| run.word.as_str()).collect();
    let wanted: Vec<&str> = std::iter::repeat_n("pre", leases).chain(["failure"]).collect();
    ensure!(words == wanted, "the commands wrote {written:?}");
    ensure!(written.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "one lease had two: {written:?}");
    Ok(())
}
