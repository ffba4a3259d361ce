//! What a migration is about to do: noted before it is done, because from then on it may have had its
//! effect, whatever becomes of the worker.

use serde_json::Value;

use super::{Finish, Result, Source, Store, tables::Tables};
use crate::domain::{
    ids::{Epoch, JobId},
    migration::Status,
};

/// A hook whose start is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The pre command: the user may be locked out.
    Pre,
    /// The post command: the route may have been flipped.
    Post,
}

impl Store {
    /// Notes the start of a hook under the epoch of the claim. `false`: the lease is not this holder's
    /// any more, and the hook must not be started.
    pub async fn note_hook(&self, source: &Source, job: JobId, epoch: Epoch, hook: Hook) -> Result<bool> {
        let statement = match hook {
            Hook::Pre => {
                "UPDATE {journal} SET pre_started = TRUE WHERE id = ? AND epoch = ? AND status = 'SYNC'"
            }
            Hook::Post => {
                "UPDATE {journal} SET post_started = TRUE WHERE id = ? AND epoch = ? AND status = 'SYNC'"
            }
        };
        let noted = sqlx::query(Tables::of(&source.name).sql(statement))
            .bind(job.journal.0)
            .bind(epoch.0)
            .execute(&self.pool)
            .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Notes that the sync command is about to run for the `attempt`th time, and what the next claim has
    /// to know if this one is lost. Until a result is recorded nobody knows how much was moved. `false`:
    /// the lease is not this holder's any more, and nothing must be started.
    pub async fn note_attempt(
        &self,
        source: &Source,
        job: JobId,
        epoch: Epoch,
        attempt: u32,
        carried: &Value,
    ) -> Result<bool> {
        let noted = sqlx::query(Tables::of(&source.name).sql(
            "UPDATE {journal} SET attempt = ?, carried = ?, sync_message_count = NULL,
                 expunged_message_count = NULL
             WHERE id = ? AND epoch = ? AND status = 'SYNC'",
        ))
        .bind(attempt)
        .bind(carried.to_string())
        .bind(job.journal.0)
        .bind(epoch.0)
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Notes that the end of a migration is decided and that its failure command is all that is left to
    /// do, with the result so far. If the lease ends before the result is recorded, the next claim does
    /// just that. `false`: the lease is not this holder's any more.
    pub async fn note_end(&self, source: &Source, job: JobId, epoch: Epoch, result: &Finish) -> Result<bool> {
        let counts = result.counts;
        let noted = sqlx::query(Tables::of(&source.name).sql(
            "UPDATE {journal} SET cleanup = COALESCE(cleanup, ?), details = ?,
                 target_message_count = COALESCE(?, target_message_count),
                 target_mailbox_size = COALESCE(?, target_mailbox_size),
                 source_message_count = COALESCE(?, source_message_count),
                 source_mailbox_size = COALESCE(?, source_mailbox_size),
                 expunged_message_count = COALESCE(?, expunged_message_count),
                 sync_message_count = COALESCE(?, sync_message_count), sync_speed = COALESCE(?, sync_speed),
                 verification = COALESCE(?, verification)
             WHERE id = ? AND epoch = ? AND status = 'SYNC'",
        ))
        .bind(result.status.as_str())
        .bind(result.details.to_string())
        .bind(counts.target_message_count)
        .bind(counts.target_mailbox_size)
        .bind(counts.source_message_count)
        .bind(counts.source_mailbox_size)
        .bind(counts.expunged_message_count)
        .bind(counts.sync_message_count)
        .bind(counts.sync_speed)
        .bind(result.verification.as_ref().map(Value::to_string))
        .bind(job.journal.0)
        .bind(epoch.0)
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Where a migration stands now; `None` when its row is gone.
    pub async fn status_of(&self, source: &Source, job: JobId) -> Result<Option<Status>> {
        let status: Option<String> =
            sqlx::query_scalar(Tables::of(&source.name).sql("SELECT status FROM {journal} WHERE id = ?"))
                .bind(job.journal.0)
                .fetch_optional(&self.pool)
                .await?;
        Ok(status.as_deref().and_then(Status::parse))
    }
}
