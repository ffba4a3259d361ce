//! The leases that this process holds.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use dmf_shared::{
    domain::{
        ids::{Epoch, JobId, TargetId},
        migration::Status,
        trace::TraceParent,
    },
    ops::traces::{Span, SpanKind},
    queue::{Free, Progress, Running},
    store::{BackendState, Claimed},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    doveadm::mail_log::StderrReading,
    process::{Deadline, LeaseClock, LeaseHandle},
};

/// Why a running migration is to stop, the weakest first: a stronger reason replaces a weaker one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// The worker shuts down or was stopped: back into the queue.
    HandBack = 1,
    /// An operator cancelled it: ABORTED.
    Cancel = 2,
    /// An operator closed it: its record has its end state already.
    Close = 3,
}

/// One lease.
#[derive(Debug)]
pub struct Held {
    /// What was claimed.
    pub claimed: Claimed,
    handle: LeaseHandle,
    clock: LeaseClock,
    stop: CancellationToken,
    reason: AtomicU8,
    closed_as: OnceLock<Status>,
    ending: AtomicBool,
    progress: Mutex<Shown>,
    since: Instant,
    claim_took: Duration,
    trace: OnceLock<TraceParent>,
}

/// What is shown of a migration while it runs.
#[derive(Debug, Default)]
struct Shown {
    /// Mails that runs before this one have saved and expunged.
    before: (u64, u64),
    now: Option<Progress>,
}

/// Longest name of a mailbox that is shown, in bytes.
const SHOWN_NAME: usize = 255;

impl Held {
    /// A lease that holds until `deadline` unless a heartbeat extends it, whose claim took so long.
    pub fn new(claimed: Claimed, deadline: Deadline, claim_took: Duration) -> Self {
        let (handle, clock) = LeaseClock::channel(deadline);
        let (stop, reason, closed_as, ending, progress, trace) = Default::default();
        let since = Instant::now();
        Self { claimed, handle, clock, stop, reason, closed_as, ending, progress, since, claim_took, trace }
    }

    /// How long it has been held.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// How long its claim took.
    pub fn claim_took(&self) -> Duration {
        self.claim_took
    }

    /// Says under which span its steps stand in the trace.
    pub fn set_trace(&self, place: Option<TraceParent>) {
        if let Some(place) = place {
            // It is run once.
            let _ = self.trace.set(place);
        }
    }

    /// Begins the span of a step. No trace begins with one.
    pub fn begin_span(&self, name: &str) -> Option<Span> {
        self.trace.get().map(|place| Span::begin(name, SpanKind::Internal, Some(*place)))
    }

    /// What its children obey.
    pub fn clock(&self) -> LeaseClock {
        self.clock.clone()
    }

    /// Cancelled when the migration is to stop.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// A heartbeat was confirmed.
    pub fn extend(&self, deadline: Deadline) {
        self.handle.extend(deadline);
    }

    /// The lease is somebody else's, or gone: whatever runs is killed at once.
    pub fn lose(&self) {
        self.handle.lose();
    }

    /// Whether the lease is dead: nothing may run under it, and it is never heartbeated again.
    pub fn is_lost(&self) -> bool {
        self.clock.is_lost()
    }

    /// Has the migration stop.
    pub fn stop(&self, reason: Stop) {
        self.reason.fetch_max(reason as u8, Ordering::SeqCst);
        self.stop.cancel();
    }

    /// Has the migration stop, because an operator closed it with this end state.
    pub fn close(&self, end: Status) {
        // A record is closed once, so the first word is as good as any.
        let _ = self.closed_as.set(end);
        self.stop(Stop::Close);
    }

    /// The end state with which it was closed, as far as anybody has told.
    pub fn closed_as(&self) -> Option<Status> {
        self.closed_as.get().copied()
    }

    /// Why it is to stop, if it is.
    pub fn stop_reason(&self) -> Option<Stop> {
        [Stop::HandBack, Stop::Cancel, Stop::Close]
            .into_iter()
            .find(|reason| *reason as u8 == self.reason.load(Ordering::SeqCst))
    }

    /// Its end is about to be recorded. Whoever does so finds out whether the lease is still there.
    pub fn begin_end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether its end is being recorded or is so already: a lease that is gone is no loss then.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Runs of the sync command before the one that follows have saved and expunged so many mails.
    pub fn begin_progress(&self, saved: u64, expunged: u64) {
        self.shown().before = (saved, expunged);
    }

    /// Shows how far a step has come by what its command has said.
    pub fn show_progress(&self, step: &str, so_far: &StderrReading) {
        let mut shown = self.shown();
        let (saved, expunged) = shown.before;
        let counts = so_far.counts();
        let mailbox = so_far.mailbox().map(|name| name[..name.floor_char_boundary(SHOWN_NAME)].to_owned());
        shown.now = Some(Progress {
            epoch: self.claimed.epoch,
            step: step.to_owned(),
            mailbox,
            saved: saved.saturating_add(counts.total_saved()),
            expunged: expunged.saturating_add(counts.total_expunged()),
        });
    }

    /// How far it has come; `None` before its first step.
    pub fn progress(&self) -> Option<Progress> {
        self.shown().now.clone()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // Each use leaves it whole, so a panic elsewhere is no reason to show nothing.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As heartbeats and releases name it.
    pub fn running(&self, target: TargetId) -> Running {
        Running {
            job: self.claimed.job,
            epoch: self.claimed.epoch,
            host: self.claimed.host.id,
            target,
            priority: self.claimed.priority,
        }
    }

    /// `<source>/<id>`: what logs and child records call it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.claimed.source.name, self.claimed.job.journal)
    }
}

/// Claims on their way; see [`Table::begin_claim`].
#[derive(Debug)]
pub struct Claiming<'t> {
    table: &'t Table,
    jobs: Vec<JobId>,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        let mut claiming = self.table.claiming();
        for job in &self.jobs {
            claiming.remove(job);
        }
    }
}

/// All leases of this process, and how many more it may take.
#[derive(Debug)]
pub struct Table {
    held: Mutex<HashMap<JobId, Arc<Held>>>,
    claiming: Mutex<HashSet<JobId>>,
    max_threads: AtomicU32,
    reserved_for_priority: u32,
    state: AtomicU8,
    draining: AtomicBool,
    resting_until: Mutex<Option<Instant>>,
    database_reachable: AtomicBool,
    wake: Arc<Notify>,
}

impl Table {
    /// An empty table. `wake` is notified whenever a thread may have become free.
    pub fn new(max_threads: u32, reserved_for_priority: u32, wake: Arc<Notify>) -> Self {
        Self {
            held: Mutex::default(),
            claiming: Mutex::default(),
            max_threads: AtomicU32::new(max_threads),
            reserved_for_priority,
            state: AtomicU8::new(BackendState::Paused as u8),
            draining: AtomicBool::new(false),
            resting_until: Mutex::default(),
            database_reachable: AtomicBool::new(true),
            wake,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Held>>> {
        // Each use leaves the map consistent, so a panic elsewhere is no reason to stop heartbeats.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a lease.
    pub fn insert(&self, held: Arc<Held>) {
        self.lock().insert(held.claimed.job, held);
    }

    /// Removes a lease and so frees its thread.
    pub fn remove(&self, held: &Held) {
        let mut table = self.lock();
        if table.get(&held.claimed.job).is_some_and(|known| known.claimed.epoch == held.claimed.epoch) {
            table.remove(&held.claimed.job);
        }
        drop(table);
        self.wake.notify_one();
    }

    /// Every lease as of now.
    pub fn all(&self) -> Vec<Arc<Held>> {
        self.lock().values().cloned().collect()
    }

    /// The lease of this migration.
    pub fn get(&self, job: JobId) -> Option<Arc<Held>> {
        self.lock().get(&job).cloned()
    }

    /// Says that claims of these migrations are on their way, for as long as the answer lives.
    pub fn begin_claim(&self, jobs: impl Iterator<Item = JobId>) -> Claiming<'_> {
        let jobs: Vec<_> = jobs.collect();
        self.claiming().extend(&jobs);
        Claiming { table: self, jobs }
    }

    fn claiming(&self) -> MutexGuard<'_, HashSet<JobId>> {
        self.claiming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has the lease, or a claim on its way that may have made it.
    pub fn knows(&self, job: JobId, epoch: Epoch) -> bool {
        // In this order: a claim first becomes a lease and then ends.
        self.claiming().contains(&job) || self.get(job).is_some_and(|held| held.claimed.epoch == epoch)
    }

    /// How many leases there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.lock().len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the worker does.
    pub fn state(&self) -> BackendState {
        match self.state.load(Ordering::SeqCst) {
            value if value == BackendState::Running as u8 => BackendState::Running,
            value if value == BackendState::Paused as u8 => BackendState::Paused,
            _ => BackendState::Stopped,
        }
    }

    /// Changes what the worker does. STOPPED also stops what runs.
    pub fn set_state(&self, state: BackendState) {
        self.state.store(state as u8, Ordering::SeqCst);
        if state == BackendState::Stopped {
            self.stop_all();
        }
        self.wake.notify_one();
    }

    /// Leases nothing more, for ever: the process is about to end, whatever the API wants.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.set_state(BackendState::Paused);
    }

    /// Whether it leases nothing more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Leases nothing for some time; what runs goes on.
    pub fn rest(&self, pause: Duration) {
        let mut until = self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + pause);
    }

    /// Whether it leases nothing for a time.
    pub fn is_resting(&self) -> bool {
        let until = self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Has everything that runs stop and go back into the queue.
    pub fn stop_all(&self) {
        for held in self.all() {
            held.stop(Stop::HandBack);
        }
    }

    /// The most leases at a time.
    pub fn max_threads(&self) -> u32 {
        self.max_threads.load(Ordering::SeqCst)
    }

    /// Changes the most leases at a time; what runs above it goes on.
    pub fn set_max_threads(&self, threads: u32) {
        if self.max_threads.swap(threads, Ordering::SeqCst) != threads {
            self.wake.notify_one();
        }
    }

    /// Without MariaDB a worker proposes nothing.
    pub fn set_database_reachable(&self, reachable: bool) {
        if !self.database_reachable.swap(reachable, Ordering::SeqCst) && reachable {
            self.wake.notify_one();
        }
    }

    /// Threads that could take a job now.
    pub fn free(&self) -> Free {
        let reachable = self.database_reachable.load(Ordering::SeqCst);
        if self.state() != BackendState::Running || self.is_draining() || self.is_resting() || !reachable {
            return Free { total: 0, normal: 0 };
        }
        let table = self.lock();
        let normal_in_use = table.values().filter(|held| !held.claimed.priority).count();
        let in_use = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let max = self.max_threads.load(Ordering::SeqCst);
        let total = max.saturating_sub(in_use);
        let normal_in_use = u32::try_from(normal_in_use).unwrap_or(u32::MAX);
        let normal = max.saturating_sub(self.reserved_for_priority).saturating_sub(normal_in_use).min(total);
        Free { total, normal }
    }
}
