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

/// A killed sync is retried in its lease, as a temporary failure is.
#[tokio::test]
async fn a_killed_child_is_retried_in_its_lease() -> Result<()> {
    on_field(Fleet::builder(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let before = field.books.row("one").await?;
        field.child_of("one").await?.child.signal(Signal::SIGKILL);
        field.expect_success(&truths).await?;
        let row = field.books.row("one").await?;
        ensure!((row.attempt, row.losses, row.epoch) == (2, 0, before.epoch), "{row:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_child_that_is_killed_at_every_attempt_is_a_failure_that_names_the_signal() -> Result<()> {
    on_field(Fleet::builder(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        for attempt in 1..=3 {
            field
                .wait_until("there was no further attempt", async || {
                    let row = field.books.row("one").await?;
                    ensure!(row.attempt == attempt, "{row:?}");
                    field.child_of("one").await.map(drop)
                })
                .await?;
            field.wait_for_connections(1).await?;
            field.child_of("one").await?.child.signal(Signal::SIGKILL);
        }
        field.wait_for_row("one", "FAILURE").await?;
        let record = field.customer.latest("one").await?;
        let told = ["\"signal\":9", "\"outcome\":\"killed\"", "\"attempts\":3"];
        let details = record["details"].to_string();
        ensure!(told.iter().all(|word| details.contains(word)), "{details}");
        field.host.proxy.stall(false);
        field.customer.submit_again("one", "PRE_SYNC").await?;
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
