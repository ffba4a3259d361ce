//! What an operator orders of workers, sources and source hosts while they work.

use anyhow::{Result, ensure};
use dmf_e2e::Fleet;
use reqwest::Method;
use serde_json::{Value, json};

use crate::field::{Field, on_field};

const WORKER: &str = "/targets/default/backends/worker-1";

async fn put(field: &Field<'_>, path: &str, body: Option<Value>) -> Result<()> {
    field.fleet.api().admin(Method::PUT, path, body.as_ref()).await?.expect(200)?;
    Ok(())
}

async fn wait_for_state(field: &Field<'_>, state: &str) -> Result<()> {
    field
        .wait_until(&format!("the worker did not become {state}"), async || {
            let view = field.fleet.api().admin(Method::GET, WORKER, None).await?.expect(200)?;
            ensure!(view["state"] == state, "{view}");
            Ok(())
        })
        .await
}

/// Long enough to be taken by a worker that would take something.
async fn expect_waiting(field: &Field<'_>, user: &str, beside: &str) -> Result<()> {
    field.wait_for_beats_in_mariadb(beside, 3).await?;
    let row = field.books.row(user).await?;
    ensure!((row.status.as_str(), row.epoch) == ("SCHEDULED", 0), "taken all the same: {row:?}");
    Ok(())
}

#[tokio::test]
async fn a_paused_worker_finishes_what_runs_and_takes_nothing_until_it_is_started() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 2, async |field| {
        let mut truths = field.submit_stalled(&["running"]).await?;
        put(field, &format!("{WORKER}/pause"), None).await?;
        wait_for_state(field, "PAUSED").await?;
        truths.insert("late".into(), field.submit("late").await?);
        expect_waiting(field, "late", "running").await?;
        ensure!(field.host.proxy.open() == 1, "a pause killed somebody");
        field.host.proxy.stall(false);
        field.wait_for_row("running", "SUCCESS").await?;
        ensure!(field.books.row("late").await?.epoch == 0, "a paused worker took something");
        put(field, &format!("{WORKER}/start"), None).await?;
        field.expect_success(&truths).await?;
        for user in ["running", "late"] {
            field.expect_undisturbed(user).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stopped_worker_kills_what_runs_and_hands_it_back() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 2, async |field| {
        let truths = field.submit_stalled(&["one", "two"]).await?;
        let child = field.child_of("one").await?;
        put(field, &format!("{WORKER}/stop"), None).await?;
        field.wait_for_connections(0).await?;
        for user in ["one", "two"] {
            field.wait_for_row(user, "SCHEDULED").await?;
        }
        ensure!(!child.child.lives() && !child.guard.lives(), "handed back while {child:?} lives");
        ensure!(field.books.leases().await?.is_empty(), "a lease without a child");
        wait_for_state(field, "STOPPED").await?;
        field.host.proxy.stall(false);
        put(field, &format!("{WORKER}/start"), None).await?;
        field.expect_success(&truths).await?;
        for user in ["one", "two"] {
            let row = field.books.row(user).await?;
            ensure!((row.attempt, row.losses) == (2, 0), "an order is no loss: {row:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn threads_go_up_and_down_while_a_worker_works() -> Result<()> {
    on_field(Fleet::builder().threads(1), 4, async |field| {
        let mut truths = field.submit_stalled(&["one"]).await?;
        for user in ["two", "three"] {
            truths.insert(user.into(), field.submit(user).await?);
        }
        expect_waiting(field, "three", "one").await?;
        put(field, WORKER, Some(json!({ "maxThreads": 3 }))).await?;
        field.wait_for_connections(3).await?;

        put(field, WORKER, Some(json!({ "maxThreads": 1 }))).await?;
        for user in ["four", "five"] {
            truths.insert(user.into(), field.submit(user).await?);
        }
        expect_waiting(field, "five", "one").await?;
        ensure!(field.host.proxy.open() == 3, "fewer threads killed somebody");
        field.expect_success(&truths).await?;
        for user in truths.keys() {
            field.expect_undisturbed(user).await?;
        }
        for user in ["four", "five"] {
            let open = field.open_at_begin(user)?;
            ensure!(open == 1, "{user} began as number {open} on one thread");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_paused_source_or_host_starts_nothing_and_kills_nothing() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 3, async |field| {
        let source = format!("/sources/{}", field.customer.source());
        let host = format!("{source}/sourcehosts/{}", field.host.name());
        let mut truths = field.submit_stalled(&["running"]).await?;
        for (path, user) in [(source, "of-the-source"), (host, "of-the-host")] {
            put(field, &format!("{path}/pause"), None).await?;
            truths.insert(user.into(), field.submit(user).await?);
            expect_waiting(field, user, "running").await?;
            put(field, &format!("{path}/resume"), None).await?;
            field.wait_for_row(user, "SYNC").await?;
        }
        field.wait_for_connections(3).await?;
        field.expect_success(&truths).await?;
        for user in truths.keys() {
            field.expect_undisturbed(user).await?;
        }
        Ok(())
    })
    .await
}
