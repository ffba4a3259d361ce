//! Random calls on the queue.

use std::time::Duration;

use dmf_shared::{
    domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId},
    queue::{Hold, Host, Job, JobState, Running, Settlement, Then, Ticket},
};
use proptest::{collection::vec, prelude::*};

use super::model::Model;

pub const JOBS: u64 = 10;
pub const HOSTS: u32 = 3;
pub const TARGETS: u32 = 2;
/// Never over within a history; a delay or visibility of zero is over at the next look.
pub const LONG: Duration = Duration::from_hours(1);

/// Which migration a call names.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    Any(u64),
    /// One of those whose slot is taken, if there is one.
    Held(u64),
}

/// Which epoch a call names.
#[derive(Debug, Clone, Copy)]
pub enum Age {
    /// That of a proposal: none. In a settlement its ticket.
    Proposal,
    /// As that, in a settlement with the ticket of an earlier proposal of the job.
    OldProposal,
    /// Lower than the holder's.
    Stale,
    /// The holder's.
    Same,
    /// Higher than the holder's by so much.
    Newer(u64),
}

/// What a push says of a migration.
#[derive(Debug, Clone, Copy)]
pub enum Pushed {
    Ready,
    Later,
    Running,
    Ended,
}

#[derive(Debug, Clone, Copy)]
pub enum Goes {
    Drop,
    Ready,
    Blocked,
    DelayOver,
    DelayLong,
}

#[derive(Debug, Clone)]
pub enum Call {
    Push {
        jobs: Vec<(Which, Pushed, Age, bool)>,
        sink: bool,
    },
    Propose {
        target: u32,
        total: u32,
        normal: u32,
        visible: bool,
    },
    Settle(Vec<(Which, Age, Goes)>),
    Heartbeat(Vec<(Which, Age, bool)>),
    SetHosts(Vec<Host>),
    ForgetHost(HostId),
    /// Of every target.
    PromoteDue,
    FlushAll,
    BeginRebuild,
    /// Loads by the newest of the rebuilds that were begun, or by the oldest.
    Load {
        newest: bool,
        hosts: Vec<Host>,
        jobs: Vec<(Which, Pushed, Age, bool)>,
    },
    FinishRebuild {
        newest: bool,
    },
    AbandonRebuild {
        newest: bool,
    },
}

/// A job's host and target never change.
pub fn place(job: JobId) -> (HostId, TargetId) {
    let n = u32::try_from(job.journal.0).unwrap();
    (HostId(n % HOSTS + 1), TargetId(n % TARGETS + 1))
}

pub fn all_jobs() -> impl Iterator<Item = JobId> {
    (1..=JOBS).map(|n| JobId { source: SourceId(1), journal: JournalId(n) })
}

/// Every host with this limit.
pub fn every_host(limit: u32) -> Vec<Host> {
    (1..=HOSTS).map(|host| Host { host: HostId(host), limit, reserved_for_priority: 0 }).collect()
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![2 => (1..=JOBS).prop_map(Which::Any), 3 => (0..JOBS).prop_map(Which::Held)]
}

fn any_job() -> impl Strategy<Value = Which> {
    prop_oneof![4 => (1..=JOBS).prop_map(Which::Any), 1 => (0..JOBS).prop_map(Which::Held)]
}

fn age() -> impl Strategy<Value = Age> {
    prop_oneof![
        2 => Just(Age::Proposal),
        1 => Just(Age::OldProposal),
        1 => Just(Age::Stale),
        3 => Just(Age::Same),
        2 => (1..3_u64).prop_map(Age::Newer),
    ]
}

fn hosts(most: usize) -> impl Strategy<Value = Vec<Host>> {
    let host = (1..=HOSTS, 0..4_u32, 0..2_u32).prop_map(|(host, limit, reserved_for_priority)| Host {
        host: HostId(host),
        limit,
        reserved_for_priority,
    });
    vec(host, 1..=most)
}

fn pushes() -> impl Strategy<Value = Vec<(Which, Pushed, Age, bool)>> {
    let pushed = prop_oneof![
        8 => Just(Pushed::Ready),
        2 => Just(Pushed::Later),
        2 => Just(Pushed::Running),
        2 => Just(Pushed::Ended),
    ];
    vec((any_job(), pushed, age(), prop::bool::weighted(0.3)), 1..6)
}

fn call() -> impl Strategy<Value = Call> {
    let goes = prop_oneof![
        3 => Just(Goes::Drop),
        2 => Just(Goes::Ready),
        2 => Just(Goes::Blocked),
        2 => Just(Goes::DelayOver),
        1 => Just(Goes::DelayLong),
    ];
    prop_oneof![
        6 => (pushes(), any::<bool>()).prop_map(|(jobs, sink)| Call::Push { jobs, sink }),
        8 => (1..=TARGETS, 0..6_u32, 0..6_u32, prop::bool::weighted(0.8)).prop_map(
            |(target, total, normal, visible)| Call::Propose { target, total, normal: normal.min(total), visible }
        ),
        5 => vec((which(), age(), goes), 1..4).prop_map(Call::Settle),
        5 => vec((which(), age(), prop::bool::weighted(0.3)), 1..4).prop_map(Call::Heartbeat),
        2 => hosts(3).prop_map(Call::SetHosts),
        1 => (1..=HOSTS).prop_map(|host| Call::ForgetHost(HostId(host))),
        2 => Just(Call::PromoteDue),
        1 => Just(Call::FlushAll),
        2 => Just(Call::BeginRebuild),
        1 => (prop::bool::weighted(0.8), hosts(4), pushes()).prop_map(|(newest, hosts, jobs)| Call::Load {
            newest,
            hosts,
            jobs
        }),
        2 => prop::bool::weighted(0.8).prop_map(|newest| Call::FinishRebuild { newest }),
        1 => prop::bool::weighted(0.8).prop_map(|newest| Call::AbandonRebuild { newest }),
    ]
}

/// The limits that a history begins with, and its calls.
pub fn history() -> impl Strategy<Value = (Vec<Host>, Vec<Call>)> {
    (hosts(5), vec(call(), 1..60))
}

fn job_of(which: Which, model: &Model) -> JobId {
    let n = match which {
        Which::Any(n) => n,
        Which::Held(n) => {
            let held = model.held_jobs();
            if held.is_empty() {
                n % JOBS + 1
            } else {
                return held[usize::try_from(n).unwrap() % held.len()];
            }
        }
    };
    JobId { source: SourceId(1), journal: JournalId(n) }
}

fn epoch_of(age: Age, job: JobId, model: &Model) -> u64 {
    let held = model.epoch_of(job);
    match age {
        Age::Proposal | Age::OldProposal => 0,
        Age::Stale => held.saturating_sub(1),
        Age::Same => held,
        Age::Newer(by) => held + by,
    }
}

/// What a push of the API gets.
pub fn jobs(pushes: &[(Which, Pushed, Age, bool)], model: &Model) -> Vec<Job> {
    let job = |&(which, pushed, age, priority): &_| {
        let job = job_of(which, model);
        let epoch = epoch_of(age, job, model);
        let (state, epoch) = match pushed {
            Pushed::Ready => (JobState::Ready { after: Duration::ZERO }, epoch),
            Pushed::Later => (JobState::Ready { after: LONG }, epoch),
            // A claim has raised the epoch, so a lease's is never 0.
            Pushed::Running => (JobState::Running, epoch.max(1)),
            Pushed::Ended => (JobState::Ended, epoch),
        };
        let (host, target) = place(job);
        Job { job, state, epoch: Epoch(epoch), target, host, priority }
    };
    pushes.iter().map(job).collect()
}

/// What a settlement of the API gets.
pub fn settlements(settled: &[(Which, Age, Goes)], model: &Model) -> Vec<Settlement> {
    let settlement = |&(which, age, goes): &_| {
        let job = job_of(which, model);
        let hold = match (age, epoch_of(age, job, model)) {
            (Age::OldProposal, _) => Hold::Proposal(Ticket(model.old_ticket(job))),
            (_, 0) => Hold::Proposal(Ticket(model.ticket_of(job))),
            (_, epoch) => Hold::Lease(Epoch(epoch)),
        };
        let then = match goes {
            Goes::Drop => Then::Drop,
            Goes::Ready => Then::Ready,
            Goes::Blocked => Then::Blocked,
            Goes::DelayOver => Then::Delay(Duration::ZERO),
            Goes::DelayLong => Then::Delay(LONG),
        };
        Settlement { job, hold, then }
    };
    settled.iter().map(settlement).collect()
}

/// What a heartbeat of the API gets.
pub fn running(beaten: &[(Which, Age, bool)], model: &Model) -> Vec<Running> {
    let running = |&(which, age, priority): &_| {
        let job = job_of(which, model);
        let (host, target) = place(job);
        Running { job, epoch: Epoch(epoch_of(age, job, model).max(1)), host, target, priority }
    };
    beaten.iter().map(running).collect()
}
