//! Figures over a whole journal, read from two indexes alone.
//!
//! Their statements are prepared anew each time: MariaDB (10.11.19) reads the rows besides, which takes five times as
//! long, when it executes a prepared statement with a generated column, such as `moved_size`, again.

use sqlx::{Row as _, mysql::MySqlRow};

use super::{Error, Result, Source, Store, tables::Tables};
use crate::domain::{
    ids::HostId,
    migration::{Phase, Status},
};

/// Figures of the migrations that share source host, state and phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SummaryRow {
    /// The source host.
    pub sourcehost: HostId,
    /// Where they stand.
    pub status: Status,
    /// What they are for.
    pub phase: Phase,
    /// How many there are.
    pub migrations: u64,
    /// Mails that they brought.
    pub mails: u64,
    /// Bytes that they brought, at the mean size of the mails on the target.
    pub bytes: u64,
}

/// What ended within the last hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lately {
    /// The time that this is over, in seconds: an hour, or less when the first one ended since.
    pub seconds: u64,
    /// How many ended.
    pub migrations: u64,
    /// Mails that they brought.
    pub mails: u64,
    /// Bytes that they brought.
    pub bytes: u64,
}

const BY_KIND: &str = "SELECT sourcehost_id, status, phase, COUNT(*) AS migrations,
        CAST(COALESCE(SUM(sync_message_count), 0) AS UNSIGNED) AS mails,
        CAST(COALESCE(SUM(moved_size), 0) AS UNSIGNED) AS bytes
    FROM {journal} FORCE INDEX (summary) GROUP BY sourcehost_id, status, phase
    ORDER BY sourcehost_id, status, phase";

/// What was aborted says nothing of the speed.
const LATELY: &str = "SELECT COUNT(*) AS migrations,
        CAST(COALESCE(SUM(sync_message_count), 0) AS UNSIGNED) AS mails,
        CAST(COALESCE(SUM(moved_size), 0) AS UNSIGNED) AS bytes,
        CAST(COALESCE(TIMESTAMPDIFF(SECOND, MIN(stopped), UTC_TIMESTAMP(3)), 0) AS SIGNED) AS seconds
    FROM {journal} FORCE INDEX (ended)
    WHERE stopped >= UTC_TIMESTAMP(3) - INTERVAL 1 HOUR AND status IN ('SUCCESS', 'FAILURE')";

fn decode(row: &MySqlRow) -> Result<SummaryRow> {
    let (status, phase): (String, String) = (row.try_get("status")?, row.try_get("phase")?);
    let migrations: i64 = row.try_get("migrations")?;
    Ok(SummaryRow {
        sourcehost: HostId(row.try_get("sourcehost_id")?),
        status: Status::parse(&status).ok_or(Error::Inconsistent { table: "journal", column: "status" })?,
        phase: Phase::parse(&phase).ok_or(Error::Inconsistent { table: "journal", column: "phase" })?,
        migrations: migrations.unsigned_abs(),
        mails: row.try_get("mails")?,
        bytes: row.try_get("bytes")?,
    })
}

impl Store {
    /// The whole journal by source host, state and phase: one scan of an index that holds all of it.
    pub async fn summary(&self, source: &Source) -> Result<Vec<SummaryRow>> {
        let statement = sqlx::query(Tables::of(&source.name).sql(BY_KIND)).persistent(false);
        let rows = statement.fetch_all(&self.pool).await?;
        rows.iter().map(decode).collect()
    }

    /// What ended within the last hour: a range of an index that holds all of it.
    pub async fn ended_lately(&self, source: &Source) -> Result<Lately> {
        let statement = sqlx::query(Tables::of(&source.name).sql(LATELY)).persistent(false);
        let row = statement.fetch_one(&self.pool).await?;
        let (migrations, seconds): (i64, i64) = (row.try_get("migrations")?, row.try_get("seconds")?);
        Ok(Lately {
            seconds: seconds.max(0).unsigned_abs(),
            migrations: migrations.unsigned_abs(),
            mails: row.try_get("mails")?,
            bytes: row.try_get("bytes")?,
        })
    }

    /// How many migrations of each source host wait.
    pub async fn queued_by_host(&self, source: &Source) -> Result<Vec<(HostId, u64)>> {
        let rows: Vec<(u32, i64)> = sqlx::query_as(Tables::of(&source.name).sql(
            "SELECT sourcehost_id, COUNT(*) FROM {journal} WHERE status = 'SCHEDULED' AND sourcehost_id IN
                 (SELECT id FROM sourcehosts WHERE source_id = ?) GROUP BY sourcehost_id",
        ))
        .bind(source.id.0)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(id, waiting)| (HostId(id), waiting.unsigned_abs())).collect())
    }

    /// How MariaDB reads the figures of [`Store::summary`] and [`Store::ended_lately`]: index and `Extra`
    /// of each statement's only table.
    pub async fn explain_summary(&self, source: &Source) -> Result<Vec<(String, String)>> {
        let mut plans = Vec::new();
        for statement in [BY_KIND, LATELY] {
            let statement = format!("EXPLAIN {}", Tables::of(&source.name).text(statement));
            let row = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await?;
            plans.push((row.try_get("key")?, row.try_get("Extra")?));
        }
        Ok(plans)
    }

    /// Adds so many records that have succeeded, of any one user; for tests and benchmarks.
    #[doc(hidden)]
    pub async fn fill_journal(&self, source: &Source, records: u32) -> Result<()> {
        let statement = Tables::of(&source.name).sql(
            "INSERT INTO {journal} (user_id, sourcehost_id, target_id, status, phase, priority, created, started,
                 stopped, modified, backend, target_message_count, target_mailbox_size, sync_message_count)
             SELECT user_id, sourcehost_id, target_id, 'SUCCESS', phase, FALSE, created, created,
                 created - INTERVAL seq SECOND, created, 'default/worker-1', 100, 10000, 10
             FROM seq_1_to_1000000 JOIN (SELECT * FROM {journal} ORDER BY id LIMIT 1) j WHERE seq <= ?",
        );
        sqlx::query(statement).bind(records).execute(&self.pool).await?;
        Ok(())
    }
}
