//! Cancels, closes and limits that meet running migrations.

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::EventKind;
use reqwest::Method;
use serde_json::json;

use crate::field::{Field, on_field};

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
        for user in &users {
            // At about the time at which it ends.
            field.wait_until("it did not begin", async || begun(field, user).await).await?;
            let answer = field.cancel(user).await?;
            ensure!(matches!(answer, 202 | 409), "answered {answer}");
            if answer == 409 {
                ensure!(field.books.row(user).await?.status == "SUCCESS", "refused, though it had not ended");
            }
        }
        for user in &users {
            field
                .wait_until("it did not end", async || {
                    let row = field.books.row(user).await?;
                    ensure!(matches!(row.status.as_str(), "SUCCESS" | "ABORTED"), "{row:?}");
                    Ok(())
                })
                .await?;
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
            let open = open_at_begin(field, user)?;
            ensure!(open == 1, "{user} began as number {open}");
        }
        Ok(())
    })
    .await
}

/// How many connections there were when a user's first one was opened, this one included.
fn open_at_begin(field: &Field<'_>, user: &str) -> Result<usize> {
    let events = field.host.proxy.events();
    let named = |kind| events.iter().find(|e| e.kind == kind && e.user.as_deref() == Some(user));
    let conn = named(EventKind::User).context("never connected")?.conn;
    let opened = events.iter().find(|event| event.kind == EventKind::Open && event.conn == conn);
    Ok(opened.context("never opened")?.open)
}

#[tokio::test]
async fn a_source_deleted_while_jobs_are_queued_leaves_the_others_alone() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        let mut truths = field.submit_stalled(&["one"]).await?;
        truths.insert("two".into(), field.submit("two").await?);
        let host = field.books.lease("one").await?.context("no lease")?.sourcehost_id;
        let queue = dmf_e2e::faults::Keys::name(&format!("q:1:0:{host}"));
        field
            .wait_until("the job did not come into the queue", async || {
                let waiting: usize = field.keys.command(&["ZCARD", &queue]).await?;
                ensure!(waiting == 1, "{waiting} wait");
                Ok(())
            })
            .await?;
        // What is left in the queue of a Source that is gone, in front of everybody else.
        for ghost in ["999:1", "999:2"] {
            field.keys.command::<()>(&["ZADD", &queue, "0", ghost]).await?;
        }
        field.expect_success(&truths).await?;
        field.expect_undisturbed("two").await
    })
    .await
}
