//! Workers that are cut off from one store or from both, and stores that go away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Fleet, LeaseSecs};
use dmf_lab::{Folders, Seed, poll_until};
use reqwest::Method;

use crate::field::{Field, MORE_THAN_SILENCE, MORE_THAN_STEADY_SILENCE, PASSWORD, on_field, on_field_timed};

fn two_schedulers() -> dmf_e2e::Builder {
    Fleet::builder().schedulers(2)
}

#[tokio::test]
async fn a_worker_cut_off_from_redis_goes_on_and_takes_nothing_new() -> Result<()> {
    on_field(two_schedulers(), 2, async |field| {
        let mut truths = field.submit_stalled(&["one"]).await?;
        let link = &field.fleet.links(field.worker(1)).redis;
        link.cut().await?;
        truths.insert("late".into(), field.submit("late").await?);
        // Longer than silence: nobody reaps what beats in one store.
        field.wait_for_beats_in_mariadb("one", MORE_THAN_SILENCE).await?;
        ensure!(field.books.row("late").await?.status == "SCHEDULED", "taken by a worker without a queue");
        field.host.proxy.stall(false);
        field.wait_for_row("one", "SUCCESS").await?;
        link.heal().await?;
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await?;
        field.expect_undisturbed("late").await
    })
    .await
}

#[tokio::test]
async fn a_worker_cut_off_from_mariadb_keeps_its_results_and_hears_of_cancels() -> Result<()> {
    on_field(two_schedulers(), 3, async |field| {
        let mut truths = field.submit_stalled(&["done", "cancelled"]).await?;
        let member = field.books.lease("done").await?.context("no lease")?.member();
        let link = &field.fleet.links(field.worker(1)).mariadb;
        link.cut().await?;
        ensure!(field.cancel("cancelled").await? == 202, "the cancel was refused");
        field.wait_for_connections(1).await?;
        ensure!(field.books.row("cancelled").await?.status == "SYNC", "ended without its worker's word");
        field.wait_for_beats_in_redis(&member, MORE_THAN_SILENCE).await?;

        truths.insert("late".into(), field.submit("late").await?);
        field.host.proxy.stall(false);
        field.wait_for_log(field.worker(1), "the result can't be recorded yet").await?;
        ensure!(field.books.row("done").await?.status == "SYNC", "recorded without MariaDB");
        link.heal().await?;
        field.wait_for_row("cancelled", "ABORTED").await?;
        truths.remove("cancelled");
        field.expect_success(&truths).await?;
        field.expect_undisturbed("done").await
    })
    .await
}

#[tokio::test]
async fn a_cancel_whose_message_was_lost_comes_with_the_next_heartbeat_of_redis() -> Result<()> {
    on_field_timed(two_schedulers(), LeaseSecs::STEADY, 1, async |field| {
        field.submit_stalled(&["one"]).await?;
        let links = field.fleet.links(field.worker(1));
        links.mariadb.cut().await?;
        links.redis.cut().await?;
        ensure!(field.cancel("one").await? == 202, "the cancel was refused");
        field
            .wait_until("the relay did not carry the cancel", async || {
                ensure!(field.books.outbox().await? == 0, "the outbox is not empty");
                Ok(())
            })
            .await?;
        links.redis.heal().await?;
        field.wait_for_log(field.worker(1), "told to stop a migration").await?;
        field.wait_for_connections(0).await?;
        links.mariadb.heal().await?;
        field.wait_for_row("one", "ABORTED").await
    })
    .await
}

#[tokio::test]
async fn a_worker_without_an_answer_from_mariadb_goes_on_by_redis() -> Result<()> {
    on_field(two_schedulers(), 2, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let member = field.books.lease("one").await?.context("no lease")?.member();
        // Not a closed door, which is answered at once, but a line into which everything vanishes.
        let link = &field.fleet.links(field.worker(1)).mariadb;
        link.stall(true);
        field.wait_for_beats_in_redis(&member, MORE_THAN_SILENCE).await?;
        field.host.proxy.stall(false);
        field.wait_for_connections(0).await?;
        link.stall(false);
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await
    })
    .await
}

#[tokio::test]
async fn a_worker_cut_off_from_both_stores_kills_its_children_before_others_begin() -> Result<()> {
    on_field(two_schedulers().workers(2), 1, async |field| {
        let mut truths = field.submit_stalled(&["one"]).await?;
        let holder = field.customer.latest("one").await?["backend"].to_string();
        let number = if holder.contains("worker-1") { 1 } else { 2 };
        let (cut, child) = (field.worker(number), field.child_of("one").await?);
        field.fleet.links(cut).cut().await?;
        field
            .wait_until("the lease was not reaped", async || {
                let row = field.books.row("one").await?;
                ensure!(row.losses == 1, "{row:?}");
                Ok(())
            })
            .await?;
        ensure!(!child.child.lives() && !child.guard.lives(), "reaped while {child:?} lives");
        truths.insert("two".into(), field.submit("two").await?);
        field.expect_success(&truths).await?;
        field.fleet.links(cut).heal().await?;
        // Alone, it must be as good as new.
        field.worker(3 - number).stop().await?;
        let late = field.submit("late").await?;
        field.customer.wait_for("late", "SUCCESS").await?;
        field.fleet.expect_mail("late", &late).await
    })
    .await
}

/// Submits without a retry on other schedulers; gives the status and whether a time to wait was named.
async fn submit_raw(field: &Field<'_>, user: &str) -> Result<(u16, bool)> {
    let url = format!("{}/dmf/api/v2/users/migrations", field.fleet.api().url());
    let request = reqwest::Client::new()
        .post(url)
        .header("X-API-KEY", field.customer.key())
        .timeout(Duration::from_secs(20))
        .json(&field.host.submission(user, PASSWORD));
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.headers().contains_key("retry-after")))
}

#[tokio::test]
async fn mariadb_away_for_long_stops_no_sync_and_refuses_submits() -> Result<()> {
    on_field_timed(two_schedulers(), LeaseSecs::STEADY, 2, async |field| {
        let mut truths = field.submit_stalled(&["running", "done"]).await?;
        let member = field.books.lease("running").await?.context("no lease")?.member();
        field.fleet.lab().mariadb().kill().await?;
        let refused = submit_raw(field, "late").await?;
        ensure!(refused == (503, true), "answered {refused:?}");
        field.wait_for_beats_in_redis(&member, MORE_THAN_STEADY_SILENCE).await?;
        field.host.proxy.stall(false);
        field.wait_for_connections(0).await?;

        field.fleet.lab().mariadb().start().await?;
        truths.insert("late".into(), submit_when_it_is_taken(field, "late").await?);
        field.expect_success(&truths).await?;
        field.expect_undisturbed("running").await?;
        field.expect_undisturbed("done").await
    })
    .await
}

#[tokio::test]
async fn a_frozen_mariadb_stops_no_sync() -> Result<()> {
    on_field_timed(two_schedulers(), LeaseSecs::STEADY, 2, async |field| {
        let mut truths = field.submit_stalled(&["running"]).await?;
        let member = field.books.lease("running").await?.context("no lease")?.member();
        field.fleet.lab().mariadb().pause();
        let refused = submit_raw(field, "late").await?;
        ensure!(refused == (503, true), "answered {refused:?}");
        field.wait_for_beats_in_redis(&member, MORE_THAN_STEADY_SILENCE).await?;
        field.fleet.lab().mariadb().resume();
        truths.insert("late".into(), submit_when_it_is_taken(field, "late").await?);
        field.expect_success(&truths).await?;
        field.expect_undisturbed("running").await
    })
    .await
}

/// Submits again and again, as a client does that is told to come back. A submit whose answer was lost may have
/// been carried out.
async fn submit_when_it_is_taken(field: &Field<'_>, user: &str) -> Result<dmf_lab::Seeded> {
    let seed = dmf_lab::Seed::new(dmf_lab::Folders::Inbox, 5);
    let truth = field.fleet.add_user(user, PASSWORD, &seed)?;
    let body = field.host.submission(user, PASSWORD);
    poll_until("no submit was taken", Duration::from_secs(30), async || {
        match field.customer.request(Method::POST, "/users/migrations", Some(&body)).await {
            Ok(answer) if matches!(answer.status, 201 | 409) => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    Ok(truth)
}

#[tokio::test]
async fn a_worker_that_is_stopped_without_mariadb_leaves_no_child_behind() -> Result<()> {
    on_field(two_schedulers().grace_secs(1), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let (child, link) = (field.child_of("one").await?, field.fleet.links(field.worker(1)));
        link.mariadb.cut().await?;
        let status = field.worker(1).stop().await?;
        // Whom the worker had no time for is killed by its guard when it sees the worker's end.
        field
            .wait_until("a child outlived its worker", async || {
                ensure!(!child.child.lives() && !child.guard.lives(), "{child:?} ({status})");
                Ok(())
            })
            .await?;
        field.wait_for_row("one", "SCHEDULED").await?;
        link.heal().await?;
        field.worker(1).start()?;
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_worker_without_redis_confirms_what_runs_while_much_else_ends() -> Result<()> {
    on_field(two_schedulers().threads(8), 6, async |field| {
        let slow = field.fleet.add_host(&field.customer, 1).await?;
        slow.proxy.stall(true);
        let truth = field.fleet.add_user("slow", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        field.customer.submit(&slow.submission("slow", PASSWORD)).await?;
        let mut truths = field.submit_stalled(&["one", "two", "three", "four", "five", "six"]).await?;
        field.wait_for_row("slow", "SYNC").await?;
        let link = &field.fleet.links(field.worker(1)).redis;
        link.stall(true);
        field.host.proxy.stall(false);
        // Each of them has a slot to give back to a queue that does not answer.
        for user in truths.keys() {
            field.wait_for_row(user, "SUCCESS").await?;
        }
        field.wait_for_beats_in_mariadb("slow", MORE_THAN_SILENCE).await?;
        link.stall(false);
        slow.proxy.stall(false);
        truths.insert("slow".into(), truth);
        field.expect_success(&truths).await?;
        for user in truths.keys() {
            field.expect_undisturbed(user).await?;
        }
        Ok(())
    })
    .await
}
