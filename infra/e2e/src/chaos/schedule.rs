use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::Plan;
use super::fault::{Fault, Process, Store};

/// Between the beginnings of two faults, in milliseconds.
const INTERVAL_MS: std::ops::Range<u64> = 200..2_000;
/// A number that is taken modulo what there is.
const ANY: usize = 10_000;

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
        if let Some(lasting) = fault.lasting_ms() {
            let end = (at + Duration::from_millis(rng.u64(lasting))).min(plan.time);
            events.push(Event { at: end, fault, begins: false });
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

fn draw_fault(rng: &mut Rng, plan: &Plan) -> Fault {
    match rng.u32(..100) {
        0..34 => draw_of_processes(rng, plan),
        34..52 => draw_of_lines(rng, plan),
        52..70 => draw_of_stores(rng, plan),
        70..76 => draw_of_sources(rng, plan),
        _ => draw_order(rng, plan),
    }
}

fn process(rng: &mut Rng, plan: &Plan) -> Process {
    // Workers hold leases: they are what is to be broken most.
    if rng.u8(..4) > 0 {
        Process::Worker(worker(rng, plan))
    } else {
        Process::Scheduler(rng.usize(..plan.schedulers))
    }
}

fn worker(rng: &mut Rng, plan: &Plan) -> usize {
    rng.usize(..plan.workers)
}

fn store(rng: &mut Rng) -> Store {
    if rng.bool() { Store::MariaDb } else { Store::Redis }
}

fn host(rng: &mut Rng, plan: &Plan) -> usize {
    usize::try_from(rng.u32(..plan.hosts)).unwrap_or(0)
}

fn draw_of_processes(rng: &mut Rng, plan: &Plan) -> Fault {
    match rng.u32(..34) {
        0..9 => Fault::Kill(process(rng, plan)),
        9..12 => Fault::Terminate(process(rng, plan)),
        12..21 => Fault::Freeze(process(rng, plan)),
        21..24 => Fault::FreezeMachine(worker(rng, plan)),
        24..27 => Fault::Twin(worker(rng, plan)),
        27..30 => Fault::KillGuard(rng.usize(..ANY)),
        30..32 => Fault::FreezeGuard(rng.usize(..ANY)),
        _ => Fault::KillChild(rng.usize(..ANY)),
    }
}

fn draw_of_lines(rng: &mut Rng, plan: &Plan) -> Fault {
    match rng.u32(..18) {
        0..7 => Fault::Cut(process(rng, plan), store(rng)),
        7..12 => Fault::Stall(process(rng, plan), store(rng)),
        _ => Fault::CutBoth(process(rng, plan)),
    }
}

fn draw_of_stores(rng: &mut Rng, plan: &Plan) -> Fault {
    match rng.u32(..18) {
        0..3 => Fault::KillStore(Store::Redis),
        3..5 => Fault::KillStore(Store::MariaDb),
        5..7 => Fault::FreezeStore(store(rng)),
        7..10 => Fault::Flush,
        10..13 => Fault::OldDisk,
        13..15 => Fault::HoldCommits,
        15..17 => Fault::LockHost(host(rng, plan)),
        _ => Fault::LockLease(rng.usize(..ANY)),
    }
}

fn draw_of_sources(rng: &mut Rng, plan: &Plan) -> Fault {
    if rng.bool() { Fault::CutSource(host(rng, plan)) } else { Fault::StallSource(host(rng, plan)) }
}

fn draw_order(rng: &mut Rng, plan: &Plan) -> Fault {
    match rng.u32(..24) {
        0..5 => Fault::Cancel(rng.usize(..ANY)),
        5..8 => Fault::Close(rng.usize(..ANY)),
        8..10 => Fault::Prioritize(rng.usize(..ANY)),
        10..12 => Fault::DeleteUser(rng.usize(..ANY)),
        12 => Fault::PauseSource,
        13..15 => Fault::PauseHost(host(rng, plan)),
        15 => Fault::PauseWorker(worker(rng, plan)),
        16..18 => Fault::StopWorker(worker(rng, plan)),
        18..20 => Fault::Threads(worker(rng, plan), rng.u32(1..=6)),
        20..22 => Fault::Limit(host(rng, plan), rng.u32(1..=3)),
        _ => Fault::Guest,
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
    use std::collections::BTreeSet;

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
        let lasting =
            events.iter().filter(|event| event.begins && event.fault.lasting_ms().is_some()).count();
        assert_eq!(events.iter().filter(|event| !event.begins).count(), lasting);
        assert!(events.len() > 150 && events.iter().all(|event| event.at <= PLAN.time));
    }

    #[test]
    fn twenty_minutes_have_a_fault_of_every_kind() {
        for seed in [1, 2, 3] {
            let events = draw(&Plan { seed, time: Duration::from_mins(20), ..PLAN });
            let kinds: BTreeSet<_> = events.iter().map(|event| event.fault.kind()).collect();
            assert_eq!(kinds.len(), 38, "{kinds:?}");
        }
    }
}
