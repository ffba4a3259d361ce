//! The reconciler: brings the queue back in line with MariaDB where they drifted apart. One scheduler
//! at a time does it.
//!
//! It never takes a waiting job out of the queue: a claim that is refused does that.

use std::{collections::HashMap, time::Duration};

use dmf_shared::{
    domain::ids::{JobId, JournalId, TargetId},
    queue::{self, Job, JobState, Queue, Settlement, Then},
    store::{self, HeldLease, Store},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::relay;

/// Time between two slices of the waiting rows.
const TICK: Duration = Duration::from_secs(2);
/// Rows of one slice: a million rows take some seven minutes of a round.
const SLICE: u32 = 5_000;
/// Time between two looks at all hosts and all slots.
const HOSTS_EVERY: Duration = Duration::from_secs(30);
/// How long the lead lasts without a tick.
const LEAD: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the database can't be read")]
    Store(#[from] store::Error),
    #[error("the queue can't be reconciled")]
    Queue(#[from] queue::Error),
}

/// What was found to have drifted since this process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Drift {
    /// Waiting rows that the queue had forgotten.
    forgotten: u64,
    /// Leases without a slot.
    missing_slots: u64,
    /// Slots without a lease.
    leaked_slots: u64,
}

/// Where the slices have come to.
#[derive(Debug, Default)]
struct Cursor {
    source: usize,
    after: Option<JournalId>,
}

/// Reconciles until `stop`.
pub async fn run(store: Store, queue: Queue, stop: CancellationToken) {
    let token = Uuid::new_v4().to_string();
    let (mut cursor, mut drift) = (Cursor::default(), Drift::default());
    let mut hosts_at = Instant::now();
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        let ticked = tick(&store, &queue, &token, &mut cursor, &mut hosts_at, &mut drift).await;
        match ticked {
            // A queue that is lost is rebuilt by the relay.
            Ok(()) | Err(Error::Queue(queue::Error::Rebuild)) => {}
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "not reconciled"),
        }
    }
}

async fn tick(
    store: &Store,
    queue: &Queue,
    token: &str,
    cursor: &mut Cursor,
    hosts_at: &mut Instant,
    drift: &mut Drift,
) -> Result<(), Error> {
    if !queue.take_lead("reconciler", token, LEAD).await? {
        return Ok(());
    }
    let before = *drift;
    if hosts_at.elapsed() >= HOSTS_EVERY {
        reconcile_slots(store, queue, drift).await?;
        // After the slots, so that the rings follow from what is right: also a suspension that is over.
        let hosts: Vec<_> = store.all_hosts().await?.iter().map(relay::host).collect();
        queue.set_hosts(&hosts).await?;
        *hosts_at = Instant::now();
    }
    drift.forgotten += reconcile_slice(store, queue, cursor).await?;
    if *drift != before {
        tracing::warn!(?drift, "the queue had drifted and was repaired");
    }
    Ok(())
}

/// Slots are read before leases: a slot whose lease is not there any more then is a leak, because slots
/// of running migrations are made after the claim and freed after the end. Its job goes back to the queue: if
/// it waits, it must not be forgotten; if not, one claim is refused.
async fn reconcile_slots(store: &Store, queue: &Queue, drift: &mut Drift) -> Result<(), Error> {
    let slots = queue.all_slots().await?;
    let leases: HashMap<JobId, (HeldLease, TargetId)> =
        store.all_leases().await?.into_iter().map(|(lease, target)| (lease.job, (lease, target))).collect();
    let leaked: Vec<_> = slots
        .iter()
        .filter(|(job, _)| !leases.contains_key(job))
        .filter_map(|(job, slot)| Some(Settlement { job: *job, epoch: Some(slot.epoch?), then: Then::Ready }))
        .collect();
    drift.leaked_slots += queue.settle(&leaked).await?;
    let missing: Vec<_> = leases
        .values()
        .filter(|(lease, _)| !slots.contains_key(&lease.job))
        .map(|(lease, target)| Job {
            job: lease.job,
            state: JobState::Running,
            epoch: lease.epoch,
            target: *target,
            host: lease.host,
            priority: false,
        })
        .collect();
    drift.missing_slots += missing.len() as u64;
    queue.restore_jobs(&missing).await?;
    Ok(())
}

/// Pushes the next slice of waiting rows; gives how many of them the queue had forgotten.
async fn reconcile_slice(store: &Store, queue: &Queue, cursor: &mut Cursor) -> Result<u64, Error> {
    let sources = store.sources().await?;
    let Some(source) = sources.get(cursor.source) else {
        *cursor = Cursor::default();
        return Ok(0);
    };
    let page = store.waiting_jobs(source, cursor.after.unwrap_or(JournalId(0)), SLICE).await?;
    let jobs: Vec<_> = page.iter().filter_map(relay::job).collect();
    let forgotten = queue.restore_jobs(&jobs).await?;
    match page.last() {
        Some(last) if page.len() == SLICE as usize => cursor.after = Some(last.job.journal),
        _ => *cursor = Cursor { source: cursor.source + 1, after: None },
    }
    Ok(forgotten)
}
