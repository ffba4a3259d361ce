//! Which hooks of a migration have been started: noted before they are, because from then on they may
//! have had their effect.

use super::{Result, Source, Store, tables::Tables};
use crate::domain::ids::{Epoch, JobId};

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
}
