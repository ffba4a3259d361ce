//! What the queue has to know as a whole: read by its rebuild and by the reconciler.

use std::collections::BTreeMap;

use super::{
    HostRow, JobRow, Result, Source, Store,
    outbox::{RawJob, decode_job, host_rows, or_none},
    spelled::Statement,
    tables::Tables,
};
use crate::domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId};

/// A lease, as the queue knows a running migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeasedJob {
    /// The migration.
    pub job: JobId,
    /// Fencing token of the claim.
    pub epoch: Epoch,
    /// The source host that it counts against.
    pub host: HostId,
    /// Whose workers may run it.
    pub target: TargetId,
}

/// Source, row, epoch, source host, and the target of the holder while that is registered.
type RawLease = (u32, u64, u64, u32, Option<u32>);

impl Store {
    /// Every source host.
    pub async fn all_hosts(&self) -> Result<Vec<HostRow>> {
        let mut connection = self.pool.acquire().await?;
        let hosts = host_rows(&mut connection, None).await?;
        connection.give_back();
        Ok(hosts)
    }

    /// The waiting migrations of a Source with ids above `after`, at most `max`, in order of their ids.
    pub async fn waiting_jobs(&self, source: &Source, after: JournalId, max: u32) -> Result<Vec<JobRow>> {
        let rows = sqlx::query_as(Tables::of(&source.name).sql(
            "SELECT id, status, epoch, target_id, sourcehost_id, priority,
                 CAST(COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), not_before), 0) AS SIGNED),
                 CAST(NULL AS UNSIGNED), CAST(NULL AS UNSIGNED), CAST(NULL AS CHAR)
             FROM {journal} WHERE status = 'SCHEDULED' AND id > ? ORDER BY id LIMIT ?",
        ))
        .bind(after.0)
        .bind(max)
        .fetch_all(&self.pool)
        .await;
        let rows: Vec<RawJob> = or_none(rows)?;
        rows.into_iter().map(|row| decode_job(source.id, row)).collect()
    }

    /// Every lease. The target stands in the row of its holder, or, where that was deleted, in the journal.
    pub async fn all_leases(&self) -> Result<Vec<LeasedJob>> {
        let rows: Vec<RawLease> = sqlx::query_as(
            "SELECT l.source_id, l.journal_id, l.epoch, l.sourcehost_id, b.target_id
             FROM leases l LEFT JOIN backends b ON b.id = l.backend_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut orphans: BTreeMap<SourceId, Vec<u64>> = BTreeMap::new();
        for (source, journal, ..) in rows.iter().filter(|row| row.4.is_none()) {
            orphans.entry(SourceId(*source)).or_default().push(*journal);
        }
        let targets = self.targets_of(&orphans).await?;
        let leased = rows.into_iter().filter_map(|(source, journal, epoch, host, target)| {
            let job = JobId { source: SourceId(source), journal: JournalId(journal) };
            let target = target.map(TargetId).or_else(|| targets.get(&job).copied())?;
            Some(LeasedJob { job, epoch: Epoch(epoch), host: HostId(host), target })
        });
        Ok(leased.collect())
    }

    /// The targets of these rows, by their Sources.
    async fn targets_of(&self, rows: &BTreeMap<SourceId, Vec<u64>>) -> Result<BTreeMap<JobId, TargetId>> {
        let mut targets = BTreeMap::new();
        if rows.is_empty() {
            return Ok(targets);
        }
        for source in self.sources().await? {
            let Some(ids) = rows.get(&source.id) else { continue };
            let statement = Tables::of(&source.name).text("SELECT id, target_id FROM {journal} WHERE id IN ");
            let statement = Statement::new(statement).list(ids);
            let mut connection = self.pool.acquire().await?;
            let found: Vec<(u64, u32)> = or_none(statement.fetch_all(&mut connection).await)?;
            connection.give_back();
            targets.extend(
                found.into_iter().map(|(id, target)| {
                    (JobId { source: source.id, journal: JournalId(id) }, TargetId(target))
                }),
            );
        }
        Ok(targets)
    }
}
