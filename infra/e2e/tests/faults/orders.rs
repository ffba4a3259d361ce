//! Cancels, closes and limits that meet running migrations.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use dmf_e2e::Fleet;
use dmf_e2e::faults::{HookLog, Keys};
use dmf_lab::{EventKind, Folders, Seed};
use reqwest::Method;
use serde_json::json;

use crate::field::{Field, PASSWORD, on_field};

#[tokio::test]
async fn what_was_cancelled_is_not_run_again_when_its_worker_dies() -> Result<()> {
    on_field(Fleet::builder().schedulers(2).workers(2).started_workers(1), 1, async |field| {
        cancel_unheard(field).await?;
        field.worker(1).kill().await?;
        field.worker(2).start()?;
        expect_aborted(field).await
    })
    .await
}

#[tokio::test]
async fn what_was_cancelled_is_not_run_again_when_its_worker_restarts() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        cancel_unheard(field).await?;
        field.worker(1).restart().await?;
        expect_aborted(field).await
    })
    .await
}

/// Cancels a running migration whose worker can't hear of it.
async fn cancel_unheard(field: &Field<'_>) -> Result<()> {
    field.submit_stalled(&["one"]).await?;
    field.worker(1).pause();
    ensure!(field.cancel("one").await? == 202, "the cancel was refused");
    let status = field.books.row("one").await?.status;
    ensure!(status == "SYNC", "{status} before the child is dead");
    Ok(())
}

async fn expect_aborted(field: &Field<'_>) -> Result<()> {
    field.wait_for_row("one", "ABORTED").await?;
    field.host.proxy.stall(false);
    // The slot is free, and the only one who took it is the next user.
    let next = field.submit("next").await?;
    field.customer.wait_for("next", "SUCCESS").await?;
    field.fleet.expect_mail("next", &next).await?;
    let events = field.host.proxy.events();
    let logins = events.iter().filter(|e| e.kind == EventKind::User && e.user.as_deref() == Some("one"));
    // The stalled connection may have named its user, and nobody has come since.
    ensure!(logins.count() <= 1, "a cancelled migration was run again");
    Ok(())
}

#[tokio::test]
async fn a_cancel_against_a_finish_ends_each_row_once() -> Result<()> {
    on_field(Fleet::builder().schedulers(2).workers(2), 4, async |field| {
        let users: Vec<String> = (0..24).map(|n| format!("user{n}")).collect();
        for user in &users {
            field.submit(user).await?;
        }
        let mut answered = Vec::new();
        for user in &users {
            // At about the time at which it ends.
            field.wait_until("it did not begin", async || begun(field, user).await).await?;
            let answer = field.cancel(user).await?;
            ensure!(matches!(answer, 202 | 409), "answered {answer}");
            if answer == 409 {
                ensure!(field.books.row(user).await?.status == "SUCCESS", "refused, though it had not ended");
            } else {
                answered.push(user);
            }
        }
        for user in answered {
            field.wait_for_row(user, "ABORTED").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_close_against_a_finish_ends_each_row_once() -> Result<()> {
    on_field(Fleet::builder().schedulers(2).workers(2), 4, async |field| {
        let users: Vec<String> = (0..24).map(|n| format!("user{n}")).collect();
        for user in &users {
            field.submit(user).await?;
        }
        for user in &users {
            field.wait_until("it did not begin", async || begun(field, user).await).await?;
            let path = format!("/users/{user}/migrations/close/latest/as/FAILURE");
            let answer = field.customer.request(Method::PUT, &path, None).await?;
            let status = field.books.row(user).await?.status;
            match answer.status {
                200 => ensure!(status == "FAILURE", "closed, and then {status}"),
                409 => ensure!(status == "SUCCESS", "refused, though it is {status}"),
                other => anyhow::bail!("answered {other} {}", answer.body),
            }
        }
        Ok(())
    })
    .await
}

async fn begun(field: &Field<'_>, user: &str) -> Result<()> {
    let row = field.books.row(user).await?;
    ensure!(row.status != "SCHEDULED", "{row:?}");
    Ok(())
}

#[tokio::test]
async fn a_lowered_limit_drains_and_kills_nobody() -> Result<()> {
    on_field(Fleet::builder().schedulers(2).workers(2), 3, async |field| {
        let mut truths = field.submit_stalled(&["one", "two", "three"]).await?;
        let path = format!("/sources/{}/sourcehosts/{}", field.customer.source(), field.host.name());
        let lower = json!({ "maxConnections": 1 });
        field.fleet.api().admin(Method::PUT, &path, Some(&lower)).await?.expect(200)?;
        for user in ["four", "five"] {
            truths.insert(user.to_owned(), field.submit(user).await?);
        }
        field.wait_for_beats_in_mariadb("one", 2).await?;
        ensure!(field.host.proxy.open() == 3, "a lower limit killed somebody");
        ensure!(field.books.leases().await?.len() == 3, "something was claimed over the limit");
        field.expect_success(&truths).await?;
        for user in ["one", "two", "three", "four", "five"] {
            field.expect_undisturbed(user).await?;
        }
        for user in ["four", "five"] {
            let open = field.open_at_begin(user)?;
            ensure!(open == 1, "{user} began as number {open}");
        }
        Ok(())
    })
    .await
}

/// A worker that can't ask MariaDB hears by Redis how a record was closed.
#[tokio::test]
async fn what_is_closed_as_a_success_is_followed_by_no_failure_command() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hooks = HookLog::create(dir.path())?;
    on_field(Fleet::builder().schedulers(2).worker_settings(&hooks.settings()), 2, async |field| {
        field.submit_stalled(&["good", "bad"]).await?;
        let mariadb = &field.fleet.links(field.worker(1)).mariadb;
        mariadb.stall(true);
        field.customer.close("good", "SUCCESS").await?;
        field.customer.close("bad", "FAILURE").await?;
        field.wait_for_connections(0).await?;
        let words = |user| hooks.runs_of(user).into_iter().map(|run| run.word).collect::<Vec<_>>().join(" ");
        field
            .wait_until("the failure command did not run", async || {
                ensure!(words("bad") == "pre failure", "{}", words("bad"));
                Ok(())
            })
            .await?;
        mariadb.stall(false);
        field
            .wait_until("the leases stay", async || {
                let leases = field.books.leases().await?;
                ensure!(leases.is_empty(), "{leases:?}");
                Ok(())
            })
            .await?;
        ensure!(words("good") == "pre", "after a success came: {}", words("good"));
        field.host.proxy.stall(false);
        Ok(())
    })
    .await
}

/// What waits of a Source that is deleted, before anybody told the queue.
#[tokio::test]
async fn a_source_deleted_while_jobs_are_queued_leaves_the_others_alone() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 2, async |field| {
        let other = field.fleet.create_source("Gone").await?;
        let host = field.fleet.add_host(&other, 2).await?;
        // The worker hears of none of them before all are there: they come in one batch.
        field.fleet.links(field.worker(1)).redis.stall(true);
        for user in ["gone1", "gone2"] {
            field.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
            other.submit(&host.submission(user, PASSWORD)).await?;
        }
        let mut truths = BTreeMap::new();
        for user in ["one", "two"] {
            truths.insert(user.to_owned(), field.submit(user).await?);
        }
        field
            .wait_until("the jobs did not come into the queue", async || {
                let mut waiting = 0;
                for queue in field.keys.command::<Vec<String>>(&["KEYS", &Keys::name("q:*")]).await? {
                    waiting += field.keys.command::<usize>(&["ZCARD", &queue]).await?;
                }
                ensure!(waiting == 4 && field.books.outbox().await? == 0, "{waiting} wait");
                Ok(())
            })
            .await?;
        // Nobody can take the members of the deleted Source out of the queue but the claim.
        for scheduler in field.fleet.schedulers() {
            field.fleet.links(scheduler).redis.cut().await?;
        }
        let deleted = field.fleet.api().admin(Method::DELETE, "/sources/Gone?force=true", None).await?;
        ensure!(deleted.status == 204, "answered {} {}", deleted.status, deleted.body);
        field.fleet.links(field.worker(1)).redis.stall(false);
        field.expect_success(&truths).await?;
        for user in ["one", "two"] {
            field.expect_undisturbed(user).await?;
        }
        ensure!(host.proxy.total() == 0, "what was deleted was run");
        for scheduler in field.fleet.schedulers() {
            field.fleet.links(scheduler).heal().await?;
        }
        Ok(())
    })
    .await
}
