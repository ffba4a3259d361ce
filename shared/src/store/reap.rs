//! Reaping: taking back a lease whose holder was silent in both stores.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::MySqlConnection;

use super::{Error, Result, Source, Store, error::expect_rows, outbox, tables::Tables};
use crate::domain::{
    ids::{BackendId, Epoch, JobId, JournalId, SourceId},
    migration::{Loss, Next, Status, after_loss},
};

/// A lease and its beat, as a reaper watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseBeat {
    /// The migration.
    pub job: JobId,
    /// The epoch of its claim.
    pub epoch: Epoch,
    /// Raised by each heartbeat of its holder.
    pub beat: u64,
    /// Its holder.
    pub backend: BackendId,
    /// How long its holder lets children live without a confirmed heartbeat; zero when that is not known.
    pub deadline: Duration,
}

/// Which server of MariaDB an answer came from, and which life of it. Another one may not have seen the
/// heartbeats that this one saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLife(String);

impl ServerLife {
    /// A life that differs from that of any other number.
    #[doc(hidden)]
    pub fn for_test(n: u32) -> Self {
        Self(n.to_string())
    }
}

/// Source, row, epoch, beat, holder, and that one's deadline while it is registered.
type RawBeat = (u32, u64, u64, u64, u32, Option<u32>);

/// Why a lease came to nothing. Each counts, so that no migration circles for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossCause {
    /// Its worker was silent, or was started again.
    WorkerLost,
    /// Its worker lives, but could not confirm the lease in time.
    LeaseLost,
    /// A fault in the worker's own program.
    Fault,
    /// MariaDB refuses what the worker has to note or to record.
    Refused,
    /// Processes of it survived SIGKILL.
    Undead,
}

impl LossCause {
    fn sentence(self, backend: &str) -> String {
        match self {
            Self::WorkerLost => format!("The worker {backend} was lost with this migration"),
            Self::LeaseLost => format!("The worker {backend} could not confirm its lease in time"),
            Self::Fault => format!("A fault of the worker {backend} ended this migration"),
            Self::Refused => format!("The database refused what the worker {backend} had to record"),
            Self::Undead => {
                format!("Processes of this migration could not be killed by the worker {backend} for a time")
            }
        }
    }
}

/// What a reap did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// The lease is gone and the row has this state now.
    Done(Status),
    /// The record was closed before; its lease is gone now.
    LeaseOnly,
    /// There was no such lease any more: somebody was faster.
    Nothing,
}

impl Store {
    /// Every lease with its beat.
    pub async fn lease_beats(&self) -> Result<Vec<LeaseBeat>> {
        Ok(self.watch_leases().await?.1)
    }

    /// Every lease with its beat, and the life of the server that says so.
    pub async fn watch_leases(&self) -> Result<(ServerLife, Vec<LeaseBeat>)> {
        let mut connection = self.pool.acquire().await?;
        // Both are of the moment at which the statement began, so their difference is when the server did.
        let life: String = sqlx::query_scalar(
            "SELECT CONCAT_WS(' ', @@hostname, @@port, UNIX_TIMESTAMP() - CAST(VARIABLE_VALUE AS SIGNED))
             FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'",
        )
        .fetch_one(&mut *connection)
        .await?;
        let rows: Vec<RawBeat> = sqlx::query_as(
            "SELECT l.source_id, l.journal_id, l.epoch, l.beat, l.backend_id, b.lease_deadline_ms
             FROM leases l LEFT JOIN backends b ON b.id = l.backend_id",
        )
        .fetch_all(&mut *connection)
        .await?;
        connection.give_back();
        let beats = rows.into_iter().map(|(source, journal, epoch, beat, backend, deadline_ms)| LeaseBeat {
            job: JobId { source: SourceId(source), journal: JournalId(journal) },
            epoch: Epoch(epoch),
            beat,
            backend: BackendId(backend),
            deadline: Duration::from_millis(deadline_ms.unwrap_or(0).into()),
        });
        Ok((ServerLife(life), beats.collect()))
    }

    /// Takes a lease back: the row waits again, or is ABORTED when its cancel was requested, or FAILURE
    /// when it was lost `max_losses` times. The loss is recorded in `details`.
    pub async fn reap(&self, source: &Source, lease: &LeaseBeat, max_losses: u32) -> Result<Reaped> {
        super::retry_contended(|| self.reap_once(source, lease, max_losses)).await
    }

    async fn reap_once(&self, source: &Source, lease: &LeaseBeat, max_losses: u32) -> Result<Reaped> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query(
            "DELETE FROM leases WHERE source_id = ? AND journal_id = ? AND epoch = ? AND beat = ?",
        )
        .bind(lease.job.source.0)
        .bind(lease.job.journal.0)
        .bind(lease.epoch.0)
        .bind(lease.beat)
        .execute(&mut *tx)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(Reaped::Nothing);
        }
        let lost = Lost { job: lease.job, epoch: lease.epoch, cause: LossCause::WorkerLost, max_losses };
        let reaped = take_back(&mut tx, &Tables::of(&source.name), &lost).await?;
        outbox::add_job(&mut tx, lease.job).await?;
        tx.commit().await?;
        Ok(reaped)
    }
}

/// A lease that was lost.
pub(super) struct Lost {
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    pub(super) cause: LossCause,
    pub(super) max_losses: u32,
}

/// Status, epoch, whether its cancel was requested, losses, backend, details, whether the pre command had
/// started, and the end state when the failure command alone was to run.
type RawRow = (String, u64, bool, u32, Option<String>, Option<String>, bool, Option<String>);

/// Books the loss in the row, if it still runs under that epoch, and says where it goes.
pub(super) async fn take_back(
    connection: &mut MySqlConnection,
    tables: &Tables,
    lost: &Lost,
) -> Result<Reaped> {
    let row: Option<RawRow> = sqlx::query_as(tables.sql(
        "SELECT status, epoch, cancel_requested, losses, backend, details, pre_started, cleanup FROM {journal} WHERE id = ? FOR UPDATE",
    ))
    .bind(lost.job.journal.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(Reaped::LeaseOnly) };
    let (status, epoch, cancel_requested, losses, backend, details, pre_started, cleanup) = row;
    let status = Status::parse(&status).ok_or(Error::Inconsistent { table: "journal", column: "status" })?;
    if epoch != lost.epoch.0 || status != Status::Sync {
        return Ok(Reaped::LeaseOnly);
    }
    let losses = losses + 1;
    let loss = Loss {
        losses,
        max_losses: lost.max_losses,
        cancel_requested,
        pre_started,
        cleanup: cleanup.as_deref().and_then(Status::parse),
    };
    let Next { status: next, cleanup } = after_loss(loss);
    let updated = sqlx::query(tables.sql(
        "UPDATE {journal} SET status = ?, epoch = epoch + 1, cleanup = ?, losses = ?,
             details = ?, stopped = IF(?, UTC_TIMESTAMP(3), NULL), modified = UTC_TIMESTAMP(3)
         WHERE id = ? AND epoch = ? AND status = 'SYNC'",
    ))
    .bind(next.as_str())
    .bind(cleanup.map(Status::as_str))
    .bind(losses)
    .bind(with_loss(details, backend.as_deref(), lost.cause, losses, next).to_string())
    .bind(next.is_terminal())
    .bind(lost.job.journal.0)
    .bind(epoch)
    .execute(connection)
    .await?;
    expect_rows("journal", 1, updated.rows_affected())?;
    Ok(Reaped::Done(next))
}

/// `details` with one more block: which worker was lost, and what followed.
fn with_loss(
    details: Option<String>,
    backend: Option<&str>,
    cause: LossCause,
    losses: u32,
    next: Status,
) -> Value {
    let mut blocks: Vec<Value> = match details {
        None => Vec::new(),
        // A lease must come to its end whatever stands in the row.
        Some(text) => serde_json::from_str(&text).unwrap_or_else(|_| vec![unreadable()]),
    };
    let backend = backend.unwrap_or("unknown");
    let mut errors = vec![format!("{} (loss {losses})", cause.sentence(backend))];
    match next {
        Status::Failure => errors.push("It was lost too often and is given up".to_owned()),
        Status::Aborted => errors.push("Its cancel had been requested".to_owned()),
        _ => {}
    }
    blocks.push(json!({ "lost": { "backend": backend, "success": false, "errors": errors } }));
    Value::Array(blocks)
}

fn unreadable() -> Value {
    json!({ "unreadable": { "success": false, "errors": ["What was recorded before can't be read"] } })
}
