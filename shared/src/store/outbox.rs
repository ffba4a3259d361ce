//! The outbox: which ids the queue has to look at again, written with the change itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sqlx::{FromRow as _, MySqlConnection, Row as _, mysql::MySqlRow};

use super::{Result, Source, Store, Wanted, pool::Transaction, spelled::Statement, tables::Tables};
use crate::domain::{
    ids::{BackendId, Epoch, HostId, JobId, JournalId, SourceId, SourceName, TargetId},
    migration::Status,
    trace::TraceParent,
};

/// What the queue must know of a migration: the row as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The migration.
    pub job: JobId,
    /// Where it stands.
    pub status: Status,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Whose workers may run it.
    pub target: TargetId,
    /// Whose limit it counts against.
    pub host: HostId,
    /// Whether it goes first.
    pub priority: bool,
    /// Milliseconds until it may start, by the database's clock.
    pub wait_ms: u64,
    /// Who holds it, while a child of it may live.
    pub lease: Option<LeaseRef>,
    /// The trace that it belongs to; read for the relay alone.
    pub trace: Option<TraceParent>,
}

/// The lease of a row, as far as an order to its holder needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRef {
    /// The worker that holds it.
    pub backend: BackendId,
    /// The epoch of its claim.
    pub epoch: Epoch,
    /// What is wanted of it.
    pub wanted: Wanted,
}

/// What the queue must know of a source host: the row as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRow {
    /// The host.
    pub host: HostId,
    /// Most migrations at a time; 0 while nothing may start (paused, suspended, or deleted).
    pub limit: u32,
    /// How many of them are kept for priority migrations.
    pub reserved_for_priority: u32,
}

/// Entries of the outbox, locked until [`Batch::done`]; dropped, they stay for another relay.
#[derive(Debug)]
pub struct Batch {
    tx: Transaction,
    entries: Vec<u64>,
    /// Source hosts to look at.
    pub hosts: Vec<HostRow>,
    /// Source hosts that are gone.
    pub gone_hosts: Vec<HostId>,
    /// Migrations to look at.
    pub jobs: Vec<JobRow>,
    /// Workers of which something else is wanted than before.
    pub backends: Vec<BackendId>,
}

impl Batch {
    /// How many entries of the outbox this covers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there was nothing to relay.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Deletes the entries: the queue knows.
    pub async fn done(self) -> Result<()> {
        if self.is_empty() {
            return Ok(self.tx.commit().await?);
        }
        let deletion = Statement::new("DELETE FROM outbox WHERE id IN ").list(&self.entries);
        self.tx.commit_with(deletion).await?;
        Ok(())
    }
}

/// Notes a migration in the transaction that changes it.
pub(super) async fn add_job(connection: &mut MySqlConnection, job: JobId) -> Result<()> {
    sqlx::query("INSERT INTO outbox (kind, source_id, ref_id) VALUES ('MIGRATION', ?, ?)")
        .bind(job.source.0)
        .bind(job.journal.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes a worker in the transaction that changes what is wanted of it.
pub(super) async fn add_backend(connection: &mut MySqlConnection, backend: BackendId) -> Result<()> {
    sqlx::query("INSERT INTO outbox (kind, source_id, ref_id) VALUES ('BACKEND', 0, ?)")
        .bind(backend.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes all source hosts of a Source in the transaction that deletes them.
pub(super) async fn add_hosts_of(connection: &mut MySqlConnection, source: SourceId) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (kind, source_id, ref_id)
         SELECT 'SOURCEHOST', 0, id FROM sourcehosts WHERE source_id = ?",
    )
    .bind(source.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a source host in the transaction that changes or deletes it.
pub(super) async fn add_host(connection: &mut MySqlConnection, host: HostId) -> Result<()> {
    sqlx::query("INSERT INTO outbox (kind, source_id, ref_id) VALUES ('SOURCEHOST', 0, ?)")
        .bind(host.0)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// How long ago the oldest entry was written that no relay has carried yet, by the database's clock; zero
    /// when there is none. For people only.
    pub async fn outbox_age(&self) -> Result<Duration> {
        let age: Option<i64> = sqlx::query_scalar(
            "SELECT TIMESTAMPDIFF(MICROSECOND, added, UTC_TIMESTAMP(3)) FROM outbox ORDER BY id LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(Duration::from_micros(age.unwrap_or(0).max(0).unsigned_abs()))
    }

    /// Locks at most `max` entries that no other relay holds and reads the rows that they name, as
    /// they are now: one query for the entries, one for the hosts, one for each Source among them.
    pub async fn next_outbox_batch(&self, max: u32) -> Result<Batch> {
        super::timed("outbox", |_| true, self.lock_outbox_batch(max)).await
    }

    async fn lock_outbox_batch(&self, max: u32) -> Result<Batch> {
        let entries = Statement::new("SELECT id, kind, source_id, ref_id FROM outbox ORDER BY id LIMIT ")
            .value(max)
            .sql(" FOR UPDATE SKIP LOCKED");
        let names = Statement::new("SELECT id, name, paused FROM sources");
        let (mut tx, [_, entries, names]) = self.begin_with(&entries.then(&names)).await?;
        let entries: Vec<(u64, String, u32, u64)> = entries.read()?;
        let mut hosts = BTreeSet::new();
        let mut backends = BTreeSet::new();
        let mut jobs: BTreeMap<SourceId, BTreeSet<JournalId>> = BTreeMap::new();
        for (_, kind, source, id) in &entries {
            match &kind[..] {
                "SOURCEHOST" => drop(hosts.insert(HostId(u32::try_from(*id).unwrap_or(0)))),
                "BACKEND" => drop(backends.insert(BackendId(u32::try_from(*id).unwrap_or(0)))),
                _ => drop(jobs.entry(SourceId(*source)).or_default().insert(JournalId(*id))),
            }
        }
        let rows = if hosts.is_empty() { Vec::new() } else { host_rows(&mut tx, Some(&hosts)).await? };
        let gone_hosts = hosts.into_iter().filter(|id| rows.iter().all(|row| row.host != *id)).collect();
        let hosts = rows;
        let names: Vec<Source> = names.read()?;
        let names: BTreeMap<_, _> = names.into_iter().map(|source| (source.id, source.name)).collect();
        let mut rows = Vec::new();
        for (source, ids) in jobs {
            rows.extend(job_rows(&mut tx, source, names.get(&source), &ids).await?);
        }
        Ok(Batch {
            tx,
            entries: entries.into_iter().map(|entry| entry.0).collect(),
            hosts,
            gone_hosts,
            jobs: rows,
            backends: backends.into_iter().collect(),
        })
    }
}

pub(super) type RawJob = (u64, String, u64, u32, u32, bool, i64, Option<u64>, Option<u64>, Option<String>);

pub(super) fn decode_job(source: SourceId, row: RawJob) -> Result<JobRow> {
    let (id, status, epoch, target, host, priority, wait_us, backend, lease_epoch, wanted) = row;
    let status =
        Status::parse(&status).ok_or(super::Error::Inconsistent { table: "journal", column: "status" })?;
    Ok(JobRow {
        job: JobId { source, journal: JournalId(id) },
        status,
        epoch: Epoch(epoch),
        target: TargetId(target),
        host: HostId(host),
        priority,
        wait_ms: wait_us.max(0).unsigned_abs().div_ceil(1000),
        lease: match (backend, lease_epoch, wanted) {
            (Some(backend), Some(epoch), Some(wanted)) => Some(LeaseRef {
                backend: BackendId(u32::try_from(backend).unwrap_or(0)),
                epoch: Epoch(epoch),
                wanted: Wanted::parse(&wanted)?,
            }),
            _ => None,
        },
        trace: None,
    })
}

/// The same with the trace behind it. What can't be read as one is no reason not to relay the job.
fn traced_job(source: SourceId, row: &MySqlRow) -> Result<JobRow> {
    let trace: Option<String> = row.try_get("trace")?;
    let trace = trace.and_then(|text| text.parse().ok());
    Ok(JobRow { trace, ..decode_job(source, RawJob::from_row(row)?)? })
}

/// The rows, or none when the tables are gone: a Source that is being deleted must not stop the others.
pub(super) fn or_none<T>(rows: sqlx::Result<Vec<T>>) -> Result<Vec<T>> {
    match rows.map_err(super::Error::from) {
        Err(error) if error.is_schema_missing() => Ok(Vec::new()),
        rows => rows,
    }
}

async fn job_rows(
    connection: &mut MySqlConnection,
    source: SourceId,
    name: Option<&SourceName>,
    ids: &BTreeSet<JournalId>,
) -> Result<Vec<JobRow>> {
    let mut found = Vec::new();
    if let Some(name) = name {
        let statement = Statement::new(Tables::of(name).text(
            "SELECT j.id, j.status, j.epoch, j.target_id, j.sourcehost_id, j.priority,
                 CAST(COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), j.not_before), 0) AS SIGNED),
                 CAST(l.backend_id AS UNSIGNED), l.epoch, CAST(l.wanted AS CHAR),
                 j.trace
             FROM {journal} j LEFT JOIN leases l ON l.journal_id = j.id AND l.source_id = ",
        ))
        .value(source.0)
        .sql(" WHERE j.id IN ")
        .list(ids.iter().map(|id| id.0));
        let rows = or_none(statement.fetch_rows(connection).await)?;
        found = rows.iter().map(|row| traced_job(source, row)).collect::<Result<_>>()?;
    }
    Ok(found)
}

pub(super) async fn host_rows(
    connection: &mut MySqlConnection,
    only: Option<&BTreeSet<HostId>>,
) -> Result<Vec<HostRow>> {
    let mut statement = Statement::new(
        "SELECT h.id, h.max_connections, h.reserved_for_priority,
            h.paused OR s.paused OR COALESCE(h.suspended_until > UTC_TIMESTAMP(3), FALSE)
         FROM sourcehosts h JOIN sources s ON s.id = h.source_id",
    );
    if let Some(only) = only {
        statement = statement.sql(" WHERE h.id IN ").list(only.iter().map(|id| id.0));
    }
    let rows: Vec<(u32, u32, u32, bool)> = statement.fetch_all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|(id, limit, reserved_for_priority, closed)| HostRow {
            host: HostId(id),
            limit: if closed { 0 } else { limit },
            reserved_for_priority,
        })
        .collect())
}
