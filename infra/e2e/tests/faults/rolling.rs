//! All processes are replaced in turn while migrations are submitted and run, as an upgrade does it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use dmf_e2e::{Daemon, Fleet, LeaseSecs};
use dmf_lab::{Folders, Seed, Seeded};
use reqwest::Method;

use crate::field::{Field, PASSWORD, on_field_timed};

/// So many users at least.
const USERS: usize = 60;
/// So many migrations are open all the time: more than run at once, so that there is always a next one.
const OPEN: usize = 12;

/// Submits as a client who knows both schedulers: the other one is asked when the first fails, and nothing is
/// submitted twice.
async fn submit(field: &Field<'_>, number: usize) -> Result<(String, Seeded)> {
    let user = format!("user{number}");
    let truth = field.fleet.add_user(&user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
    let (key, body) = (field.customer.key(), field.host.submission(&user, PASSWORD));
    let mut failures = Vec::new();
    for scheduler in [number % 2, (number + 1) % 2] {
        let api = field.fleet.api().only(scheduler);
        match api.customer(key, Method::POST, "/users/migrations", Some(&body)).await {
            Ok(answer) if answer.status == 201 => return Ok((user, truth)),
            failed => failures.push(format!("{failed:?}")),
        }
    }
    bail!("{user} could not be submitted: {failures:#?}")
}

/// Keeps migrations open until all processes are replaced.
async fn submit_all(field: &Field<'_>, replaced: &AtomicBool) -> Result<BTreeMap<String, Seeded>> {
    let mut truths = BTreeMap::new();
    while truths.len() < USERS || !replaced.load(Ordering::Relaxed) {
        let (user, truth) = submit(field, truths.len()).await?;
        truths.insert(user, truth);
        field
            .wait_until("the fleet does not move on", async || {
                let rows = field.books.rows().await?;
                let open = rows.iter().filter(|row| !row.is_terminal()).count();
                ensure!(open < OPEN, "{open} migrations are open");
                Ok(())
            })
            .await?;
    }
    Ok(truths)
}

async fn stop_and_start(process: &Daemon) -> Result<()> {
    let status = process.stop().await?;
    ensure!(status.code() == Some(0), "{} ended with {status}", process.name());
    process.start()
}

/// Waits until a worker runs something.
async fn wait_until_busy(field: &Field<'_>, worker: &Daemon) -> Result<()> {
    let path = format!("/targets/default/backends/{}", worker.name());
    field
        .wait_until(&format!("{} runs nothing", worker.name()), async || {
            let shown = field.fleet.api().admin(Method::GET, &path, None).await?.expect(200)?;
            ensure!(shown["threadsInUse"].as_u64() > Some(0), "{shown}");
            Ok(())
        })
        .await
}

async fn replace_all(field: &Field<'_>, replaced: &AtomicBool) -> Result<()> {
    for (number, scheduler) in field.fleet.schedulers().iter().enumerate() {
        stop_and_start(scheduler).await?;
        field.fleet.wait_for_scheduler(number).await?;
    }
    for worker in field.fleet.workers() {
        wait_until_busy(field, worker).await?;
        stop_and_start(worker).await?;
        // Not before it works again.
        wait_until_busy(field, worker).await?;
    }
    replaced.store(true, Ordering::Relaxed);
    Ok(())
}

#[tokio::test]
async fn a_rolling_restart_under_load_loses_nothing_and_disturbs_nobody() -> Result<()> {
    let fleet = Fleet::builder().schedulers(2).workers(2).threads(3);
    on_field_timed(fleet, LeaseSecs::STEADY, 6, async |field| {
        // Each migration takes a while, so that every process has some in its hands when it is told to end.
        field.host.proxy.set_latency(Duration::from_millis(30));
        let replaced = AtomicBool::new(false);
        let (truths, ()) = tokio::try_join!(submit_all(field, &replaced), replace_all(field, &replaced))?;
        field.host.proxy.set_latency(Duration::ZERO);
        field.expect_success(&truths).await?;
        let rows = field.books.rows().await?;
        ensure!(rows.len() == truths.len(), "{} rows of {} submits", rows.len(), truths.len());
        for row in rows {
            ensure!((row.status.as_str(), row.attempt, row.losses) == ("SUCCESS", 1, 0), "{row:?}");
        }
        Ok(())
    })
    .await
}
