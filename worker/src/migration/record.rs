//! The end of a lease: result, hand-back, or nothing at all.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use dmf_shared::{
    domain::migration::Status,
    store::{self, Finish, Finished, HandBack},
};

use super::{
    Ended, Gathered, Runner,
    database::{ANSWER_LIMIT, REFUSALS},
};
use crate::held::{Held, Stop};

/// The first pause after a result that could not be recorded, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Runner {
    /// Records the end, frees the slot and forgets the lease. No child lives any more.
    pub(super) async fn settle(&self, held: &Arc<Held>, ended: Ended, gathered: Gathered) {
        let settled = match ended {
            Ended::Finished(status) => self.record(held, finish(status, gathered)).await,
            Ended::Stopped(Stop::HandBack) => self.hand_back(held, None, gathered.attempt).await,
            Ended::Later(pause) => self.hand_back(held, Some(pause), gathered.attempt).await,
            // A closed record has its end state: this only gives the lease up.
            Ended::Stopped(Stop::Cancel | Stop::Close) => {
                self.record(held, finish(Status::Aborted, gathered)).await
            }
            Ended::Undead => {
                tracing::error!(
                    "processes of this migration survive SIGKILL, so its lease is kept; restart the worker when they are gone"
                );
                return;
            }
            Ended::Lost => {
                tracing::error!("the lease was lost, so the result is thrown away");
                // Fenced by the epoch: it can only bring back what nobody else has taken.
                let _ =
                    tokio::time::timeout(PAUSES.0 * 5, self.hand_back(held, None, gathered.attempt)).await;
                false
            }
        };
        if settled {
            self.claimant.release(held).await;
        }
        self.claimant.table.remove(held);
    }

    /// Records a result. While MariaDB is away it is kept and offered again, for as long as the lease
    /// lives: then it is somebody else's, and the incident is logged.
    async fn record(&self, held: &Held, finish: Finish) -> bool {
        let claimed = &held.claimed;
        let mut pause = PAUSES.0;
        let mut refusals = 0;
        loop {
            let offer = self.claimant.store.finish(&claimed.source, claimed.job, claimed.epoch, &finish);
            let error = match tokio::time::timeout(ANSWER_LIMIT, offer).await {
                Ok(Ok(finished)) => {
                    log_finished(finished, &finish);
                    return true;
                }
                Ok(Err(error)) => Some(error),
                // Offered again, it finds itself if it was recorded.
                Err(_) => None,
            };
            let why = error.as_ref().map_or("no answer in time".to_owned(), ToString::to_string);
            if held.is_lost() {
                tracing::error!(why, "the result could not be recorded in time");
                return false;
            }
            if error.is_some_and(|error| !error.may_pass()) {
                refusals += 1;
                if refusals >= REFUSALS {
                    tracing::error!(why, "the result is refused, handing back");
                    return self.hand_back(held, None, finish.attempt).await;
                }
            }
            tracing::warn!(why, ?pause, "the result can't be recorded yet");
            tokio::time::sleep(pause + Duration::from_millis(fastrand::u64(0..500))).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn hand_back(&self, held: &Held, pause: Option<Duration>, attempt: u32) -> bool {
        let claimed = &held.claimed;
        let delay_ms = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let back = HandBack { delay_ms, attempt: Some(attempt) };
        let handed = self.claimant.store.hand_back(&claimed.source, claimed.job, claimed.epoch, &back);
        // What is not handed back now is so by the heartbeat, which finds a lease that it does not know.
        let Ok(handed) = tokio::time::timeout(ANSWER_LIMIT, handed).await else {
            tracing::error!("could not be handed back in time");
            return false;
        };
        log_handed_back(&handed);
        handed.is_ok()
    }
}

fn finish(status: Status, gathered: Gathered) -> Finish {
    Finish {
        status,
        details: gathered.details.into_value(),
        counts: gathered.counts,
        verification: gathered.verification,
        attempt: gathered.attempt,
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
        Finished::Superseded => {
            tracing::warn!(
                "the record was closed or given to somebody else meanwhile; the result is thrown away"
            );
        }
    }
}

fn log_handed_back(handed: &store::Result<Finished>) {
    match handed {
        Ok(Finished::Recorded) => tracing::info!("handed back"),
        Ok(Finished::Superseded) => tracing::warn!("nothing to hand back: somebody else has it"),
        Err(error) => tracing::error!(error = error as &dyn StdError, "could not be handed back"),
    }
}
