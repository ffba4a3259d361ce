//! Gauges of the worker, and what it counts of ended migrations.

use std::{sync::Arc, time::Duration};

use dmf_shared::{
    ops::{Lifecycle, watch_store},
    queue::Queue,
    store::{Finish, Store},
};
use tokio_util::sync::CancellationToken;

use crate::{held::Table, lessor::Claimant};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Shows until the soft stop whether the stores answer, and until the end how much this worker does.
pub fn start(lifecycle: &Lifecycle, claimant: &Arc<Claimant>, stop: CancellationToken) {
    let (store, queue): (Store, Queue) = (claimant.store.clone(), claimant.queue.clone());
    let soft = || lifecycle.soft().clone();
    lifecycle.spawn("mariadb", watch_store("mariadb", async move || store.version().await.is_ok(), soft()));
    lifecycle.spawn("redis", watch_store("redis", async move || queue.is_built().await.is_ok(), soft()));
    let (store, table) = (claimant.store.clone(), Arc::clone(&claimant.table));
    lifecycle.spawn("gauges", async move {
        metrics::counter!("dmf.leases.lost").increment(0);
        metrics::gauge!("dmf.child.processes").increment(0.0);
        loop {
            show(&table);
            store.show_pool();
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    });
}

fn show(table: &Table) {
    metrics::gauge!("dmf.leases").set(table.len());
    metrics::gauge!("dmf.worker.threads").set(table.max_threads());
}

/// Counts a migration whose end was recorded. `outcome` is that of its last sync command, if one ran to its end.
pub fn count_end(target: &str, phase: &'static str, outcome: &'static str, took: Duration, end: &Finish) {
    let labels = [
        ("target", target.to_owned()),
        ("phase", phase.to_owned()),
        ("status", end.status.as_str().to_owned()),
        ("outcome", outcome.to_owned()),
    ];
    metrics::counter!("dmf.migrations.ended", &labels).increment(1);
    metrics::histogram!("dmf.migrations.duration", "target" => target.to_owned(), "phase" => phase)
        .record(took);
    metrics::counter!("dmf.migrations.mails", "target" => target.to_owned())
        .increment(end.counts.sync_message_count.unwrap_or(0));
    metrics::counter!("dmf.migrations.moved", "target" => target.to_owned())
        .increment(end.counts.target_mailbox_size.unwrap_or(0));
}

/// Counts one process for as long as it lives.
#[derive(Debug)]
pub struct Running(());

impl Running {
    /// From now on.
    pub fn begin() -> Self {
        metrics::gauge!("dmf.child.processes").increment(1.0);
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        metrics::gauge!("dmf.child.processes").decrement(1.0);
    }
}
