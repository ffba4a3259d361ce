//! Machines that freeze as a whole: the worker, its guards and their children.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::field::Field;
use crate::faults::{Child, Process};
use crate::host::SourceHost;

/// A freeze of this time is over the deadline of every lease.
const DEADLINE: Duration = Duration::from_secs(4);
/// How long guards that wake may take to kill what is over its time.
const WAKING: Duration = Duration::from_secs(2);

/// A worker that was frozen with its family.
#[derive(Debug)]
pub(super) struct Frozen {
    worker: usize,
    since: Instant,
    pub(super) processes: BTreeSet<Process>,
    children: BTreeSet<Child>,
}

impl Field {
    pub(super) async fn freeze_machine(&self, number: usize) -> Result<()> {
        let worker = &self.fleet.workers()[number];
        let Some(pid) = worker.pid() else { return Ok(()) };
        worker.pause();
        let mut processes = BTreeSet::new();
        // A guard may start its child between two looks; a stopped one starts nothing.
        loop {
            let found = descendants(pid).into_iter();
            let new: Vec<Process> = found.filter(|process| processes.insert(*process)).collect();
            if new.is_empty() {
                break;
            }
            for process in &new {
                process.signal(Signal::SIGSTOP);
            }
        }
        let mut children = self.children.recorded();
        children.retain(|child| processes.contains(&child.guard));
        self.frozen().push(Frozen { worker: number, since: Instant::now(), processes, children });
        // What a frozen machine has open, only the source can close.
        for host in 0..self.hosts.len() {
            self.hosts[host].proxy.cut().await?;
            self.heal_source(host).await?;
        }
        let guests: Vec<Arc<SourceHost>> = self.guests().iter().map(|(_, host)| Arc::clone(host)).collect();
        for guest in guests {
            guest.proxy.cut().await?;
            guest.proxy.heal().await?;
        }
        Ok(())
    }

    /// Wakes every machine of this worker. Guards look at the clock first: they need not win a race for a processor
    /// against a child that is over its time.
    pub(super) async fn wake_machine(&self, number: usize) {
        let frozen: Vec<Frozen> = self.frozen().extract_if(.., |frozen| frozen.worker == number).collect();
        for machine in &frozen {
            for child in &machine.children {
                child.guard.signal(Signal::SIGCONT);
            }
            let end = Instant::now() + WAKING;
            let lives = || machine.children.iter().any(|child| child.child.lives());
            while machine.since.elapsed() > DEADLINE && lives() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for process in &machine.processes {
                process.signal(Signal::SIGCONT);
            }
        }
        self.fleet.workers()[number].resume();
    }
}

/// All that was started by a process, and by those in turn.
fn descendants(ancestor: i32) -> BTreeSet<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| Process::now(entry.file_name().to_str()?.parse().ok()?));
    let mut others: Vec<(Process, i32)> =
        all.filter_map(|process| Some((process, process.parent()?))).collect();
    let (mut ancestors, mut found) = (BTreeSet::from([ancestor]), BTreeSet::new());
    loop {
        let new: Vec<_> = others.extract_if(.., |(_, parent)| ancestors.contains(parent)).collect();
        if new.is_empty() {
            return found;
        }
        ancestors.extend(new.iter().map(|(process, _)| process.pid()));
        found.extend(new.into_iter().map(|(process, _)| process));
    }
}
