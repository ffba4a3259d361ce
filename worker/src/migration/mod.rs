//! One migration: `flow` is the order of its steps, one file each; `record` is its end.

mod command_log;
mod compare;
mod consequence;
mod count;
mod database;
mod details;
mod flow;
mod guard_target;
mod hooks;
mod moved;
pub mod plan;
mod probe;
mod record;
mod secrets;
mod step;
mod sync;
mod trace;
mod undead;
mod verify;

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use dmf_shared::{
    domain::{clock::Clock, migration::Status, outcome::Outcome},
    store::{Counts, LossCause},
};
use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::{command_log::CommandLog, details::Details, moved::Moved, plan::Planner, secrets::Secrets};
use crate::{
    doveadm::argv::DoveadmSetup,
    held::{Held, Stop},
    lessor::Claimant,
    process::{GuardProgram, RunAs, Supervisor},
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
    command_log: CommandLog,
    clock: Clock,
}

/// What a worker needs of its machine to run migrations.
#[derive(Debug)]
pub struct Machine {
    supervisor: Supervisor,
    setup: DoveadmSetup,
    run_as: Option<RunAs>,
}

impl Machine {
    /// Looks at the doveadm of this machine and makes ready to run it.
    pub async fn inspect(settings: &Settings, state_dir: &Path) -> Result<Self, StartError> {
        let doveadm = &settings.command.doveadm;
        let run_as = doveadm.run_as().map_err(StartError::User)?;
        let guard = GuardProgram::find().await;
        let supervisor = Supervisor::new(guard, state_dir).map_err(StartError::Supervisor)?;
        let setup = probe::setup(&supervisor, doveadm).await?;
        tracing::info!(
            version = setup.version.text,
            dialect = %setup.version.dialect(),
            "doveadm found"
        );
        match probe::advice(&supervisor, doveadm).await {
            Ok(advice) => advice.iter().for_each(|advice| tracing::warn!("{advice}")),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Dovecot's configuration can't be looked at for advice"
            ),
        }
        Ok(Self { supervisor, setup, run_as })
    }

    /// Version of its doveadm, and the dialect that this speaks.
    pub fn doveadm(&self) -> (String, String) {
        (self.setup.version.text.clone(), self.setup.version.dialect().to_string())
    }
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
    /// Runs of the sync command, those of earlier leases included.
    attempt: u32,
    moved: Moved,
    /// Of the last run of the sync command in this lease that was judged.
    outcome: Option<Outcome>,
    secrets: Secrets,
}

impl Gathered {
    /// What earlier leases of this migration left.
    fn of(held: &Held, secrets: Secrets) -> Self {
        let claimed = &held.claimed;
        let blocks = claimed.blocks.clone();
        // A lease for the failure command alone adds to what was done; any other one does it anew.
        let details =
            if claimed.cleanup.is_some() { Details::go_on(blocks) } else { Details::resume(blocks) };
        let moved = Moved::from_carried(claimed.carried.as_ref());
        Self { details, attempt: claimed.attempt, moved, secrets, ..Self::default() }
    }
}

/// Why a worker can't run migrations.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The user that doveadm should run as.
    #[error("dmf.doveadm.user: {0}")]
    User(String),
    /// Child processes can't be supervised.
    #[error("child processes can't be supervised")]
    Supervisor(#[source] crate::process::Error),
    /// doveadm does not answer.
    #[error("dmf.doveadm: doveadm can't be used")]
    Probe(#[from] ProbeError),
}

impl Runner {
    /// On this machine, for this claimant.
    pub fn new(claimant: Arc<Claimant>, settings: Settings, machine: Machine) -> Self {
        let Machine { supervisor, setup, run_as } = machine;
        let clock = Clock::system();
        let command_log = CommandLog::new(settings.command_log.clone(), clock.clone());
        Self { claimant, settings, supervisor, setup, run_as, command_log, clock }
    }

    fn secrets(&self, held: &Held) -> Secrets {
        let (commands, claimed) = (&self.settings.command, &held.claimed);
        Planner::new(commands, &self.setup, claimed)
            .unwrap_or_else(|_| Planner::without_password(commands, &self.setup, claimed))
            .secrets()
    }

    /// Runs a migration to its end and gives its lease up, whatever happens.
    pub async fn run(&self, held: Arc<Held>) {
        let mut traced = trace::begin(&held);
        let trace_id = traced.place().map(|place| place.trace_id());
        let span = tracing::info_span!("migration", job = held.name(), trace_id);
        async {
            let mut gathered = Gathered::of(&held, self.secrets(&held));
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
            trace::note_end(&mut traced, &ended, gathered.outcome);
            let _finish = held.begin_span("finish");
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
