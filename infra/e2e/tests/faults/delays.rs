//! Migrations that wait for their time, or for their next attempt.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Seed};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::field::{Field, PASSWORD, on_field};

fn time(record: &Value, field: &str) -> Result<OffsetDateTime> {
    let text = record[field].as_str().with_context(|| format!("no {field}: {record}"))?;
    Ok(OffsetDateTime::parse(text, &Rfc3339)?)
}

#[tokio::test]
async fn nothing_starts_before_its_time_though_redis_forgets_it() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        let truth = field.fleet.add_user("one", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        let mut body = field.host.submission("one", PASSWORD);
        body["notBefore"] = (OffsetDateTime::now_utc() + Duration::from_secs(5)).format(&Rfc3339)?.into();
        field.customer.submit(&body).await?;
        // Who has no time to wait for goes first.
        let next = field.submit("next").await?;
        field.customer.wait_for("next", "SUCCESS").await?;
        field.fleet.expect_mail("next", &next).await?;
        let row = field.books.row("one").await?;
        ensure!((row.status.as_str(), row.epoch) == ("SCHEDULED", 0), "claimed before its time: {row:?}");
        field.keys.flush_all().await?;
        let record = field.customer.wait_for("one", "SUCCESS").await?;
        field.fleet.expect_mail("one", &truth).await?;
        let (started, not_before) = (time(&record, "started")?, time(&record, "notBefore")?);
        ensure!(started >= not_before, "started at {started}, not before {not_before}");
        field.expect_undisturbed("one").await
    })
    .await
}

/// A wait between attempts that is longer than a slot is held.
const LONG_WAIT: &str = "dmf.worker.sync.retry.slot-hold: 1s\n";

#[tokio::test]
async fn a_slot_is_given_back_while_a_retry_waits() -> Result<()> {
    let builder = Fleet::builder().schedulers(2).retry_delay_secs(4).worker_settings(LONG_WAIT);
    on_field(builder, 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        // In the middle of the copy, and for longer than imapc itself tries again: a temporary failure.
        field.host.proxy.cut().await?;
        field.wait_for_row("one", "SCHEDULED").await?;
        field.host.proxy.heal().await?;
        ensure!(field.books.leases().await?.is_empty(), "the slot is held over a long wait");
        let next = field.submit("next").await?;
        field.customer.wait_for("next", "SUCCESS").await?;
        field.fleet.expect_mail("next", &next).await?;
        expect_waiting_for_retry(field).await?;
        field.expect_success(&truths).await?;
        let row = field.books.row("one").await?;
        ensure!((row.attempt, row.losses) == (2, 0), "{row:?}");
        Ok(())
    })
    .await
}

/// The next user had the only slot while the first one waited.
async fn expect_waiting_for_retry(field: &Field<'_>) -> Result<()> {
    let (one, next) = (field.customer.latest("one").await?, field.customer.latest("next").await?);
    ensure!(one["attempt"] == 1, "the retry did not wait: {one}");
    let (stopped, not_before) = (time(&next, "stopped")?, time(&one, "notBefore")?);
    ensure!(stopped <= not_before, "the slot was given on at {stopped}, the retry was due at {not_before}");
    Ok(())
}
