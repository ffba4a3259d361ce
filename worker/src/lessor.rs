//! Turns proposals into leases: MariaDB decides, Redis is told.

mod claiming;
mod ending;

use std::{
    error::Error as StdError,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dmf_shared::{
    batcher::Batcher,
    queue::{Free, Hold, Lessor, Proposal, Queue, Settlement, Then},
    store::{Ended, Finished, HandBack, Holder, Result, Store},
};

use crate::{
    held::{Held, Table},
    process::Deadline,
};

/// What claims for this worker.
#[derive(Debug)]
pub struct Claimant {
    /// MariaDB.
    pub store: Store,
    /// Redis.
    pub queue: Queue,
    /// Who claims.
    pub holder: Holder,
    /// Where the leases go.
    pub table: Arc<Table>,
    /// How long a lease lives after the sending of a request that confirmed it.
    pub lease: Duration,
    /// How long a claim may take.
    pub claim_timeout: Duration,
    /// What the queue was not told yet.
    pub untold: Mutex<Untold>,
    /// Results on their way to MariaDB.
    pub results: Batcher<Ended, Option<Result<Finished>>>,
    /// Slots on their way back to Redis.
    pub releases: Batcher<Settlement, ()>,
}

/// Decisions of claims that the queue does not know of yet.
#[derive(Debug, Default)]
pub struct Untold {
    granted: Vec<Arc<Held>>,
    refused: Vec<Settlement>,
}

/// How long the queue may take to be told of a claim.
const TELL_LIMIT: Duration = Duration::from_secs(5);
/// How long a lease that was never started may take to be given back.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(15);

impl Claimant {
    /// Says in Redis that these leases run: confirms them, or learns that a newer claim holds the
    /// migration. Each of its two calls takes at most `limit` and a quarter of it.
    pub async fn beat_queue(&self, held: &[Arc<Held>], limit: Duration) {
        let deadline = Deadline::after(self.lease);
        let running: Vec<_> = held.iter().map(|held| held.running(self.holder.target)).collect();
        match tokio::time::timeout(limit, self.queue.heartbeat(&running)).await {
            Ok(Ok(answers)) => {
                for (held, confirmed) in held.iter().zip(answers) {
                    if confirmed {
                        held.extend(deadline);
                    } else if !held.is_ending() {
                        tracing::warn!(
                            job = held.name(),
                            "the lease is lost: a newer claim holds the migration"
                        );
                        held.lose();
                    }
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn StdError, "the queue heard no heartbeat");
            }
            Err(_) => tracing::warn!("the queue heard no heartbeat in time"),
        }
        self.release_ended(held, limit / 4).await;
    }

    /// A heartbeat that overtakes the release of a migration that just ended takes its slot again. The job
    /// goes back to the queue: if it waits again, it must not be forgotten; if not, one claim is refused.
    /// What can't be told in this time is found by the reconciler.
    async fn release_ended(&self, held: &[Arc<Held>], limit: Duration) {
        let is_gone = |held: &&Arc<Held>| {
            self.table.get(held.claimed.job).is_none_or(|now| now.claimed.epoch != held.claimed.epoch)
        };
        let release = |held: &Arc<Held>| {
            let claimed = &held.claimed;
            Settlement { job: claimed.job, hold: Hold::Lease(claimed.epoch), then: Then::Ready }
        };
        let ended: Vec<_> = held.iter().filter(is_gone).map(release).collect();
        self.settle(&ended, limit).await;
    }

    async fn settle(&self, settlements: &[Settlement], limit: Duration) {
        let problem = match tokio::time::timeout(limit, self.queue.settle(settlements)).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let error = problem.as_ref().map(|error| error as &dyn StdError);
        tracing::warn!(error, "the queue does not know of freed slots yet");
    }
}

impl Lessor for Claimant {
    type Lease = Arc<Held>;

    fn free(&self) -> Free {
        self.table.free()
    }

    async fn claim(&self, proposals: Vec<Proposal>) -> Vec<Arc<Held>> {
        let _known = self.table.begin_claim(proposals.iter().map(|proposal| proposal.job));
        let claims = self.claim_all(proposals).await;
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.granted.extend(claims.granted.iter().cloned());
        untold.refused.extend(claims.refused);
        claims.granted
    }

    /// When Redis can't be told, the heartbeat and the visibility time do the same later.
    async fn tell(&self) {
        let Untold { granted, refused } =
            mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        if !granted.is_empty() {
            self.beat_queue(&granted, TELL_LIMIT).await;
        }
        self.settle(&refused, TELL_LIMIT).await;
    }

    async fn hand_back(&self, held: Arc<Held>) {
        let claimed = &held.claimed;
        held.begin_end();
        let back = HandBack::default();
        let handed = self.store.hand_back(&claimed.source, claimed.job, claimed.epoch, &back);
        match tokio::time::timeout(HAND_BACK_LIMIT, handed).await {
            Ok(Ok(_)) => self.release(&held).await,
            Ok(Err(error)) => {
                tracing::warn!(
                    job = held.name(),
                    error = &error as &dyn StdError,
                    "could not be handed back"
                );
            }
            Err(_) => tracing::warn!(job = held.name(), "could not be handed back in time"),
        }
        self.table.remove(&held);
    }

    fn name(held: &Arc<Held>) -> String {
        held.name()
    }
}
