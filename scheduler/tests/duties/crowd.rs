//! Everybody at once: workers, submitters, operators, relays, reconcilers and a reaper on the same stores, while Redis
//! forgets everything now and then. The invariants hold at every step, and nothing is left at the end.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dmf_lab::poll_until;
use dmf_scheduler::{rebuild, reconciler::Reconciler, relay};
use dmf_shared::{
    domain::{
        ids::{Epoch, HostId, JobId, UserId},
        migration::Status,
    },
    queue::{self, Free, Hold, Running, Settlement, Then},
    store::{
        self, Cancelled, ClaimRequest, Claimed, Closed, Counts, Decision, Finish, Finished, HandBack, Reaped,
        Refusal, SubmitError,
    },
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::Stage;

const WORKERS: u64 = 4;
const SUBMITTERS: u64 = 2;
const SUBMITS: u32 = 60;
const USERS: u32 = 12;
const LIMIT: u32 = 3;
const MAX_LOSSES: u32 = 1_000;
/// Longest time until nothing is left.
const DRAIN: Duration = Duration::from_mins(1);

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// Leases whose child may live, with user and host.
    living: HashMap<JobId, (UserId, HostId)>,
    epochs: HashMap<JobId, Epoch>,
    ended: HashSet<JobId>,
    /// Leases whose worker has died.
    orphans: HashSet<JobId>,
    users: Vec<UserId>,
}

impl Seen {
    fn grant(&mut self, claimed: &Claimed) {
        let (job, user, host) = (claimed.job, claimed.user.id, claimed.host.id);
        let last = self.epochs.insert(job, claimed.epoch);
        assert!(last.is_none_or(|last| last < claimed.epoch), "the epoch of {job} did not grow");
        assert!(!self.ended.contains(&job), "{job} had ended and was claimed");
        assert!(self.living.values().all(|(other, _)| *other != user), "{user} has two leases");
        assert!(self.living.insert(job, (user, host)).is_none(), "{job} has two leases");
        let in_use = self.living.values().filter(|(_, of)| *of == host).count();
        assert!(in_use <= LIMIT as usize, "{in_use} leases of host {host}");
    }

    fn end(&mut self, job: JobId) {
        assert!(self.ended.insert(job), "{job} ended twice");
    }
}

struct Crowd {
    stage: Stage,
    seen: Mutex<Seen>,
    /// Nothing new begins any more; what is open ends.
    draining: AtomicBool,
    over: AtomicBool,
}

impl Crowd {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Proposes, claims, and ends what it got in one way or another.
    async fn work(self: Arc<Self>, mut random: fastrand::Rng) {
        let Stage { store, queue, target, holder, .. } = &self.stage;
        while !self.is_over() {
            let free = Free { total: 3, normal: 3 };
            let visibility = Duration::from_millis(random.u64(50..500));
            let proposals = queue.propose(*target, free, visibility).await.map(|proposed| proposed.jobs);
            let Ok(proposals) = proposals else { continue };
            if proposals.is_empty() {
                tokio::time::sleep(Duration::from_millis(random.u64(1..20))).await;
                continue;
            }
            let requests: Vec<_> = proposals
                .iter()
                .map(|proposal| ClaimRequest { job: proposal.job, host: proposal.host })
                .collect();
            let mut leases = Vec::new();
            let decisions = match store.claim(holder, &requests).await {
                Ok(decisions) => decisions,
                // They are proposed again after their visibility time.
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                    continue;
                }
            };
            for decision in decisions {
                match decision {
                    Decision::Granted(claimed) => {
                        self.seen().grant(&claimed);
                        leases.push(*claimed);
                    }
                    Decision::Refused(job, refusal) => {
                        let then = match refusal {
                            Refusal::NotWaiting => Then::Drop,
                            Refusal::Blocked => Then::Blocked,
                            Refusal::TooEarly { wait_ms } => Then::Delay(Duration::from_millis(wait_ms)),
                        };
                        let proposal = proposals.iter().find(|proposal| proposal.job == job).unwrap();
                        let hold = Hold::Proposal(proposal.ticket);
                        // One that is not settled is ready again after its visibility time.
                        let _ = queue.settle(&[Settlement { job, hold, then }]).await;
                    }
                }
            }
            for claimed in leases {
                self.run(&claimed, &mut random).await;
            }
        }
    }

    async fn run(&self, claimed: &Claimed, random: &mut fastrand::Rng) {
        let Stage { store, queue, target, holder, .. } = &self.stage;
        let (job, epoch, source) = (claimed.job, claimed.epoch, &claimed.source);
        if random.u8(..10) > 0 {
            let (host, priority) = (claimed.host.id, claimed.priority);
            let running = Running { job, epoch, host, target: *target, priority };
            let _ = queue.heartbeat(&[running]).await;
        }
        let beaten = [(job, epoch)];
        insist(|| store.heartbeat_leases(holder, &beaten)).await;
        tokio::time::sleep(Duration::from_millis(random.u64(0..10))).await;
        // From here on no child lives.
        self.seen().living.remove(&job);
        let what = if self.is_draining() { 0 } else { random.u8(..10) };
        match what {
            0..=5 => {
                let status = if what == 5 { Status::Failure } else { Status::Success };
                let finish = result(status);
                let finished = insist(|| store.finish(source, job, epoch, &finish)).await;
                if matches!(finished, Finished::Recorded | Finished::Cancelled) {
                    self.seen().end(job);
                }
            }
            6 | 7 => {
                let delay_ms = (what == 7).then_some(20);
                let back = HandBack { delay_ms, ..HandBack::default() };
                insist(|| store.hand_back(source, job, epoch, &back)).await;
            }
            _ => drop(self.seen().orphans.insert(job)),
        }
        // Some die before they release the slot.
        if what < 8 && random.u8(..10) > 0 {
            let _ = queue.settle(&[Settlement { job, hold: Hold::Lease(epoch), then: Then::Drop }]).await;
        }
    }

    async fn submit(self: Arc<Self>, mut random: fastrand::Rng) {
        for _ in 0..SUBMITS {
            let uid = format!("user{}", random.u32(..USERS));
            match self.stage.try_submit(&uid, random.bool()).await {
                Ok(submitted) => self.seen().users.push(submitted.record.user),
                Err(SubmitError::Open(_)) => {}
                // Too many want the same rows at this moment: the API answers 503, and the client comes again.
                Err(SubmitError::Store(error)) if error.is_transient() => {}
                Err(error) => panic!("{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(random.u64(0..20))).await;
        }
    }

    /// Cancels, closes, and has Redis forget everything.
    async fn order(self: Arc<Self>, mut random: fastrand::Rng) {
        let Stage { store, source, .. } = &self.stage;
        while !self.is_draining() {
            tokio::time::sleep(Duration::from_millis(random.u64(5..60))).await;
            let user = random.choice(self.seen().users.clone());
            let Some(user) = user else { continue };
            match random.u8(..10) {
                0..=4 => {
                    let cancelled = insist(|| store.cancel_latest(source, user)).await;
                    if let Cancelled::Done(journal) = cancelled {
                        self.seen().end(JobId { source: source.id, journal });
                    }
                }
                5..=8 => {
                    let closed = insist(|| store.close_latest(source, user, Status::Failure)).await;
                    if let Closed::Done(journal) = closed {
                        self.seen().end(JobId { source: source.id, journal });
                    }
                }
                _ => self.stage.flush().await,
            }
        }
    }

    async fn relay(self: Arc<Self>) {
        let Stage { store, queue, .. } = &self.stage;
        while !self.is_over() {
            match relay::relay_all(store, queue).await {
                Ok(()) => {}
                Err(relay::Error::Queue(queue::Error::Rebuild)) => {
                    // Redis may forget everything in its midst.
                    let _ = rebuild::run(store, queue).await;
                }
                Err(relay::Error::Store(error)) if error.is_transient() => {}
                Err(error) => panic!("{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Reaps what its worker has left; a real reaper finds that out by watching.
    async fn repair(self: Arc<Self>) {
        let Stage { store, queue, source, .. } = &self.stage;
        let mut reconciler = Reconciler::new(store.clone(), queue.clone());
        while !self.is_over() {
            let beats = store.lease_beats().await.unwrap();
            let orphans = self.seen().orphans.clone();
            for lease in beats.iter().filter(|lease| orphans.contains(&lease.job)) {
                self.seen().orphans.remove(&lease.job);
                let reaped = insist(|| store.reap(source, lease, MAX_LOSSES)).await;
                if let Reaped::Done(status) = reaped
                    && status.is_terminal()
                {
                    self.seen().end(lease.job);
                }
            }
            for done in [reconciler.look_at_hosts().await, reconciler.push_slice().await] {
                let _ = done.inspect_err(|error| assert!(is_rebuild(error), "{error:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is left, if anything.
    async fn left(&self) -> Result<(), String> {
        let Stage { store, queue, source, .. } = &self.stage;
        let waiting = store.waiting_jobs(source, dmf_shared::domain::ids::JournalId(0), 100).await;
        let waiting: Vec<_> = waiting.unwrap().into_iter().map(|row| row.job).collect();
        let leases = store.all_leases().await.unwrap();
        let slots = queue.all_slots().await.map_err(|error| error.to_string())?;
        let outbox = store.outbox_age().await.unwrap();
        let is_quiet = waiting.is_empty() && leases.is_empty() && slots.is_empty() && outbox.is_zero();
        if is_quiet { Ok(()) } else { Err(format!("{waiting:?} {leases:?} {slots:?} {outbox:?}")) }
    }
}

/// Asks again while too many want the same rows.
async fn insist<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = store::Result<T>>,
{
    for _ in 0..100 {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    panic!("the rows are contended for ever");
}

fn is_rebuild(error: &dmf_scheduler::reconciler::Error) -> bool {
    matches!(error, dmf_scheduler::reconciler::Error::Queue(queue::Error::Rebuild))
}

fn result(status: Status) -> Finish {
    Finish { status, details: json!([]), counts: Counts::default(), verification: None, attempt: 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_runs_twice_in_a_crowd() {
    let stage = Stage::built().await;
    stage.store.set_max_connections(stage.host, LIMIT).await.unwrap();
    let crowd = Arc::new(Crowd {
        stage,
        seen: Mutex::default(),
        draining: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });
    let random = fastrand::Rng::with_seed;
    let (mut those_who_begin, mut others) = (JoinSet::new(), JoinSet::new());
    for n in 0..SUBMITTERS {
        those_who_begin.spawn(crowd.clone().submit(random(n)));
    }
    for n in 0..WORKERS {
        others.spawn(crowd.clone().work(random(100 + n)));
    }
    others.spawn(crowd.clone().order(random(200)));
    for _ in 0..2 {
        others.spawn(crowd.clone().relay());
    }
    others.spawn(crowd.clone().repair());
    while let Some(ended) = those_who_begin.join_next().await {
        ended.unwrap();
    }
    crowd.draining.store(true, Ordering::SeqCst);
    let drained = poll_until("something is left", DRAIN, async || crowd.left().await).await;
    crowd.over.store(true, Ordering::SeqCst);
    while let Some(ended) = others.join_next().await {
        ended.unwrap();
    }
    drained.unwrap();
    let seen = crowd.seen();
    assert!(seen.living.is_empty() && seen.ended.len() > USERS as usize, "{} ended", seen.ended.len());
}
