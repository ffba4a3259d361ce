//! The rebuild: after Redis has lost the queues, one scheduler writes them anew from MariaDB.

use std::time::Instant;

use dmf_shared::{
    domain::ids::JournalId,
    queue::{Queue, Rebuild},
    store::{JobRow, Source, Store},
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
    metrics::histogram!("dmf.rebuild.duration").record(seconds);
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
        let mut page = in_time(read_page(store, &source, JournalId(0))).await?;
        while let Some(last) = page.last() {
            // The next page is read while this one is loaded.
            let after = last.job.journal;
            let jobs: Vec<_> = page.iter().filter_map(relay::job).collect();
            let push = async { Ok::<_, Error>(rebuild.load_jobs(&jobs).await?) };
            let (next, ()) =
                in_time(async { tokio::try_join!(read_page(store, &source, after), push) }).await?;
            loaded.waiting += page.len();
            page = next;
        }
    }
    Ok(loaded)
}

/// The waiting rows after `after`, as many as make a page.
async fn read_page(store: &Store, source: &Source, after: JournalId) -> Result<Vec<JobRow>, Error> {
    Ok(store.waiting_jobs(source, after, PAGE).await?)
}
