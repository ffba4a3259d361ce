//! What this framework last left on a user's target mailbox, as far as the journal tells.

use super::{Result, Source, Store, tables::Tables};
use crate::domain::ids::{JournalId, UserId};

/// What the journal knows of the target mailbox before a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing was ever copied there: it must be empty.
    Untouched,
    /// The last success left so many mails.
    LeftAt(u64),
    /// Something was copied, but how much is not known (a run that failed or was lost on its way).
    Unknown,
}

/// How many earlier records are looked at; with more runs that changed nothing, it is not known.
const LOOK_BACK: u32 = 50;

/// Status, attempts, mails saved, mails expunged, mails left.
type Row = (String, u32, Option<u64>, Option<u64>, Option<u64>);

impl Store {
    /// What the records of this user before `this` say. Records that never started, or that copied and
    /// expunged nothing, say nothing.
    pub async fn target_state(&self, source: &Source, user: UserId, this: JournalId) -> Result<TargetState> {
        let rows: Vec<Row> = sqlx::query_as(Tables::of(&source.name).sql(
            "SELECT status, attempt, sync_message_count, expunged_message_count, target_message_count
             FROM {journal} WHERE user_id = ? AND id < ? AND started IS NOT NULL ORDER BY id DESC LIMIT ?",
        ))
        .bind(user.0)
        .bind(this.0)
        .bind(LOOK_BACK)
        .fetch_all(&self.pool)
        .await?;
        let full = rows.len() == LOOK_BACK as usize;
        let telling = rows.into_iter().find_map(tell);
        Ok(telling.unwrap_or(if full { TargetState::Unknown } else { TargetState::Untouched }))
    }
}

/// Attempts are noted before they are made, so a row without one changed nothing. One that has some and
/// no counts was lost or closed on its way.
fn tell((status, attempt, saved, expunged, left): Row) -> Option<TargetState> {
    match (&status[..], left) {
        ("SUCCESS", Some(left)) => Some(TargetState::LeftAt(left)),
        _ if attempt == 0 || (saved == Some(0) && expunged == Some(0)) => None,
        _ => Some(TargetState::Unknown),
    }
}
