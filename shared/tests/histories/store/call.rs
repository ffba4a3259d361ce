//! Random calls on the store.

use std::collections::BTreeMap;

use dmf_shared::domain::migration::Status;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

pub const USERS: usize = 6;
pub const HOSTS: usize = 2;
pub const WORKERS: usize = 2;

/// Which migration a call names: one that was submitted; if there is one, one that waits or whose lease
/// stands.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    Any(usize),
    Waiting(usize),
    Leased(usize),
}

/// Which user a call names: anyone, or the one of a migration.
#[derive(Debug, Clone, Copy)]
pub enum User {
    Any(usize),
    Of(Which),
}

/// Which epoch a call names, beside that of the row.
#[derive(Debug, Clone, Copy)]
pub enum Age {
    Stale,
    Same,
    Newer,
}

#[derive(Debug, Clone)]
pub enum Call {
    Submit {
        user: User,
        priority: bool,
        later: bool,
    },
    /// Each with whether it names another host than the row's.
    /// Of users that differ, each with whether it has priority.
    SubmitBatch {
        users: BTreeMap<usize, bool>,
        dry_run: bool,
    },
    Claim {
        worker: usize,
        wanted: Vec<(Which, bool)>,
    },
    Heartbeat {
        worker: usize,
        leases: Vec<(Which, Age)>,
    },
    NotePreCommand(Which, Age),
    NoteAttempt(Which, Age, u32),
    /// The failure command alone is left to do.
    NoteEnd(Which, Age, Status),
    Finish(Which, Age, Status),
    HandBack {
        which: Which,
        age: Age,
        later: bool,
        attempt: Option<u32>,
    },
    /// By what was seen of the lease, or by an older look at it.
    Reap {
        which: Which,
        age: Age,
        beat_missed: bool,
    },
    Cancel(User),
    Close(User, Status),
    Prioritize(User, bool),
    PauseSource(bool),
    PauseHost(usize, bool),
    /// For longer than a history takes; a resume ends it.
    SuspendHost(usize),
    /// Of everything that is open.
    CancelAll,
    DeleteUser(usize),
    /// One that has users stays.
    DeleteHost(usize),
    Limit(usize, u32),
    /// The worker's process starts anew.
    Restart(usize),
    /// A relay takes the outbox; one that dies leaves it as it is.
    Relay {
        dies: bool,
    },
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![1 => (0..12_usize).prop_map(Which::Any), 4 => (0..12_usize).prop_map(Which::Leased)]
}

fn user() -> impl Strategy<Value = User> {
    prop_oneof![(0..USERS).prop_map(User::Any), which().prop_map(User::Of)]
}

fn submit() -> impl Strategy<Value = Call> {
    let later = prop::bool::weighted(0.1);
    (user(), any::<bool>(), later).prop_map(|(user, priority, later)| Call::Submit { user, priority, later })
}

fn age() -> impl Strategy<Value = Age> {
    prop_oneof![1 => Just(Age::Stale), 6 => Just(Age::Same), 1 => Just(Age::Newer)]
}

fn end() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Success), Just(Status::Failure), Just(Status::Aborted)]
}

/// The work of workers and reapers.
fn work() -> impl Strategy<Value = Call> {
    let waiting = prop_oneof![
        1 => (0..12_usize).prop_map(Which::Any),
        6 => (0..12_usize).prop_map(Which::Waiting),
    ];
    let wanted = vec((waiting, prop::bool::weighted(0.05)), 1..6);
    let attempt = prop::option::of(1..5_u32);
    prop_oneof![
        8 => (0..WORKERS, wanted).prop_map(|(worker, wanted)| Call::Claim { worker, wanted }),
        3 => (0..WORKERS, vec((which(), age()), 0..4))
            .prop_map(|(worker, leases)| Call::Heartbeat { worker, leases }),
        2 => (which(), age()).prop_map(|(which, age)| Call::NotePreCommand(which, age)),
        1 => (which(), age(), 1..5_u32).prop_map(|(which, age, n)| Call::NoteAttempt(which, age, n)),
        2 => (which(), age(), any::<bool>()).prop_map(|(which, age, aborted)| {
            Call::NoteEnd(which, age, if aborted { Status::Aborted } else { Status::Failure })
        }),
        3 => (which(), age(), end()).prop_map(|(which, age, end)| Call::Finish(which, age, end)),
        3 => (which(), age(), prop::bool::weighted(0.2), attempt)
            .prop_map(|(which, age, later, attempt)| Call::HandBack { which, age, later, attempt }),
        4 => (which(), age(), prop::bool::weighted(0.1))
            .prop_map(|(which, age, beat_missed)| Call::Reap { which, age, beat_missed }),
        1 => (0..WORKERS).prop_map(Call::Restart),
    ]
}

fn orders() -> impl Strategy<Value = Call> {
    prop_oneof![
        8 => submit(),
        2 => (btree_map(0..USERS, any::<bool>(), 0..5), prop::bool::weighted(0.2))
            .prop_map(|(users, dry_run)| Call::SubmitBatch { users, dry_run }),
        1 => Just(Call::CancelAll),
        2 => (0..USERS).prop_map(Call::DeleteUser),
        1 => (0..HOSTS).prop_map(Call::DeleteHost),
        1 => (0..HOSTS).prop_map(Call::SuspendHost),
        3 => user().prop_map(Call::Cancel),
        5 => (user(), end()).prop_map(|(user, end)| Call::Close(user, end)),
        1 => (user(), any::<bool>()).prop_map(|(user, priority)| Call::Prioritize(user, priority)),
        1 => prop::bool::weighted(0.2).prop_map(Call::PauseSource),
        1 => (0..HOSTS, prop::bool::weighted(0.2)).prop_map(|(host, paused)| Call::PauseHost(host, paused)),
        2 => (0..HOSTS, 0..4_u32).prop_map(|(host, limit)| Call::Limit(host, limit)),
        2 => prop::bool::weighted(0.3).prop_map(|dies| Call::Relay { dies }),
    ]
}

/// Some users come first; then anything happens.
pub fn history() -> impl Strategy<Value = Vec<Call>> {
    let calls = vec(prop_oneof![work(), orders()], 1..50);
    (vec(submit(), 0..8), calls).prop_map(|(first, calls)| [first, calls].concat())
}
