//! Transactions whose end nobody hears of, and workers that freeze within one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_e2e::{Fleet, LeaseSecs};
use sqlx::{Connection as _, MySqlConnection};

use crate::field::{Field, on_field, on_field_timed};

/// Heartbeats that wait for their COMMIT, too, would use all connections up if they were many.
const CALM: LeaseSecs = LeaseSecs { heartbeat: 10, deadline: 45, silence: 60, poll: 5 };

/// Holds every COMMIT of the server back until it is dropped or ended.
struct CommitsHeld {
    connection: MySqlConnection,
}

impl CommitsHeld {
    async fn begin(field: &Field<'_>) -> Result<Self> {
        let mut connection = MySqlConnection::connect(&field.fleet.lab().mariadb().url("migration")).await?;
        for stage in ["START", "BLOCK_COMMIT"] {
            let statement = format!("BACKUP STAGE {stage}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        Ok(Self { connection })
    }

    async fn end(mut self) -> Result<()> {
        sqlx::raw_sql("BACKUP STAGE END").execute(&mut self.connection).await?;
        Ok(self.connection.close().await?)
    }
}

/// `InnoDB` refreshes its table of transactions only when nobody has read it for 100 ms.
const TRANSACTIONS_REFRESHED: Duration = Duration::from_millis(150);

/// How many connections wait for the end of a COMMIT of at least two rows. Claim and finish change a row of the
/// journal and one of `leases`; whatever else commits on a field with one migration changes less.
async fn waiting_commits(connection: &mut MySqlConnection) -> Result<i64> {
    let statement = "SELECT COUNT(*) FROM information_schema.processlist p
         JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
         WHERE p.info = 'COMMIT' AND t.trx_rows_modified >= 2";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// Where the journal's only row will stand, as transactions that have not committed yet left it.
async fn uncommitted_status(field: &Field<'_>, connection: &mut MySqlConnection) -> Result<String> {
    sqlx::raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        .execute(&mut *connection)
        .await?;
    let statement = format!("SELECT CAST(status AS CHAR) FROM journal{}", field.customer.source());
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(connection).await?)
}

#[tokio::test]
async fn a_finish_whose_commit_was_never_answered_is_known_to_have_happened() -> Result<()> {
    on_field_timed(Fleet::builder().schedulers(2), CALM, 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        let held = CommitsHeld::begin(field).await?;
        field.host.proxy.stall(false);
        wait_for_commit(field, "SUCCESS").await?;
        let link = &field.fleet.links(field.worker(1)).mariadb;
        link.cut().await?;
        held.end().await?;
        field.wait_for_row("one", "SUCCESS").await?;
        link.heal().await?;
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await
    })
    .await
}

#[tokio::test]
async fn a_claim_whose_commit_was_never_answered_is_read_back_and_goes_on() -> Result<()> {
    on_field_timed(Fleet::builder().schedulers(2), CALM, 1, async |field| {
        let link = field.fleet.links(field.worker(1));
        let truth = field.submit_unheard(field.worker(1), "one").await?;
        let held = CommitsHeld::begin(field).await?;
        link.redis.stall(false);
        wait_for_commit(field, "SYNC").await?;
        link.mariadb.cut().await?;
        held.end().await?;
        field.wait_for_row("one", "SYNC").await?;
        let claimed = field.books.row("one").await?.epoch;
        link.mariadb.heal().await?;
        field.expect_success(&BTreeMap::from([("one".to_owned(), truth)])).await?;
        field.expect_undisturbed("one").await?;
        let epoch = field.books.row("one").await?.epoch;
        ensure!(epoch == claimed, "claimed under epoch {claimed}, ended under {epoch}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_that_freezes_within_a_claim_keeps_nobody_from_the_source_host() -> Result<()> {
    on_field(Fleet::builder().schedulers(2).workers(2).started_workers(1), 2, async |field| {
        let truth = field.submit_unheard(field.worker(1), "one").await?;
        // The claim waits for the row of the host, gets it, and never hears of it.
        let mut connection = MySqlConnection::connect(&field.fleet.lab().mariadb().url("migration")).await?;
        let mut lock = connection.begin().await?;
        sqlx::query("SELECT id FROM sourcehosts FOR UPDATE").fetch_all(&mut *lock).await?;
        field.fleet.links(field.worker(1)).redis.stall(false);
        field
            .wait_until("nobody claims", async || {
                let statement = "SELECT COUNT(*) FROM information_schema.processlist
                     WHERE id <> CONNECTION_ID() AND info LIKE '%FROM sourcehosts h WHERE h.id IN%FOR UPDATE%'";
                let waiting: i64 = sqlx::query_scalar(statement).fetch_one(field.books.pool()).await?;
                ensure!(waiting > 0, "nobody waits for a lock");
                Ok(())
            })
            .await?;
        field.worker(1).pause();
        lock.rollback().await?;
        field.worker(2).start()?;
        field.expect_success(&BTreeMap::from([("one".to_owned(), truth)])).await?;
        field.worker(1).resume();
        Ok(())
    })
    .await
}

/// Waits until a transaction that gives the only row this status has sent its COMMIT.
async fn wait_for_commit(field: &Field<'_>, status: &str) -> Result<()> {
    field
        .wait_until(&format!("nobody commits {status}"), async || {
            let mut connection = field.books.pool().acquire().await?.detach();
            let found = uncommitted_status(field, &mut connection).await?;
            tokio::time::sleep(TRANSACTIONS_REFRESHED).await;
            let waiting = waiting_commits(&mut connection).await?;
            connection.close().await?;
            ensure!(found == status && waiting > 0, "the row is {found}, {waiting} COMMITs wait");
            Ok(())
        })
        .await
}
