//! Results of many leases in one transaction: of those that nothing stands against. Each of the others goes the
//! long way, [`Store::finish`].

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sqlx::MySqlConnection;

use super::{
    Finish, Result, Source, Store, error::expect_rows, finish::write_result, spelled::Statement,
    tables::Tables,
};
use crate::domain::{
    ids::{Epoch, JobId, SourceId},
    migration::{Next, Report, after_report},
};

/// The end of one lease. The caller has made sure that no child lives.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The migration's Source.
    pub source: Source,
    /// The migration.
    pub job: JobId,
    /// The claim.
    pub epoch: Epoch,
    /// The result.
    pub finish: Finish,
}

/// How long the batch may take: the long way needs its time, too.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A locked row: its number, its epoch, `cancel_requested`, `pre_started`, `post_started`.
type Standing = (u64, u64, bool, bool, bool);

impl Store {
    /// Records the results that can be recorded as they are, all or none of them, and says for each whether it
    /// was: `false` for a row or a lease that somebody has locked, that is another claim's or nobody's, and
    /// for one that was cancelled. Waits for no row. After an error, some may have been recorded.
    pub async fn finish_batch(&self, ended: &[Ended]) -> Result<Vec<bool>> {
        let finish = tokio::time::timeout(ANSWER_LIMIT, self.finish_batch_once(ended));
        let finish = async { finish.await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) };
        super::timed("finish-batch", |_| true, finish).await
    }

    async fn finish_batch_once(&self, ended: &[Ended]) -> Result<Vec<bool>> {
        let mut by_source: BTreeMap<SourceId, Vec<usize>> = BTreeMap::new();
        for (place, one) in ended.iter().enumerate() {
            by_source.entry(one.source.id).or_default().push(place);
        }
        let mut recorded = vec![false; ended.len()];
        let mut tx = self.begin().await?;
        for places in by_source.into_values() {
            let of_source: Vec<&Ended> = places.iter().map(|place| &ended[*place]).collect();
            let done = finish_of_source(&mut tx, &of_source).await?;
            places.into_iter().zip(done).for_each(|(place, done)| recorded[place] = done);
        }
        tx.commit().await?;
        Ok(recorded)
    }
}

async fn finish_of_source(connection: &mut MySqlConnection, ended: &[&Ended]) -> Result<Vec<bool>> {
    let Some(first) = ended.first() else { return Ok(Vec::new()) };
    let tables = Tables::of(&first.source.name);
    let standing = lock_standing(connection, &tables, ended).await?;
    let nexts: Vec<Option<Next>> =
        ended.iter().map(|one| plain_end(one, standing.get(&one.job.journal.0)?)).collect();
    let plain: Vec<(&Ended, Next)> =
        ended.iter().zip(&nexts).filter_map(|(one, next)| Some((*one, (*next)?))).collect();
    if !plain.is_empty() {
        let results = plain.iter().fold(Statement::new(""), |results, (one, next)| {
            results.then(&write_result(&tables, (one.job, one.epoch), &one.finish, *next))
        });
        let deletion = Statement::new("DELETE FROM leases WHERE source_id = ")
            .value(first.source.id.0)
            .sql(" AND journal_id IN ")
            .list(plain.iter().map(|(one, _)| one.job.journal.0));
        // Of each at most one row, and of one that was locked, one: together they can be as many only where each is.
        let touched = results.then(&deletion).execute(connection).await?;
        expect_rows("journal, leases", 2 * plain.len() as u64, touched)?;
    }
    Ok(nexts.iter().map(Option::is_some).collect())
}

/// The running rows with their leases, both locked; those that somebody else has locked are left out.
async fn lock_standing(
    connection: &mut MySqlConnection,
    tables: &Tables,
    ended: &[&Ended],
) -> Result<HashMap<u64, Standing>> {
    let Some(first) = ended.first() else { return Ok(HashMap::new()) };
    let rows: Vec<Standing> = Statement::new(tables.text(
        "SELECT j.id, j.epoch, j.cancel_requested, j.pre_started, j.post_started
         FROM {journal} j JOIN leases l ON l.journal_id = j.id AND l.epoch = j.epoch
         WHERE j.status = 'SYNC' AND l.source_id = ",
    ))
    .value(first.source.id.0)
    .sql(" AND j.id IN ")
    .list(ended.iter().map(|one| one.job.journal.0))
    .sql(" FOR UPDATE SKIP LOCKED")
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.0, row)).collect())
}

/// Where it goes, if it ends there with the result that it brings.
fn plain_end(ended: &Ended, standing: &Standing) -> Option<Next> {
    let (_, epoch, cancel_requested, pre_started, post_started) = *standing;
    let next = after_report(Report { end: ended.finish.status, cancel_requested, pre_started, post_started });
    (epoch == ended.epoch.0 && next == Next { status: ended.finish.status, cleanup: None }).then_some(next)
}
