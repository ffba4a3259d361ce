//! Deleting a Source: no migration may be open, and no child may live, when its tables go.

use sqlx::MySqlConnection;

use super::{Result, Source, Store, outbox, spelled::Statement, tables::Tables};
use crate::domain::ids::SourceId;

/// What a deletion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing of the Source is left.
    Done,
    /// So many migrations are open, or their children may live; nothing was deleted.
    Open(u64),
    /// Its tables are gone; call again for the rest.
    Unfinished,
}

/// Most rows that one transaction changes.
const BATCH: u32 = 1000;

impl Store {
    /// Voids the key of a Source: nobody can submit any more.
    pub async fn void_api_key(&self, source: SourceId) -> Result<()> {
        let mut nobody = [0; 32];
        nobody.fill_with(|| fastrand::u8(..));
        self.update_source(source, Some(nobody), None).await
    }

    /// Cancels a batch of the open migrations of a Source: waiting ones at once, running ones when their
    /// child is dead, and where a pre command had started after the failure command. `false` when there is
    /// none left to cancel.
    pub async fn cancel_some(&self, source: &Source) -> Result<bool> {
        let cancelled = super::retry_contended(|| self.cancel_some_once(source)).await;
        match cancelled {
            // The tables went with an earlier call.
            Err(error) if error.is_schema_missing() => Ok(false),
            cancelled => cancelled,
        }
    }

    async fn cancel_some_once(&self, source: &Source) -> Result<bool> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let ids: Vec<u64> = sqlx::query_scalar(tables.sql(
            "SELECT id FROM {journal} WHERE status IN ('SCHEDULED', 'SYNC') AND NOT cancel_requested
             ORDER BY id LIMIT ? FOR UPDATE",
        ))
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        if ids.is_empty() {
            return Ok(false);
        }
        // MariaDB assigns from left to right, so `status` comes last.
        let update = tables.text(
            "UPDATE {journal} SET cancel_requested = TRUE, modified = UTC_TIMESTAMP(3),
                 epoch = epoch + (status = 'SCHEDULED' AND NOT pre_started),
                 stopped = IF(status = 'SCHEDULED' AND NOT pre_started, UTC_TIMESTAMP(3), stopped),
                 not_before = IF(status = 'SCHEDULED' AND pre_started, NULL, not_before),
                 cleanup = IF(status = 'SCHEDULED' AND pre_started, COALESCE(cleanup, 'ABORTED'), cleanup),
                 status = IF(status = 'SCHEDULED' AND NOT pre_started, 'ABORTED', status)
             WHERE id IN ",
        );
        Statement::new(update).list(&ids).execute(&mut tx).await?;
        Statement::new("UPDATE leases SET wanted = 'CANCEL' WHERE wanted = 'RUN' AND source_id = ")
            .value(source.id.0)
            .sql(" AND journal_id IN ")
            .list(&ids)
            .execute(&mut tx)
            .await?;
        Statement::new("INSERT INTO outbox (kind, source_id, ref_id) VALUES ")
            .rows(&ids, |row, id| {
                row.sql("'MIGRATION'").value(source.id.0).value(id);
            })
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a Source, unless a migration is open or the lease of one stands. The tables go first: a
    /// Source whose deletion was cut off has none, and the next call goes on.
    pub async fn delete_source(&self, source: &Source) -> Result<Deletion> {
        // Both before anything is locked: blocked submits may use up the pool.
        let (mut connection, mut beside) = (self.pool.acquire().await?, self.pool.acquire().await?);
        // Its locks and its settings go with it.
        match drop_tables(&mut connection, &mut beside, source).await {
            Ok(0) => {}
            Ok(open) => return Ok(Deletion::Open(open)),
            Err(error) if error.is_schema_missing() => {}
            Err(error) => return Err(error),
        }
        self.delete_rest(source).await
    }

    /// Deletes what is left of a Source once one of its tables is gone.
    async fn delete_rest(&self, source: &Source) -> Result<Deletion> {
        // A million rows in one transaction would hold its locks for long.
        let deleted = sqlx::query("DELETE FROM target_uids WHERE source_id = ? LIMIT 10000")
            .bind(source.id.0)
            .execute(&self.pool)
            .await?;
        if deleted.rows_affected() > 0 {
            return Ok(Deletion::Unfinished);
        }
        let mut tx = self.begin().await?;
        // While it is held nobody can make another Source of this name, whose tables would be dropped.
        let there: Option<u32> = sqlx::query_scalar("SELECT id FROM sources WHERE id = ? FOR UPDATE")
            .bind(source.id.0)
            .fetch_optional(&mut *tx)
            .await?;
        if there.is_none() {
            return Ok(Deletion::Done);
        }
        let mut beside = self.pool.acquire().await?;
        // Its settings go with it.
        run(&mut beside, "SET SESSION lock_wait_timeout = 2").await?;
        run(&mut beside, &Tables::of(&source.name).text("DROP TABLE IF EXISTS {journal}, {users}")).await?;
        outbox::add_hosts_of(&mut tx, source.id).await?;
        for statement in ["DELETE FROM sourcehosts WHERE source_id = ?", "DELETE FROM sources WHERE id = ?"] {
            sqlx::query(statement).bind(source.id.0).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Deletion::Done)
    }

    /// Leaves a Source as a deletion does that is cut off between two tables; for tests.
    #[doc(hidden)]
    pub async fn drop_journal(&self, source: &Source) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        run(&mut connection, &Tables::of(&source.name).text("DROP TABLE {journal}")).await?;
        connection.give_back();
        Ok(())
    }

    /// Goes on with deletions that were cut off; gives how many Sources are gone now. A Source gets its tables
    /// before its row: one without is being deleted.
    pub async fn finish_deletions(&self) -> Result<usize> {
        let sources: Vec<Source> = sqlx::query_as(
            "SELECT id, name, paused FROM sources s
             WHERE (SELECT COUNT(*) FROM information_schema.TABLES
                    WHERE TABLE_SCHEMA = DATABASE()
                        AND TABLE_NAME IN (CONCAT('users', s.name), CONCAT('journal', s.name))) < 2",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut done = 0;
        for source in sources {
            while self.delete_rest(&source).await? == Deletion::Unfinished {}
            done += 1;
        }
        Ok(done)
    }
}

/// Drops the tables unless this gives a number of migrations that are in the way. Locked: neither a
/// submit nor a claim comes between the look and the end.
async fn drop_tables(
    connection: &mut MySqlConnection,
    beside: &mut MySqlConnection,
    source: &Source,
) -> Result<u64> {
    let tables = Tables::of(&source.name);
    // A process that is frozen with the locks in its hand loses them with the connection.
    run(connection, "SET SESSION lock_wait_timeout = 2, wait_timeout = 10").await?;
    run(connection, &tables.text("LOCK TABLES {users} WRITE, {journal} WRITE")).await?;
    let open: i64 = sqlx::query_scalar(
        tables.sql("SELECT COUNT(*) FROM {journal} WHERE status IN ('SCHEDULED', 'SYNC')"),
    )
    .fetch_one(&mut *connection)
    .await?;
    let leases: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM leases WHERE source_id = ?")
        .bind(source.id.0)
        .fetch_one(&mut *beside)
        .await?;
    let in_the_way = open.max(leases).unsigned_abs();
    let end = if in_the_way == 0 {
        tables.text("DROP TABLE {journal}, {users}")
    } else {
        "UNLOCK TABLES".to_owned()
    };
    run(connection, &end).await?;
    Ok(in_the_way)
}

/// A statement that can't be prepared.
async fn run(connection: &mut MySqlConnection, statement: &str) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(connection).await?;
    Ok(())
}
