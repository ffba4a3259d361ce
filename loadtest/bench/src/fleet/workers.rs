//! Simulated workers: the runtime of the real one, each with its own registration, heartbeats, lease table and
//! connections to Redis, all in this process. They share one pool of connections to MariaDB.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_lab::{Lab, poll_until};
use dmf_shared::batcher::Batcher;
use dmf_shared::ops::Lifecycle;
use dmf_shared::queue::{self, Queue};
use dmf_shared::store::{BackendState, Holder, Registration, Store};
use dmf_worker::heartbeat::{Heartbeat, Rhythm};
use dmf_worker::held::Table;
use dmf_worker::lessor::Claimant;
use dmf_worker::runtime::Runtime;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::runs::{Runs, Sleeper};
use super::size::THREADS;
use crate::{stage::TARGET, store};

/// Connections to MariaDB of all simulated workers together.
pub(super) const CONNECTIONS: u32 = 100;
/// Heartbeats and leases as the worker has them by default.
pub(super) const RHYTHM: Rhythm = Rhythm {
    every: Duration::from_secs(10),
    lease: Duration::from_secs(45),
    timeout: Duration::from_secs(8),
    claim_timeout: Duration::from_secs(20),
    max_losses: 3,
};
/// File descriptors of a worker: two connections to Redis, and something to spare.
const DESCRIPTORS: u64 = 4;
/// File descriptors of everything else in this process.
const OTHER_DESCRIPTORS: u64 = 1_000;
/// How long what runs may take when a worker is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// Longest time until all workers have stopped.
const STOP_LIMIT: Duration = Duration::from_mins(1);
/// Longest time until all workers have heard of another number of threads: some heartbeats.
const THREADS_LIMIT: Duration = Duration::from_mins(1);

/// Those that run.
#[derive(Debug)]
pub(super) struct Workers {
    store: Store,
    redis: queue::Options,
    runs: Arc<Runs>,
    lives: Vec<(Lifecycle, Arc<Table>)>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// None yet.
    pub(super) fn over(lab: &Lab, database: &str, runs: Arc<Runs>, most: u32) -> Result<Self> {
        raise_descriptors(u64::from(most) * DESCRIPTORS + OTHER_DESCRIPTORS)?;
        let mariadb = lab.mariadb();
        let options =
            store::options(&mariadb.jdbc_url(database), mariadb.user(), mariadb.password(), CONNECTIONS)?;
        Ok(Self {
            store: Store::connect_lazily(&options),
            redis: queue::Options::at(lab.redis().url()),
            runs,
            lives: Vec::new(),
            tasks: JoinSet::new(),
        })
    }

    /// Starts workers until there are so many, evenly over the time between two heartbeats: a fleet that was started
    /// by people does not beat all at once.
    pub(super) async fn grow_to(&mut self, count: u32) -> Result<()> {
        let first = u32::try_from(self.lives.len())?;
        let missing = count.saturating_sub(first);
        let mut pace = tokio::time::interval((RHYTHM.every / missing.max(1)).max(Duration::from_millis(1)));
        for number in first..count {
            pace.tick().await;
            self.start(number).await.with_context(|| format!("worker {number}"))?;
        }
        Ok(())
    }

    async fn start(&mut self, number: u32) -> Result<()> {
        let wake = Arc::new(Notify::new());
        let registration = Registration {
            target: TARGET.to_owned(),
            name: format!("w{number:04}"),
            incarnation: uuid::Uuid::new_v4(),
            machine: "simulated".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            initial_state: BackendState::Running,
            threads: THREADS,
            lease_deadline: RHYTHM.lease,
        };
        let backend = self.store.register_backend(&registration, None).await?.context("the name is taken")?;
        let table = Arc::new(Table::new(THREADS, 0, Arc::clone(&wake)));
        table.set_state(BackendState::Running);
        let claimant = Arc::new(Claimant {
            store: self.store.clone(),
            queue: Queue::connect_lazily(&self.redis)?,
            holder: Holder {
                backend: backend.id,
                incarnation: backend.incarnation,
                target: backend.target_id,
                name: format!("{TARGET}/{}", backend.name),
            },
            table: Arc::clone(&table),
            lease: RHYTHM.lease,
            claim_timeout: RHYTHM.claim_timeout,
            untold: Mutex::default(),
            results: Batcher::default(),
            releases: Batcher::default(),
        });
        let runtime = Runtime {
            heartbeat: Heartbeat {
                claimant: Arc::clone(&claimant),
                rhythm: RHYTHM,
                look: Arc::default(),
                usurped: CancellationToken::new(),
            },
            runner: Arc::new(Sleeper::new(Arc::clone(&claimant), Arc::clone(&self.runs))),
            claimant,
            wake,
            grace: GRACE,
        };
        let life = Lifecycle::new();
        self.tasks.spawn(runtime.run(life.clone()));
        self.lives.push((life, table));
        Ok(())
    }

    /// Waits until every worker runs so many migrations at a time, as the database says.
    pub(super) async fn wait_for_threads(&self, threads: u32) -> Result<()> {
        poll_until("the workers did not hear of their threads", THREADS_LIMIT, async || {
            let others = self.lives.iter().filter(|(_, table)| table.max_threads() != threads).count();
            if others == 0 { Ok(()) } else { Err(format!("{others} have not")) }
        })
        .await?;
        Ok(())
    }

    /// Whether a worker has ended that nobody stopped.
    pub(super) fn expect_all_alive(&mut self) -> Result<()> {
        ensure!(self.tasks.try_join_next().is_none(), "a worker has ended");
        ensure!(self.lives.iter().all(|(life, _)| !life.is_stopping()), "a worker wants to end");
        Ok(())
    }

    /// Stops all as an operator does.
    pub(super) async fn stop(mut self) -> Result<()> {
        for (life, _) in &self.lives {
            life.stop();
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(STOP_LIMIT, all).await.context("the workers did not stop")??;
        self.store.close().await;
        Ok(())
    }
}

/// Lets this process open so many files, if the system does.
fn raise_descriptors(wanted: u64) -> Result<()> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(wanted <= most, "{wanted} file descriptors are needed, and {most} are allowed (ulimit -Hn)");
    if now < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, most)?;
    }
    Ok(())
}
