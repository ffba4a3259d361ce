//! The end of a lease: a result, or the way back into the queue. Both only under the claim's epoch.

use serde_json::Value;
use sqlx::MySqlConnection;

use super::{
    Error, LossCause, Reaped, Result, Source, Store,
    error::expect_rows,
    outbox,
    pool::Transaction,
    reap::{Lost, take_back},
    spelled::Statement,
    tables::Tables,
};
use crate::domain::{
    ids::{Epoch, JobId},
    migration::{Next, Report, Status, after_report},
};

/// The numbers of a record; `None` leaves what an earlier claim has recorded, or null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Mails on the target after the sync.
    pub target_message_count: Option<u64>,
    /// Bytes on the target after the sync.
    pub target_mailbox_size: Option<u64>,
    /// Mails on the source.
    pub source_message_count: Option<u64>,
    /// Bytes on the source.
    pub source_mailbox_size: Option<u64>,
    /// Mails that the sync removed from the target.
    pub expunged_message_count: Option<u64>,
    /// Mails that the sync saved.
    pub sync_message_count: Option<u64>,
    /// Milliseconds of the sync block.
    pub sync_speed: Option<u64>,
}

/// A result to record.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The end state; terminal.
    pub status: Status,
    /// What was run, in order.
    pub details: Value,
    /// The numbers.
    pub counts: Counts,
    /// Report of the comparison of source and target.
    pub verification: Option<Value>,
    /// Attempts of the sync command, those of earlier claims included.
    pub attempt: u32,
}

/// A migration that goes back into the queue. What is `None` stays as it is in the row.
#[derive(Debug, Clone, Default)]
pub struct HandBack {
    /// It does not start again before so many milliseconds have passed.
    pub delay_ms: Option<u64>,
    /// Attempts so far.
    pub attempt: Option<u32>,
    /// What was run, in order.
    pub details: Option<Value>,
    /// The numbers so far.
    pub counts: Counts,
    /// What the next claim has to know of those before it.
    pub carried: Option<Value>,
    /// Counted and recorded like a lost worker: the migration is given up after too many.
    pub loss: Option<CountedLoss>,
}

/// A loss that a worker itself reports.
#[derive(Debug, Clone, Copy)]
pub struct CountedLoss {
    /// What happened.
    pub cause: LossCause,
    /// So many make an end.
    pub max_losses: u32,
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It stands in the journal.
    Recorded,
    /// Its cancel had been answered before: it stands in the journal, but the row is ABORTED, or is so
    /// after its failure command.
    Cancelled,
    /// The row has another epoch or state: somebody closed or reaped it. The result is thrown away;
    /// the lease is gone all the same, because the child is.
    Superseded,
}

/// Deletes the lease of this claim; says whether it was there.
async fn delete_lease(connection: &mut MySqlConnection, job: JobId, epoch: Epoch) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM leases WHERE source_id = ? AND journal_id = ? AND epoch = ?")
        .bind(job.source.0)
        .bind(job.journal.0)
        .bind(epoch.0)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

impl Store {
    /// Records a result and gives the lease up. The caller has made sure that no child lives.
    pub async fn finish(
        &self,
        source: &Source,
        job: JobId,
        epoch: Epoch,
        finish: &Finish,
    ) -> Result<Finished> {
        let finish = super::retry_contended(|| self.finish_once(source, job, epoch, finish));
        super::timed("finish", |_| true, finish).await
    }

    async fn finish_once(
        &self,
        source: &Source,
        job: JobId,
        epoch: Epoch,
        finish: &Finish,
    ) -> Result<Finished> {
        let mut tx = self.begin().await?;
        let tables = Tables::of(&source.name);
        let standing = match standing(&mut tx, &tables, job, epoch).await? {
            None => return self::end(tx, job, epoch, 0, false).await,
            // Only a finish ends a row without raising its epoch: recorded before, by a commit whose
            // answer never came.
            Some(standing) if standing.status.is_terminal() => {
                self::end(tx, job, epoch, 0, false).await?;
                return Ok(standing.was_recorded(finish.status));
            }
            Some(standing) => standing,
        };
        let next = after_report(Report {
            end: finish.status,
            cancel_requested: standing.cancel_requested,
            pre_started: standing.pre_started,
            post_started: standing.post_started,
        });
        let rows = write_result(&tables, (job, epoch), finish, next).execute(&mut tx).await?;
        let ended = self::end(tx, job, epoch, rows, !next.status.is_terminal()).await?;
        Ok(if ended == Finished::Recorded && next.status != finish.status {
            Finished::Cancelled
        } else {
            ended
        })
    }

    /// Gives a migration back to the queue, or ends it as ABORTED when its cancel was requested.
    /// The caller has made sure that no child lives.
    pub async fn hand_back(
        &self,
        source: &Source,
        job: JobId,
        epoch: Epoch,
        back: &HandBack,
    ) -> Result<Finished> {
        let back = super::retry_contended(|| self.hand_back_once(source, job, epoch, back));
        super::timed("hand-back", |_| true, back).await
    }

    async fn hand_back_once(
        &self,
        source: &Source,
        job: JobId,
        epoch: Epoch,
        back: &HandBack,
    ) -> Result<Finished> {
        let mut tx = self.begin().await?;
        let tables = Tables::of(&source.name);
        // Before anything else, after which the row has another epoch.
        note_return(&mut tx, &tables, job, epoch, back).await?;
        if let Some(CountedLoss { cause, max_losses }) = back.loss {
            let taken = take_back(&mut tx, &tables, &Lost { job, epoch, cause, max_losses }).await?;
            let rows = u64::from(matches!(taken, Reaped::Done(_)));
            return self::end(tx, job, epoch, rows, true).await;
        }
        // Cancelled: ABORTED at once, or after the failure command when the pre command had started.
        // MariaDB assigns from left to right, so `cleanup` comes last.
        let updated = sqlx::query(tables.sql(
            "UPDATE {journal} SET epoch = epoch + 1, modified = UTC_TIMESTAMP(3),
                 stopped = IF(cancel_requested AND NOT pre_started, UTC_TIMESTAMP(3), NULL),
                 status = IF(cancel_requested AND NOT pre_started, 'ABORTED', 'SCHEDULED'),
                 cleanup = IF(cancel_requested AND pre_started AND cleanup IS NULL, 'ABORTED', cleanup)
             WHERE id = ? AND epoch = ? AND status = 'SYNC'",
        ))
        .bind(job.journal.0)
        .bind(epoch.0)
        .execute(&mut *tx)
        .await?;
        self::end(tx, job, epoch, updated.rows_affected(), true).await
    }
}

/// What was done so far, and when it may start again.
async fn note_return(
    connection: &mut MySqlConnection,
    tables: &Tables,
    job: JobId,
    epoch: Epoch,
    back: &HandBack,
) -> Result<()> {
    sqlx::query(tables.sql(
        "UPDATE {journal} SET attempt = COALESCE(?, attempt), details = COALESCE(?, details),
             carried = COALESCE(?, carried), target_message_count = COALESCE(?, target_message_count),
             target_mailbox_size = COALESCE(?, target_mailbox_size),
             source_message_count = COALESCE(?, source_message_count),
             source_mailbox_size = COALESCE(?, source_mailbox_size),
             expunged_message_count = COALESCE(?, expunged_message_count),
             sync_message_count = COALESCE(?, sync_message_count), sync_speed = COALESCE(?, sync_speed),
             not_before = IF(? IS NULL, not_before, UTC_TIMESTAMP(3) + INTERVAL ? * 1000 MICROSECOND)
         WHERE id = ? AND epoch = ? AND status = 'SYNC'",
    ))
    .bind(back.attempt)
    .bind(back.details.as_ref().map(Value::to_string))
    .bind(back.carried.as_ref().map(Value::to_string))
    .bind(back.counts.target_message_count)
    .bind(back.counts.target_mailbox_size)
    .bind(back.counts.source_message_count)
    .bind(back.counts.source_mailbox_size)
    .bind(back.counts.expunged_message_count)
    .bind(back.counts.sync_message_count)
    .bind(back.counts.sync_speed)
    .bind(back.delay_ms)
    .bind(back.delay_ms.unwrap_or(0))
    .bind(job.journal.0)
    .bind(epoch.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// A row under the epoch of a claim that reports its result.
struct Standing {
    status: Status,
    cancel_requested: bool,
    pre_started: bool,
    post_started: bool,
}

impl Standing {
    /// What became of a result that is offered once more.
    fn was_recorded(&self, offered: Status) -> Finished {
        match self.status {
            status if status == offered => Finished::Recorded,
            Status::Aborted if self.cancel_requested => Finished::Cancelled,
            _ => Finished::Superseded,
        }
    }
}

/// The row as it stands, locked: a commit that is still on its way is waited for. `None` under another epoch,
/// and where it was taken back.
async fn standing(
    connection: &mut MySqlConnection,
    tables: &Tables,
    job: JobId,
    epoch: Epoch,
) -> Result<Option<Standing>> {
    let row: Option<(String, bool, bool, bool)> = sqlx::query_as(tables.sql(
        "SELECT status, cancel_requested, pre_started, post_started FROM {journal}
         WHERE id = ? AND epoch = ? AND status <> 'SCHEDULED' FOR UPDATE",
    ))
    .bind(job.journal.0)
    .bind(epoch.0)
    .fetch_optional(connection)
    .await?;
    let Some((status, cancel_requested, pre_started, post_started)) = row else { return Ok(None) };
    let status = Status::parse(&status).ok_or(Error::Inconsistent { table: "journal", column: "status" })?;
    Ok(Some(Standing { status, cancel_requested, pre_started, post_started }))
}

/// Writes a result into the row, which goes where `next` says: a return to the queue raises the epoch.
pub(super) fn write_result(
    tables: &Tables,
    (job, epoch): (JobId, Epoch),
    finish: &Finish,
    next: Next,
) -> Statement {
    let (counts, ends) = (finish.counts, next.status.is_terminal());
    let mut statement = Statement::new(tables.text("UPDATE {journal} SET status = "))
        .value(next.status.as_str())
        .sql(if ends { ", stopped = UTC_TIMESTAMP(3)" } else { ", stopped = NULL, epoch = epoch + 1" })
        .sql(", modified = UTC_TIMESTAMP(3), carried = NULL, cleanup = COALESCE(cleanup, ")
        .value(next.cleanup.map(Status::as_str))
        .sql("), details = ")
        .value(finish.details.to_string())
        .sql(", attempt = ")
        .value(finish.attempt)
        .sql(", verification = COALESCE(")
        .value(finish.verification.as_ref().map(Value::to_string))
        .sql(", verification)");
    for (column, count) in [
        ("target_message_count", counts.target_message_count),
        ("target_mailbox_size", counts.target_mailbox_size),
        ("source_message_count", counts.source_message_count),
        ("source_mailbox_size", counts.source_mailbox_size),
        ("expunged_message_count", counts.expunged_message_count),
        ("sync_message_count", counts.sync_message_count),
        ("sync_speed", counts.sync_speed),
    ] {
        // What is not known leaves what an earlier claim has recorded.
        if let Some(count) = count {
            statement = statement.sql(&format!(", {column} = ")).value(count);
        }
    }
    statement
        .sql(" WHERE id = ")
        .value(job.journal.0)
        .sql(" AND epoch = ")
        .value(epoch.0)
        .sql(" AND status = 'SYNC'")
}

/// Deletes the lease, notes the row for the queue where it returns there, and commits.
async fn end(mut tx: Transaction, job: JobId, epoch: Epoch, rows: u64, requeued: bool) -> Result<Finished> {
    let leased = delete_lease(&mut tx, job, epoch).await?;
    let finished = if rows == 1 {
        expect_rows("leases", 1, u64::from(leased))?;
        if requeued {
            outbox::add_job(&mut tx, job).await?;
        }
        Finished::Recorded
    } else {
        Finished::Superseded
    };
    tx.commit().await?;
    Ok(finished)
}
