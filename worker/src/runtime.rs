//! apalis wiring: the worker that takes leases from the queue's backend and runs a migration for each.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, Data, WorkerBuilder, WorkerBuilderExt as _, WorkerError};
use dmf_shared::{
    ops::Lifecycle,
    queue::{Backend, BackendOptions, Queue},
    store::{BackendState, WorkerHeartbeat},
};
use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    gauges, heartbeat::Heartbeat, held::Held, lessor::Claimant, migration::Runner, orders, progress,
};

/// More handlers than apalis is ever to run; the real limit is that of the lease table, which the API
/// moves while the worker runs.
const CONCURRENCY: usize = 10_000;
/// A proposal that was neither claimed nor refused for so long is proposed again.
const VISIBILITY: Duration = Duration::from_secs(30);
/// Longest time between two looks at an empty queue.
const POLL: Duration = Duration::from_secs(5);
/// How long the last words to MariaDB may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is done under a lease.
pub trait Run: Send + Sync + 'static {
    /// Runs the migration of a lease to its end and gives the lease up, whatever happens.
    fn run(&self, lease: Arc<Held>) -> impl Future<Output = ()> + Send;
}

impl Run for Runner {
    async fn run(&self, lease: Arc<Held>) {
        Runner::run(self, lease).await;
    }
}

/// Everything that runs in a worker process. Only load tests run anything but a [`Runner`] in it.
#[derive(Debug)]
pub struct Runtime<R = Runner> {
    /// Claims and releases.
    pub claimant: Arc<Claimant>,
    /// Runs migrations.
    pub runner: Arc<R>,
    /// Beats.
    pub heartbeat: Heartbeat,
    /// Notified when a thread may be free.
    pub wake: Arc<Notify>,
    /// How long running migrations may go on after SIGTERM.
    pub grace: Duration,
}

/// What apalis calls for each lease.
async fn handle<R: Run>(lease: Arc<Held>, runner: Data<Arc<R>>) -> Result<(), BoxDynError> {
    runner.run(lease).await;
    Ok(())
}

impl<R: Run> Runtime<R> {
    /// Works until the lifecycle asks for the stop, then drains: nothing new is leased, what runs goes
    /// on for the grace time, and what is left then is killed and handed back.
    pub async fn run(self, lifecycle: Lifecycle) {
        let beating = CancellationToken::new();
        let claimant = self.claimant.clone();
        let orders = orders::obey(claimant.clone(), self.heartbeat.look.clone(), beating.clone());
        lifecycle.spawn("orders", orders);
        gauges::start(&lifecycle, &claimant, beating.clone());
        lifecycle.spawn("name", leave_to_twin(lifecycle.clone(), self.heartbeat.usurped.clone()));
        let reports = lifecycle.spawn("progress", progress::report(claimant.clone(), beating.clone()));
        let beats = lifecycle.spawn("heartbeat", self.heartbeat.run(beating.clone()));
        let drain = lifecycle.spawn("drain", drain(lifecycle.clone(), claimant.clone(), self.grace));
        let worked = work(claimant.queue.clone(), claimant.clone(), self.runner, self.wake, &lifecycle).await;
        if let Err(error) = worked {
            lifecycle.fail(&format!("the worker ended: {error}"));
        }
        drain.abort();
        beating.cancel();
        // The task ends at once; whether it panicked was reported by the lifecycle.
        let _ = tokio::join!(beats, reports);
        say_goodbye(&claimant).await;
    }
}

/// Runs the apalis worker until it is asked to stop and nothing runs any more.
async fn work<R: Run>(
    queue: Queue,
    claimant: Arc<Claimant>,
    runner: Arc<R>,
    wake: Arc<Notify>,
    lifecycle: &Lifecycle,
) -> Result<(), WorkerError> {
    let options = BackendOptions { target: claimant.holder.target, visibility: VISIBILITY, poll: POLL };
    let name = claimant.holder.name.clone();
    let worker = WorkerBuilder::new(name.as_str())
        .backend(Backend::new(queue, options, claimant, wake))
        .data(runner)
        .concurrency(CONCURRENCY)
        .enable_tracing()
        .build(handle::<R>);
    let soft = lifecycle.soft().clone();
    worker
        .run_until(async move {
            soft.cancelled().await;
            Ok::<(), WorkerError>(())
        })
        .boxed()
        .await
}

/// After the soft stop: nothing new, and after the grace time, or at the hard stop, nothing at all.
async fn drain(lifecycle: Lifecycle, claimant: Arc<Claimant>, grace: Duration) {
    lifecycle.soft().cancelled().await;
    claimant.table.drain();
    let running = claimant.table.len();
    tracing::info!(running, ?grace, "draining: nothing new is leased, what runs may finish");
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = lifecycle.hard().cancelled() => {}
    }
    let running = claimant.table.len();
    if running > 0 {
        tracing::warn!(running, "the grace time is over, handing back what runs");
        claimant.table.stop_all();
    }
}

/// Ends this process when another one has its name: what runs may finish, as at any stop.
async fn leave_to_twin(lifecycle: Lifecycle, usurped: CancellationToken) {
    tokio::select! {
        () = usurped.cancelled() => lifecycle.fail("another process holds the name of this worker"),
        () = lifecycle.soft().cancelled() => {}
    }
}

/// Tells MariaDB that this process is gone, so that nobody waits for its heartbeats.
async fn say_goodbye(claimant: &Claimant) {
    let heartbeat = WorkerHeartbeat { state: BackendState::Gone, threads_in_use: claimant.table.len() };
    let holder = &claimant.holder;
    let told = claimant.store.heartbeat_backend(holder.backend, holder.incarnation, heartbeat);
    match tokio::time::timeout(FAREWELL, told).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database does not know that this worker is gone"
            );
        }
        Err(_) => tracing::warn!("the database does not know that this worker is gone"),
    }
}
