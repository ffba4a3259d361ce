//! How faults begin and end.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::fault::{Fault, Store};
use super::field::{Excuse, Field};
use crate::daemon::Daemon;
use crate::faults::{Process as Child, Violation};

/// How long after a twin a worker may find that its name was taken.
const TWIN_LASTS: Duration = Duration::from_secs(30);
/// Grace, the time of a worker's hand-backs and that of its farewells, and as much again for a busy machine.
const END_LIMIT: Duration = Duration::from_mins(1);
/// For ever, as far as a campaign is concerned.
const LONG: Duration = Duration::from_hours(24);

impl Field {
    /// Lets a fault begin or end.
    pub(super) async fn apply(&self, fault: Fault, begins: bool, users: &[String]) -> Result<()> {
        if begins { self.begin(fault, users).await } else { self.end(fault).await }
    }

    async fn begin(&self, fault: Fault, users: &[String]) -> Result<()> {
        let lab = self.fleet.lab();
        let user = |number: usize| &users[number % users.len()];
        match fault {
            Fault::Kill(process) => self.kill(self.daemon(process)).await?,
            Fault::Terminate(process) => {
                let daemon = self.daemon(process);
                self.restart_if_ended(daemon).await?;
                self.excuse(daemon, Excuse::Terminated, LONG);
                self.terminate(daemon);
            }
            Fault::Freeze(process) => self.daemon(process).pause(),
            Fault::FreezeMachine(worker) => self.freeze_machine(worker).await?,
            Fault::Twin(worker) => {
                self.excuse(&self.fleet.workers()[worker], Excuse::Twin, LONG);
                self.twins[worker].start()?;
            }
            Fault::Cut(process, store) => self.line(process, store).cut().await?,
            Fault::Stall(process, store) => self.line(process, store).stall(true),
            Fault::CutBoth(process) => self.links(process).cut().await?,
            Fault::KillStore(Store::MariaDb) => lab.mariadb().kill().await?,
            Fault::KillStore(Store::Redis) => lab.redis().kill().await?,
            Fault::FreezeStore(Store::MariaDb) => lab.mariadb().pause(),
            Fault::FreezeStore(Store::Redis) => lab.redis().pause(),
            // A Redis that is away has nothing to forget.
            Fault::Flush => drop(self.keys.flush_all().await),
            Fault::OldDisk => self.keep_disk().await?,
            Fault::HoldCommits | Fault::LockHost(_) | Fault::LockLease(_) => self.lock(fault).await,
            Fault::CutSource(host) => self.hosts[host].proxy.cut().await?,
            Fault::StallSource(host) => self.hosts[host].proxy.stall(true),
            Fault::KillGuard(number) => self.signal_nth(number, true, Signal::SIGKILL),
            Fault::KillChild(number) => self.signal_nth(number, false, Signal::SIGKILL),
            Fault::FreezeGuard(number) => self.signal_nth(number, true, Signal::SIGSTOP),
            Fault::Cancel(number) => self.cancel(user(number)).await,
            Fault::Close(number) => self.close(user(number)).await,
            Fault::Prioritize(number) => self.prioritize(user(number)).await,
            Fault::DeleteUser(number) => self.delete_user(user(number)).await,
            Fault::PauseSource => self.pause_source().await,
            Fault::PauseHost(host) => self.pause_host(host).await,
            Fault::PauseWorker(worker) => self.order_worker(worker, "pause").await,
            Fault::StopWorker(worker) => self.order_worker(worker, "stop").await,
            Fault::Threads(worker, threads) => self.set_threads(worker, threads).await,
            Fault::Limit(host, limit) => self.set_limit(host, limit).await,
            Fault::Guest => self.invite_guest().await?,
        }
        Ok(())
    }

    async fn end(&self, fault: Fault) -> Result<()> {
        let lab = self.fleet.lab();
        match fault {
            Fault::Kill(process) => self.daemon(process).start()?,
            Fault::Terminate(process) => self.start_terminated(self.daemon(process)).await?,
            Fault::Freeze(process) => self.daemon(process).resume(),
            Fault::FreezeMachine(worker) => self.wake_machine(worker).await,
            Fault::Twin(worker) => self.end_twin(worker).await?,
            Fault::Cut(process, store) | Fault::Stall(process, store) => {
                self.line(process, store).heal().await?;
            }
            Fault::CutBoth(process) => self.links(process).heal().await?,
            Fault::KillStore(Store::MariaDb) => lab.mariadb().start().await?,
            Fault::KillStore(Store::Redis) => lab.redis().start().await?,
            Fault::FreezeStore(Store::MariaDb) => lab.mariadb().resume(),
            Fault::FreezeStore(Store::Redis) => lab.redis().resume(),
            Fault::OldDisk => self.restore_disk().await?,
            Fault::HoldCommits | Fault::LockHost(_) | Fault::LockLease(_) => self.unlock(fault).await,
            Fault::CutSource(host) | Fault::StallSource(host) => self.heal_source(host).await?,
            Fault::FreezeGuard(_) => self.wake_guards(),
            Fault::PauseSource => self.resume_source(),
            Fault::PauseHost(host) => self.resume_host(host),
            Fault::PauseWorker(worker) | Fault::StopWorker(worker) => self.start_worker_again(worker),
            Fault::Threads(worker, _) => self.end_threads(worker),
            Fault::Limit(host, _) => self.end_limit(host),
            Fault::Guest => self.expel_guests().await,
            Fault::Flush
            | Fault::KillGuard(_)
            | Fault::KillChild(_)
            | Fault::Cancel(_)
            | Fault::Close(_)
            | Fault::Prioritize(_)
            | Fault::DeleteUser(_) => {}
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
        let locks: Vec<Fault> = self.locks().iter().map(|(fault, _)| *fault).collect();
        for fault in locks {
            self.unlock(fault).await;
        }
        for host in 0..self.hosts.len() {
            self.heal_source(host).await?;
        }
        self.wake_guards();
        for worker in 0..self.twins.len() {
            self.wake_machine(worker).await;
            self.end_twin(worker).await?;
        }
        for daemon in self.daemons() {
            self.fleet.links(daemon).heal().await?;
            daemon.resume();
            daemon.start()?;
        }
        self.expel_guests().await;
        self.restore_orders().await
    }

    async fn kill(&self, daemon: &Daemon) -> Result<()> {
        // It may be dead by an earlier fault.
        if daemon.pid().is_some() {
            self.restart_if_ended(daemon).await?;
            daemon.kill().await?;
        }
        Ok(())
    }

    /// What was told to end must have ended after its grace, and after the time that it takes at most to hand back
    /// or to record what ran: a store may be away, and stays so while this waits.
    async fn start_terminated(&self, daemon: &Daemon) -> Result<()> {
        daemon.resume();
        if self.is_ending(daemon) && daemon.wait_for(END_LIMIT).await.is_err() {
            let text = format!(
                "{} did not end after SIGTERM; its last lines:\n{}",
                daemon.name(),
                daemon.last_lines(12)
            );
            self.note(Violation::general(text));
            daemon.kill().await?;
        }
        self.excuse_no_more(daemon, Excuse::Terminated);
        daemon.start()
    }

    /// Whichever of the two holds the name: the twin goes.
    async fn end_twin(&self, worker: usize) -> Result<()> {
        let (twin, own) = (&self.twins[worker], &self.fleet.workers()[worker]);
        if twin.pid().is_some() {
            twin.kill().await?;
            self.excuse(own, Excuse::Twin, TWIN_LASTS);
        }
        Ok(())
    }

    fn signal_nth(&self, number: usize, guard: bool, signal: Signal) {
        let recorded: Vec<_> = self.children.recorded().into_iter().collect();
        if let Some(child) = recorded.get(number % recorded.len().max(1)) {
            let process = if guard { child.guard } else { child.child };
            process.signal(signal);
        }
    }

    /// All but those of frozen machines.
    fn wake_guards(&self) {
        let frozen: Vec<Child> = self.frozen().iter().flat_map(|machine| machine.processes.clone()).collect();
        for child in self.children.recorded() {
            if !frozen.contains(&child.guard) {
                child.guard.signal(Signal::SIGCONT);
            }
        }
    }

    /// Remembers what is on Redis's disk, as long as it is there.
    async fn keep_disk(&self) -> Result<()> {
        let redis = self.fleet.lab().redis();
        if self.keys.command::<String>(&["SAVE"]).await.is_ok() {
            self.disks().push(redis.copy_disk()?);
        }
        Ok(())
    }

    /// Restarts Redis with the oldest disk that is remembered.
    async fn restore_disk(&self) -> Result<()> {
        let old = { self.disks().drain(..).next() };
        let Some(old) = old else { return Ok(()) };
        let redis = self.fleet.lab().redis();
        redis.kill().await?;
        Ok(redis.start_with(&old).await?)
    }
}
