//! The reaper: takes back leases whose holder was silent in both stores. Every scheduler runs one; the
//! transaction decides who reaps.
//!
//! No store's clock is asked. A lease is reaped when this process has itself watched its beat stand
//! still in MariaDB *and* in Redis for [`Settings::silence`]. Only time between two successful looks
//! counts: while a store is away, or while this process was frozen, nothing was watched.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dmf_shared::{
    domain::ids::{Epoch, JobId, SourceId},
    queue::{self, HeldSlot, Life, Queue},
    store::{self, LeaseBeat, Reaped, Source, Store},
};
use futures::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

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

/// What was watched of all leases.
#[derive(Debug, Default)]
struct Watch {
    life: Option<Life>,
    leases: HashMap<JobId, Watched>,
}

impl Watch {
    /// Forgets everything: the count starts again.
    fn restart(&mut self) {
        self.leases.clear();
    }

    /// Takes a look that came `passed` after the one before it, and gives the leases that were silent
    /// for `silence`.
    fn look(
        &mut self,
        life: Life,
        leases: &[LeaseBeat],
        slots: &[Option<HeldSlot>],
        passed: Duration,
        silence: Duration,
    ) -> Vec<LeaseBeat> {
        if self.life.as_ref() != Some(&life) {
            self.restart();
            self.life = Some(life);
        }
        let mut before = std::mem::take(&mut self.leases);
        let mut silent = Vec::new();
        for (lease, slot) in leases.iter().zip(slots) {
            let signs = Signs { epoch: lease.epoch, beat: lease.beat, slot: *slot };
            let watched = match before.remove(&lease.job) {
                Some(known) if known.signs == signs => Watched { signs, silent: known.silent + passed },
                _ => Watched { signs, silent: Duration::ZERO },
            };
            if watched.silent >= silence {
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
    let mut watch = Watch::default();
    let mut last = Instant::now();
    while stop.run_until_cancelled(tokio::time::sleep(settings.poll)).await.is_some() {
        // Time in which this process did not run was not watched, whatever the clock says.
        let passed = last.elapsed().min(settings.poll * 2);
        last = Instant::now();
        match look(&store, &queue, &mut watch, passed, settings.silence).await {
            Ok(silent) => {
                if let Err(error) = reap_all(&store, &silent, settings.max_losses, &relay).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "silent leases can't be reaped yet"
                    );
                    watch.restart();
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the watch starts again");
                watch.restart();
            }
        }
    }
}

async fn look(
    store: &Store,
    queue: &Queue,
    watch: &mut Watch,
    passed: Duration,
    silence: Duration,
) -> Result<Vec<LeaseBeat>, Error> {
    let leases = store.lease_beats().await?;
    let jobs: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
    let (life, slots) = queue.slots_of(&jobs).await?;
    Ok(watch.look(life, &leases, &slots, passed, silence))
}

/// Reaps what can be reaped. A lease that can't be is tried again at the next look, which sees first whether it
/// is still silent.
async fn reap_all(
    store: &Store,
    silent: &[LeaseBeat],
    max_losses: u32,
    relay: &Notify,
) -> Result<(), store::Error> {
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
    match tokio::time::timeout(REAP_LIMIT, store.reap(source, lease, max_losses)).await {
        Ok(Ok(Reaped::Done(status))) => {
            tracing::warn!(job, status = status.as_str(), backend = %lease.backend, "reaped a lost lease");
        }
        Ok(Ok(Reaped::LeaseOnly)) => tracing::warn!(job, "reaped the lease of a record that was closed"),
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
    use dmf_shared::domain::ids::{BackendId, JournalId};

    const POLL: Duration = Duration::from_secs(5);
    const SILENCE: Duration = Duration::from_mins(1);

    fn lease(beat: u64) -> LeaseBeat {
        LeaseBeat {
            job: JobId { source: SourceId(1), journal: JournalId(1) },
            epoch: Epoch(1),
            beat,
            backend: BackendId(1),
        }
    }

    fn life(n: u32) -> Life {
        Life::for_test(n)
    }

    fn looks(watch: &mut Watch, n: u32, beat: u64) -> Vec<LeaseBeat> {
        (0..n).flat_map(|_| watch.look(life(1), &[lease(beat)], &[None], POLL, SILENCE)).collect()
    }

    #[test]
    fn silence_in_both_stores_for_long_enough_is_a_loss() {
        let mut watch = Watch::default();
        assert!(looks(&mut watch, 12, 7).is_empty(), "the first look only begins to count");
        assert_eq!(looks(&mut watch, 1, 7), [lease(7)]);
    }

    #[test]
    fn a_beat_in_either_store_starts_the_count_again() {
        let mut watch = Watch::default();
        looks(&mut watch, 12, 7);
        assert!(looks(&mut watch, 12, 8).is_empty());
        let slot = HeldSlot {
            epoch: Some(Epoch(1)),
            host: dmf_shared::domain::ids::HostId(1),
            target: dmf_shared::domain::ids::TargetId(1),
            beat: 1,
        };
        assert!(watch.look(life(1), &[lease(8)], &[Some(slot)], POLL, SILENCE).is_empty());
        assert!(looks(&mut watch, 12, 8).is_empty());
    }

    #[test]
    fn another_life_of_redis_or_a_failed_look_starts_the_count_again() {
        let mut watch = Watch::default();
        looks(&mut watch, 12, 7);
        assert!(watch.look(life(2), &[lease(7)], &[None], POLL, SILENCE).is_empty());
        looks(&mut watch, 12, 7);
        watch.restart();
        assert!(looks(&mut watch, 12, 7).is_empty());
    }
}
