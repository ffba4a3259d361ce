//! Claims of batches in which one member is bad or locked.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use dmf_e2e::faults::Keys;
use dmf_e2e::{Fleet, LeaseSecs, SourceHost};
use dmf_lab::{Folders, Seed, Seeded};

use crate::field::{Field, PASSWORD, on_field, on_field_timed};

/// Under which a claim may take longer than it waits for a lock.
const PATIENT: LeaseSecs = LeaseSecs { heartbeat: 2, deadline: 12, silence: 16, poll: 1 };

/// Submits these users, each to its host, of which the only worker hears nothing until all of them wait: it claims
/// them in one batch.
async fn submit_as_batch(
    field: &Field<'_>,
    users: &[(&str, &SourceHost)],
) -> Result<BTreeMap<String, Seeded>> {
    let link = &field.fleet.links(field.worker(1)).redis;
    link.stall(true);
    let mut truths = BTreeMap::new();
    for (user, host) in users {
        let truth = field.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        field.customer.submit(&host.submission(user, PASSWORD)).await?;
        truths.insert((*user).to_owned(), truth);
    }
    field
        .wait_until("the jobs did not come into the queue", async || {
            let mut waiting = 0;
            let queues: Vec<String> = field.keys.command(&["KEYS", &Keys::name("q:*")]).await?;
            for queue in queues {
                waiting += field.keys.command::<usize>(&["ZCARD", &queue]).await?;
            }
            ensure!(waiting == users.len(), "{waiting} wait");
            Ok(())
        })
        .await?;
    Ok(truths)
}

#[tokio::test]
async fn a_host_whose_command_cannot_be_read_keeps_no_other_from_being_claimed() -> Result<()> {
    on_field(Fleet::builder(), 2, async |field| {
        let bad = field.fleet.add_host(&field.customer, 2).await?;
        let users = [("good1", &field.host), ("bad", &bad), ("good2", &field.host)];
        let mut truths = submit_as_batch(field, &users).await?;
        sqlx::query(
            "UPDATE sourcehosts SET migration_command1 = CONCAT('{', migration_command1) WHERE name = ?",
        )
        .bind(bad.name())
        .execute(field.books.pool())
        .await?;
        field.fleet.links(field.worker(1)).redis.stall(false);
        truths.remove("bad");
        field.expect_success(&truths).await?;
        field.wait_for_log(field.worker(1), "sourcehosts.migration_command1").await?;
        // Nothing else is worse for it.
        truths.insert("next".into(), field.submit("next").await?);
        field.expect_success(&truths).await?;
        ensure!(field.books.row("bad").await?.status == "SCHEDULED", "it ended");
        ensure!(field.cancel("bad").await? == 202, "the cancel was refused");
        sqlx::query(
            "UPDATE sourcehosts SET migration_command1 = SUBSTRING(migration_command1, 2) WHERE name = ?",
        )
        .bind(bad.name())
        .execute(field.books.pool())
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_locked_row_keeps_neither_its_host_nor_others_from_being_claimed() -> Result<()> {
    on_field_timed(Fleet::builder(), PATIENT, 2, async |field| {
        let other = field.fleet.add_host(&field.customer, 2).await?;
        let users = [("locked", &field.host), ("same", &field.host), ("other", &other)];
        let mut truths = submit_as_batch(field, &users).await?;
        let mut lock = field.books.pool().begin().await?;
        let statement = format!("SELECT id FROM journal{} WHERE id = ? FOR UPDATE", field.customer.source());
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(field.books.row("locked").await?.id)
            .fetch_all(&mut *lock)
            .await?;
        field.fleet.links(field.worker(1)).redis.stall(false);
        let locked = truths.remove("locked");
        field.expect_success(&truths).await?;
        ensure!(field.books.row("locked").await?.status == "SCHEDULED", "claimed though it was locked");
        lock.rollback().await?;
        truths.extend(locked.map(|truth| ("locked".to_owned(), truth)));
        field.expect_success(&truths).await?;
        field.expect_undisturbed("locked").await
    })
    .await
}
