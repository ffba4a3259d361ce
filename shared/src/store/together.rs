//! Submissions that came at the same time, in one transaction.

use std::time::Duration;

use super::{
    ANSWER_LIMIT, Record, Result, Source, Store, Submission, SubmitError, Submitted, audit,
    bulk::{LockWait, Sorted, TargetUids, in_order, sort},
    bulk_rows::write_accepted,
    pool::Transaction,
    tables::Tables,
};

/// How long everything before the commit may take: each may need as much again by itself. Locked rows end it
/// earlier, see [`LockWait::SHORT`].
const PREPARATION_LIMIT: Duration = Duration::from_secs(3);

type Answers = Vec<Result<Submitted, SubmitError>>;

impl Store {
    /// Submits all of `batch`, each with an answer that it could get alone, in their order. `None` when nothing was
    /// submitted, because one of them was in the way, or rows were locked: each is to be submitted by itself. After
    /// an error, all of them may have been submitted. No two may have the same source uid, or the same target uid,
    /// without case.
    pub async fn submit_together(&self, source: &Source, batch: &[Submission]) -> Result<Option<Answers>> {
        super::timed("submit-together", |_| true, self.submit_together_once(source, batch)).await
    }

    async fn submit_together_once(&self, source: &Source, batch: &[Submission]) -> Result<Option<Answers>> {
        // Cut off before its commit, a transaction is rolled back.
        let prepared = tokio::time::timeout(PREPARATION_LIMIT, self.prepare_together(source, batch)).await;
        let (tx, answers) = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "submits can't go together");
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        let committed = tokio::time::timeout(ANSWER_LIMIT, tx.commit()).await;
        committed.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Some(answers))
    }

    async fn prepare_together(
        &self,
        source: &Source,
        batch: &[Submission],
    ) -> Result<(Transaction, Answers)> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let Sorted { refused, mut accepted } =
            sort(&mut tx, &tables, source, batch, LockWait::SHORT, TargetUids::Looked).await?;
        let mut records: Vec<Record> = Vec::new();
        if !accepted.is_empty() {
            records = write_accepted(&mut tx, &tables, source, &mut accepted, LockWait::SHORT).await?;
            let noted: Vec<_> = accepted.iter().filter_map(|one| one.submission.noted.as_ref()).collect();
            if !noted.is_empty() {
                audit::note_all(noted).execute(&mut tx).await?;
            }
        }
        let refused = refused.into_iter().map(|(index, error)| (index, Err(error)));
        let created = accepted.iter().zip(records);
        let created = created.map(|(one, record)| {
            let record = Record { source_uid: one.user.source_uid.clone(), ..record };
            (one.index, Ok(Submitted { record }))
        });
        Ok((tx, in_order(refused.chain(created))))
    }
}
