//! Mails saved and expunged are exact, whatever comes between: hand-backs, lost workers, cancels, lines that break.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use dmf_e2e::{Customer, Fleet, SourceHost};
use dmf_lab::{Folders, Seed, Seeded};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PASSWORD, block, sum, wait_for, wait_for_progress};

const USER: &str = "alice";
/// Enough for several commits (one comes every 100 mails of a folder) on a slow line.
const MAILS: u64 = 900;
/// Bytes a second: all of it takes some ten seconds.
const RATE: u64 = 250_000;

struct Slow {
    customer: Customer,
    host: SourceHost,
    truth: Seeded,
}

/// A user with much mail behind a slow line, whose migration runs and has saved some.
async fn start_slowly(fleet: &Fleet) -> Result<Slow> {
    let customer = fleet.create_source("CustomerX").await?;
    let host = fleet.add_host(&customer, 2).await?;
    let truth = fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Inbox, MAILS))?;
    host.proxy.set_rate(Some(RATE));
    customer.submit(&host.submission(USER, PASSWORD)).await?;
    wait_for_progress(&customer, USER).await?;
    Ok(Slow { customer, host, truth })
}

/// Every mail was saved once, over all leases, and nothing was expunged.
fn expect_all_counted(record: &Value, truth: &Seeded) -> Result<()> {
    let dsync = block(record, "dsync")?;
    let filled = truth.mailboxes.iter().filter(|(_, truth)| truth.messages > 0);
    let saved: BTreeMap<_, _> = filled.map(|(name, truth)| (name.clone(), truth.messages)).collect();
    ensure!(dsync["saved"] == json!(saved), "{dsync:#} instead of {saved:#?}");
    ensure!(dsync.get("expunged").is_none(), "{dsync:#}");
    ensure!(record["syncMessageCount"] == truth.messages(), "{record:#}");
    ensure!(record["expungedMessageCount"] == 0, "{record:#}");
    ensure!(record["attempt"] == dsync["attempts"], "{record:#}");
    ensure!(record["syncSpeed"] == dsync["durationMs"], "{record:#}");
    Ok(())
}

#[tokio::test]
async fn over_a_hand_back() -> Result<()> {
    Fleet::builder()
        .grace_secs(0)
        .run(async |fleet| {
            let Slow { customer, host, truth } = start_slowly(fleet).await?;
            fleet.workers()[0].stop().await?;
            let waiting = customer.latest(USER).await?;
            ensure!(waiting["status"] == "SCHEDULED" && waiting.get("progress").is_none(), "{waiting:#}");
            let dsync = block(&waiting, "dsync")?;
            ensure!(dsync["success"] == false && sum(&dsync["saved"]) > 0, "{dsync:#}");
            ensure!(waiting["syncMessageCount"] == sum(&dsync["saved"]), "{waiting:#}");
            host.proxy.set_rate(None);
            fleet.workers()[0].start()?;
            let done = customer.wait_for(USER, "SUCCESS").await?;
            expect_all_counted(&done, &truth)?;
            ensure!(
                done["attempt"] == 2 && done["syncSpeed"].as_u64() > dsync["durationMs"].as_u64(),
                "{done:#}"
            );
            fleet.expect_mail(USER, &truth).await
        })
        .await
}

#[tokio::test]
async fn over_a_lost_worker() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let Slow { customer, host, truth } = start_slowly(fleet).await?;
            fleet.workers()[0].kill().await?;
            host.proxy.set_rate(None);
            fleet.workers()[0].start()?;
            let done = customer.wait_for(USER, "SUCCESS").await?;
            expect_all_counted(&done, &truth)?;
            ensure!(done["attempt"] == 2 && block(&done, "lost").is_ok(), "{done:#}");
            fleet.expect_mail(USER, &truth).await
        })
        .await
}

#[tokio::test]
async fn of_a_cancelled_migration() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let Slow { customer, host, .. } = start_slowly(fleet).await?;
            let path = format!("/users/{USER}/migrations/latest/cancel");
            customer.request(Method::POST, &path, None).await?.expect(202)?;
            let record =
                wait_for(&customer, USER, "was not ABORTED", |record| record["status"] == "ABORTED").await?;
            host.proxy.set_rate(None);
            let dsync = block(&record, "dsync")?;
            let there = fleet.lab().target().mailboxes(USER).await?["INBOX"].messages;
            ensure!(there > 0 && sum(&dsync["saved"]) == there, "{there} mails are there: {dsync:#}");
            ensure!(dsync["success"] == false && record["syncMessageCount"] == there, "{record:#}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn over_a_line_that_breaks() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let Slow { customer, host, truth } = start_slowly(fleet).await?;
            host.proxy.cut().await?;
            host.proxy.set_rate(None);
            host.proxy.heal().await?;
            let done = customer.wait_for(USER, "SUCCESS").await?;
            expect_all_counted(&done, &truth)?;
            fleet.expect_mail(USER, &truth).await
        })
        .await
}

/// The plugin cuts names of more than 64 bytes, and the record has them whole.
#[tokio::test]
async fn by_the_whole_names_of_mailboxes() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            let truth = fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Odd, 150))?;
            customer.submit(&host.submission(USER, PASSWORD)).await?;
            let done = customer.wait_for(USER, "SUCCESS").await?;
            expect_all_counted(&done, &truth)
        })
        .await
}
