/// A scheduler or worker, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Scheduler(usize),
    Worker(usize),
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    MariaDb,
    Redis,
}

/// What breaks, or what an operator orders; what ends it follows from what it is. Numbers of users, guards and
/// children are taken modulo how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL, and a start.
    Kill(Process),
    /// SIGTERM, and a start.
    Terminate(Process),
    /// SIGSTOP, and SIGCONT.
    Freeze(Process),
    /// SIGSTOP of a worker with its guards and children, whose connections to sources break, and SIGCONT.
    FreezeMachine(usize),
    /// A second process with the name of this worker.
    Twin(usize),
    /// Its connections to a store are reset, new ones are refused.
    Cut(Process, Store),
    /// Whatever it sends to a store vanishes.
    Stall(Process, Store),
    /// Both stores at once.
    CutBoth(Process),
    /// SIGKILL of a store, and a start.
    KillStore(Store),
    /// SIGSTOP of a store, and SIGCONT.
    FreezeStore(Store),
    /// Redis forgets everything.
    Flush,
    /// Redis is restarted with the disk of some seconds ago.
    OldDisk,
    /// No transaction of MariaDB can commit.
    HoldCommits,
    /// The row of a source host is locked.
    LockHost(usize),
    /// The row of the n-th lease is locked.
    LockLease(usize),
    /// Connections of a source host are reset, new ones refused.
    CutSource(usize),
    /// A source host does not answer.
    StallSource(usize),
    /// SIGKILL of the n-th guard.
    KillGuard(usize),
    /// SIGSTOP of the n-th guard for less than the time between deadline and silence, and SIGCONT.
    FreezeGuard(usize),
    /// SIGKILL of the n-th child.
    KillChild(usize),
    /// The n-th user's migration is cancelled.
    Cancel(usize),
    /// The n-th user's migration is closed as ABORTED.
    Close(usize),
    /// The n-th user's migration goes first.
    Prioritize(usize),
    /// The n-th user is deleted.
    DeleteUser(usize),
    /// Nothing new starts from the Source.
    PauseSource,
    /// Nothing new starts from a source host.
    PauseHost(usize),
    /// A worker takes nothing new.
    PauseWorker(usize),
    /// A worker hands everything back.
    StopWorker(usize),
    /// A worker has so many threads.
    Threads(usize, u32),
    /// A source host allows so many connections.
    Limit(usize, u32),
    /// Another Source with migrations of its own, which is deleted while they wait or run.
    Guest,
}

/// How long a fault lasts, in milliseconds: leases live 4 s, and are reaped after 6 s.
const LASTING_MS: std::ops::Range<u64> = 200..10_000;
/// A guard that is held up for longer can't kill in time.
const GUARD_MS: std::ops::Range<u64> = 200..1_500;

impl Fault {
    /// How long it lasts, in milliseconds; `None` for what is over at once.
    pub(super) fn lasting_ms(self) -> Option<std::ops::Range<u64>> {
        match self {
            Self::Flush
            | Self::KillGuard(_)
            | Self::KillChild(_)
            | Self::Cancel(_)
            | Self::Close(_)
            | Self::Prioritize(_)
            | Self::DeleteUser(_) => None,
            Self::FreezeGuard(_) => Some(GUARD_MS),
            _ => Some(LASTING_MS),
        }
    }

    /// Its name without whom it meets.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Kill(Process::Worker(_)) => "SIGKILL of a worker",
            Self::Kill(Process::Scheduler(_)) => "SIGKILL of a scheduler",
            Self::Terminate(Process::Worker(_)) => "SIGTERM of a worker",
            Self::Terminate(Process::Scheduler(_)) => "SIGTERM of a scheduler",
            Self::Freeze(Process::Worker(_)) => "SIGSTOP of a worker",
            Self::Freeze(Process::Scheduler(_)) => "SIGSTOP of a scheduler",
            Self::FreezeMachine(_) => "SIGSTOP of a worker with guards and children",
            Self::Twin(_) => "second worker of a name",
            Self::Cut(_, Store::MariaDb) => "process cut off from MariaDB",
            Self::Cut(_, Store::Redis) => "process cut off from Redis",
            Self::Stall(_, Store::MariaDb) => "process without answers from MariaDB",
            Self::Stall(_, Store::Redis) => "process without answers from Redis",
            Self::CutBoth(_) => "process cut off from both",
            Self::KillStore(Store::MariaDb) => "SIGKILL of MariaDB",
            Self::KillStore(Store::Redis) => "SIGKILL of Redis",
            Self::FreezeStore(Store::MariaDb) => "SIGSTOP of MariaDB",
            Self::FreezeStore(Store::Redis) => "SIGSTOP of Redis",
            Self::Flush => "FLUSHALL",
            Self::OldDisk => "Redis restarted with an old disk",
            Self::HoldCommits => "commits held back",
            Self::LockHost(_) => "row of a source host locked",
            Self::LockLease(_) => "row of a lease locked",
            Self::CutSource(_) => "source host cut off",
            Self::StallSource(_) => "source host without answers",
            Self::KillGuard(_) => "SIGKILL of a guard",
            Self::FreezeGuard(_) => "SIGSTOP of a guard",
            Self::KillChild(_) => "SIGKILL of a child",
            Self::Cancel(_) => "cancel",
            Self::Close(_) => "close",
            Self::Prioritize(_) => "priority given",
            Self::DeleteUser(_) => "deletion of a user",
            Self::PauseSource => "pause of the Source",
            Self::PauseHost(_) => "pause of a source host",
            Self::PauseWorker(_) => "pause of a worker by order",
            Self::StopWorker(_) => "stop of a worker by order",
            Self::Threads(..) => "threads of a worker changed",
            Self::Limit(..) => "limit of a source host changed",
            Self::Guest => "Source created and deleted",
        }
    }
}
