use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use reqwest::Method;

use super::Plan;
use super::schedule::{Event, Fault, Process, Store};
use crate::binaries::Binaries;
use crate::customer::Customer;
use crate::daemon::Daemon;
use crate::faults::{Books, Children, Keys, StoreLinks, Witness};
use crate::fleet::Fleet;
use crate::host::SourceHost;
use crate::settings::LeaseSecs;

/// Migrations that each worker runs at a time.
const THREADS: u32 = 4;
/// Each round trip to a source takes so long, so that a sync is worth breaking: some seconds.
const LATENCY: Duration = Duration::from_millis(60);
/// Limits of the source hosts, in turn.
const LIMITS: [usize; 3] = [1, 2, 3];

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
    /// What was seen besides, and must not be.
    odd: Mutex<Vec<String>>,
}

impl Field {
    pub(super) async fn prepare(plan: &Plan, binaries: &Binaries) -> Result<Self> {
        let fleet = Fleet::builder()
            .schedulers(plan.schedulers)
            .workers(plan.workers)
            .threads(THREADS)
            .lease(LeaseSecs::FAST)
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
            odd: Mutex::default(),
            fleet,
            customer,
            hosts,
            books,
        })
    }

    /// Notes what must not be.
    pub(super) fn note(&self, what: String) {
        println!("        NOTED: {what}");
        self.odd.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(super) fn noted(&self) -> Vec<String> {
        self.odd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets a fault begin or end.
    pub(super) async fn apply(&self, event: Event, users: &[String]) -> Result<()> {
        let lab = self.fleet.lab();
        match (event.fault, event.begins) {
            (Fault::Kill(process), true) => {
                // It may be dead by an earlier fault.
                if self.daemon(process).pid().is_some() {
                    self.restart_if_ended(self.daemon(process)).await?;
                    self.daemon(process).kill().await?;
                }
            }
            (Fault::Kill(process), false) => self.daemon(process).start()?,
            (Fault::Freeze(process), true) => self.daemon(process).pause(),
            (Fault::Freeze(process), false) => self.daemon(process).resume(),
            (Fault::Cut(process, store), true) => self.line(process, store).cut().await?,
            (Fault::Stall(process, store), true) => self.line(process, store).stall(true),
            (Fault::Cut(process, store) | Fault::Stall(process, store), false) => {
                self.line(process, store).heal().await?;
            }
            (Fault::CutBoth(process), true) => self.links(process).cut().await?,
            (Fault::CutBoth(process), false) => self.links(process).heal().await?,
            (Fault::KillStore(Store::MariaDb), true) => lab.mariadb().kill().await?,
            (Fault::KillStore(Store::MariaDb), false) => lab.mariadb().start().await?,
            (Fault::KillStore(Store::Redis), true) => lab.redis().kill().await?,
            (Fault::KillStore(Store::Redis), false) => lab.redis().start().await?,
            (Fault::FreezeStore(Store::MariaDb), true) => lab.mariadb().pause(),
            (Fault::FreezeStore(Store::MariaDb), false) => lab.mariadb().resume(),
            (Fault::FreezeStore(Store::Redis), true) => lab.redis().pause(),
            (Fault::FreezeStore(Store::Redis), false) => lab.redis().resume(),
            // A Redis that is away has nothing to forget.
            (Fault::Flush, _) => drop(self.keys.flush_all().await),
            (Fault::CutSource(host), true) => self.hosts[host].proxy.cut().await?,
            (Fault::StallSource(host), true) => self.hosts[host].proxy.stall(true),
            (Fault::CutSource(host) | Fault::StallSource(host), false) => self.heal_source(host).await?,
            (Fault::KillGuard(number), _) => self.kill_nth(number, true),
            (Fault::KillChild(number), _) => self.kill_nth(number, false),
            (Fault::Cancel(number), _) => {
                self.order(Method::POST, &users[number % users.len()], "latest/cancel").await;
            }
            (Fault::Close(number), _) => {
                self.order(Method::PUT, &users[number % users.len()], "close/latest/as/ABORTED").await;
            }
        }
        Ok(())
    }

    /// Ends all faults, whatever has begun.
    pub(super) async fn heal(&self) -> Result<()> {
        let lab = self.fleet.lab();
        lab.mariadb().resume();
        lab.redis().resume();
        lab.mariadb().start().await?;
        lab.redis().start().await?;
        for host in 0..self.hosts.len() {
            self.heal_source(host).await?;
        }
        for daemon in self.daemons() {
            self.fleet.links(daemon).heal().await?;
            daemon.resume();
            daemon.start()?;
        }
        Ok(())
    }

    async fn heal_source(&self, host: usize) -> Result<()> {
        self.hosts[host].proxy.heal().await?;
        self.hosts[host].proxy.set_latency(LATENCY);
        Ok(())
    }

    /// No process may end by itself, whatever breaks around it. One that did is started again.
    pub(super) async fn look_for_ended(&self) -> Result<()> {
        for daemon in self.daemons() {
            self.restart_if_ended(daemon).await?;
        }
        Ok(())
    }

    pub(super) fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.fleet.schedulers().iter().chain(self.fleet.workers())
    }

    async fn restart_if_ended(&self, daemon: &Daemon) -> Result<()> {
        // Without an id it was killed by us and waits for its start.
        if daemon.pid().is_some() && !daemon.is_running() {
            let status = daemon.wait().await?;
            self.note(format!("{} ended by itself with {status}", daemon.name()));
            daemon.start()?;
        }
        Ok(())
    }

    fn daemon(&self, process: Process) -> &Daemon {
        match process {
            Process::Scheduler(number) => &self.fleet.schedulers()[number],
            Process::Worker(number) => &self.fleet.workers()[number],
        }
    }

    fn links(&self, process: Process) -> &StoreLinks {
        self.fleet.links(self.daemon(process))
    }

    fn line(&self, process: Process, store: Store) -> &dmf_lab::Proxy {
        match store {
            Store::MariaDb => &self.links(process).mariadb,
            Store::Redis => &self.links(process).redis,
        }
    }

    fn kill_nth(&self, number: usize, guard: bool) {
        let recorded: Vec<_> = self.children.recorded().into_iter().collect();
        if let Some(child) = recorded.get(number % recorded.len().max(1)) {
            let process = if guard { child.guard } else { child.child };
            process.signal(Signal::SIGKILL);
        }
    }

    /// What an operator asks for while things are broken; the answer may be anything.
    async fn order(&self, method: Method, user: &str, order: &str) {
        let path = format!("/users/{user}/migrations/{order}");
        drop(self.customer.request(method, &path, None).await);
    }
}
