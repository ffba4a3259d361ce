//! Leases in MariaDB that this process does not know: those of claims whose answer was given up.

use std::{
    collections::HashMap,
    error::Error as StdError,
    time::{Duration, Instant},
};

use dmf_shared::{
    domain::ids::{Epoch, JobId, SourceId},
    store::{HandBack, HeldLease, Source},
};
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::Heartbeat;
use crate::held::Table;

/// Most leases that are handed back in one go; the others follow.
const AT_ONCE: usize = 50;
/// How many of them at the same time.
const CONCURRENTLY: usize = 4;
/// How long one of them may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Since when each unknown lease has been seen, by this process's own clock.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<(JobId, Epoch), Instant>);

impl Seen {
    /// Takes what MariaDB has and gives what this process has not known for longer than `patience`.
    pub(super) fn look(
        &mut self,
        read_back: &[HeldLease],
        table: &Table,
        patience: Duration,
    ) -> Vec<HeldLease> {
        let now = Instant::now();
        let unknown = read_back.iter().filter(|lease| !table.knows(lease.job, lease.epoch));
        let (mut seen, mut due) = (HashMap::new(), Vec::new());
        for lease in unknown {
            let key = (lease.job, lease.epoch);
            let since = self.0.get(&key).copied().unwrap_or(now);
            seen.insert(key, since);
            if now.duration_since(since) > patience && due.len() < AT_ONCE {
                due.push(*lease);
            }
        }
        self.0 = seen;
        due
    }
}

impl Heartbeat {
    /// Hands back what it is given: nothing runs under it.
    pub(super) async fn hand_back_unknown(&self, leases: &mut mpsc::Receiver<Vec<HeldLease>>) {
        while let Some(leases) = leases.recv().await {
            let sources = tokio::time::timeout(ANSWER_LIMIT, self.claimant.store.sources()).await;
            let sources: HashMap<SourceId, Source> = match sources {
                Ok(Ok(sources)) => sources.into_iter().map(|source| (source.id, source)).collect(),
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn StdError, "unknown leases wait");
                    continue;
                }
                Err(_) => continue,
            };
            let known = leases.iter().filter_map(|lease| Some((lease, sources.get(&lease.job.source)?)));
            stream::iter(known)
                .for_each_concurrent(CONCURRENTLY, |(lease, source)| self.hand_back_one(lease, source))
                .await;
        }
    }

    async fn hand_back_one(&self, lease: &HeldLease, source: &Source) {
        let (job, back) = (lease.job, HandBack::default());
        let handed = self.claimant.store.hand_back(source, job, lease.epoch, &back);
        match tokio::time::timeout(ANSWER_LIMIT, handed).await {
            Ok(Ok(_)) => tracing::warn!(%job, "handed back a lease whose claim was never answered"),
            Ok(Err(error)) => {
                tracing::warn!(%job, error = &error as &dyn StdError, "could not be handed back");
            }
            Err(_) => tracing::warn!(%job, "could not be handed back in time"),
        }
    }
}
