use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use dmf_lab::{DiskCopy, Persistence};
use sqlx::MySqlConnection;
use tempfile::TempDir;

use super::Plan;
use super::fault::{Fault, Process, Store};
use super::machine::Frozen;
use super::operator::Order;
use super::promises::Promises;
use crate::binaries::Binaries;
use crate::customer::Customer;
use crate::daemon::Daemon;
use crate::faults::{Books, Children, HookLog, Keys, StoreLinks, Violation, Witness};
use crate::fleet::Fleet;
use crate::host::SourceHost;
use crate::settings::LeaseSecs;

/// Migrations that each worker runs at a time.
const THREADS: u32 = 4;
/// How long a worker waits for what runs after SIGTERM.
const GRACE_SECS: u32 = 3;
/// Each round trip to a source takes so long, so that a sync is worth breaking: some seconds.
const LATENCY: Duration = Duration::from_millis(60);
/// Limits of the source hosts, in turn.
const LIMITS: [usize; 3] = [1, 2, 3];
/// The highest limit that an order sets.
pub(super) const HIGHEST_LIMIT: usize = 3;

/// Why a daemon may end by itself. One fault's end is not another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Excuse {
    /// It was asked to.
    Terminated,
    /// Another process has its name, or had it a moment ago.
    Twin,
}

/// Everything that a campaign breaks and looks at.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) fleet: Fleet,
    pub(super) customer: Customer,
    pub(super) hosts: Vec<SourceHost>,
    pub(super) books: Books,
    pub(super) keys: Keys,
    pub(super) children: Children,
    pub(super) witness: Witness,
    pub(super) hooks: HookLog,
    /// One for each worker.
    pub(super) twins: Vec<Daemon>,
    /// Until when a daemon may end by itself.
    excused: Mutex<BTreeMap<(String, Excuse), Instant>>,
    /// Process ids of daemons that got a SIGTERM.
    terminated: Mutex<BTreeMap<String, i32>>,
    promises: Mutex<Promises>,
    owed: Mutex<Vec<Order>>,
    guests: Mutex<Vec<(String, Arc<SourceHost>)>>,
    frozen: Mutex<Vec<Frozen>>,
    locks: Mutex<Vec<(Fault, MySqlConnection)>>,
    disks: Mutex<Vec<DiskCopy>>,
    /// What was seen besides, and must not be.
    odd: Mutex<Vec<Violation>>,
    _hook_dir: TempDir,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Field {
    pub(super) async fn prepare(plan: &Plan, binaries: &Binaries) -> Result<Self> {
        let hook_dir = tempfile::tempdir()?;
        let hooks = HookLog::create(hook_dir.path())?;
        let fleet = Fleet::builder()
            .schedulers(plan.schedulers)
            .workers(plan.workers)
            .threads(THREADS)
            .grace_secs(GRACE_SECS)
            .lease(LeaseSecs::FAST)
            .worker_settings(&hooks.settings())
            .redis(plan.persistence())
            .isolated()
            .start(binaries)
            .await?;
        let customer = fleet.create_source("CustomerX").await?;
        let mut hosts = Vec::new();
        for (_, limit) in (0..plan.hosts).zip(LIMITS.into_iter().cycle()) {
            let host = fleet.add_host(&customer, limit).await?;
            host.proxy.set_latency(LATENCY);
            hosts.push(host);
        }
        let books = Books::open(fleet.lab(), customer.source());
        Ok(Self {
            keys: Keys::open(fleet.lab())?,
            children: Children::of(fleet.lab()),
            witness: Witness::start(fleet.lab(), books.clone()),
            hooks,
            twins: fleet.workers().iter().map(Daemon::twin).collect::<Result<_>>()?,
            excused: Mutex::default(),
            terminated: Mutex::default(),
            promises: Mutex::default(),
            owed: Mutex::default(),
            guests: Mutex::default(),
            frozen: Mutex::default(),
            locks: Mutex::default(),
            disks: Mutex::default(),
            odd: Mutex::default(),
            _hook_dir: hook_dir,
            fleet,
            customer,
            hosts,
            books,
        })
    }

    /// Notes what must not be.
    pub(super) fn note(&self, what: Violation) {
        println!("        NOTED: {}", what.text);
        lock(&self.odd).push(what);
    }

    pub(super) fn noted(&self) -> Vec<Violation> {
        lock(&self.odd).clone()
    }

    pub(super) fn promises(&self) -> MutexGuard<'_, Promises> {
        lock(&self.promises)
    }

    pub(super) fn owed(&self) -> MutexGuard<'_, Vec<Order>> {
        lock(&self.owed)
    }

    pub(super) fn guests(&self) -> MutexGuard<'_, Vec<(String, Arc<SourceHost>)>> {
        lock(&self.guests)
    }

    pub(super) fn frozen(&self) -> MutexGuard<'_, Vec<Frozen>> {
        lock(&self.frozen)
    }

    pub(super) fn locks(&self) -> MutexGuard<'_, Vec<(Fault, MySqlConnection)>> {
        lock(&self.locks)
    }

    pub(super) fn disks(&self) -> MutexGuard<'_, Vec<DiskCopy>> {
        lock(&self.disks)
    }

    /// From now on, for so long, a daemon may end by itself.
    pub(super) fn excuse(&self, daemon: &Daemon, why: Excuse, time: Duration) {
        lock(&self.excused).insert((daemon.name().to_owned(), why), Instant::now() + time);
    }

    /// Asks a daemon to end.
    pub(super) fn terminate(&self, daemon: &Daemon) {
        if let Some(pid) = daemon.pid() {
            lock(&self.terminated).insert(daemon.name().to_owned(), pid);
            daemon.terminate();
        }
    }

    /// Whether the process that was asked last is there still.
    pub(super) fn is_ending(&self, daemon: &Daemon) -> bool {
        daemon.pid().is_some() && daemon.pid() == lock(&self.terminated).get(daemon.name()).copied()
    }

    /// It may not any more, not for this.
    pub(super) fn excuse_no_more(&self, daemon: &Daemon, why: Excuse) {
        lock(&self.excused).remove(&(daemon.name().to_owned(), why));
    }

    fn is_excused(&self, daemon: &Daemon) -> bool {
        let (excused, now) = (lock(&self.excused), Instant::now());
        excused.iter().any(|((name, _), until)| name == daemon.name() && *until > now)
    }

    /// No process may end by itself, whatever breaks around it. One that did is started again.
    pub(super) async fn look_for_ended(&self) -> Result<()> {
        for daemon in self.daemons() {
            self.restart_if_ended(daemon).await?;
        }
        Ok(())
    }

    pub(super) async fn restart_if_ended(&self, daemon: &Daemon) -> Result<()> {
        // Without an id it was ended by us and waits for its start.
        if daemon.pid().is_some() && !daemon.is_running() {
            let status = daemon.wait().await?;
            if !self.is_excused(daemon) {
                let text = format!(
                    "{} ended by itself with {status}; its last lines:\n{}",
                    daemon.name(),
                    daemon.last_lines(12)
                );
                self.note(Violation::general(text));
            }
            daemon.start()?;
        }
        Ok(())
    }

    pub(super) fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.fleet.schedulers().iter().chain(self.fleet.workers())
    }

    pub(super) fn daemon(&self, process: Process) -> &Daemon {
        match process {
            Process::Scheduler(number) => &self.fleet.schedulers()[number],
            Process::Worker(number) => &self.fleet.workers()[number],
        }
    }

    pub(super) fn links(&self, process: Process) -> &StoreLinks {
        self.fleet.links(self.daemon(process))
    }

    pub(super) fn line(&self, process: Process, store: Store) -> &dmf_lab::Proxy {
        match store {
            Store::MariaDb => &self.links(process).mariadb,
            Store::Redis => &self.links(process).redis,
        }
    }

    pub(super) async fn heal_source(&self, host: usize) -> Result<()> {
        self.hosts[host].proxy.heal().await?;
        self.hosts[host].proxy.set_latency(LATENCY);
        Ok(())
    }
}

impl Plan {
    /// Every second seed has a Redis that forgets nothing over a restart.
    pub(super) const fn persistence(&self) -> Persistence {
        if self.seed.is_multiple_of(2) { Persistence::None } else { Persistence::AppendOnly }
    }
}
