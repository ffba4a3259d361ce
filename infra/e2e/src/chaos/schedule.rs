use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::Plan;

/// Between the beginnings of two faults, in milliseconds.
const INTERVAL_MS: std::ops::Range<u64> = 200..2_000;
/// How long a fault lasts, in milliseconds: leases live 4 s, and are reaped after 6 s.
const LASTING_MS: std::ops::Range<u64> = 200..10_000;

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

/// What breaks, and for how long: what ends it follows from what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL, and a start.
    Kill(Process),
    /// SIGSTOP, and SIGCONT.
    Freeze(Process),
    /// Its connections to a store are reset, new ones are refused.
    Cut(Process, Store),
    /// Whatever it sends to a store vanishes.
    Stall(Process, Store),
    /// Both stores at once.
    CutBoth(Process),
    /// SIGKILL of a store, and a start; Redis comes back empty.
    KillStore(Store),
    /// SIGSTOP of a store, and SIGCONT.
    FreezeStore(Store),
    /// Redis forgets everything.
    Flush,
    /// Connections of a source host are reset, new ones refused.
    CutSource(usize),
    /// A source host does not answer.
    StallSource(usize),
    /// SIGKILL of the n-th guard.
    KillGuard(usize),
    /// SIGKILL of the n-th child.
    KillChild(usize),
    /// An operator cancels the n-th user's migration.
    Cancel(usize),
    /// An operator closes the n-th user's migration.
    Close(usize),
}

/// A fault begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// After the beginning of the campaign.
    pub(super) at: Duration,
    pub(super) fault: Fault,
    pub(super) begins: bool,
}

/// All events of a plan, in their order.
pub(super) fn draw(plan: &Plan) -> Vec<Event> {
    let mut rng = Rng::with_seed(plan.seed);
    let (mut events, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        at += Duration::from_millis(rng.u64(INTERVAL_MS));
        if at >= plan.time {
            break;
        }
        let fault = draw_fault(&mut rng, plan);
        events.push(Event { at, fault, begins: true });
        if fault.lasts() {
            let end = (at + Duration::from_millis(rng.u64(LASTING_MS))).min(plan.time);
            events.push(Event { at: end, fault, begins: false });
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

fn draw_fault(rng: &mut Rng, plan: &Plan) -> Fault {
    let process = |rng: &mut Rng| {
        // Workers hold leases: they are what is to be broken most.
        if rng.u8(..4) > 0 {
            Process::Worker(rng.usize(..plan.workers))
        } else {
            Process::Scheduler(rng.usize(..plan.schedulers))
        }
    };
    let store = |rng: &mut Rng| if rng.bool() { Store::MariaDb } else { Store::Redis };
    let host = |rng: &mut Rng| usize::try_from(rng.u32(..plan.hosts)).unwrap_or(0);
    match rng.u32(..100) {
        0..16 => Fault::Kill(process(rng)),
        16..32 => Fault::Freeze(process(rng)),
        32..44 => Fault::Cut(process(rng), store(rng)),
        44..52 => Fault::Stall(process(rng), store(rng)),
        52..62 => Fault::CutBoth(process(rng)),
        62..66 => Fault::KillStore(Store::Redis),
        66..69 => Fault::KillStore(Store::MariaDb),
        69..72 => Fault::FreezeStore(store(rng)),
        72..77 => Fault::Flush,
        77..81 => Fault::CutSource(host(rng)),
        81..86 => Fault::StallSource(host(rng)),
        86..89 => Fault::KillGuard(rng.usize(..64)),
        89..92 => Fault::KillChild(rng.usize(..64)),
        92..97 => Fault::Cancel(rng.usize(..10_000)),
        _ => Fault::Close(rng.usize(..10_000)),
    }
}

impl Fault {
    fn lasts(self) -> bool {
        !matches!(
            self,
            Self::Flush | Self::KillGuard(_) | Self::KillChild(_) | Self::Cancel(_) | Self::Close(_)
        )
    }

    /// Its name without whom it meets.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Kill(Process::Worker(_)) => "SIGKILL of a worker",
            Self::Kill(Process::Scheduler(_)) => "SIGKILL of a scheduler",
            Self::Freeze(Process::Worker(_)) => "SIGSTOP of a worker",
            Self::Freeze(Process::Scheduler(_)) => "SIGSTOP of a scheduler",
            Self::Cut(_, Store::MariaDb) => "process cut off from MariaDB",
            Self::Cut(_, Store::Redis) => "process cut off from Redis",
            Self::Stall(_, Store::MariaDb) => "process without answers from MariaDB",
            Self::Stall(_, Store::Redis) => "process without answers from Redis",
            Self::CutBoth(_) => "process cut off from both",
            Self::KillStore(Store::MariaDb) => "SIGKILL of MariaDB",
            Self::KillStore(Store::Redis) => "Redis restarted empty",
            Self::FreezeStore(Store::MariaDb) => "SIGSTOP of MariaDB",
            Self::FreezeStore(Store::Redis) => "SIGSTOP of Redis",
            Self::Flush => "FLUSHALL",
            Self::CutSource(_) => "source host cut off",
            Self::StallSource(_) => "source host without answers",
            Self::KillGuard(_) => "SIGKILL of a guard",
            Self::KillChild(_) => "SIGKILL of a child",
            Self::Cancel(_) => "cancel",
            Self::Close(_) => "close",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.begins { "begins" } else { "ends" };
        write!(f, "{:8.3} s {:?} {mark}", self.at.as_secs_f64(), self.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { seed: 7, time: Duration::from_mins(5), users: 10, hosts: 3, workers: 4, schedulers: 2 };

    #[test]
    fn a_seed_makes_one_schedule() {
        assert_eq!(draw(&PLAN), draw(&PLAN));
        assert_ne!(draw(&PLAN), draw(&Plan { seed: 8, ..PLAN }));
    }

    #[test]
    fn whatever_lasts_ends_in_time() {
        let events = draw(&PLAN);
        let lasting = events.iter().filter(|event| event.begins && event.fault.lasts()).count();
        assert_eq!(events.iter().filter(|event| !event.begins).count(), lasting);
        assert!(events.len() > 150 && events.iter().all(|event| event.at <= PLAN.time));
    }
}
