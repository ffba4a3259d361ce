//! Heartbeats: two witnesses, MariaDB and Redis. Either answer keeps a lease alive; MariaDB's answer
//! also brings what is wanted of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dmf_shared::{
    domain::ids::{BackendId, JobId, SourceId},
    queue::Queue,
    store::{BackendState, HandBack, HeldLease, Holder, Source, Store, Wanted, WorkerHeartbeat},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    held::{Held, Stop, Table},
    lessor::Claimant,
    process::Deadline,
};

/// How often, and how long things live.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Time between two heartbeats.
    pub every: Duration,
    /// How long a lease lives after the sending of a request that confirmed it.
    pub lease: Duration,
    /// How long a store may take to answer.
    pub timeout: Duration,
    /// A lease in MariaDB that this process does not know is handed back when it is older than this.
    pub claim_timeout: Duration,
    /// A migration that was lost so often is given up.
    pub max_losses: u32,
}

/// Most unknown leases that one heartbeat hands back: it must not be late for the known ones.
const UNKNOWN_AT_ONCE: usize = 2;

/// What beats.
#[derive(Debug)]
pub struct Heartbeat {
    /// Claims and releases.
    pub claimant: Arc<Claimant>,
    /// How often.
    pub rhythm: Rhythm,
    /// Notified when something is wanted now: then it beats at once.
    pub look: Arc<Notify>,
}

impl Heartbeat {
    /// Beats until `stop`. A store that does not answer delays nothing: both are asked at once, each
    /// within its time.
    pub async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(self.rhythm.every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => self.beat().await,
                () = self.look.notified() => {
                    self.beat().await;
                    interval.reset();
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn beat(&self) {
        let held: Vec<_> = self.table().all().into_iter().filter(|held| !held.is_lost()).collect();
        tokio::join!(self.beat_database(&held), self.beat_queue(&held));
    }

    fn table(&self) -> &Table {
        &self.claimant.table
    }

    fn store(&self) -> &Store {
        &self.claimant.store
    }

    fn queue(&self) -> &Queue {
        &self.claimant.queue
    }

    fn holder(&self) -> &Holder {
        &self.claimant.holder
    }

    async fn beat_queue(&self, held: &[Arc<Held>]) {
        let deadline = Deadline::after(self.rhythm.lease);
        let running: Vec<_> = held.iter().map(|held| held.running(self.claimant.target)).collect();
        match tokio::time::timeout(self.rhythm.timeout, self.queue().heartbeat(&running)).await {
            Ok(Ok(answers)) => {
                for (held, confirmed) in held.iter().zip(answers) {
                    if confirmed {
                        held.extend(deadline);
                    } else {
                        tracing::warn!(
                            job = held.name(),
                            "the lease is lost: a newer claim holds the migration"
                        );
                        held.lose();
                    }
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the queue heard no heartbeat");
            }
            Err(_) => tracing::warn!("the queue heard no heartbeat in time"),
        }
        // A heartbeat that overtakes the release of a migration that just ended takes its slot again.
        for held in held {
            if self.table().get(held.claimed.job).is_none_or(|now| now.claimed.epoch != held.claimed.epoch) {
                self.claimant.release_late(held).await;
            }
        }
    }

    async fn beat_database(&self, held: &[Arc<Held>]) {
        let deadline = Deadline::after(self.rhythm.lease);
        let leases: Vec<_> = held.iter().map(|held| (held.claimed.job, held.claimed.epoch)).collect();
        let beat = async {
            let read_back = self.store().heartbeat_leases(self.holder(), &leases).await?;
            let heartbeat =
                WorkerHeartbeat { state: self.table().state(), threads_in_use: self.table().len() };
            let wanted = self
                .store()
                .heartbeat_backend(self.holder().backend, self.holder().incarnation, heartbeat)
                .await?;
            Ok::<_, dmf_shared::store::Error>((read_back, wanted))
        };
        match tokio::time::timeout(self.rhythm.timeout, beat).await {
            Ok(Ok((read_back, wanted))) => {
                self.table().set_database_reachable(true);
                self.follow(wanted, self.holder().backend);
                self.compare(held, &read_back, deadline).await;
            }
            Ok(Err(error)) => {
                self.table().set_database_reachable(false);
                tracing::warn!(error = &error as &dyn std::error::Error, "the database heard no heartbeat");
            }
            Err(_) => {
                self.table().set_database_reachable(false);
                tracing::warn!("the database heard no heartbeat in time");
            }
        }
    }

    /// Does what the API wants of this worker.
    fn follow(&self, wanted: Option<(BackendState, u32)>, backend: BackendId) {
        let Some((state, threads)) = wanted else {
            tracing::error!(%backend, "another process holds the name of this worker; leasing nothing more");
            self.table().drain();
            return;
        };
        if state != self.table().state() && !self.table().is_draining() {
            tracing::info!(state = state.as_str(), "the worker changes its state");
            self.table().set_state(state);
        }
        self.table().set_max_threads(threads);
    }

    /// Compares what was sent with what MariaDB has.
    async fn compare(&self, sent: &[Arc<Held>], read_back: &[HeldLease], deadline: Deadline) {
        let known: HashMap<JobId, &HeldLease> = read_back.iter().map(|lease| (lease.job, lease)).collect();
        for held in sent {
            match known.get(&held.claimed.job).filter(|lease| lease.epoch == held.claimed.epoch) {
                Some(lease) => {
                    held.extend(deadline);
                    match lease.wanted {
                        Wanted::Run => {}
                        Wanted::Cancel => held.stop(Stop::Cancel),
                        Wanted::Close => held.stop(Stop::Close),
                    }
                }
                // It may have ended while the request was on its way.
                None if self.table().get(held.claimed.job).is_none() => {}
                None => {
                    tracing::warn!(job = held.name(), "the lease is lost: the database has it no more");
                    held.lose();
                }
            }
        }
        let unknown: Vec<_> = read_back
            .iter()
            .filter(|lease| u128::from(lease.age_ms) > self.rhythm.claim_timeout.as_millis())
            .filter(|lease| self.table().get(lease.job).is_none_or(|held| held.claimed.epoch != lease.epoch))
            .collect();
        if !unknown.is_empty() {
            self.hand_back_unknown(&unknown).await;
        }
    }

    /// Leases of claims whose answer never came: nothing runs under them.
    async fn hand_back_unknown(&self, leases: &[&HeldLease]) {
        let sources = tokio::time::timeout(self.rhythm.timeout / 4, self.store().sources()).await;
        let sources: HashMap<SourceId, Source> = match sources {
            Err(_) => return,
            Ok(Ok(sources)) => sources.into_iter().map(|source| (source.id, source)).collect(),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "unknown leases wait for the next heartbeat"
                );
                return;
            }
        };
        for lease in leases.iter().take(UNKNOWN_AT_ONCE) {
            let Some(source) = sources.get(&lease.job.source) else { continue };
            let back = HandBack::default();
            let handed = self.store().hand_back(source, lease.job, lease.epoch, &back);
            match tokio::time::timeout(self.rhythm.timeout / 4, handed).await {
                Ok(Ok(_)) => {
                    tracing::warn!(job = %lease.job, "handed back a lease whose claim was never answered");
                }
                Ok(Err(error)) => {
                    tracing::warn!(job = %lease.job, error = &error as &dyn std::error::Error, "could not be handed back");
                }
                Err(_) => tracing::warn!(job = %lease.job, "could not be handed back in time"),
            }
        }
    }
}
