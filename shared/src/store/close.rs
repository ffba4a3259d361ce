//! Close: an operator writes the end state at once, whatever the worker does.

use super::{Result, Source, Store, error::expect_rows, outbox, tables::Tables};
use crate::domain::{
    ids::{JobId, JournalId, UserId},
    migration::{Event, Status, transition},
};

/// What a close found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The record has its end state now.
    Done(JournalId),
    /// The latest record had ended before, in this state.
    AlreadyEnded(JournalId, Status),
    /// The user has no record.
    Nothing,
}

impl Store {
    /// Closes the newest record of a user with the end state `end`. A lease of it stays and counts
    /// until its worker says that the child is dead; the worker is told through `leases.wanted`.
    pub async fn close_latest(&self, source: &Source, user: UserId, end: Status) -> Result<Closed> {
        super::retry_contended(|| self.close_once(source, user, end)).await
    }

    async fn close_once(&self, source: &Source, user: UserId, end: Status) -> Result<Closed> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let latest: Option<(u64, String, bool)> = sqlx::query_as(tables.sql(
            "SELECT id, status, cancel_requested FROM {journal} WHERE user_id = ? ORDER BY id DESC LIMIT 1 FOR UPDATE",
        ))
        .bind(user.0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((id, status, cancelled)) = latest else { return Ok(Closed::Nothing) };
        let status = Status::parse(&status)
            .ok_or(super::Error::Inconsistent { table: "journal", column: "status" })?;
        let Ok(end) = transition(status, Event::Close(end), cancelled) else {
            return Ok(Closed::AlreadyEnded(JournalId(id), status));
        };
        let updated = sqlx::query(tables.sql(
            "UPDATE {journal} SET status = ?, epoch = epoch + 1, stopped = UTC_TIMESTAMP(3),
                 modified = UTC_TIMESTAMP(3) WHERE id = ?",
        ))
        .bind(end.as_str())
        .bind(id)
        .execute(&mut *tx)
        .await?;
        expect_rows("journal", 1, updated.rows_affected())?;
        sqlx::query("UPDATE leases SET wanted = 'CLOSE' WHERE source_id = ? AND journal_id = ?")
            .bind(source.id.0)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        outbox::add_job(&mut tx, JobId { source: source.id, journal: JournalId(id) }).await?;
        tx.commit().await?;
        Ok(Closed::Done(JournalId(id)))
    }
}
