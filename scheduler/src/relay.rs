//! The relay: brings what the outbox names to the queue. Every scheduler runs one; entries are locked
//! while they are relayed, so two relays never hold the same ones.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use apalis_core::{
    backend::{TaskSink as _, TaskSinkError},
    error::BoxDynError,
    task::builder::TaskBuilder,
};
use dmf_shared::{
    domain::{ids::BackendId, migration::Status},
    ops::traces::{Span, SpanKind},
    queue::{self, Control, Host, Job, JobState, Producer, Queue},
    store::{self, Batch, HostRow, JobRow, LeasedJob, Store, Wanted},
};
use futures::stream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    duty::{TookTooLong, in_time},
    rebuild,
};

/// Most entries of one transaction.
const BATCH: u32 = 500;
/// Longest time between two looks at the outbox: another scheduler may have died with entries in it.
const POLL: Duration = Duration::from_secs(1);
/// Shortest time from one look to the next: entries that come faster share one.
const SPACING: Duration = Duration::from_millis(8);
/// Longest pause after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Why a round of the relay failed; the entries stay in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MariaDB failed.
    #[error("the outbox can't be read")]
    Store(#[from] store::Error),
    /// Redis failed.
    #[error("the queue can't be told")]
    Queue(#[from] queue::Error),
    /// One of them did not answer.
    #[error(transparent)]
    Late(#[from] TookTooLong),
    /// The sink failed in another way.
    #[error("the jobs can't be sent")]
    Sink(#[source] BoxDynError),
}

impl From<TaskSinkError<queue::Error>> for Error {
    fn from(error: TaskSinkError<queue::Error>) -> Self {
        match error {
            TaskSinkError::PushError(error) => Self::Queue(error),
            other => Self::Sink(other.into()),
        }
    }
}

/// What the queue is told of a source host.
pub fn host(row: &HostRow) -> Host {
    Host { host: row.host, limit: row.limit, reserved_for_priority: row.reserved_for_priority }
}

/// What the queue is told of a migration. Nothing of one whose child may live: its worker's own
/// heartbeats and release say that, and they may be newer than this row.
pub fn job(row: &JobRow) -> Option<Job> {
    let state = match row.status {
        Status::Scheduled => JobState::Ready { after: Duration::from_millis(row.wait_ms) },
        _ if row.lease.is_some() || !row.status.is_terminal() => return None,
        _ => JobState::Ended,
    };
    Some(Job {
        job: row.job,
        state,
        epoch: row.epoch,
        target: row.target,
        host: row.host,
        priority: row.priority,
    })
}

/// What the queue is told of a lease that it does not know.
pub fn running(lease: &LeasedJob) -> Job {
    Job {
        job: lease.job,
        state: JobState::Running,
        epoch: lease.epoch,
        target: lease.target,
        host: lease.host,
        priority: false,
    }
}

/// What the workers are told at once: orders to them, and to kill what was cancelled or closed.
fn controls(batch: &Batch) -> Vec<(BackendId, Control)> {
    let looks = batch.backends.iter().map(|backend| (*backend, Control::Look));
    let kills = batch.jobs.iter().filter_map(|row| {
        let lease = row.lease?;
        let control = match lease.wanted {
            Wanted::Run => return None,
            Wanted::Cancel => Control::Cancel(row.job, lease.epoch),
            Wanted::Close => Control::Close(row.job, lease.epoch, row.status),
        };
        Some((lease.backend, control))
    });
    looks.chain(kills).collect()
}

/// Relays until `stop`. Woken by `wake` after a commit in this process, and polling besides.
pub async fn run(store: Store, queue: Queue, wake: Arc<Notify>, stop: CancellationToken) {
    let mut backoff = Duration::ZERO;
    let mut lag_shown: Option<Instant> = None;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let pause = match relay_round(&store, &queue, &mut lag_shown).await {
            Ok(()) => {
                backoff = Duration::ZERO;
                POLL
            }
            Err(Error::Queue(queue::Error::Rebuild)) => match rebuild::run(&store, &queue).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => POLL,
                Err(error) => failed(&error, &mut backoff),
            },
            Err(error) => failed(&error, &mut backoff),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // While something is down, new submits are no reason to ask more often.
            () = woken(&wake, begun + SPACING), if backoff.is_zero() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits for a wake-up, and until then.
async fn woken(wake: &Notify, earliest: Instant) {
    wake.notified().await;
    tokio::time::sleep_until(earliest.into()).await;
}

fn failed(error: &Error, backoff: &mut Duration) -> Duration {
    tracing::warn!(error = error as &dyn std::error::Error, "the relay could not go on");
    *backoff = (*backoff * 2).clamp(Duration::from_millis(500), MAX_BACKOFF);
    *backoff + Duration::from_millis(fastrand::u64(0..250))
}

/// Says in the trace of each migration that waits now that the queue knows of it.
fn trace(batch: &Batch, took: Duration) {
    for row in batch.jobs.iter().filter(|row| row.trace.is_some() && row.status == Status::Scheduled) {
        let mut span = Span::begin_ago("relay", SpanKind::Producer, row.trace, took);
        let entries = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        span.set("messaging.system", "redis").set("messaging.batch.message_count", entries);
    }
}

/// Shows how late the relay is, unless it did just now, and catches up.
async fn relay_round(store: &Store, queue: &Queue, lag_shown: &mut Option<Instant>) -> Result<(), Error> {
    if lag_shown.is_none_or(|shown| shown.elapsed() >= POLL) {
        let lag = in_time::<_, Error>(async { Ok(store.outbox_age().await?) }).await?;
        metrics::gauge!("dmf.relay.lag").set(lag.as_secs_f64());
        *lag_shown = Some(Instant::now());
    }
    relay_all(store, queue).await
}

/// Relays everything that is in the outbox now, in batches.
pub async fn relay_all(store: &Store, queue: &Queue) -> Result<(), Error> {
    while in_time(relay_batch(store, queue)).await? == BATCH as usize {}
    Ok(())
}

/// Relays one batch and gives the number of its entries.
async fn relay_batch(store: &Store, queue: &Queue) -> Result<usize, Error> {
    let begun = Instant::now();
    let batch = store.next_outbox_batch(BATCH).await?;
    if batch.is_empty() {
        batch.done().await?;
        // Nothing is to be told, but a queue that was lost must still be found out.
        return if queue.is_built().await? { Ok(0) } else { Err(queue::Error::Rebuild.into()) };
    }
    let hosts: Vec<Host> = batch.hosts.iter().map(host).collect();
    queue.set_hosts(&hosts).await?;
    queue.forget_hosts(&batch.gone_hosts).await?;
    queue.send_control(&controls(&batch)).await?;
    let tasks = batch.jobs.iter().filter_map(job).map(|job| TaskBuilder::new(job).build());
    let tasks: Vec<_> = tasks.collect();
    Producer::new(queue.clone()).push_all(stream::iter(tasks)).await?;
    let relayed = batch.len();
    trace(&batch, begun.elapsed());
    batch.done().await?;
    metrics::counter!("dmf.relay.relayed").increment(relayed as u64);
    Ok(relayed)
}
