//! The producer: an apalis task sink that the relay pushes through.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral, future::BoxSyncFuture},
    task::Task,
    worker::context::WorkerContext,
};
use futures::{FutureExt as _, Sink, StreamExt as _, TryStreamExt as _, future, stream};
use tower::layer::util::Identity;

use super::{
    Error, Queue, Result,
    propose::read,
    scripts::{Call, FORGET_HOSTS, PUSH_JOBS, SET_HOSTS},
};
use crate::domain::ids::{Epoch, HostId, JobId, TargetId};

/// What the queue is to do with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a worker.
    Ready {
        /// It does so only after this time.
        after: Duration,
    },
    /// A worker holds its lease.
    Running,
    /// Neither: the queue forgets it.
    Ended,
}

/// A migration as the queue knows it: ids and numbers, nothing that could be stale or secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// The migration.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// The epoch of its row.
    pub epoch: Epoch,
    /// Whose workers may run it.
    pub target: TargetId,
    /// Whose limit it counts against.
    pub host: HostId,
    /// Whether it goes first.
    pub priority: bool,
}

/// A source host as the queue knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// The host.
    pub host: HostId,
    /// Most jobs at a time; 0 while nothing may start.
    pub limit: u32,
    /// How many of them are kept for priority jobs.
    pub reserved_for_priority: u32,
}

/// Most jobs that one script call carries: a call of this size takes Redis some milliseconds.
const BATCH: usize = 500;

pub(super) async fn set_hosts(queue: &Queue, token: &str, hosts: &[Host]) -> Result<()> {
    for hosts in hosts.chunks(BATCH) {
        let mut call = Call::new(&SET_HOSTS, queue);
        call.arg(token);
        for host in hosts {
            call.arg(host.host.0).arg(host.limit).arg(host.reserved_for_priority);
        }
        call.run(queue).await?;
    }
    Ok(())
}

/// How many calls are on their way at a time: Redis works on one while the next one is written.
const AT_ONCE: usize = 2;

/// Gives how many of them were not known to wait. They come to wait in the order in which they are given.
pub(super) async fn push_jobs(queue: &Queue, token: &str, jobs: &[Job]) -> Result<u64> {
    let calls: Vec<_> = jobs.chunks(BATCH).map(|jobs| push_call(queue, token, jobs)).collect();
    let answers = stream::iter(calls)
        .map(|call| async move { read::<u64>(Some(call.run(queue).await?)) })
        .buffered(AT_ONCE);
    answers.try_fold(0, |sum, added| future::ready(Ok(sum + added))).await
}

fn push_call(queue: &Queue, token: &str, jobs: &[Job]) -> Call {
    let mut call = Call::new(&PUSH_JOBS, queue);
    call.arg(token);
    for job in jobs {
        let (state, wait) = match job.state {
            JobState::Ready { after } => ("ready", after),
            JobState::Running => ("running", Duration::ZERO),
            JobState::Ended => ("ended", Duration::ZERO),
        };
        call.arg(job.job.to_string())
            .arg(state)
            .arg(job.epoch.0)
            .arg(job.target.0)
            .arg(u8::from(job.priority))
            .arg(job.host.0)
            .arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    call
}

impl Queue {
    /// Tells the limits of source hosts; `Rebuild` when the queues are lost.
    pub async fn set_hosts(&self, hosts: &[Host]) -> Result<()> {
        set_hosts(self, "", hosts).await
    }

    /// Forgets source hosts that are gone, with what waits for them; `Rebuild` when the queues are lost.
    pub async fn forget_hosts(&self, hosts: &[HostId]) -> Result<()> {
        for hosts in hosts.chunks(BATCH) {
            let mut call = Call::new(&FORGET_HOSTS, self);
            for host in hosts {
                call.arg(host.0);
            }
            call.run(self).await?;
        }
        Ok(())
    }

    /// Brings what is known of some migrations in line with their rows, and gives how many of them had
    /// been forgotten. `Rebuild` when the queues are lost.
    pub async fn restore_jobs(&self, jobs: &[Job]) -> Result<u64> {
        push_jobs(self, "", jobs).await
    }
}

/// The sink of jobs. It gathers what is sent and pushes it in batches when it is flushed; what was
/// sent since the last successful flush must be sent again after an error.
pub struct Producer {
    queue: Queue,
    gathered: Vec<Job>,
    pushing: Option<BoxSyncFuture<Result<()>>>,
}

impl Producer {
    /// A sink into this queue.
    pub const fn new(queue: Queue) -> Self {
        Self { queue, gathered: Vec::new(), pushing: None }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("gathered", &self.gathered.len()).finish_non_exhaustive()
    }
}

impl Sink<Task<Job>> for Producer {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.gathered.len() < BATCH && self.pushing.is_none() {
            Poll::Ready(Ok(()))
        } else {
            self.poll_flush(cx)
        }
    }

    fn start_send(mut self: Pin<&mut Self>, task: Task<Job>) -> Result<()> {
        self.gathered.push(task.args);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(pushing) = &mut self.pushing {
                let pushed = ready!(pushing.poll_unpin(cx));
                self.pushing = None;
                pushed?;
            }
            if self.gathered.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let (queue, jobs) = (self.queue.clone(), mem::take(&mut self.gathered));
            self.pushing = Some(async move { push_jobs(&queue, "", &jobs).await.map(|_| ()) }.boxed().into());
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(cx)
    }
}

/// A producer takes jobs and gives none: it is never handed to a worker.
impl Backend for Producer {
    type Task = Task<Job>;
    type Error = Error;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<Job>>>> {
        Poll::Ready(None)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<()>> {
        Pin::new(self).poll_flush(cx)
    }
}

impl BackendConfig for Producer {
    type Args = Job;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = Queue;
    type Layer = Identity;

    fn config(&self) -> &Queue {
        &self.queue
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
