//! Orders: pause, resume, stop, limits and cancels. Each is noted in the outbox with its change, so
//! that the queue and the workers hear of it at once; heartbeats bring what a message missed.

use super::{
    Error, Result, Source, Store, backends::BackendState, error::expect_rows, outbox, tables::Tables,
};
use crate::domain::{
    ids::{BackendId, HostId, JobId, JournalId, SourceId, UserId},
    migration::{Event, Status, transition},
};

/// What a cancel found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and is ABORTED now.
    Done(JournalId),
    /// It runs: its worker is told to kill it, and then it is ABORTED.
    Requested(JournalId),
    /// The latest record had ended before, in this state.
    AlreadyEnded(JournalId, Status),
    /// The user has no record.
    Nothing,
}

impl Store {
    /// Pauses or resumes a Source; what runs goes on.
    pub async fn pause_source(&self, source: SourceId, paused: bool) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE sources SET paused = ?, modified = UTC_TIMESTAMP(3) WHERE id = ?")
            .bind(paused)
            .bind(source.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO outbox (kind, source_id, ref_id) SELECT 'SOURCEHOST', 0, id FROM sourcehosts WHERE source_id = ?",
        )
        .bind(source.0)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Pauses or resumes a source host; what runs goes on. A resume also ends a suspension.
    pub async fn pause_sourcehost(&self, host: HostId, paused: bool) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE sourcehosts SET paused = ?, suspended_until = IF(?, suspended_until, NULL),
                 suspended_reason = IF(?, suspended_reason, NULL), modified = UTC_TIMESTAMP(3) WHERE id = ?",
        )
        .bind(paused)
        .bind(paused)
        .bind(paused)
        .bind(host.0)
        .execute(&mut *tx)
        .await?;
        outbox::add_host(&mut tx, host).await?;
        Ok(tx.commit().await?)
    }

    /// Changes how many migrations of a host run at a time. A lower limit drains: nothing is killed.
    pub async fn set_max_connections(&self, host: HostId, max_connections: u32) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE sourcehosts SET max_connections = ?, modified = UTC_TIMESTAMP(3) WHERE id = ?")
            .bind(max_connections)
            .bind(host.0)
            .execute(&mut *tx)
            .await?;
        outbox::add_host(&mut tx, host).await?;
        Ok(tx.commit().await?)
    }

    /// Changes what is wanted of a worker now.
    pub async fn set_wanted_state(&self, backend: BackendId, wanted: BackendState) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE backends SET wanted_state = ? WHERE id = ?")
            .bind(wanted.as_str())
            .bind(backend.0)
            .execute(&mut *tx)
            .await?;
        outbox::add_backend(&mut tx, backend).await?;
        Ok(tx.commit().await?)
    }

    /// Changes what a worker does at its starts and its most migrations at a time. The outer `None`
    /// leaves a value as it is, the inner one goes back to the worker's configuration.
    pub async fn configure_backend(
        &self,
        backend: BackendId,
        initial_state: Option<Option<BackendState>>,
        max_threads: Option<Option<u32>>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Some(state) = initial_state {
            sqlx::query("UPDATE backends SET initial_state = ? WHERE id = ?")
                .bind(state.map(BackendState::as_str))
                .bind(backend.0)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(threads) = max_threads {
            sqlx::query("UPDATE backends SET max_threads = ? WHERE id = ?")
                .bind(threads)
                .bind(backend.0)
                .execute(&mut *tx)
                .await?;
        }
        outbox::add_backend(&mut tx, backend).await?;
        Ok(tx.commit().await?)
    }

    /// Cancels the newest migration of a user: a waiting one at once, a running one when its child is
    /// dead.
    pub async fn cancel_latest(&self, source: &Source, user: UserId) -> Result<Cancelled> {
        super::retry_contended(|| self.cancel_once(source, user)).await
    }

    async fn cancel_once(&self, source: &Source, user: UserId) -> Result<Cancelled> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let latest: Option<(u64, String, bool)> =
            sqlx::query_as(tables.sql(
                "SELECT id, status, pre_started FROM {journal} WHERE user_id = ? ORDER BY id DESC LIMIT 1 FOR UPDATE",
            ))
            .bind(user.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some((id, status, pre_started)) = latest else { return Ok(Cancelled::Nothing) };
        let status =
            Status::parse(&status).ok_or(Error::Inconsistent { table: "journal", column: "status" })?;
        let (cancelled, statement) = match transition(status, Event::Cancel, false) {
            // It ran before, and nobody stays locked out: a worker runs its failure command first.
            Ok(Status::Aborted) if pre_started => (
                Cancelled::Requested(JournalId(id)),
                "UPDATE {journal} SET cancel_requested = TRUE, cleanup = COALESCE(cleanup, 'ABORTED'),
                     not_before = NULL, modified = UTC_TIMESTAMP(3) WHERE id = ?",
            ),
            Ok(Status::Aborted) => (
                Cancelled::Done(JournalId(id)),
                "UPDATE {journal} SET status = 'ABORTED', epoch = epoch + 1, cancel_requested = TRUE,
                     stopped = UTC_TIMESTAMP(3), modified = UTC_TIMESTAMP(3) WHERE id = ?",
            ),
            Ok(_) => (
                Cancelled::Requested(JournalId(id)),
                "UPDATE {journal} SET cancel_requested = TRUE, modified = UTC_TIMESTAMP(3) WHERE id = ?",
            ),
            Err(_) => return Ok(Cancelled::AlreadyEnded(JournalId(id), status)),
        };
        let updated = sqlx::query(tables.sql(statement)).bind(id).execute(&mut *tx).await?;
        expect_rows("journal", 1, updated.rows_affected())?;
        sqlx::query(
            "UPDATE leases SET wanted = 'CANCEL' WHERE source_id = ? AND journal_id = ? AND wanted = 'RUN'",
        )
        .bind(source.id.0)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        outbox::add_job(&mut tx, JobId { source: source.id, journal: JournalId(id) }).await?;
        tx.commit().await?;
        Ok(cancelled)
    }
}
