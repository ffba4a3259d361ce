//! One migration: `flow` is the order of its steps, one file each; `record` is its end.

mod consequence;
mod count;
mod database;
mod details;
mod flow;
mod guard_target;
mod hooks;
pub mod plan;
mod probe;
mod record;
mod step;
mod sync;
mod undead;
mod verify;

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use dmf_shared::{
    domain::{clock::Clock, migration::Status},
    store::{Counts, LossCause},
};
use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::details::Details;
use crate::{
    doveadm::argv::DoveadmSetup,
    held::{Held, Stop},
    lessor::Claimant,
    process::{RunAs, Supervisor},
    settings::Settings,
};

pub use probe::{Error as ProbeError, setup_for_tool};

/// What runs migrations.
#[derive(Debug)]
pub struct Runner {
    claimant: Arc<Claimant>,
    settings: Settings,
    supervisor: Supervisor,
    setup: DoveadmSetup,
    run_as: Option<RunAs>,
    clock: Clock,
}

/// How the steps ended.
#[derive(Debug)]
enum Ended {
    /// With this result.
    Finished(Status),
    /// They go on in another lease, after this pause.
    Later(Duration),
    /// They were told to stop.
    Stopped(Stop),
    /// Processes live that SIGKILL does not end: the lease is kept, so that nobody else starts.
    Undead,
    /// Neither user nor source is at fault: once more, but not for ever.
    Broken(LossCause),
    /// The lease was lost: nothing more may run, and nothing is recorded.
    Lost,
}

/// Everything that a migration gathers on its way.
#[derive(Debug, Default)]
struct Gathered {
    details: Details,
    counts: Counts,
    verification: Option<Value>,
    attempt: u32,
}

/// Why a worker can't run migrations.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The user that doveadm should run as.
    #[error("{0}")]
    User(String),
    /// Child processes can't be supervised.
    #[error("child processes can't be supervised")]
    Supervisor(#[source] crate::process::Error),
    /// doveadm does not answer.
    #[error("doveadm can't be used")]
    Probe(#[from] ProbeError),
}

impl Runner {
    /// Looks at the doveadm of this machine and makes ready to run it.
    pub async fn new(
        claimant: Arc<Claimant>,
        settings: Settings,
        state_dir: &Path,
    ) -> Result<Self, StartError> {
        let run_as = settings.command.doveadm.run_as().map_err(StartError::User)?;
        let supervisor = Supervisor::new("/proc/self/exe", state_dir).map_err(StartError::Supervisor)?;
        let setup = probe::setup(&supervisor, &settings.command.doveadm).await?;
        tracing::info!(
            version = setup.version.text,
            dialect = %setup.version.dialect(),
            "doveadm found"
        );
        match probe::advice(&supervisor, &settings.command.doveadm).await {
            Ok(advice) => advice.iter().for_each(|advice| tracing::warn!("{advice}")),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Dovecot's configuration can't be looked at for advice"
            ),
        }
        Ok(Self { claimant, settings, supervisor, setup, run_as, clock: Clock::system() })
    }

    /// Version of the doveadm of this machine, and the dialect that it speaks.
    pub fn doveadm(&self) -> (&str, String) {
        (&self.setup.version.text, self.setup.version.dialect().to_string())
    }

    /// Runs a migration to its end and gives its lease up, whatever happens.
    pub async fn run(&self, held: Arc<Held>) {
        let span = tracing::info_span!("migration", job = held.name());
        async {
            let mut gathered = Gathered {
                details: Details::starting_with(held.claimed.loss_blocks.clone()),
                attempt: held.claimed.attempt,
                ..Gathered::default()
            };
            tracing::info!(
                user = held.claimed.user.source_uid,
                phase = held.claimed.phase.as_str(),
                waited_ms = held.claimed.waited_ms,
                "migration started"
            );
            let steps = AssertUnwindSafe(self.flow(&held, &mut gathered)).catch_unwind();
            let ended = steps.await.unwrap_or_else(|_| {
                tracing::error!("the migration ended in a panic, handing it back");
                Ended::Broken(LossCause::Fault)
            });
            self.settle(&held, ended, gathered).await;
        }
        .instrument(span)
        .await;
    }
}

/// Time until `deadline`, at most `longest`.
fn until(deadline: Instant, longest: Duration) -> Duration {
    deadline.saturating_duration_since(Instant::now()).min(longest)
}
