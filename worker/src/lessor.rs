//! Turns proposals into leases: one claim in MariaDB for the whole batch, then Redis is told.

use std::{sync::Arc, time::Duration};

use dmf_shared::{
    domain::ids::TargetId,
    queue::{Free, Hold, Lessor, Proposal, Queue, Settlement, Then},
    store::{BackendState, ClaimRequest, Decision, HandBack, Holder, Refusal, Store},
};

use crate::{
    held::{Held, Stop, Table},
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
    /// The target whose migrations are claimed.
    pub target: TargetId,
    /// Where the leases go.
    pub table: Arc<Table>,
    /// How long a lease lives after the sending of a request that confirmed it.
    pub lease: Duration,
    /// How long a claim may take.
    pub claim_timeout: Duration,
}

impl Claimant {
    /// Tells Redis what was decided: granted jobs run, refused ones go where the refusal says. When
    /// Redis can't be told, the heartbeat and the visibility time do the same later.
    async fn tell_queue(&self, granted: &[Arc<Held>], refused: &[Settlement]) {
        let running: Vec<_> = granted.iter().map(|held| held.running(self.target)).collect();
        if let Err(error) = self.queue.heartbeat(&running).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the queue does not know of new leases yet"
            );
        }
        self.settle(refused).await;
    }

    async fn settle(&self, settlements: &[Settlement]) {
        if let Err(error) = self.queue.settle(settlements).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the queue does not know of freed slots yet"
            );
        }
    }

    /// Frees a slot that a late heartbeat took. The job goes back to the queue: if it waits again, it must
    /// not be forgotten; if not, one claim is refused.
    pub async fn release_late(&self, held: &Held) {
        let claimed = &held.claimed;
        self.settle(&[Settlement { job: claimed.job, hold: Hold::Lease(claimed.epoch), then: Then::Ready }])
            .await;
    }

    /// Frees the slot of a migration whose lease is gone.
    pub async fn release(&self, held: &Held) {
        let claimed = &held.claimed;
        self.settle(&[Settlement { job: claimed.job, hold: Hold::Lease(claimed.epoch), then: Then::Drop }])
            .await;
    }
}

fn settlement(proposal: &Proposal, refusal: Refusal) -> Settlement {
    let then = match refusal {
        Refusal::NotWaiting => Then::Drop,
        Refusal::Blocked => Then::Blocked,
        Refusal::TooEarly { wait_ms } => Then::Delay(Duration::from_millis(wait_ms)),
    };
    Settlement { job: proposal.job, hold: Hold::Proposal(proposal.ticket), then }
}

impl Lessor for Claimant {
    type Lease = Arc<Held>;

    fn free(&self) -> Free {
        self.table.free()
    }

    async fn claim(&self, proposals: Vec<Proposal>) -> Vec<Arc<Held>> {
        let requests: Vec<_> = proposals
            .iter()
            .map(|proposal| ClaimRequest { job: proposal.job, host: proposal.host })
            .collect();
        // The lease is counted from the sending: it is never longer here than others think it is.
        let deadline = Deadline::after(self.lease);
        let claim = tokio::time::timeout(self.claim_timeout, self.store.claim(&self.holder, &requests)).await;
        let decisions = match claim {
            Ok(Ok(decisions)) => decisions,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the claim failed");
                // Whatever it is, the next heartbeat says when to try again.
                self.table.set_database_reachable(false);
                return Vec::new();
            }
            Err(_) => {
                tracing::warn!("the claim took too long");
                self.table.set_database_reachable(false);
                return Vec::new();
            }
        };
        let (mut granted, mut refused) = (Vec::new(), Vec::new());
        for decision in decisions {
            match decision {
                Decision::Granted(claimed) => {
                    let held = Arc::new(Held::new(*claimed, deadline));
                    self.table.insert(held.clone());
                    // The order to stop may have come while the claim was on its way.
                    if self.table.state() == BackendState::Stopped {
                        held.stop(Stop::HandBack);
                    }
                    granted.push(held);
                }
                Decision::Refused(job, refusal) => {
                    let proposal = proposals.iter().find(|proposal| proposal.job == job);
                    refused.extend(proposal.map(|proposal| settlement(proposal, refusal)));
                }
            }
        }
        // Children start at once; Redis hears of it meanwhile, within the visibility time.
        self.tell_queue(&granted, &refused).await;
        granted
    }

    async fn hand_back(&self, held: Arc<Held>) {
        let claimed = &held.claimed;
        let back =
            self.store.hand_back(&claimed.source, claimed.job, claimed.epoch, &HandBack::default()).await;
        if let Err(error) = back {
            tracing::warn!(
                job = held.name(),
                error = &error as &dyn std::error::Error,
                "could not be handed back"
            );
        } else {
            self.release(&held).await;
        }
        self.table.remove(&held);
    }

    fn name(held: &Arc<Held>) -> String {
        held.name()
    }
}
