//! Questions to MariaDB in the middle of a migration: each has a deadline, and while there is no answer
//! the migration waits, for as long as its lease lives.

use std::{future::Future, time::Duration};

use dmf_shared::{domain::migration::Status, store};

use super::{Runner, step::Interrupted};
use crate::held::Held;

/// How long one answer may take.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Pause before the next question.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a question is put that MariaDB refuses for another reason than being away.
pub(super) const REFUSALS: u32 = 3;

impl Runner {
    /// Asks until there is an answer. What MariaDB refuses again and again ends this lease.
    pub(super) async fn ask_database<T, F>(
        &self,
        held: &Held,
        what: &'static str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, Interrupted>
    where
        F: Future<Output = store::Result<T>> + Send,
        T: Send,
    {
        let mut refusals = 0;
        loop {
            match tokio::time::timeout(ANSWER_LIMIT, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        what,
                        "waiting for the database"
                    );
                    refusals += u32::from(!error.may_pass());
                }
                Err(_) => tracing::warn!(what, "the database does not answer"),
            }
            if refusals >= REFUSALS {
                return Err(Interrupted::Refused);
            }
            self.pause(held, PAUSE).await?;
        }
    }

    /// The end state of a migration that was closed; `None` when its record is gone. Nothing may follow
    /// before it is known, so this waits for as long as the lease lives.
    pub(super) async fn closed_as(&self, held: &Held) -> Result<Option<Status>, Interrupted> {
        let claimed = &held.claimed;
        loop {
            if let Some(end) = held.closed_as() {
                return Ok(Some(end));
            }
            let status = self.claimant.store.status_of(&claimed.source, claimed.job);
            match tokio::time::timeout(ANSWER_LIMIT, status).await {
                Ok(Ok(status)) => return Ok(status),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "waiting for the database to say how it was closed");
                }
                Err(_) => tracing::warn!("the database does not say how it was closed"),
            }
            tokio::time::sleep(PAUSE).await;
            if held.is_lost() {
                return Err(Interrupted::LeaseLost);
            }
        }
    }

    /// As [`Self::ask_database`], for what is noted under the epoch: `false` means that the lease is gone.
    pub(super) async fn note<F>(
        &self,
        held: &Held,
        what: &'static str,
        ask: impl FnMut() -> F,
    ) -> Result<(), Interrupted>
    where
        F: Future<Output = store::Result<bool>> + Send,
    {
        if self.ask_database(held, what, ask).await? { Ok(()) } else { Err(Interrupted::LeaseLost) }
    }
}
