//! Figures for metrics.

use std::collections::BTreeMap;

use super::{Result, Store, outbox::or_none, pool::PoolCounts, spelled::Statement, tables::Tables};
use crate::domain::ids::{JobId, JournalId, SourceId};

/// What a source host allows and what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFigures {
    /// Name of its Source.
    pub source: String,
    /// Its own name.
    pub host: String,
    /// Most connections at a time.
    pub limit: u32,
    /// Leases that count against the limit.
    pub running: u64,
    /// Whether it is suspended now.
    pub suspended: bool,
}

impl Store {
    /// Every source host.
    pub async fn host_figures(&self) -> Result<Vec<HostFigures>> {
        let rows: Vec<(String, String, u32, i64, bool)> = sqlx::query_as(
            "SELECT s.name, h.name, h.max_connections, COALESCE(l.running, 0),
                 COALESCE(h.suspended_until > UTC_TIMESTAMP(3), FALSE)
             FROM sourcehosts h JOIN sources s ON s.id = h.source_id
             LEFT JOIN (SELECT sourcehost_id, COUNT(*) AS running FROM leases GROUP BY sourcehost_id) l
                 ON l.sourcehost_id = h.id",
        )
        .fetch_all(&self.pool)
        .await?;
        let figures = rows.into_iter().map(|(source, host, limit, running, suspended)| HostFigures {
            source,
            host,
            limit,
            running: running.max(0).unsigned_abs(),
            suspended,
        });
        Ok(figures.collect())
    }

    /// For how many seconds these migrations have waited since they might start; those that wait no more are
    /// left out. By the database's clock.
    pub async fn waiting_secs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, f64>> {
        let mut by_source: BTreeMap<SourceId, Vec<u64>> = BTreeMap::new();
        for job in jobs {
            by_source.entry(job.source).or_default().push(job.journal.0);
        }
        let mut waiting = BTreeMap::new();
        if by_source.is_empty() {
            return Ok(waiting);
        }
        let mut connection = self.pool.acquire().await?;
        for source in self.sources().await? {
            let Some(ids) = by_source.get(&source.id) else { continue };
            let statement = Statement::new(Tables::of(&source.name).text(
                "SELECT id, CAST(TIMESTAMPDIFF(MICROSECOND, GREATEST(created, COALESCE(not_before, created)),
                     UTC_TIMESTAMP(3)) / 1e6 AS DOUBLE)
                 FROM {journal} WHERE status = 'SCHEDULED' AND id IN ",
            ));
            let rows: Vec<(u64, f64)> = or_none(statement.list(ids).fetch_all(&mut connection).await)?;
            waiting.extend(
                rows.into_iter()
                    .map(|(id, secs)| (JobId { source: source.id, journal: JournalId(id) }, secs.max(0.0))),
            );
        }
        connection.give_back();
        Ok(waiting)
    }

    /// Shows the pool of connections of this process, under the original's names.
    pub fn show_pool(&self) {
        let PoolCounts { open, idle, most, kept } = self.pool.counts();
        for (name, value) in [
            ("hikaricp.connections", open),
            ("hikaricp.connections.active", open.saturating_sub(idle)),
            ("hikaricp.connections.idle", idle),
            ("hikaricp.connections.max", most),
            ("hikaricp.connections.min", kept),
        ] {
            metrics::gauge!(name).set(value);
        }
    }
}
