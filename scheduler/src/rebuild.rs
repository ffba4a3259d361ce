//! The rebuild: after Redis has lost the queues, one scheduler writes them anew from MariaDB.

use std::time::Instant;

use dmf_shared::{
    domain::ids::JournalId,
    queue::{Job, JobState, Queue},
    store::Store,
};

use crate::relay::{self, Error};

/// Rows of one page.
const PAGE: u32 = 5_000;

/// Rebuilds the queues when they are lost and nobody else does. `Ok(false)` when somebody else does.
/// Submits go on meanwhile: their outbox entries wait for the end.
pub async fn run(store: &Store, queue: &Queue) -> Result<bool, Error> {
    let Some(rebuild) = queue.begin_rebuild().await? else { return Ok(false) };
    let started = Instant::now();
    tracing::warn!("the queue is lost, rebuilding it from the database");
    let hosts: Vec<_> = store.all_hosts().await?.iter().map(relay::host).collect();
    rebuild.load_hosts(&hosts).await?;
    // Running migrations come before waiting ones, so that no slot is given away twice.
    let running: Vec<_> = store
        .all_leases()
        .await?
        .into_iter()
        .map(|(lease, target)| Job {
            job: lease.job,
            state: JobState::Running,
            epoch: lease.epoch,
            target,
            host: lease.host,
            priority: false,
        })
        .collect();
    rebuild.load_jobs(&running).await?;
    let mut waiting = 0;
    for source in store.sources().await? {
        let mut after = JournalId(0);
        loop {
            let page = store.waiting_jobs(&source, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.job.journal;
            waiting += page.len();
            let jobs: Vec<_> = page.iter().filter_map(relay::job).collect();
            rebuild.load_jobs(&jobs).await?;
        }
    }
    rebuild.finish().await?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(waiting, running = running.len(), seconds, "the queue is rebuilt");
    Ok(true)
}
