//! The apalis backend: asks the queue what could run next, and the lessor what may.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use apalis_core::{
    backend::{self, BackendConfig, finalize::Ephemeral, future::BoxSyncFuture},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::FutureExt as _;
use tokio::{sync::Notify, task::JoinHandle};
use tower::layer::util::Identity;

use super::{Error, Proposal, Queue, Result};
use crate::domain::ids::TargetId;

/// Threads that could take a job now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// All of them.
    pub total: u32,
    /// Those of them that may take a job without priority.
    pub normal: u32,
}

/// Turns proposals into leases: MariaDB decides. Implemented by the worker.
pub trait Lessor: Send + Sync + 'static {
    /// A migration that this worker holds.
    type Lease: Send + 'static;

    /// How many threads are free; none while the worker is paused, drains, or can't reach MariaDB.
    fn free(&self) -> Free;

    /// Claims what may be claimed. Never fails: what could not be decided is left to the visibility time.
    fn claim(&self, proposals: Vec<Proposal>) -> impl Future<Output = Vec<Self::Lease>> + Send;

    /// Tells the queue what the last claims have decided. Leases are handed out before, because what runs
    /// under them need not wait for the queue.
    fn tell(&self) -> impl Future<Output = ()> + Send;

    /// Gives back a lease that was never started.
    fn hand_back(&self, lease: Self::Lease) -> impl Future<Output = ()> + Send;

    /// Names a lease for logs and traces.
    fn name(lease: &Self::Lease) -> String;
}

/// How the backend asks.
#[derive(Debug, Clone, Copy)]
pub struct BackendOptions {
    /// The target whose jobs are taken.
    pub target: TargetId,
    /// How long a proposal stays taken without a claim.
    pub visibility: Duration,
    /// Longest time between two looks at an empty queue: messages get lost.
    pub poll: Duration,
}

/// Pause after a failed call, and before a look at queues that are being rebuilt.
const BACKOFF: Duration = Duration::from_secs(1);

struct Fetched<L> {
    leases: Vec<L>,
    /// How long to wait before the next look, unless woken; zero looks again at once.
    wait: Duration,
}

enum State<L> {
    Start,
    Fetching(JoinHandle<Fetched<L>>),
    Idle(BoxSyncFuture<()>),
}

/// Jobs as an apalis worker takes them. It never ends and never fails: either would end the worker
/// and drop what runs.
pub struct Backend<S: Lessor> {
    queue: Queue,
    options: BackendOptions,
    lessor: Arc<S>,
    wake: Arc<Notify>,
    state: State<S::Lease>,
    leased: VecDeque<S::Lease>,
    closing: Option<BoxSyncFuture<()>>,
    listening: Option<JoinHandle<()>>,
}

impl<S: Lessor> fmt::Debug for Backend<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<S: Lessor> Backend<S> {
    /// `wake` is notified by the caller too, when a thread becomes free or the worker resumes.
    pub fn new(queue: Queue, options: BackendOptions, lessor: Arc<S>, wake: Arc<Notify>) -> Self {
        Self {
            queue,
            options,
            lessor,
            wake,
            state: State::Start,
            leased: VecDeque::new(),
            closing: None,
            listening: None,
        }
    }
}

/// One look at the queue. Runs as a task of its own, so that what it leased is never lost with a
/// dropped future.
async fn fetch<S: Lessor>(queue: Queue, options: BackendOptions, lessor: Arc<S>) -> Fetched<S::Lease> {
    lessor.tell().await;
    let free = lessor.free();
    if free.total == 0 {
        return Fetched { leases: Vec::new(), wait: options.poll };
    }
    match queue.propose(options.target, free, options.visibility).await {
        Ok(proposed) if proposed.jobs.is_empty() => {
            let wait = proposed.next_timer.map_or(options.poll, |timer| timer.min(options.poll));
            // A timer that is due already was left over by the bound on chores: look again soon.
            Fetched { leases: Vec::new(), wait: wait.max(Duration::from_millis(5)) }
        }
        Ok(proposed) => {
            let leases = lessor.claim(proposed.jobs).await;
            if !leases.is_empty() {
                return Fetched { leases, wait: Duration::ZERO };
            }
            lessor.tell().await;
            Fetched { leases, wait: Duration::from_millis(20) }
        }
        Err(error) => {
            if !matches!(error, Error::Rebuild) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the queue can't be asked for jobs");
            }
            Fetched { leases: Vec::new(), wait: BACKOFF }
        }
    }
}

/// Subscribes to wake-ups as soon as Redis can be reached.
async fn listen(queue: Queue, target: TargetId, wake: Arc<Notify>) {
    while let Err(error) = queue.subscribe(target, wake.clone()).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "wake-ups are not heard yet");
        tokio::time::sleep(BACKOFF).await;
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "apalis polls this from inside its own loop; the tasks are joined or aborted here"
)]
fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

impl<S: Lessor> backend::Backend for Backend<S> {
    type Task = Task<S::Lease>;
    type Error = Error;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<()>> {
        if self.listening.is_none() {
            self.listening = Some(spawn(listen(self.queue.clone(), self.options.target, self.wake.clone())));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task>>> {
        loop {
            if let Some(lease) = self.leased.pop_front() {
                let id = TaskId::from_string(S::name(&lease));
                let task =
                    TaskBuilder::new(lease).task_id(id).lock_by(Some(worker.name().to_owned())).build();
                return Poll::Ready(Some(Ok(task)));
            }
            match &mut self.state {
                State::Start => {
                    let look = fetch(self.queue.clone(), self.options, self.lessor.clone());
                    self.state = State::Fetching(spawn(look));
                }
                State::Fetching(look) => match ready!(look.poll_unpin(cx)) {
                    Ok(Fetched { leases, wait }) => {
                        self.leased.extend(leases);
                        self.state =
                            if wait.is_zero() { State::Start } else { idle(self.wake.clone(), wait) };
                    }
                    Err(error) => {
                        tracing::error!(%error, "a look at the queue ended in a panic");
                        self.state = idle(self.wake.clone(), BACKOFF);
                    }
                },
                State::Idle(wait) => {
                    ready!(wait.poll_unpin(cx));
                    self.state = State::Start;
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<()>> {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        let closing = self.closing.get_or_insert_with(|| {
            let state = std::mem::replace(&mut self.state, State::Start);
            let mut leased = std::mem::take(&mut self.leased);
            let lessor = self.lessor.clone();
            async move {
                if let State::Fetching(look) = state
                    && let Ok(fetched) = look.await
                {
                    leased.extend(fetched.leases);
                }
                lessor.tell().await;
                for lease in leased {
                    lessor.hand_back(lease).await;
                }
            }
            .boxed()
            .into()
        });
        ready!(closing.poll_unpin(cx));
        Poll::Ready(Ok(()))
    }
}

fn idle<L>(wake: Arc<Notify>, wait: Duration) -> State<L> {
    let idle = async move {
        // Woken or due, either is a reason to look.
        let _ = tokio::time::timeout(wait, wake.notified()).await;
    };
    State::Idle(idle.boxed().into())
}

impl<S: Lessor> BackendConfig for Backend<S> {
    type Args = S::Lease;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = BackendOptions;
    type Layer = Identity;

    fn config(&self) -> &BackendOptions {
        &self.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
