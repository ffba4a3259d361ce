//! Start and stop of the process, and the one place where tasks are spawned.
//!
//! Two steps of stopping: the *soft* token asks everyone to begin nothing new and to finish what runs
//! (SIGTERM, SIGINT); the *hard* token, at a second signal or after the grace time, to give up at once.
//! systemd is told when the process is ready, when it stops, and that it lives.

use std::{
    any::Any,
    future::Future,
    io,
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, debug, error, info, warn};

/// How long tasks may take to give up after the hard token.
const ABORT_BOUND: Duration = Duration::from_secs(5);

/// How the process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop, and all work was finished in time.
    Drained,
    /// It was asked to stop, and work had to be given up, which it was in order.
    Aborted,
    /// It was asked to stop, and so many tasks did not even give up.
    Abandoned(usize),
    /// Something that must not happen did; the first reason.
    Failed(String),
}

impl Ending {
    /// Success unless the process failed or left tasks behind.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Drained | Self::Aborted => ExitCode::SUCCESS,
            Self::Abandoned(_) | Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    soft: CancellationToken,
    hard: CancellationToken,
    /// Cancelled at the very end, for what must outlive the drain.
    ended: CancellationToken,
    tracker: TaskTracker,
    failure: Mutex<Option<String>>,
}

/// The life of one process. Clones are the same life.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<Inner>);

impl Lifecycle {
    /// A life that begins; tests have one each.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process should begin nothing new and finish what runs.
    pub fn soft(&self) -> &CancellationToken {
        &self.0.soft
    }

    /// Cancelled when the process should give up what still runs.
    pub fn hard(&self) -> &CancellationToken {
        &self.0.hard
    }

    /// Whether nothing new should begin.
    pub fn is_stopping(&self) -> bool {
        self.0.soft.is_cancelled()
    }

    /// Asks for an orderly stop.
    pub fn stop(&self) {
        self.0.soft.cancel();
    }

    /// Asks for a stop because of something that must not happen. The first reason is kept and logged.
    pub fn fail(&self, reason: &str) {
        let mut failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            error!(reason, "shutting down after a failure");
            *failure = Some(reason.to_owned());
        }
        drop(failure);
        self.0.soft.cancel();
    }

    /// Runs a task that the shutdown waits for, in the current span. Its panic is a failure of the
    /// process: the handle then gives none. Dropping the handle leaves the task running.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let life = self.clone();
        let watched = async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(output) => Some(output),
                Err(panic) => {
                    life.fail(&format!("task {name} panicked: {}", panic_text(&*panic)));
                    None
                }
            }
        };
        self.0.tracker.spawn(watched.in_current_span())
    }

    /// Listens for SIGTERM and SIGINT from now on: the first asks for an orderly stop, a second to give
    /// up. Needs a runtime.
    pub fn watch_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let life = self.clone();
        self.spawn_service(async move {
            let name = next_signal(&mut terminate, &mut interrupt).await;
            info!(signal = name, "stopping; what runs is finished first, a second signal gives it up");
            life.0.soft.cancel();
            let name = next_signal(&mut terminate, &mut interrupt).await;
            warn!(signal = name, "second signal; giving up what runs");
            life.0.hard.cancel();
        });
        Ok(())
    }

    /// From now on runs `reload` at each SIGHUP, which would end the process otherwise, one at a time and
    /// where it may block. Needs a runtime.
    pub fn watch_hangup(&self, reload: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let reload = Arc::new(reload);
        self.spawn_service(async move {
            while hangup.recv().await.is_some() {
                info!(signal = "SIGHUP", "reloading");
                let reload = reload.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || reload()).await {
                    error!(%error, "reloading failed");
                }
            }
        });
        Ok(())
    }

    /// Tells systemd that the process is ready, and from now on that it lives and when it stops.
    pub fn notify_ready(&self) {
        notify(NotifyState::Ready);
        let life = self.clone();
        self.spawn_service(async move {
            life.0.soft.cancelled().await;
            notify(NotifyState::Stopping);
        });
        if let Some(limit) = sd_notify::watchdog_enabled() {
            debug!(?limit, "answering systemd's watchdog");
            self.spawn_service(async move {
                let mut interval = tokio::time::interval(limit / 2);
                loop {
                    interval.tick().await;
                    notify(NotifyState::Watchdog);
                }
            });
        }
    }

    /// Runs what serves the lifecycle itself: it is not waited for, and ends with the shutdown.
    #[allow(clippy::disallowed_methods, reason = "the lifecycle is the place where tasks are spawned")]
    fn spawn_service(&self, service: impl Future<Output = ()> + Send + 'static) {
        let ended = self.0.ended.clone();
        tokio::spawn(async move { ended.run_until_cancelled(service).await });
    }

    /// Waits until somebody asks for a stop, then as [`Self::shutdown`].
    pub async fn run(&self, grace: Duration) -> Ending {
        self.0.soft.cancelled().await;
        self.shutdown(grace).await
    }

    /// Stops: waits at most `grace` for all tasks, then makes them give up and waits a few seconds more.
    pub async fn shutdown(&self, grace: Duration) -> Ending {
        self.0.soft.cancel();
        self.0.tracker.close();
        let drained = tokio::select! {
            drained = timeout(grace, self.0.tracker.wait()) => drained.is_ok(),
            () = self.0.hard.cancelled() => false,
        };
        let drained = drained && !self.0.hard.is_cancelled();
        let left = if drained { 0 } else { self.abort(grace).await };
        self.0.ended.cancel();
        let failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match failure {
            Some(reason) => Ending::Failed(reason),
            None if drained => Ending::Drained,
            None if left == 0 => Ending::Aborted,
            None => Ending::Abandoned(left),
        }
    }

    /// Gives the number of tasks that did not give up.
    async fn abort(&self, grace: Duration) -> usize {
        if !self.0.hard.is_cancelled() {
            warn!(tasks = self.0.tracker.len(), ?grace, "the grace time is over; giving up what runs");
        }
        self.0.hard.cancel();
        if timeout(ABORT_BOUND, self.0.tracker.wait()).await.is_ok() {
            return 0;
        }
        let left = self.0.tracker.len();
        error!(tasks = left, "tasks did not give up; leaving them");
        left
    }
}

async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "systemd can't be told about this process");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn tasks_are_drained() {
        let life = Lifecycle::new();
        let soft = life.soft().clone();
        let task = life.spawn("worker", async move {
            soft.cancelled().await;
            7
        });
        assert!(!life.is_stopping());
        assert_eq!(life.shutdown(LONG).await, Ending::Drained);
        assert_eq!(task.await.unwrap(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlasts_the_grace_time_is_aborted() {
        let life = Lifecycle::new();
        let hard = life.hard().clone();
        life.spawn("obedient", async move { hard.cancelled().await });
        let ending = life.shutdown(LONG).await;
        assert_eq!((ending.clone(), ending.exit_code()), (Ending::Aborted, ExitCode::SUCCESS));

        let life = Lifecycle::new();
        life.spawn("stubborn", std::future::pending::<()>());
        let ending = life.shutdown(LONG).await;
        assert_eq!((ending.clone(), ending.exit_code()), (Ending::Abandoned(1), ExitCode::FAILURE));
    }

    #[tokio::test]
    async fn a_panic_ends_the_process() {
        let life = Lifecycle::new();
        let task = life.spawn("fragile", async { panic!("lost its {}", "mind") });
        let ending = timeout(LONG, life.run(LONG)).await.unwrap();
        assert_eq!(ending, Ending::Failed("task fragile panicked: lost its mind".to_owned()));
        assert_eq!(ending.exit_code(), ExitCode::FAILURE);
        assert!(task.await.unwrap().is_none());
        life.fail("too late");
        assert_eq!(life.shutdown(LONG).await, ending, "the first reason is kept");
    }

    #[tokio::test]
    async fn a_second_signal_gives_up() {
        use nix::sys::signal::{Signal, raise};
        let life = Lifecycle::new();
        life.watch_signals().unwrap();
        let hard = life.hard().clone();
        life.spawn("obedient", async move { hard.cancelled().await });
        raise(Signal::SIGTERM).unwrap();
        timeout(LONG, life.soft().cancelled()).await.unwrap();
        assert!(!life.hard().is_cancelled());
        raise(Signal::SIGINT).unwrap();
        assert_eq!(timeout(LONG, life.shutdown(LONG * 10)).await.unwrap(), Ending::Aborted);
    }
}
