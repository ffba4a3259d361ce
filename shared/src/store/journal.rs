//! Reading the journal: one row a migration.

use serde_json::Value;
use sqlx::{FromRow, Row as _, mysql::MySqlRow};
use time::OffsetDateTime;

use super::{Result, Source, Store, tables::Tables};
use crate::domain::{
    ids::{Epoch, JournalId, UserId},
    migration::{Phase, Status},
};

/// A migration as clients see it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Row id within the Source.
    pub id: JournalId,
    /// The user.
    pub user: UserId,
    /// The user's mail identifier on the Source.
    pub source_uid: String,
    /// When it was submitted.
    pub created: OffsetDateTime,
    /// Where it stands.
    pub status: Status,
    /// What it is for.
    pub phase: Phase,
    /// Whether it goes first.
    pub priority: bool,
    /// Fencing token.
    pub epoch: Epoch,
    /// It does not start before this time.
    pub not_before: Option<OffsetDateTime>,
    /// When a worker claimed it.
    pub started: Option<OffsetDateTime>,
    /// When it ended.
    pub stopped: Option<OffsetDateTime>,
    /// When the row last changed.
    pub modified: OffsetDateTime,
    /// `target/worker` that runs or ran it.
    pub backend: Option<String>,
    /// Attempts of the sync command, over hand-backs.
    pub attempt: u32,
    /// What was run, in order: an array of objects with one key each.
    pub details: Option<Value>,
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
    /// Milliseconds of the sync block, sleeps between attempts included.
    pub sync_speed: Option<u64>,
    /// Report of the comparison of source and target.
    pub verification: Option<Value>,
}

pub(super) const SELECT: &str = "SELECT j.id, j.user_id, u.source_uid, j.created, j.status, j.phase, j.priority, j.epoch,
        j.not_before, j.started, j.stopped, j.modified, j.backend, j.attempt, j.details, j.target_message_count,
        j.target_mailbox_size, j.source_message_count, j.source_mailbox_size, j.expunged_message_count,
        j.sync_message_count, j.sync_speed, j.verification
    FROM {journal} j JOIN {users} u ON u.id = j.user_id";

/// The same for what an insert gives back of its rows, but for the source uids, which stand elsewhere.
pub(super) const RETURNING: &str =
    " RETURNING id, user_id, '' AS source_uid, created, status, phase, priority, epoch,
        not_before, started, stopped, modified, backend, attempt, details, target_message_count,
        target_mailbox_size, source_message_count, source_mailbox_size, expunged_message_count,
        sync_message_count, sync_speed, verification";

fn unreadable(column: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: format!("journal.{column}"), source: error.into() }
}

impl FromRow<'_, MySqlRow> for Record {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let json = |column: &str| -> sqlx::Result<Option<Value>> {
            let text: Option<String> = row.try_get(column)?;
            text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
                .transpose()
        };
        let (status, phase): (String, String) = (row.try_get("status")?, row.try_get("phase")?);
        Ok(Self {
            id: JournalId(row.try_get("id")?),
            user: UserId(row.try_get("user_id")?),
            source_uid: row.try_get("source_uid")?,
            created: row.try_get("created")?,
            status: Status::parse(&status).ok_or_else(|| unreadable("status", "unknown value"))?,
            phase: Phase::parse(&phase).ok_or_else(|| unreadable("phase", "unknown value"))?,
            priority: row.try_get("priority")?,
            epoch: Epoch(row.try_get("epoch")?),
            not_before: row.try_get("not_before")?,
            started: row.try_get("started")?,
            stopped: row.try_get("stopped")?,
            modified: row.try_get("modified")?,
            backend: row.try_get("backend")?,
            attempt: row.try_get("attempt")?,
            details: json("details")?,
            target_message_count: row.try_get("target_message_count")?,
            target_mailbox_size: row.try_get("target_mailbox_size")?,
            source_message_count: row.try_get("source_message_count")?,
            source_mailbox_size: row.try_get("source_mailbox_size")?,
            expunged_message_count: row.try_get("expunged_message_count")?,
            sync_message_count: row.try_get("sync_message_count")?,
            sync_speed: row.try_get("sync_speed")?,
            verification: json("verification")?,
        })
    }
}

impl Store {
    /// The newest record of a user.
    pub async fn latest_record(&self, source: &Source, user: UserId) -> Result<Option<Record>> {
        Ok(self.history(source, user, None, 1).await?.pop())
    }

    /// Records of a user, newest first, at most `limit`, below `before`.
    pub async fn history(
        &self,
        source: &Source,
        user: UserId,
        before: Option<JournalId>,
        limit: u32,
    ) -> Result<Vec<Record>> {
        let statement = format!(
            "{} WHERE j.user_id = ? AND j.id < ? ORDER BY j.id DESC LIMIT ?",
            Tables::of(&source.name).text(SELECT)
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(user.0)
            .bind(before.map_or(u64::MAX, |id| id.0))
            .bind(limit)
            .fetch_all(&self.pool)
            .await?)
    }

    /// One record of a user.
    pub async fn record(&self, source: &Source, user: UserId, id: JournalId) -> Result<Option<Record>> {
        let statement = format!("{} WHERE j.user_id = ? AND j.id = ?", Tables::of(&source.name).text(SELECT));
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(user.0)
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await?)
    }
}
