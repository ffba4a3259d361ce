//! The end of a lease: result, hand-back, or nothing at all.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use dmf_shared::{
    domain::{migration::Status, outcome::Outcome},
    store::{self, CountedLoss, Finish, Finished, HandBack, LossCause},
};

use super::{
    Ended, Gathered, Runner,
    database::{ANSWER_LIMIT, REFUSALS},
    details,
};
use crate::{
    gauges,
    held::{Held, Stop},
};

/// The first pause after a result that could not be recorded, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long the last words about a lost lease may take.
const LOST_LIMIT: Duration = Duration::from_secs(5);

impl Runner {
    /// Records the end, frees the slot and forgets the lease. No child lives any more.
    pub(super) async fn settle(&self, held: &Arc<Held>, ended: Ended, gathered: Gathered) {
        let gathered = &gathered;
        let settled = match ended {
            Ended::Finished(status) => self.record(held, status, gathered).await,
            // A closed record has its end state: this only gives the lease up.
            Ended::Stopped(Stop::Cancel | Stop::Close) => self.record(held, Status::Aborted, gathered).await,
            Ended::Stopped(Stop::HandBack) => self.hand_back(held, gathered.back(None)).await,
            Ended::Later(pause) => self.hand_back(held, gathered.back(Some(pause))).await,
            Ended::Broken(cause) => self.hand_back(held, self.broken(cause, gathered)).await,
            Ended::Undead => {
                if !self.outlive(held).await {
                    return;
                }
                self.hand_back(held, self.broken(LossCause::Undead, gathered)).await
            }
            Ended::Lost => {
                metrics::counter!("dmf.leases.lost").increment(1);
                tracing::error!("the lease was lost, so the result is thrown away");
                // Fenced by the epoch: it can only bring back what nobody else has taken.
                self.hand_back(held, self.lost(LossCause::LeaseLost, gathered)).await
            }
        };
        // Before the slot is freed: a heartbeat that takes it again sees then that it came too late.
        self.claimant.table.remove(held);
        if settled {
            self.claimant.release(held).await;
        }
    }

    /// A hand-back that counts as a loss.
    fn lost(&self, cause: LossCause, gathered: &Gathered) -> HandBack {
        let loss = CountedLoss { cause, max_losses: self.settings.rhythm.max_losses };
        HandBack { loss: Some(loss), ..gathered.back(None) }
    }

    /// The same with a pause, because whatever it was may still be so.
    fn broken(&self, cause: LossCause, gathered: &Gathered) -> HandBack {
        let loss = self.lost(cause, gathered).loss;
        HandBack { loss, ..gathered.back(Some(self.settings.sync.retry.delay)) }
    }

    /// Records a result. While MariaDB is away it is kept and offered again, for as long as the lease
    /// lives: then it is somebody else's, and the incident is logged. Where MariaDB refuses it, its end
    /// state is recorded without the details; where that is refused too, the migration goes back.
    async fn record(&self, held: &Held, status: Status, gathered: &Gathered) -> bool {
        let mut finish = gathered.result(status);
        let why = match self.offer(held, &finish, gathered.outcome).await {
            Kept::Answered(_) => return true,
            Kept::Late => return false,
            Kept::Refused(why) => why,
        };
        tracing::error!(why, "the result is refused, offering it without its details");
        finish.details = details::refused(&why);
        finish.verification = None;
        match self.offer(held, &finish, gathered.outcome).await {
            Kept::Answered(_) => true,
            Kept::Late => false,
            Kept::Refused(why) => {
                tracing::error!(why, "the end state is refused, too, handing back");
                // Without whatever it is that MariaDB refuses.
                let broken = self.broken(LossCause::Refused, gathered);
                self.hand_back(held, HandBack { details: None, carried: None, ..broken }).await
            }
        }
    }

    async fn offer(&self, held: &Held, finish: &Finish, outcome: Option<Outcome>) -> Kept {
        let offer = || self.claimant.finish(held, finish);
        let kept = self.persist(held, || held.is_lost(), offer).await;
        if let Kept::Answered(finished) = kept {
            log_finished(finished, finish);
            if finished == Finished::Recorded {
                let target = self.claimant.holder.name.split_once('/').map_or("", |(target, _)| target);
                let outcome = outcome.map_or("none", Outcome::as_str);
                gauges::count_end(target, held.claimed.phase.as_str(), outcome, held.age(), finish);
            }
        }
        kept
    }

    async fn hand_back(&self, held: &Held, back: HandBack) -> bool {
        let (store, claimed) = (&self.claimant.store, &held.claimed);
        let offer = || store.hand_back(&claimed.source, claimed.job, claimed.epoch, &back);
        // A worker that ends waits for nobody: its successor, or the reaper, hands back.
        let too_late = || held.is_lost() || self.claimant.table.is_draining();
        match self.persist(held, too_late, offer).await {
            Kept::Answered(Finished::Recorded | Finished::Cancelled) => tracing::info!("handed back"),
            Kept::Answered(Finished::Superseded) => {
                tracing::warn!("nothing to hand back: somebody else has it");
            }
            // The reaper takes what nobody beats for.
            Kept::Late => return false,
            Kept::Refused(why) => {
                tracing::error!(why, "could not be handed back");
                return false;
            }
        }
        true
    }

    /// Offers the end of a lease until MariaDB answers, or until it is too late, but at least once:
    /// offered again, it finds itself if it was recorded.
    async fn persist<F>(&self, held: &Held, too_late: impl Fn() -> bool, mut offer: impl FnMut() -> F) -> Kept
    where
        F: Future<Output = store::Result<Finished>> + Send,
    {
        held.begin_end();
        let mut pause = PAUSES.0;
        let mut refusals = 0;
        loop {
            let limit = if held.is_lost() { LOST_LIMIT } else { ANSWER_LIMIT };
            let error = match tokio::time::timeout(limit, offer()).await {
                Ok(Ok(finished)) => return Kept::Answered(finished),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            let late = too_late();
            log_unrecorded(error.as_ref(), late);
            if late {
                return Kept::Late;
            }
            if let Some(error) = error.as_ref().filter(|error| !error.may_pass()) {
                refusals += 1;
                if refusals >= REFUSALS {
                    return Kept::Refused(error.to_string());
                }
            }
            tokio::time::sleep(pause + Duration::from_millis(fastrand::u64(0..500))).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// What became of the end of a lease.
enum Kept {
    /// MariaDB has it, or had no use for it.
    Answered(Finished),
    /// The lease ended before.
    Late,
    /// MariaDB refuses it, for this reason.
    Refused(String),
}

impl Gathered {
    /// As it is recorded.
    pub(super) fn result(&self, status: Status) -> Finish {
        Finish {
            status,
            details: self.details.to_value(),
            counts: self.counts,
            verification: self.verification.clone(),
            attempt: self.attempt,
        }
    }

    /// As it goes on in another lease, after this pause.
    fn back(&self, pause: Option<Duration>) -> HandBack {
        HandBack {
            delay_ms: pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            attempt: Some(self.attempt),
            details: Some(self.details.to_value()),
            counts: self.counts,
            carried: Some(self.moved.to_carried()),
            loss: None,
        }
    }
}

fn log_unrecorded(error: Option<&store::Error>, late: bool) {
    let error = error.map(|error| error as &dyn StdError);
    if late {
        tracing::error!(error, "the end of the lease could not be recorded in time");
    } else {
        tracing::warn!(error, "the result can't be recorded yet");
    }
}

fn log_finished(finished: Finished, finish: &Finish) {
    let counts = finish.counts;
    match finished {
        Finished::Recorded => tracing::info!(
            status = finish.status.as_str(),
            saved = counts.sync_message_count,
            expunged = counts.expunged_message_count,
            sync_ms = counts.sync_speed,
            "migration ended"
        ),
        Finished::Cancelled => tracing::info!(
            result = finish.status.as_str(),
            "migration ended after its cancel had been answered: it is aborted"
        ),
        Finished::Superseded => {
            tracing::warn!(
                "the record was closed or given to somebody else meanwhile; the result is thrown away"
            );
        }
    }
}
