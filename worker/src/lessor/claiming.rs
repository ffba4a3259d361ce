//! The claim of a batch. One bad or locked member must not keep the others back, and an answer that never
//! came is read back.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as StdError,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use dmf_shared::{
    domain::ids::HostId,
    queue::{Hold, Lessor as _, Proposal, Settlement, Then},
    store::{BackendState, ClaimRequest, Claimed, Decision, Error, Refusal, Result},
};
use futures::{StreamExt as _, stream};

use super::Claimant;
use crate::{
    held::{Held, Stop},
    process::Deadline,
};

/// How many parts of a batch that failed are claimed at the same time.
const CONCURRENTLY: usize = 4;
/// A migration whose rows somebody has locked waits so long.
const LOCKED_PAUSE: Duration = Duration::from_secs(5);
/// A migration whose rows can't be read waits so long for somebody to mend them.
const UNREADABLE_PAUSE: Duration = Duration::from_mins(1);
/// How long one read-back may take, and the pause after one that failed.
const READ_BACK: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(1));

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) granted: Vec<Arc<Held>>,
    pub(super) refused: Vec<Settlement>,
}

impl Claims {
    fn add(mut self, other: Self) -> Self {
        self.granted.extend(other.granted);
        self.refused.extend(other.refused);
        self
    }
}

impl Claimant {
    /// Claims what may be claimed: all in one transaction; where that fails, each host by itself, and
    /// where that fails, each migration.
    pub(super) async fn claim_all(&self, proposals: Vec<Proposal>) -> Claims {
        let error = match self.claim_together(&proposals).await {
            Ok(claims) => return claims,
            Err(error) => error,
        };
        let by_host = by_host(&proposals);
        if by_host.len() == 1 {
            return self.claim_of_host(proposals, error).await;
        }
        tracing::warn!(error = &error as &dyn StdError, "the claim failed, claiming each host by itself");
        stream::iter(by_host)
            .map(async |proposals| match self.claim_together(&proposals).await {
                Ok(claims) => claims,
                Err(error) => self.claim_of_host(proposals, error).await,
            })
            .buffer_unordered(CONCURRENTLY)
            .fold(Claims::default(), async |all, claims| all.add(claims))
            .await
    }

    /// Claims the proposals of one host one by one, after all of them together failed with `error`.
    async fn claim_of_host(&self, proposals: Vec<Proposal>, error: Error) -> Claims {
        if let [only] = proposals[..] {
            return unclaimable(only, &error);
        }
        tracing::warn!(
            error = &error as &dyn StdError,
            "the claim failed, claiming each migration by itself"
        );
        stream::iter(proposals)
            .map(async |proposal| match self.claim_together(&[proposal]).await {
                Ok(claims) => claims,
                Err(error) => unclaimable(proposal, &error),
            })
            .buffer_unordered(CONCURRENTLY)
            .fold(Claims::default(), async |all, claims| all.add(claims))
            .await
    }

    /// One transaction. An error means that nothing was claimed.
    async fn claim_together(&self, proposals: &[Proposal]) -> Result<Claims> {
        // The lease is counted from the sending: it is never longer here than others think it is.
        let (begun, deadline) = (Instant::now(), Deadline::after(self.lease));
        let requests = requests(proposals);
        let claim = self.store.claim(&self.holder, &requests);
        match tokio::time::timeout(self.claim_timeout, claim).await {
            Ok(Ok(decisions)) => Ok(self.take(proposals, decisions, deadline, begun)),
            Ok(Err(error)) if !matches!(error, Error::Unavailable(_)) => Err(error),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn StdError, "the claim was not answered");
                Ok(self.read_back(proposals, deadline, begun).await)
            }
            Err(_) => {
                tracing::warn!("the claim was not answered in time");
                Ok(self.read_back(proposals, deadline, begun).await)
            }
        }
    }

    /// Finds out what became of a claim whose commit may have gone through, for as long as its leases
    /// would live. What was not claimed
    /// goes back to its place.
    async fn read_back(&self, proposals: &[Proposal], deadline: Deadline, begun: Instant) -> Claims {
        self.table.set_database_reachable(false);
        let (limit, pause) = READ_BACK;
        let requests = requests(proposals);
        while !deadline.has_passed() {
            tokio::time::sleep(pause).await;
            match tokio::time::timeout(limit, self.store.read_back_claim(&self.holder, &requests)).await {
                Ok(Ok(claimed)) => return self.take_late(proposals, claimed, deadline, begun).await,
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn StdError, "the claim can't be read back yet");
                }
                Err(_) => tracing::warn!("the claim can't be read back yet"),
            }
        }
        Claims::default()
    }

    async fn take_late(
        &self,
        proposals: &[Proposal],
        claimed: Vec<Claimed>,
        deadline: Deadline,
        begun: Instant,
    ) -> Claims {
        tracing::info!(claimed = claimed.len(), "the claim was read back");
        let held: BTreeSet<_> = claimed.iter().map(|claimed| claimed.job).collect();
        let granted = claimed.into_iter().map(|claimed| Decision::Granted(Box::new(claimed))).collect();
        let mut claims = self.take(proposals, granted, deadline, begun);
        let left = proposals.iter().filter(|proposal| !held.contains(&proposal.job));
        claims.refused.extend(left.map(|proposal| settlement(proposal, Then::Ready)));
        if deadline.has_passed() {
            for held in mem::take(&mut claims.granted) {
                self.hand_back(held).await;
            }
        }
        claims
    }

    fn take(
        &self,
        proposals: &[Proposal],
        decisions: Vec<Decision>,
        deadline: Deadline,
        begun: Instant,
    ) -> Claims {
        let mut claims = Claims::default();
        for decision in decisions {
            match decision {
                Decision::Granted(claimed) => {
                    count("granted");
                    let held = Arc::new(Held::new(*claimed, deadline, begun.elapsed()));
                    self.table.insert(held.clone());
                    // The order to stop may have come while the claim was on its way.
                    if self.table.state() == BackendState::Stopped {
                        held.stop(Stop::HandBack);
                    }
                    claims.granted.push(held);
                }
                Decision::Refused(job, refusal) => {
                    count(match refusal {
                        Refusal::NotWaiting => "not-waiting",
                        Refusal::Blocked => "blocked",
                        Refusal::TooEarly { .. } => "too-early",
                    });
                    let then = match refusal {
                        Refusal::NotWaiting => Then::Drop,
                        Refusal::Blocked => Then::Blocked,
                        Refusal::TooEarly { wait_ms } => Then::Delay(Duration::from_millis(wait_ms)),
                    };
                    let proposal = proposals.iter().find(|proposal| proposal.job == job);
                    claims.refused.extend(proposal.map(|proposal| settlement(proposal, then)));
                }
            }
        }
        claims
    }
}

fn count(decision: &'static str) {
    metrics::counter!("dmf.claims", "decision" => decision).increment(1);
}

fn requests(proposals: &[Proposal]) -> Vec<ClaimRequest> {
    proposals.iter().map(|proposal| ClaimRequest { job: proposal.job, host: proposal.host }).collect()
}

fn by_host(proposals: &[Proposal]) -> Vec<Vec<Proposal>> {
    let mut by_host: BTreeMap<HostId, Vec<Proposal>> = BTreeMap::new();
    for proposal in proposals {
        by_host.entry(proposal.host).or_default().push(*proposal);
    }
    by_host.into_values().collect()
}

/// One migration that can't be claimed: it makes room for others, the longer the less will change by itself.
fn unclaimable(proposal: Proposal, error: &Error) -> Claims {
    let job = proposal.job;
    let pause = if error.is_transient() {
        tracing::warn!(%job, error = error as &dyn StdError, "the migration can't be claimed now");
        LOCKED_PAUSE
    } else {
        tracing::error!(%job, error = error as &dyn StdError, "the migration can't be claimed");
        UNREADABLE_PAUSE
    };
    Claims { granted: Vec::new(), refused: vec![settlement(&proposal, Then::Delay(pause))] }
}

fn settlement(proposal: &Proposal, then: Then) -> Settlement {
    Settlement { job: proposal.job, hold: Hold::Proposal(proposal.ticket), then }
}
