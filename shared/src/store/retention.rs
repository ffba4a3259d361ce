//! What is thrown away when it has become old. Nothing of an open migration goes, nor of one whose child may
//! live; and of each user the newest record stays, and the newest of each kind that a later submit or sync has to
//! know of.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{
    Result, Source, Store,
    spelled::Statement,
    submit::{CUT_OVER, MOVED_MAIL},
    tables::Tables,
};
use crate::domain::ids::JournalId;

/// Records that are looked at, and entries of the audit that go, with one call.
pub const PAGE: u32 = 1000;

/// Records that have ended: these never change any more.
const ENDED: &str = "status IN ('SUCCESS', 'FAILURE', 'ABORTED')";

/// What records are asked for later: whether a user succeeded, whether a user was cut over, and what the target was
/// left with (see `target_state`). [`MOVED_MAIL`] is one more.
const FACTS: [&str; 3] = [
    "status = 'SUCCESS'",
    CUT_OVER,
    "(started IS NOT NULL AND ((status = 'SUCCESS' AND target_message_count IS NOT NULL)
      OR (attempt > 0 AND NOT COALESCE(sync_message_count = 0 AND expunged_message_count = 0, FALSE))))",
];

/// How long what is kept, from a migration's end; `None` is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Records as a whole.
    pub journal: Option<Duration>,
    /// Their details and the report of their comparison.
    pub details: Option<Duration>,
}

/// What one call threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Records that have lost their details.
    pub details: u64,
    /// Where the next call goes on; `None`: this was the last page.
    pub next: Option<JournalId>,
}

impl Store {
    /// Looks at the next [`PAGE`] records of a Source behind `after`, and throws away what is too old. Two at a
    /// time do no harm: what may go never has to stay again.
    pub async fn sweep_journal(&self, source: &Source, after: JournalId, keep: Keep) -> Result<Swept> {
        let tables = Tables::of(&source.name);
        let page: Vec<u64> =
            sqlx::query_scalar(tables.sql("SELECT id FROM {journal} WHERE id > ? ORDER BY id LIMIT ?"))
                .bind(after.0)
                .bind(PAGE)
                .fetch_all(&self.pool)
                .await?;
        let Some(&last) = page.last() else { return Ok(Swept::default()) };
        let is_last = page.len() < PAGE as usize;
        let mut swept = Swept { next: (!is_last).then_some(JournalId(last)), ..Swept::default() };
        let range = (after, JournalId(last));
        if let Some(age) = keep.journal {
            let ids = self.old(source, &tables, range, age, &dispensable(&tables)).await?;
            swept.records = self.change(&tables, "DELETE FROM {journal}", &ids).await?;
        }
        if let Some(age) = keep.details {
            let more = " AND (details IS NOT NULL OR verification IS NOT NULL)";
            let ids = self.old(source, &tables, range, age, more).await?;
            let change = "UPDATE {journal} SET details = NULL, verification = NULL";
            swept.details = self.change(&tables, change, &ids).await?;
        }
        Ok(swept)
    }

    /// Records in a range of ids that ended so long ago, and of which `more` holds.
    async fn old(
        &self,
        source: &Source,
        tables: &Tables,
        (after, last): (JournalId, JournalId),
        age: Duration,
        more: &str,
    ) -> Result<Vec<u64>> {
        let statement = tables.text(
            "SELECT id FROM {journal} old WHERE id > ? AND id <= ?
                 AND stopped < UTC_TIMESTAMP(3) - INTERVAL ? SECOND
                 AND NOT EXISTS (SELECT 1 FROM leases WHERE source_id = ? AND journal_id = old.id) AND ",
        ) + ENDED
            + more;
        let ids = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(after.0)
            .bind(last.0)
            .bind(age.as_secs())
            .bind(source.id.0);
        Ok(ids.fetch_all(&self.pool).await?)
    }

    /// Changes these records. They have ended, so nobody else waits for them.
    async fn change(&self, tables: &Tables, change: &'static str, ids: &[u64]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        super::retry_contended(|| async {
            let statement = Statement::new(tables.text(change)).sql(" WHERE ").sql(ENDED).sql(" AND id IN ");
            let mut connection = self.pool.acquire().await?;
            let changed = statement.list(ids).execute(&mut connection).await?;
            connection.give_back();
            Ok(changed)
        })
        .await
    }

    /// Throws away at most [`PAGE`] of the oldest entries of the audit that are older than this; how many.
    pub async fn sweep_audit(&self, age: Duration) -> Result<u64> {
        let deleted = sqlx::query(
            "DELETE FROM audit WHERE at < UTC_TIMESTAMP(3) - INTERVAL ? SECOND ORDER BY at, id LIMIT ?",
        )
        .bind(age.as_secs())
        .bind(PAGE)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }
}

/// A newer record of the same user has ended for each fact that this one tells, and there is a newer one at all.
/// Columns without a table are those of the innermost query.
fn dispensable(tables: &Tables) -> String {
    let newer = tables
        .text("SELECT 1 FROM {journal} newer FORCE INDEX (user) WHERE newer.user_id = old.user_id AND newer.id > old.id");
    let mut condition = format!(" AND EXISTS ({newer})");
    for fact in FACTS.into_iter().chain([MOVED_MAIL]) {
        let told_again = format!("EXISTS ({newer} AND {ENDED} AND {fact})");
        condition.extend([" AND (NOT COALESCE(", fact, ", FALSE) OR ", &told_again, ")"]);
    }
    condition
}
