//! The Redis part of this queue alone: jobs are pushed as the relay does and run through the worker's own backend,
//! but whatever is proposed is run. A lease is confirmed before its job starts, as nothing else would fence it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use apalis::prelude::{BoxDynError, Data, WorkerBuilder, WorkerBuilderExt as _, WorkerError};
use apalis_core::backend::TaskSink as _;
use apalis_core::task::builder::TaskBuilder;
use dmf_shared::batcher::Batcher;
use dmf_shared::domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId};
use dmf_shared::queue::{
    Backend, BackendOptions, Free, Hold, Host, Job as Pushed, JobState, Lessor, Producer, Proposal, Queue,
    Running, Settlement, Then,
};
use futures::{FutureExt as _, stream};
use tokio::sync::Notify;

use super::{Job, OWN_VERSION, Produce, Settings, connect, host_of, hosts, say_ready};

const TARGET: TargetId = TargetId(1);
const SOURCE: SourceId = SourceId(1);
/// The epoch of every claim: nothing is claimed twice.
const FIRST: Epoch = Epoch(1);
/// Jobs that are pushed at a time.
const BATCH: u64 = 5_000;
/// As of the worker.
const VISIBILITY: Duration = Duration::from_secs(30);
/// As of the worker.
const POLL: Duration = Duration::from_secs(5);

/// Pushes jobs.
#[derive(Debug)]
pub(super) struct Filler {
    queue: Queue,
    settings: Settings,
}

impl Filler {
    /// Builds the queues of an empty Redis.
    pub(super) async fn new(settings: &Settings) -> Result<Self> {
        let queue = connect(settings)?;
        let rebuild = queue.begin_rebuild().await?.context("Redis is not empty")?;
        let (count, limit) = hosts(settings);
        let host = |n| Host { host: HostId(n + 1), limit, reserved_for_priority: 0 };
        rebuild.load_hosts(&(0..count).map(host).collect::<Vec<_>>()).await?;
        rebuild.finish().await?;
        Ok(Self { queue, settings: settings.clone() })
    }

    fn job(&self, id: u64) -> Result<Pushed> {
        Ok(Pushed {
            job: JobId { source: SOURCE, journal: JournalId(id) },
            state: JobState::Ready { after: Duration::ZERO },
            epoch: Epoch(0),
            target: TARGET,
            host: HostId(host_of(&self.settings, id)? + 1),
            priority: false,
        })
    }

    async fn push(&self, ids: std::ops::Range<u64>) -> Result<()> {
        let jobs = ids.map(|id| self.job(id)).collect::<Result<Vec<_>>>()?;
        let tasks = jobs.into_iter().map(|job| TaskBuilder::new(job).build());
        Producer::new(self.queue.clone()).push_all(stream::iter(tasks.collect::<Vec<_>>())).await?;
        Ok(())
    }
}

impl Produce for Filler {
    async fn one(&self, id: u64) -> Result<()> {
        self.push(id..id + 1).await
    }

    async fn fill(&self, first: u64, count: u64, limit: Duration) -> Result<u64> {
        let begun = Instant::now();
        let mut filled = 0;
        while filled < count && begun.elapsed() < limit {
            let batch = BATCH.min(count - filled);
            self.push(first + filled..first + filled + batch).await?;
            filled += batch;
        }
        Ok(filled)
    }
}

/// Runs whatever is proposed.
#[derive(Debug)]
struct Everything {
    queue: Queue,
    places: u32,
    taken: AtomicU32,
    /// As those of the worker.
    releases: Batcher<Settlement, bool>,
}

impl Lessor for Everything {
    type Lease = Running;

    fn free(&self) -> Free {
        let total = self.places.saturating_sub(self.taken.load(Ordering::SeqCst));
        Free { total, normal: total }
    }

    async fn claim(&self, proposals: Vec<Proposal>) -> Vec<Running> {
        let running = |proposal: &Proposal| Running {
            job: proposal.job,
            epoch: FIRST,
            host: proposal.host,
            target: TARGET,
            priority: proposal.priority,
        };
        let wanted: Vec<Running> = proposals.iter().map(running).collect();
        // What is not confirmed comes back when its visibility time is over.
        let Ok(confirmed) = self.queue.heartbeat(&wanted).await else { return Vec::new() };
        let granted: Vec<Running> =
            wanted.into_iter().zip(confirmed).filter_map(|(one, yes)| yes.then_some(one)).collect();
        self.taken.fetch_add(u32::try_from(granted.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
        granted
    }

    async fn tell(&self) {}

    async fn hand_back(&self, lease: Running) {
        // Left to the end of the measurement, which forgets everything.
        drop(self.end(&lease, Then::Ready).await);
    }

    fn name(lease: &Running) -> String {
        lease.job.to_string()
    }
}

impl Everything {
    async fn end(&self, lease: &Running, then: Then) -> Result<()> {
        let settlement = Settlement { job: lease.job, hold: Hold::Lease(lease.epoch), then };
        let together = async |releases: Vec<Settlement>| {
            let settled = self.queue.settle(&releases).await.is_ok();
            vec![settled; releases.len()]
        };
        let settled = self.releases.join(settlement, together).await;
        self.taken.fetch_sub(1, Ordering::SeqCst);
        ensure!(settled == Ok(true), "a slot could not be given back");
        Ok(())
    }
}

struct Hands {
    lessor: Arc<Everything>,
    job: Job,
    wake: Arc<Notify>,
}

async fn handle(lease: Running, hands: Data<Arc<Hands>>) -> Result<(), BoxDynError> {
    hands.job.run(lease.job.journal.0).await?;
    hands.lessor.end(&lease, Then::Drop).await?;
    hands.wake.notify_one();
    Ok(())
}

/// Works until `end`.
pub(super) async fn work(settings: &Settings, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let queue = connect(settings)?;
    let wake = Arc::new(Notify::new());
    let lessor = Everything {
        queue: queue.clone(),
        places: settings.concurrency,
        taken: AtomicU32::new(0),
        releases: Batcher::default(),
    };
    let lessor = Arc::new(lessor);
    let hands = Hands { lessor: Arc::clone(&lessor), job: Job::new(settings)?, wake: Arc::clone(&wake) };
    let options = BackendOptions { target: TARGET, visibility: VISIBILITY, poll: POLL };
    let worker = WorkerBuilder::new("worker")
        .backend(Backend::new(queue, options, lessor, wake))
        .data(Arc::new(hands))
        .concurrency(usize::try_from(settings.concurrency)?)
        .build(handle);
    say_ready(OWN_VERSION);
    let stop = async move {
        end.await;
        Ok::<(), WorkerError>(())
    };
    Ok(worker.run_until(stop).boxed().await?)
}
