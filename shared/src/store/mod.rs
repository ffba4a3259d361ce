//! MariaDB, the truth: one file a table or a transaction. SQL lives nowhere else.
//!
//! Every transaction runs READ COMMITTED and is tried again after a deadlock or a lock wait.
//! Times are written by the database (`UTC_TIMESTAMP(3)`), so that rows agree with each other.

#![allow(clippy::disallowed_methods, reason = "this module is where SQL lives")]

mod audit;
mod backends;
mod bulk;
mod bulk_rows;
mod claim;
mod claim_read_back;
mod claim_rows;
mod close;
mod error;
mod figures;
mod finish;
mod finish_batch;
mod hooks;
mod journal;
mod journal_list;
mod leases;
mod options;
mod orders;
mod outbox;
mod places;
mod pool;
mod priority;
mod queue_state;
mod reap;
mod reseal;
mod retention;
mod schema;
mod source_deletion;
mod sourcehosts;
mod sources;
mod spares;
mod spelled;
mod submit;
mod summary;
mod tables;
mod target_state;
mod targets;
mod together;
mod troubles;
mod user_changes;
mod user_fields;
mod user_list;
mod users;

use std::time::Duration;

use self::{
    pool::{Pool, Transaction},
    spelled::{Answer, Statement},
};

pub use audit::{AuditEntry, AuditFilter, Intent, Noted};
pub use backends::{Backend, BackendState, Registration, WorkerHeartbeat};
pub use bulk::{BulkAccepted, BulkAnswer, Place};
pub use claim::{ClaimRequest, Claimed, Decision, Holder, Refusal};
pub use close::Closed;
pub use error::{Error, Result};
pub use figures::HostFigures;
pub use finish::{CountedLoss, Counts, Finish, Finished, HandBack};
pub use finish_batch::Ended;
pub use hooks::Hook;
pub use journal::Record;
pub use journal_list::RecordFilter;
pub use leases::{HeldLease, Wanted};
pub use options::Options;
pub use orders::Cancelled;
pub use outbox::{Batch, HostRow, JobRow, LeaseRef};
pub use priority::Prioritized;
pub use queue_state::LeasedJob;
pub use reap::{LeaseBeat, LossCause, Reaped, ServerLife};
pub use reseal::SealedUser;
pub use retention::{Keep, PAGE as SWEPT_AT_ONCE, Swept};
pub use source_deletion::Deletion;
pub use sourcehosts::{HostView, NewSourcehost, Sourcehost, SourcehostChange};
pub use sources::{Source, SourceView};
pub use submit::{Submission, SubmitError, Submitted};
pub use summary::{Lately, SummaryRow};
pub use target_state::TargetState;
pub use targets::Target;
pub use troubles::{Suspension, Trouble};
pub use user_changes::UserError;
pub use user_fields::UserFields;
pub use user_list::{UserFilter, UserView};

/// MariaDB behind a pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// A store that connects when it is first used. Nothing is created or checked yet.
    pub fn connect_lazily(options: &Options) -> Self {
        Self { pool: Pool::connect_lazily(options) }
    }

    /// Name and version of the server, as the health report shows them.
    pub async fn version(&self) -> Result<String> {
        Ok(sqlx::query_scalar("SELECT VERSION()").fetch_one(&self.pool).await?)
    }

    /// Begins a transaction.
    async fn begin(&self) -> Result<Transaction> {
        // A pool's future is large, and every caller would hold it.
        let begun = tokio::time::timeout(ANSWER_LIMIT, Box::pin(self.pool.begin())).await;
        Ok(begun.map_err(|_| sqlx::Error::PoolTimedOut)??)
    }

    /// Begins a transaction with its first statements, see [`Pool::begin_with`].
    async fn begin_with<const COUNT: usize>(
        &self,
        first: &Statement,
    ) -> Result<(Transaction, [Answer; COUNT])> {
        let begun = tokio::time::timeout(ANSWER_LIMIT, Box::pin(self.pool.begin_with(first))).await;
        Ok(begun.map_err(|_| sqlx::Error::PoolTimedOut)??)
    }

    /// Closes every connection; calls in flight finish first.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// How long one attempt of a transaction may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// How often a transaction that met a deadlock or a lock wait is tried in all.
const CONTENTION_ATTEMPTS: u32 = 5;

/// Runs a call and measures it for people: how long it took, and whether the database failed it.
async fn timed<T, E>(
    call: &'static str,
    is_fault: impl Fn(&E) -> bool,
    doing: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = std::time::Instant::now();
    let done = doing.await;
    metrics::histogram!("dmf.store.calls", "store" => STORE, "call" => call).record(begun.elapsed());
    if done.as_ref().is_err_and(is_fault) {
        metrics::counter!("dmf.store.errors", "store" => STORE).increment(1);
    }
    done
}

/// What metrics call this store.
const STORE: &str = "mariadb";

/// Waits a short random time before the next attempt, so that those who met do not meet again.
async fn pause_contended(tried: u32) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(5..=20 * u64::from(tried)))).await;
}

/// Runs a transaction again, after a short random pause, while rows are contended.
async fn retry_contended<T, F>(attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    retry(attempt, |_| true).await
}

/// The same for a transaction whose caller has better to do than to wait for a row that stays locked.
async fn retry_deadlocked<T, F>(attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    retry(attempt, |error| !error.is_lock_wait()).await
}

async fn retry<T, F>(mut attempt: impl FnMut() -> F, may_retry: impl Fn(&Error) -> bool) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut tried = 1;
    loop {
        // Longer than a lock wait; a server that died after the request would never answer.
        let answer = tokio::time::timeout(ANSWER_LIMIT, attempt()).await;
        match answer.unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::PoolTimedOut))) {
            Err(error @ Error::Contended(_)) if tried < CONTENTION_ATTEMPTS && may_retry(&error) => {
                tracing::debug!(%error, tried, "transaction contended, trying again");
                pause_contended(tried).await;
                tried += 1;
            }
            done => return done,
        }
    }
}
