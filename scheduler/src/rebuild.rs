//! The rebuild: after Redis has lost the queues, one scheduler writes them anew from MariaDB.

use std::time::Instant;

use dmf_shared::{
    domain::ids::JournalId,
    queue::{Queue, Rebuild},
    store::{Source, Store},
};

use crate::{
    duty::in_time,
    relay::{self, Error},
};

/// Rows of one page.
const PAGE: u32 = 5_000;

/// How much was loaded.
struct Loaded {
    running: usize,
    waiting: usize,
}

/// Rebuilds the queues when they are lost and nobody else does. `Ok(false)` when somebody else does.
/// Submits go on meanwhile: their outbox entries wait for the end.
pub async fn run(store: &Store, queue: &Queue) -> Result<bool, Error> {
    let Some(rebuild) = queue.begin_rebuild().await? else { return Ok(false) };
    let started = Instant::now();
    tracing::warn!("the queue is lost, rebuilding it from the database");
    let loaded = match load(store, &rebuild).await {
        Ok(loaded) => loaded,
        Err(error) => {
            // Whoever comes next, this process too, need not wait until the right to rebuild expires.
            if let Err(error) = rebuild.abandon().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the rebuild is not given up at once"
                );
            }
            return Err(error);
        }
    };
    rebuild.finish().await?;
    let seconds = started.elapsed().as_secs_f64();
    let Loaded { running, waiting } = loaded;
    tracing::info!(running, waiting, seconds, "the queue is rebuilt");
    Ok(true)
}

async fn load(store: &Store, rebuild: &Rebuild) -> Result<Loaded, Error> {
    // Running migrations come before waiting ones, so that no slot is given away twice.
    let running = in_time(async {
        let hosts: Vec<_> = store.all_hosts().await?.iter().map(relay::host).collect();
        rebuild.load_hosts(&hosts).await?;
        let running: Vec<_> = store.all_leases().await?.iter().map(relay::running).collect();
        rebuild.load_jobs(&running).await?;
        Ok::<_, Error>(running.len())
    });
    let mut loaded = Loaded { running: running.await?, waiting: 0 };
    for source in in_time::<_, Error>(async { Ok(store.sources().await?) }).await? {
        let mut after = JournalId(0);
        while let Some((last, rows)) = in_time(load_page(store, rebuild, &source, after)).await? {
            after = last;
            loaded.waiting += rows;
        }
    }
    Ok(loaded)
}

/// Loads the waiting rows after `after`; gives the last one and how many there were, `None` after the end.
async fn load_page(
    store: &Store,
    rebuild: &Rebuild,
    source: &Source,
    after: JournalId,
) -> Result<Option<(JournalId, usize)>, Error> {
    let page = store.waiting_jobs(source, after, PAGE).await?;
    let Some(last) = page.last() else { return Ok(None) };
    let jobs: Vec<_> = page.iter().filter_map(relay::job).collect();
    rebuild.load_jobs(&jobs).await?;
    Ok(Some((last.job.journal, page.len())))
}
