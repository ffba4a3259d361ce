//! What the two stores, the workers and the guards hold. Copied for every step, so it is small.

/// Most migrations, source hosts and workers of a scene.
pub const MIGRATIONS: usize = 3;
pub const HOSTS: usize = 2;
pub const WORKERS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not submitted yet.
    Absent,
    Scheduled,
    Sync,
    /// SUCCESS, FAILURE or ABORTED: the protocol treats them alike.
    Ended,
}

/// A journal row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    pub status: Status,
    pub epoch: u8,
    pub cancel_requested: bool,
    /// An operator was told that it will end; known to the model only.
    pub cancelled: bool,
    /// How often an end state was written; known to the model only.
    pub ends: u8,
}

/// A row of `leases`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub worker: u8,
    pub epoch: u8,
    /// What is wanted of it: kill it.
    pub unwanted: bool,
    /// For how many ticks the reaper has seen its beat unchanged in both stores.
    pub silent: u8,
}

/// What the queue holds for a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    Free,
    Proposal,
    /// Of this epoch.
    Running(u8),
}

/// How far a worker is with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    None,
    /// Nothing was started yet.
    Claimed,
    /// Its child was started.
    Running,
    /// The child is dead, a result waits to be recorded.
    Done,
    /// The child is dead, the migration goes back into the queue.
    GoingBack,
    /// MariaDB knows the end, the slot waits to be freed.
    Recorded,
}

/// A lease as its worker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub stage: Stage,
    pub epoch: u8,
    /// Ticks until it is dead unless a heartbeat is confirmed; the guard has the same number.
    pub left: u8,
}

impl Task {
    /// Whether it is heartbeated: a lease that was silent too long is dead for ever.
    pub fn is_live(self) -> bool {
        self.left > 0 && !matches!(self.stage, Stage::None | Stage::Recorded)
    }
}

pub const NO_TASK: Task = Task { stage: Stage::None, epoch: 0, left: 0 };

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    Up,
    /// Stopped by SIGSTOP.
    Frozen,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    pub life: Life,
    /// Whether it reaches MariaDB and Redis.
    pub database: bool,
    pub queue: bool,
    pub proposals: [bool; MIGRATIONS],
    pub tasks: [Task; MIGRATIONS],
    /// Children on its machine, which may outlive it where no guard kills them.
    pub children: [bool; MIGRATIONS],
}

/// A worker with empty hands.
const FIRST_WORKER: Worker = Worker {
    life: Life::Up,
    database: true,
    queue: true,
    proposals: [false; MIGRATIONS],
    tasks: [NO_TASK; MIGRATIONS],
    children: [false; MIGRATIONS],
};

/// What the relay has read and not pushed yet: the row may have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Note {
    pub migration: u8,
    pub status: Status,
    pub epoch: u8,
    pub leased: bool,
}

/// What a step broke that a later state does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Broken {
    pub limit: bool,
    pub epoch: bool,
    pub cancel: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub rows: [Row; MIGRATIONS],
    pub leases: [Option<Lease>; MIGRATIONS],
    pub outbox: [bool; MIGRATIONS],
    pub relay: Option<Note>,
    /// Whether `gen` is there.
    pub built: bool,
    pub ready: [bool; MIGRATIONS],
    pub slots: [Slot; MIGRATIONS],
    pub ring: [bool; HOSTS],
    pub workers: [Worker; WORKERS],
    /// Faults and orders that may still come.
    pub faults: u8,
    pub orders: u8,
    pub broken: Broken,
}

impl State {
    pub fn first(faults: u8, orders: u8) -> Self {
        let row =
            Row { status: Status::Absent, epoch: 0, cancel_requested: false, cancelled: false, ends: 0 };
        Self {
            rows: [row; MIGRATIONS],
            leases: [None; MIGRATIONS],
            outbox: [false; MIGRATIONS],
            relay: None,
            built: true,
            ready: [false; MIGRATIONS],
            slots: [Slot::Free; MIGRATIONS],
            ring: [false; HOSTS],
            workers: [FIRST_WORKER; WORKERS],
            faults,
            orders,
            broken: Broken::default(),
        }
    }

    /// Makes states equal that differ in nothing that matters later: epochs are compared with each other
    /// and raised, so they are renumbered from 1; workers are alike, so they are ordered; and what was
    /// wanted of an ended row wants nothing more.
    pub fn normalise(&mut self) {
        for migration in 0..MIGRATIONS {
            self.renumber(migration);
            let row = &mut self.rows[migration];
            if row.status == Status::Ended {
                row.cancel_requested = false;
                row.cancelled = false;
            }
        }
        for worker in 0..WORKERS {
            if self.is_idle(worker) {
                self.workers[worker] = FIRST_WORKER;
            }
        }
        if self.workers[1] < self.workers[0] {
            self.workers.swap(0, 1);
            for lease in self.leases.iter_mut().flatten() {
                lease.worker = 1 - lease.worker;
            }
        }
    }

    /// Whether the worker has nothing in hand and nobody counts on it: whatever befell it, it may be
    /// well again.
    pub fn is_idle(&self, worker: usize) -> bool {
        let known = &self.workers[worker];
        known.tasks == FIRST_WORKER.tasks
            && known.proposals == FIRST_WORKER.proposals
            && known.children == FIRST_WORKER.children
            && !self.leases.iter().flatten().any(|lease| usize::from(lease.worker) == worker)
    }

    /// Numbers the epochs of a migration from 1 in their order.
    fn renumber(&mut self, migration: usize) {
        let mut used = 0_u32;
        self.each_epoch(migration, |epoch| used |= 1 << *epoch);
        self.each_epoch(migration, |epoch| {
            let below = used & ((1 << *epoch) - 1);
            *epoch = u8::try_from(below.count_ones()).unwrap() + 1;
        });
    }

    fn each_epoch(&mut self, migration: usize, mut visit: impl FnMut(&mut u8)) {
        visit(&mut self.rows[migration].epoch);
        if let Some(lease) = &mut self.leases[migration] {
            visit(&mut lease.epoch);
        }
        if let Slot::Running(epoch) = &mut self.slots[migration] {
            visit(epoch);
        }
        if let Some(note) = self.relay.as_mut().filter(|note| usize::from(note.migration) == migration) {
            visit(&mut note.epoch);
        }
        for worker in &mut self.workers {
            let task = &mut worker.tasks[migration];
            if task.stage != Stage::None {
                visit(&mut task.epoch);
            }
        }
    }

    pub fn task(&mut self, worker: usize, migration: usize) -> &mut Task {
        &mut self.workers[worker].tasks[migration]
    }
}
