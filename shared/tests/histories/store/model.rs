//! The plain model of MariaDB: rows, leases, limits and the outbox.

use std::collections::{BTreeMap, BTreeSet};

use dmf_shared::{
    domain::{
        ids::{Epoch, HostId, JobId, JournalId, SourceId},
        migration::Status,
    },
    store::{Cancelled, Closed, Finished, Reaped, Refusal, Wanted},
};

use super::call::{Age, HOSTS, User, WORKERS, Which};

/// A migration that was lost so often is given up.
pub const MAX_LOSSES: u32 = 2;

#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a column of the row")]
pub struct Row {
    pub user: usize,
    pub host: HostId,
    pub status: Status,
    pub epoch: u64,
    pub priority: bool,
    /// Whether `not_before` has not come.
    pub later: bool,
    pub cancel_requested: bool,
    pub pre_started: bool,
    /// The failure command alone is to run, before this end.
    pub cleanup: Option<Status>,
    pub attempt: u32,
    pub losses: u32,
    /// Blocks of its details.
    pub blocks: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub worker: usize,
    /// Which process of the worker.
    pub life: usize,
    pub epoch: u64,
    pub beat: u64,
    pub wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
pub struct Host {
    pub id: HostId,
    pub limit: u32,
    pub paused: bool,
    pub suspended: bool,
}

impl Host {
    pub fn is_closed(&self) -> bool {
        self.paused || self.suspended
    }
}

/// Why a user stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undeletable {
    Open(JournalId),
    Leased(JournalId),
}

#[derive(Debug)]
pub struct Model {
    source: SourceId,
    pub source_paused: bool,
    pub hosts: [Host; HOSTS],
    pub lives: [usize; WORKERS],
    pub rows: BTreeMap<JournalId, Row>,
    pub leases: BTreeMap<JournalId, Lease>,
    pub noted_jobs: BTreeSet<JournalId>,
    pub noted_hosts: BTreeSet<HostId>,
    /// Those of them that are deleted.
    pub gone_hosts: BTreeSet<HostId>,
}

impl Row {
    fn is_open(&self) -> bool {
        !self.status.is_terminal()
    }

    fn end(&mut self, status: Status) {
        (self.status, self.epoch) = (status, self.epoch + 1);
    }

    fn runs(&self, epoch: u64) -> bool {
        self.status == Status::Sync && self.epoch == epoch
    }
}

impl Model {
    pub fn new(source: SourceId, hosts: [Host; HOSTS]) -> Self {
        Self {
            source,
            source_paused: false,
            hosts,
            lives: [0; WORKERS],
            rows: BTreeMap::new(),
            leases: BTreeMap::new(),
            noted_jobs: BTreeSet::new(),
            noted_hosts: BTreeSet::new(),
            gone_hosts: BTreeSet::new(),
        }
    }

    pub fn job(&self, journal: JournalId) -> JobId {
        JobId { source: self.source, journal }
    }

    /// The migration that a call names; none before the first submit.
    pub fn find(&self, which: Which) -> Option<JournalId> {
        let nth = |ids: Vec<JournalId>, n: usize| (!ids.is_empty()).then(|| ids[n % ids.len()]);
        let all = |n| nth(self.rows.keys().copied().collect(), n);
        let waits = |(id, row): (&JournalId, &Row)| (row.status == Status::Scheduled).then_some(*id);
        match which {
            Which::Any(n) => all(n),
            Which::Waiting(n) => nth(self.rows.iter().filter_map(waits).collect(), n).or_else(|| all(n)),
            Which::Leased(n) => nth(self.leases.keys().copied().collect(), n).or_else(|| all(n)),
        }
    }

    /// The user that a call names.
    pub fn user(&self, user: User) -> usize {
        match user {
            User::Any(n) => n,
            User::Of(which) => self.find(which).map_or(0, |id| self.rows[&id].user),
        }
    }

    /// The epoch that a call names: beside that of the lease, or else of the row.
    pub fn epoch(&self, id: JournalId, age: Age) -> Epoch {
        let epoch = self.leases.get(&id).map_or(self.rows[&id].epoch, |lease| lease.epoch);
        match age {
            Age::Stale => Epoch(epoch.saturating_sub(1)),
            Age::Same => Epoch(epoch),
            Age::Newer => Epoch(epoch + 1),
        }
    }

    pub fn latest(&self, user: usize) -> Option<JournalId> {
        self.rows.iter().filter(|(_, row)| row.user == user).map(|(id, _)| *id).next_back()
    }

    /// The user's open migration, which refuses another one.
    pub fn open(&self, user: usize) -> Option<JournalId> {
        self.rows.iter().find(|(_, row)| row.user == user && row.is_open()).map(|(id, _)| *id)
    }

    pub fn submit(&mut self, id: JournalId, user: usize, priority: bool, later: bool) {
        let row = Row {
            user,
            host: self.hosts[user % HOSTS].id,
            status: Status::Scheduled,
            epoch: 0,
            priority,
            later,
            cancel_requested: false,
            pre_started: false,
            cleanup: None,
            attempt: 0,
            losses: 0,
            blocks: 0,
        };
        self.rows.insert(id, row);
        self.noted_jobs.insert(id);
    }

    pub fn in_use(&self, host: HostId) -> usize {
        self.leases.keys().filter(|id| self.rows[id].host == host).count()
    }

    /// Claims a batch; what is told of each in turn. Users are looked at before the first is granted.
    pub fn claim(&mut self, worker: usize, wanted: &[(JournalId, HostId)]) -> Vec<Option<Refusal>> {
        let leased: BTreeSet<usize> = self.leases.keys().map(|id| self.rows[id].user).collect();
        wanted.iter().map(|(id, host)| self.claim_one(worker, *id, *host, &leased)).collect()
    }

    fn claim_one(
        &mut self,
        worker: usize,
        id: JournalId,
        host: HostId,
        leased: &BTreeSet<usize>,
    ) -> Option<Refusal> {
        let row = &self.rows[&id];
        if row.status != Status::Scheduled || row.host != host {
            return Some(Refusal::NotWaiting);
        }
        // How long is the store's to say.
        if row.later || leased.contains(&row.user) {
            return Some(Refusal::TooEarly { wait_ms: 0 });
        }
        let known = self.hosts.iter().find(|known| known.id == host)?;
        let limit = known.limit;
        if self.source_paused || known.is_closed() || self.in_use(host) >= limit as usize {
            return Some(Refusal::Blocked);
        }
        let row = self.rows.get_mut(&id)?;
        (row.status, row.epoch, row.cancel_requested) = (Status::Sync, row.epoch + 1, false);
        let (epoch, life) = (row.epoch, self.lives[worker]);
        self.leases.insert(id, Lease { worker, life, epoch, beat: 0, wanted: Wanted::Run });
        None
    }

    /// Raises beats; every lease of this process is read back.
    pub fn heartbeat(&mut self, worker: usize, named: &[(JournalId, Epoch)]) -> BTreeMap<JournalId, Lease> {
        let life = self.lives[worker];
        let mine = |lease: &Lease| lease.worker == worker && lease.life == life;
        for (id, lease) in &mut self.leases {
            // A lease that is named twice is still raised once.
            if mine(lease) && named.contains(&(*id, Epoch(lease.epoch))) {
                lease.beat += 1;
            }
        }
        self.leases.iter().filter(|(_, lease)| mine(lease)).map(|(id, lease)| (*id, *lease)).collect()
    }

    pub fn note_pre_command(&mut self, id: JournalId, epoch: Epoch) -> bool {
        let row = self.rows.get_mut(&id).unwrap();
        let runs = row.runs(epoch.0);
        row.pre_started |= runs;
        runs
    }

    pub fn note_attempt(&mut self, id: JournalId, epoch: Epoch, attempt: u32) -> bool {
        let row = self.rows.get_mut(&id).unwrap();
        let runs = row.runs(epoch.0);
        if runs {
            row.attempt = attempt;
        }
        runs
    }

    /// With details of one block.
    pub fn note_end(&mut self, id: JournalId, epoch: Epoch, end: Status) -> bool {
        let row = self.rows.get_mut(&id).unwrap();
        let runs = row.runs(epoch.0);
        if runs {
            row.cleanup = row.cleanup.or(Some(end));
            row.blocks = 1;
        }
        runs
    }

    fn drop_lease(&mut self, id: JournalId, epoch: Epoch) {
        if self.leases.get(&id).is_some_and(|lease| lease.epoch == epoch.0) {
            self.leases.remove(&id);
        }
    }

    /// With details of no block.
    pub fn finish(&mut self, id: JournalId, epoch: Epoch, end: Status, attempt: u32) -> Finished {
        self.drop_lease(id, epoch);
        let row = self.rows.get_mut(&id).unwrap();
        if row.runs(epoch.0) {
            (row.attempt, row.blocks) = (attempt, 0);
            match end {
                end if !row.cancel_requested => row.status = end,
                Status::Success if row.pre_started => {
                    back_or_end(row, Status::Aborted);
                    self.noted_jobs.insert(id);
                    return Finished::Cancelled;
                }
                _ => row.status = Status::Aborted,
            }
        }
        // The same result offered again, after a commit whose answer never came, stands.
        match row.status {
            Status::Scheduled | Status::Sync => Finished::Superseded,
            _ if row.epoch != epoch.0 => Finished::Superseded,
            status if status == end => Finished::Recorded,
            Status::Aborted if row.cancel_requested => Finished::Cancelled,
            _ => Finished::Superseded,
        }
    }

    pub fn hand_back(&mut self, id: JournalId, epoch: Epoch, later: bool, attempt: Option<u32>) -> Finished {
        self.drop_lease(id, epoch);
        let row = self.rows.get_mut(&id).unwrap();
        if !row.runs(epoch.0) {
            return Finished::Superseded;
        }
        row.attempt = attempt.unwrap_or(row.attempt);
        row.later |= later;
        let end = if row.cancel_requested { Status::Aborted } else { Status::Scheduled };
        back_or_end(row, end);
        self.noted_jobs.insert(id);
        Finished::Recorded
    }

    pub fn reap(&mut self, id: JournalId, epoch: Epoch, beat: u64) -> Reaped {
        if self.leases.get(&id).is_none_or(|lease| lease.epoch != epoch.0 || lease.beat != beat) {
            return Reaped::Nothing;
        }
        self.leases.remove(&id);
        self.noted_jobs.insert(id);
        let row = self.rows.get_mut(&id).unwrap();
        if !row.runs(epoch.0) {
            return Reaped::LeaseOnly;
        }
        row.losses += 1;
        row.blocks += 1;
        if row.cancel_requested {
            // It was answered, and outweighs an end that was decided before it.
            row.cleanup = row.cleanup.map(|_| Status::Aborted);
        }
        match row.cleanup {
            Some(end) if row.losses >= 2 * MAX_LOSSES => {
                row.end(end);
                row.cleanup = None;
            }
            None if row.cancel_requested => back_or_end(row, Status::Aborted),
            None if row.losses >= MAX_LOSSES => back_or_end(row, Status::Failure),
            _ => back_or_end(row, Status::Scheduled),
        }
        Reaped::Done(row.status)
    }

    pub fn cancel(&mut self, user: usize) -> Cancelled {
        let Some(id) = self.latest(user) else { return Cancelled::Nothing };
        let row = self.rows.get_mut(&id).unwrap();
        let cancelled = match row.status {
            Status::Scheduled if row.pre_started => {
                row.cleanup = row.cleanup.or(Some(Status::Aborted));
                row.later = false;
                Cancelled::Requested(id)
            }
            Status::Scheduled => {
                row.end(Status::Aborted);
                Cancelled::Done(id)
            }
            Status::Sync => Cancelled::Requested(id),
            ended => return Cancelled::AlreadyEnded(id, ended),
        };
        row.cancel_requested = true;
        if let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.wanted == Wanted::Run) {
            lease.wanted = Wanted::Cancel;
        }
        self.noted_jobs.insert(id);
        cancelled
    }

    /// Says whether there was one to cancel.
    pub fn cancel_all(&mut self) -> bool {
        let open: Vec<_> = self
            .rows
            .values()
            .filter(|row| row.is_open() && !row.cancel_requested)
            .map(|row| row.user)
            .collect();
        for user in &open {
            self.cancel(*user);
        }
        !open.is_empty()
    }

    /// Why a user can't be deleted, or its rows are gone.
    pub fn delete_user(&mut self, user: usize) -> Result<(), Undeletable> {
        if let Some(id) = self.open(user) {
            return Err(Undeletable::Open(id));
        }
        if let Some(id) = self.leases.keys().find(|id| self.rows[id].user == user) {
            return Err(Undeletable::Leased(*id));
        }
        self.rows.retain(|_, row| row.user != user);
        // What the outbox says of them leads to nothing.
        self.noted_jobs.retain(|id| self.rows.contains_key(id));
        Ok(())
    }

    pub fn close(&mut self, user: usize, end: Status) -> Closed {
        let Some(id) = self.latest(user) else { return Closed::Nothing };
        let row = self.rows.get_mut(&id).unwrap();
        if !row.is_open() {
            return Closed::AlreadyEnded(id, row.status);
        }
        row.end(end);
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.wanted = Wanted::Close;
        }
        self.noted_jobs.insert(id);
        Closed::Done(id)
    }
}

/// Nobody stays locked out: where the pre command had started, the failure command comes before the end.
fn back_or_end(row: &mut Row, to: Status) {
    if to.is_terminal() && row.pre_started {
        row.cleanup = row.cleanup.or(Some(to));
        row.end(Status::Scheduled);
    } else {
        row.end(to);
    }
}
