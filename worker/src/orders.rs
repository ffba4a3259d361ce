//! Orders that come by the control channel: what was cancelled or closed is killed at once, also while
//! this worker is cut off from MariaDB; anything else has the heartbeat look.

use std::{sync::Arc, time::Duration};

use dmf_shared::{
    domain::ids::{Epoch, JobId},
    queue::Control,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    heartbeat::Look,
    held::{Held, Stop, Table},
    lessor::Claimant,
};

/// Messages that wait; more are dropped, since the heartbeat brings the same.
const BACKLOG: usize = 256;
/// Pause before the next try to subscribe.
const PAUSE: Duration = Duration::from_secs(1);

/// Obeys until `stop`. `look` has the heartbeats beat now.
pub async fn obey(claimant: Arc<Claimant>, look: Arc<Look>, stop: CancellationToken) {
    let (sender, mut receiver) = mpsc::channel(BACKLOG);
    let listen = async {
        while let Err(error) = claimant.queue.subscribe_control(claimant.holder.backend, sender.clone()).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "orders are not heard yet");
            tokio::time::sleep(PAUSE).await;
        }
        while let Some(control) = receiver.recv().await {
            obey_one(&claimant.table, control, &look);
        }
    };
    tokio::select! {
        () = listen => {}
        () = stop.cancelled() => {}
    }
}

fn obey_one(table: &Table, control: Control, look: &Look) {
    match control {
        Control::Look => look.now(),
        Control::Cancel(job, epoch) => {
            if let Some(held) = told(table, job, epoch, "cancelled") {
                held.stop(Stop::Cancel);
            }
        }
        Control::Close(job, epoch, end) => {
            if let Some(held) = told(table, job, epoch, "closed") {
                held.close(end);
            }
        }
    }
}

/// Obeys what Redis keeps of the orders to this worker: those whose message was lost. Drops those that nothing is
/// left to do about. What fails is tried again at the next heartbeat.
pub async fn obey_kept(claimant: &Claimant, limit: Duration) {
    let backend = claimant.holder.backend;
    let look = async {
        let mut settled = Vec::new();
        for control in claimant.queue.kept_orders(backend).await? {
            if !obey_late(&claimant.table, control) {
                settled.extend(control.job());
            }
        }
        claimant.queue.forget_orders(backend, &settled).await
    };
    match tokio::time::timeout(limit, look).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "kept orders are not known yet");
        }
        Err(_) => tracing::debug!("kept orders could not be read in time"),
    }
}

/// Whether the migration that an order is about still runs here; it is told when it was not before.
fn obey_late(table: &Table, control: Control) -> bool {
    let (Control::Cancel(job, epoch) | Control::Close(job, epoch, _)) = control else { return false };
    let Some(held) = table.get(job).filter(|held| held.claimed.epoch == epoch) else { return false };
    if held.stop_reason().is_none_or(|reason| reason == Stop::HandBack) {
        obey_one(table, control, &Look::default());
    }
    true
}

/// The lease that an order is about, if this worker has it.
fn told(table: &Table, job: JobId, epoch: Epoch, what: &str) -> Option<Arc<Held>> {
    let held = table.get(job).filter(|held| held.claimed.epoch == epoch)?;
    tracing::info!(job = held.name(), what, "told to stop a migration");
    Some(held)
}
