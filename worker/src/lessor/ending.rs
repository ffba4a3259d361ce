//! The end of a lease, told to both stores. Ends that come at the same time go together.

use std::error::Error as StdError;

use dmf_shared::{
    queue::{Hold, Settlement, Then},
    store::{Ended, Finish, Finished, Result},
};

use super::{Claimant, TELL_LIMIT};
use crate::held::Held;

impl Claimant {
    /// Records a result and gives the lease up. The caller has made sure that no child lives. Offered again, a
    /// result finds itself if it was recorded.
    pub async fn finish(&self, held: &Held, finish: &Finish) -> Result<Finished> {
        let claimed = &held.claimed;
        let ended = Ended {
            source: claimed.source.clone(),
            job: claimed.job,
            epoch: claimed.epoch,
            finish: finish.clone(),
        };
        match self.results.join(ended, |ended| self.finish_together(ended)).await {
            Ok(Some(answer)) => answer,
            // It was not recorded, or it may have been.
            Ok(None) | Err(_) => self.store.finish(&claimed.source, claimed.job, claimed.epoch, finish).await,
        }
    }

    /// `None` for what has to be offered by itself.
    async fn finish_together(&self, ended: Vec<Ended>) -> Vec<Option<Result<Finished>>> {
        if let [only] = &ended[..] {
            return vec![Some(self.store.finish(&only.source, only.job, only.epoch, &only.finish).await)];
        }
        match self.store.finish_batch(&ended).await {
            Ok(recorded) => {
                recorded.into_iter().map(|recorded| recorded.then_some(Ok(Finished::Recorded))).collect()
            }
            Err(error) => {
                let (results, error) = (ended.len(), &error as &dyn StdError);
                tracing::warn!(results, error, "results could not be recorded together");
                ended.iter().map(|_| None).collect()
            }
        }
    }

    /// Frees the slot of a migration whose lease is gone.
    pub async fn release(&self, held: &Held) {
        let claimed = &held.claimed;
        let release = Settlement { job: claimed.job, hold: Hold::Lease(claimed.epoch), then: Then::Drop };
        let together = async |releases: Vec<Settlement>| {
            self.settle(&releases, TELL_LIMIT).await;
            vec![(); releases.len()]
        };
        if self.releases.join(release, together).await.is_err() {
            self.settle(&[release], TELL_LIMIT).await;
        }
    }
}
