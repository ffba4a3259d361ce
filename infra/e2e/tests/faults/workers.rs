//! Workers that die, freeze, or start twice.

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Fleet, LeaseSecs};
use nix::sys::signal::Signal;

use crate::field::{Field, on_field, on_field_timed};

fn two_workers() -> dmf_e2e::Builder {
    Fleet::builder().schedulers(2).workers(2).started_workers(1)
}

/// What the details of a user's newest record say of lost workers.
async fn losses(field: &Field<'_>, user: &str) -> Result<usize> {
    let record = field.customer.latest(user).await?;
    let blocks = record["details"].as_array().context("no details")?;
    Ok(blocks.iter().filter(|block| !block["lost"].is_null()).count())
}

#[tokio::test]
async fn a_killed_worker_takes_its_children_along_and_another_finishes() -> Result<()> {
    on_field(two_workers(), 2, async |field| {
        let truths = field.submit_stalled(&["one", "two"]).await?;
        field.worker(1).kill().await?;
        // By the guards, long before anybody misses the heartbeats.
        field.wait_for_connections(0).await?;
        field.wait_for_row("one", "SCHEDULED").await?;
        field.host.proxy.stall(false);
        field.worker(2).start()?;
        field.expect_success(&truths).await?;
        for user in ["one", "two"] {
            ensure!(losses(field, user).await? == 1, "the loss of {user}'s worker is not recorded");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restarted_worker_gives_its_leases_back_at_once() -> Result<()> {
    // A reaper would take longer than this test may.
    let slow = LeaseSecs { heartbeat: 10, deadline: 45, silence: 200, poll: 5 };
    on_field_timed(Fleet::builder(), slow, 2, async |field| {
        let truths = field.submit_stalled(&["one", "two"]).await?;
        field.worker(1).kill().await?;
        field.host.proxy.stall(false);
        field.worker(1).start()?;
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_frozen_worker_loses_its_leases_and_changes_nothing_when_it_wakes() -> Result<()> {
    on_field(two_workers(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let child = field.child_of("one").await?;
        field.worker(1).pause();
        // Its guard needs nobody to see that the deadline is over.
        field.wait_for_connections(0).await?;
        field
            .wait_until("the child of a frozen worker lives without a connection", async || {
                ensure!(!child.child.lives(), "{child:?}");
                Ok(())
            })
            .await?;
        field.wait_for_row("one", "SCHEDULED").await?;
        field.host.proxy.stall(false);
        field.worker(2).start()?;
        field.expect_success(&truths).await?;
        let (row, connections) = (field.books.row("one").await?, field.host.proxy.total());

        field.worker(1).resume();
        field.wait_for_log(field.worker(1), "the lease was lost").await?;
        // It takes new work, so whatever it had to say about the old is said.
        field.worker(2).stop().await?;
        let next = field.submit("next").await?;
        field.customer.wait_for("next", "SUCCESS").await?;
        field.fleet.expect_mail("next", &next).await?;
        ensure!(field.books.row("one").await? == row, "the woken worker changed {row:?}");
        let own = field.host.proxy.max_per_user().len();
        ensure!(
            own == 2 && field.host.proxy.total() > connections,
            "the source was not asked for the next user"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_frozen_machine_starts_nothing_when_it_wakes() -> Result<()> {
    on_field(two_workers(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let child = field.child_of("one").await?;
        field.worker(1).pause();
        for process in [child.guard, child.child] {
            process.signal(Signal::SIGSTOP);
        }
        field.wait_for_row("one", "SCHEDULED").await?;
        // What a frozen machine has open, only the source can close.
        field.host.proxy.cut().await?;
        field.host.proxy.heal().await?;
        field.worker(2).start()?;
        field.expect_success(&truths).await?;
        let row = field.books.row("one").await?;

        for process in [child.guard, child.child] {
            process.signal(Signal::SIGCONT);
        }
        field.worker(1).resume();
        field
            .wait_until("the frozen family did not end", async || {
                ensure!(!child.guard.lives() && !child.child.lives(), "{child:?} lives");
                Ok(())
            })
            .await?;
        field.wait_for_log(field.worker(1), "the lease was lost").await?;
        ensure!(field.books.row("one").await? == row, "the woken machine changed {row:?}");
        field.fleet.expect_mail("one", &truths["one"]).await
    })
    .await
}

#[tokio::test]
async fn a_poison_job_is_given_up_after_three_losses() -> Result<()> {
    on_field(two_workers().started_workers(2), 1, async |field| {
        field.submit_stalled(&["poison"]).await?;
        for loss in 1..=3 {
            let record = field.customer.wait_for("poison", "SYNC").await?;
            field.wait_for_connections(1).await?;
            let holder = record["backend"].as_str().unwrap_or_default();
            let number = if holder.ends_with('1') { 1 } else { 2 };
            field.worker(number).kill().await?;
            field
                .wait_until("the loss was not counted", async || {
                    let row = field.books.row("poison").await?;
                    ensure!(row.losses == loss, "{row:?}");
                    Ok(())
                })
                .await?;
            field.worker(number).start()?;
        }
        expect_given_up(field).await
    })
    .await
}

#[tokio::test]
async fn a_poison_job_is_given_up_though_its_worker_restarts_at_once() -> Result<()> {
    on_field(Fleet::builder(), 1, async |field| {
        field.submit_stalled(&["poison"]).await?;
        for loss in 1..=3 {
            field.wait_for_row("poison", "SYNC").await?;
            field.wait_for_connections(1).await?;
            field.worker(1).restart().await?;
            field
                .wait_until("the loss was not counted", async || {
                    let row = field.books.row("poison").await?;
                    ensure!(row.losses == loss, "{row:?}");
                    Ok(())
                })
                .await?;
        }
        expect_given_up(field).await
    })
    .await
}

async fn expect_given_up(field: &Field<'_>) -> Result<()> {
    field.wait_for_row("poison", "FAILURE").await?;
    ensure!(losses(field, "poison").await? == 3, "not every loss is recorded");
    // An operator may try again.
    field.host.proxy.stall(false);
    field.customer.submit_again("poison", "PRE_SYNC").await?;
    field.customer.wait_for("poison", "SUCCESS").await?;
    Ok(())
}

#[tokio::test]
async fn a_second_worker_of_the_same_name_is_refused() -> Result<()> {
    on_field(two_workers(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let twin = field.worker(2);
        let settings = std::fs::read_to_string(twin.settings())?;
        std::fs::write(twin.settings(), settings.replace("name: worker-2", "name: worker-1"))?;
        twin.start()?;
        let status = twin.wait().await?;
        ensure!(!status.success(), "the twin ended with {status}");
        ensure!(twin.log().contains("runs on"), "the twin does not say why it ended");

        // A directory of the first one is no better.
        let stolen = settings.replace("worker-2.state", "worker-1.state");
        std::fs::write(twin.settings(), stolen)?;
        twin.start()?;
        let status = twin.wait().await?;
        ensure!(!status.success(), "the twin ended with {status}");

        field.wait_for_beats_in_mariadb("one", 1).await?;
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await
    })
    .await
}

#[tokio::test]
async fn a_worker_that_moves_to_another_machine_leaves_its_leases_to_the_reaper() -> Result<()> {
    on_field(two_workers(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        field.worker(1).kill().await?;
        let heir = field.worker(2);
        let settings = std::fs::read_to_string(heir.settings())?;
        std::fs::write(heir.settings(), settings.replace("name: worker-2", "name: worker-1"))?;
        heir.start()?;
        field.wait_for_log(heir, "the worker is ready").await?;
        field.expect_success(&truths).await?;
        ensure!(losses(field, "one").await? == 1, "the loss is not recorded");
        ensure!(!heir.log().contains("took back"), "it took back what it could not know to be dead");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lease_whose_row_is_locked_keeps_no_other_from_being_reaped() -> Result<()> {
    on_field(two_workers(), 3, async |field| {
        let truths = field.submit_stalled(&["locked", "free", "other"]).await?;
        let lease = field.books.lease("locked").await?.context("no lease")?;
        let mut lock = field.books.pool().begin().await?;
        sqlx::query("SELECT epoch FROM leases WHERE source_id = ? AND journal_id = ? FOR UPDATE")
            .bind(lease.source_id)
            .bind(lease.journal_id)
            .fetch_all(&mut *lock)
            .await?;
        field.worker(1).kill().await?;
        for user in ["free", "other"] {
            field.wait_for_row(user, "SCHEDULED").await?;
        }
        lock.rollback().await?;
        field.worker(2).start()?;
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_worker_whose_name_was_taken_ends() -> Result<()> {
    on_field(two_workers(), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        sqlx::query("UPDATE backends SET incarnation = UNHEX(REPLACE(UUID(), '-', ''))")
            .execute(field.books.pool())
            .await?;
        field.host.proxy.stall(false);
        let status = field.worker(1).wait().await?;
        ensure!(!status.success(), "it ended with {status}");
        field.worker(2).start()?;
        field.expect_success(&truths).await
    })
    .await
}
