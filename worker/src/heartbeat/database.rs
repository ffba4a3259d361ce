//! The heartbeat to MariaDB, and what its answer brings.

use std::{collections::HashMap, error::Error as StdError, sync::Arc};

use dmf_shared::{
    domain::ids::JobId,
    store::{self, BackendState, HeldLease, Wanted, WorkerHeartbeat},
};
use tokio::sync::mpsc;

use super::{Heartbeat, unknown::Seen};
use crate::{
    held::{Held, Stop},
    process::Deadline,
};

impl Heartbeat {
    pub(super) async fn beat_database(&self, seen: &mut Seen, unknown: &mpsc::Sender<Vec<HeldLease>>) {
        let held = self.living();
        let deadline = Deadline::after(self.rhythm.lease);
        let leases: Vec<_> = held.iter().map(|held| (held.claimed.job, held.claimed.epoch)).collect();
        let (store, holder) = (&self.claimant.store, &self.claimant.holder);
        let beat = async {
            let read_back = store.heartbeat_leases(holder, &leases).await?;
            let heartbeat =
                WorkerHeartbeat { state: self.table().state(), threads_in_use: self.table().len() };
            let wanted = store.heartbeat_backend(holder.backend, holder.incarnation, heartbeat).await?;
            Ok::<_, store::Error>((read_back, wanted))
        };
        match tokio::time::timeout(self.rhythm.timeout, beat).await {
            Ok(Ok((read_back, wanted))) => {
                self.table().set_database_reachable(true);
                self.follow(wanted);
                compare(&held, &read_back, deadline);
                let due = seen.look(&read_back, self.table(), self.rhythm.claim_timeout);
                // While the last ones are still being handed back, these wait for the next heartbeat.
                if !due.is_empty() {
                    let _ = unknown.try_send(due);
                }
            }
            Ok(Err(error)) => {
                self.table().set_database_reachable(false);
                tracing::warn!(error = &error as &dyn StdError, "the database heard no heartbeat");
            }
            Err(_) => {
                self.table().set_database_reachable(false);
                tracing::warn!("the database heard no heartbeat in time");
            }
        }
    }

    /// Does what the API wants of this worker.
    fn follow(&self, wanted: Option<(BackendState, u32)>) {
        let Some((state, threads)) = wanted else {
            let backend = self.claimant.holder.backend;
            tracing::error!(%backend, "another process holds the name of this worker; leasing nothing more");
            self.table().drain();
            self.usurped.cancel();
            return;
        };
        if state != self.table().state() && !self.table().is_draining() {
            tracing::info!(state = state.as_str(), "the worker changes its state");
            self.table().set_state(state);
        }
        self.table().set_max_threads(threads);
    }
}

/// Compares what was sent with what MariaDB has.
fn compare(sent: &[Arc<Held>], read_back: &[HeldLease], deadline: Deadline) {
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
            None if held.is_ending() => {}
            None => {
                tracing::warn!(job = held.name(), "the lease is lost: the database has it no more");
                held.lose();
            }
        }
    }
}
