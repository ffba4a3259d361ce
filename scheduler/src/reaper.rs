//! The reaper: takes back leases whose holder was silent in both stores. Every scheduler runs one; the
//! transaction decides who reaps.
//!
//! No store's clock is asked. A lease is reaped when this process has itself watched its beat stand
//! still in MariaDB *and* in Redis for [`Settings::silence`], and for longer where its worker lets children
//! live for longer. Only time between two successful looks counts, from the end of the one to the beginning of
//! the other: while a store is away, or while this process was frozen, nothing was watched.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dmf_shared::{
    domain::ids::{Epoch, JobId, SourceId},
    queue::{self, HeldSlot, Life, Queue},
    store::{self, LeaseBeat, Reaped, ServerLife, Source, Store},
};
use futures::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::duty::{TookTooLong, in_time};

/// Leases that are reaped at a time.
const AT_A_TIME: usize = 4;
/// How long one reap may take.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// How the reaper works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time between two looks.
    pub poll: Duration,
    /// How long a lease must be seen silent.
    pub silence: Duration,
    /// Time between two heartbeats of a worker: it is added to the deadline of one that was given another than
    /// this scheduler.
    pub heartbeat: Duration,
    /// A migration that was lost so often is a FAILURE.
    pub max_losses: u32,
}

/// Why a look failed; whatever was watched so far is forgotten.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the database can't be watched")]
    Store(#[from] store::Error),
    #[error("the queue can't be watched")]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Late(#[from] TookTooLong),
}

/// What both stores showed of a lease at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signs {
    epoch: Epoch,
    beat: u64,
    slot: Option<HeldSlot>,
}

/// What was watched of one lease.
#[derive(Debug)]
struct Watched {
    signs: Signs,
    silent: Duration,
}

/// Which lives of the stores were watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lives {
    database: ServerLife,
    queue: Life,
}

/// One look at both stores.
#[derive(Debug)]
struct Look {
    lives: Lives,
    leases: Vec<LeaseBeat>,
    /// What the queue knows of each of them.
    slots: Vec<Option<HeldSlot>>,
}

/// What was watched of all leases.
#[derive(Debug, Default)]
struct Watch {
    lives: Option<Lives>,
    leases: HashMap<JobId, Watched>,
}

impl Watch {
    /// Forgets everything: the count starts again.
    fn restart(&mut self) {
        self.leases.clear();
    }

    /// Adds a look that came `passed` after the one before it, and gives the leases that were silent for too
    /// long.
    fn add(&mut self, look: &Look, passed: Duration, settings: &Settings) -> Vec<LeaseBeat> {
        if self.lives.as_ref() != Some(&look.lives) {
            self.restart();
            self.lives = Some(look.lives.clone());
        }
        let mut before = std::mem::take(&mut self.leases);
        let mut silent = Vec::new();
        for (lease, slot) in look.leases.iter().zip(&look.slots) {
            let signs = Signs { epoch: lease.epoch, beat: lease.beat, slot: *slot };
            let watched = match before.remove(&lease.job) {
                Some(known) if known.signs == signs => Watched { signs, silent: known.silent + passed },
                _ => Watched { signs, silent: Duration::ZERO },
            };
            if watched.silent >= settings.silence.max(lease.deadline + settings.heartbeat) {
                silent.push(*lease);
            }
            self.leases.insert(lease.job, watched);
        }
        silent
    }
}

/// Reaps until `stop`; wakes the relay after each reap.
pub async fn run(
    store: Store,
    queue: Queue,
    settings: Settings,
    relay: Arc<Notify>,
    stop: CancellationToken,
) {
    // From the start: who watches the rate sees the first one then.
    for became in ["SCHEDULED", "ABORTED", "FAILURE", "CLOSED"] {
        metrics::counter!("dmf.leases.reaped", "became" => became).increment(0);
    }
    let mut watch = Watch::default();
    let mut last_ended = Instant::now();
    while stop.run_until_cancelled(tokio::time::sleep(settings.poll)).await.is_some() {
        // Time in which this process did not run was not watched, whatever the clock says; nor was that between
        // the two ends of a look, which may have read a beat at either.
        let passed = last_ended.elapsed().min(settings.poll * 2);
        let look = in_time(look(&store, &queue)).await;
        last_ended = Instant::now();
        let reaped = match look {
            Ok(look) => {
                let silent = watch.add(&look, passed, &settings);
                in_time(reap_all(&store, &silent, settings.max_losses, &relay)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = reaped {
            tracing::warn!(error = &error as &dyn std::error::Error, "the watch starts again");
            watch.restart();
        }
    }
}

async fn look(store: &Store, queue: &Queue) -> Result<Look, Error> {
    let (database, leases) = store.watch_leases().await?;
    let jobs: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
    let (queue, slots) = queue.slots_of(&jobs).await?;
    Ok(Look { lives: Lives { database, queue }, leases, slots })
}

/// Reaps what can be reaped. A lease that can't be is tried again at the next look, which sees first whether it
/// is still silent.
async fn reap_all(store: &Store, silent: &[LeaseBeat], max_losses: u32, relay: &Notify) -> Result<(), Error> {
    if silent.is_empty() {
        return Ok(());
    }
    let sources: HashMap<SourceId, Source> =
        store.sources().await?.into_iter().map(|source| (source.id, source)).collect();
    // Each on its own: a row that somebody has locked must keep no other lease from being reaped.
    let reaps: Vec<_> = silent
        .iter()
        .filter_map(|lease| {
            let source = sources.get(&lease.job.source)?;
            Some(reap(store, source, lease, max_losses))
        })
        .collect();
    stream::iter(reaps).buffer_unordered(AT_A_TIME).collect::<()>().await;
    relay.notify_one();
    Ok(())
}

async fn reap(store: &Store, source: &Source, lease: &LeaseBeat, max_losses: u32) {
    let job = format!("{}/{}", source.name, lease.job.journal);
    let count =
        |became: &'static str| metrics::counter!("dmf.leases.reaped", "became" => became).increment(1);
    match tokio::time::timeout(REAP_LIMIT, store.reap(source, lease, max_losses)).await {
        Ok(Ok(Reaped::Done(status))) => {
            count(status.as_str());
            tracing::warn!(job, status = status.as_str(), backend = %lease.backend, "reaped a lost lease");
        }
        Ok(Ok(Reaped::LeaseOnly)) => {
            count("CLOSED");
            tracing::warn!(job, "reaped the lease of a record that was closed");
        }
        Ok(Ok(Reaped::Nothing)) => {}
        Ok(Err(error)) => {
            tracing::warn!(job, error = &error as &dyn std::error::Error, "a lost lease can't be reaped yet");
        }
        Err(_) => tracing::warn!(job, "a lost lease could not be reaped in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmf_shared::{
        domain::ids::{BackendId, JournalId},
        queue::Hold,
    };

    const POLL: Duration = Duration::from_secs(5);
    const SETTINGS: Settings = Settings {
        poll: POLL,
        silence: Duration::from_mins(1),
        heartbeat: Duration::from_secs(10),
        max_losses: 3,
    };

    fn lease(beat: u64) -> LeaseBeat {
        LeaseBeat {
            job: JobId { source: SourceId(1), journal: JournalId(1) },
            epoch: Epoch(1),
            beat,
            backend: BackendId(1),
            deadline: Duration::from_secs(45),
        }
    }

    fn seen(lease: LeaseBeat, slot: Option<HeldSlot>) -> Look {
        let lives = Lives { database: ServerLife::for_test(1), queue: Life::for_test(1) };
        Look { lives, leases: vec![lease], slots: vec![slot] }
    }

    fn looks(watch: &mut Watch, n: u32, look: &Look) -> Vec<LeaseBeat> {
        (0..n).flat_map(|_| watch.add(look, POLL, &SETTINGS)).collect()
    }

    #[test]
    fn silence_in_both_stores_for_long_enough_is_a_loss() {
        let mut watch = Watch::default();
        let look = seen(lease(7), None);
        assert!(looks(&mut watch, 12, &look).is_empty(), "the first look only begins to count");
        assert_eq!(looks(&mut watch, 1, &look), [lease(7)]);
    }

    #[test]
    fn a_worker_that_lets_children_live_for_longer_is_given_that_time() {
        let mut watch = Watch::default();
        let look = seen(LeaseBeat { deadline: Duration::from_mins(2), ..lease(7) }, None);
        assert!(looks(&mut watch, 26, &look).is_empty());
        assert_eq!(looks(&mut watch, 1, &look).len(), 1, "120 s and a heartbeat");
    }

    #[test]
    fn a_beat_in_either_store_starts_the_count_again() {
        let mut watch = Watch::default();
        looks(&mut watch, 12, &seen(lease(7), None));
        assert!(looks(&mut watch, 12, &seen(lease(8), None)).is_empty());
        let slot = HeldSlot {
            hold: Hold::Lease(Epoch(1)),
            host: dmf_shared::domain::ids::HostId(1),
            target: dmf_shared::domain::ids::TargetId(1),
            beat: 1,
        };
        assert!(looks(&mut watch, 1, &seen(lease(8), Some(slot))).is_empty());
        assert!(looks(&mut watch, 12, &seen(lease(8), None)).is_empty());
    }

    #[test]
    fn another_life_of_a_store_or_a_failed_look_starts_the_count_again() {
        let mut watch = Watch::default();
        let look = seen(lease(7), None);
        let mut other_queue = seen(lease(7), None);
        other_queue.lives.queue = Life::for_test(2);
        let mut other_server = seen(lease(7), None);
        other_server.lives.database = ServerLife::for_test(2);
        for other in [other_queue, other_server] {
            looks(&mut watch, 12, &look);
            assert!(looks(&mut watch, 12, &other).is_empty());
        }
        watch.restart();
        assert!(looks(&mut watch, 12, &look).is_empty());
    }
}
