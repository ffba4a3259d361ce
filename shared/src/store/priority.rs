//! The priority of a waiting migration.

use super::{Error, Result, Source, Store, error::expect_rows, outbox, tables::Tables};
use crate::domain::{
    ids::{JobId, JournalId, UserId},
    migration::Status,
};

/// What a change of priority found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prioritized {
    /// It has this priority now.
    Done(JournalId),
    /// The latest record does not wait any more, but is in this state.
    NotWaiting(JournalId, Status),
    /// The user has no record.
    Nothing,
}

impl Store {
    /// Changes the priority of the newest migration of a user, while it waits.
    pub async fn prioritize_latest(
        &self,
        source: &Source,
        user: UserId,
        priority: bool,
    ) -> Result<Prioritized> {
        super::retry_contended(|| self.prioritize_once(source, user, priority)).await
    }

    async fn prioritize_once(&self, source: &Source, user: UserId, priority: bool) -> Result<Prioritized> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let latest: Option<(u64, String)> =
            sqlx::query_as(tables.sql(
                "SELECT id, status FROM {journal} WHERE user_id = ? ORDER BY id DESC LIMIT 1 FOR UPDATE",
            ))
            .bind(user.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some((id, status)) = latest else { return Ok(Prioritized::Nothing) };
        let status =
            Status::parse(&status).ok_or(Error::Inconsistent { table: "journal", column: "status" })?;
        if status != Status::Scheduled {
            return Ok(Prioritized::NotWaiting(JournalId(id), status));
        }
        let updated = sqlx::query(
            tables.sql("UPDATE {journal} SET priority = ?, modified = UTC_TIMESTAMP(3) WHERE id = ?"),
        )
        .bind(priority)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        expect_rows("journal", 1, updated.rows_affected())?;
        outbox::add_job(&mut tx, JobId { source: source.id, journal: JournalId(id) }).await?;
        tx.commit().await?;
        Ok(Prioritized::Done(JournalId(id)))
    }
}
