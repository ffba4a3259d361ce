//! A queue that costs nothing, in memory: whenever a place is free and something may run, it runs at once. It knows
//! no length beforehand, as no queue does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{timeline::Span, work::Work};

/// Who goes first among the hosts that may run something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Whoever has the job that was submitted first.
    Submitted,
    /// Each in turn, as the queue of this project does: a small host does not wait behind a large one.
    InTurn,
}

/// When each job runs.
pub(super) fn run(work: &Work, order: Order) -> Vec<Span> {
    let mut queue = Queue::new(work, order);
    let mut spans = vec![Span::default(); work.jobs.len()];
    let mut ends = BinaryHeap::new();
    let (mut now, mut free) = (Duration::ZERO, work.places);
    loop {
        while free > 0
            && let Some((host, job)) = queue.take()
        {
            free -= 1;
            let end = now + work.jobs[job].length;
            spans[job] = Span { from: now, to: end };
            ends.push(Reverse((end, host)));
        }
        let Some(Reverse((end, host))) = ends.pop() else { return spans };
        now = end;
        free += 1;
        queue.give_back(host);
    }
}

struct Queue {
    order: Order,
    waiting: Vec<VecDeque<usize>>,
    /// Connections of each host that are free.
    room: Vec<u32>,
    /// Hosts that have both, by their turn.
    ring: BinaryHeap<Reverse<(usize, usize)>>,
    is_in_ring: Vec<bool>,
    turn: usize,
}

impl Queue {
    fn new(work: &Work, order: Order) -> Self {
        let hosts = work.hosts.len();
        let mut waiting = vec![VecDeque::new(); hosts];
        for (number, job) in work.jobs.iter().enumerate() {
            waiting[job.host as usize].push_back(number);
        }
        let room = work.hosts.iter().map(|host| host.limit).collect();
        let mut queue =
            Self { order, waiting, room, ring: BinaryHeap::new(), is_in_ring: vec![false; hosts], turn: 0 };
        (0..hosts).for_each(|host| queue.enter(host));
        queue
    }

    /// Puts a host into the ring if it belongs there.
    fn enter(&mut self, host: usize) {
        let Some(first) = self.waiting[host].front() else { return };
        if self.room[host] == 0 || self.is_in_ring[host] {
            return;
        }
        self.turn += 1;
        let place = if self.order == Order::InTurn { self.turn } else { *first };
        self.ring.push(Reverse((place, host)));
        self.is_in_ring[host] = true;
    }

    fn take(&mut self) -> Option<(usize, usize)> {
        let Reverse((_, host)) = self.ring.pop()?;
        self.is_in_ring[host] = false;
        let job = self.waiting[host].pop_front()?;
        self.room[host] -= 1;
        self.enter(host);
        Some((host, job))
    }

    fn give_back(&mut self, host: usize) {
        self.room[host] += 1;
        self.enter(host);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{hosts::Host, timeline, work::Job};
    use super::*;

    fn work(places: u32, limits: &[u32], jobs: &[(u32, u64)]) -> Work {
        Work {
            jobs: jobs
                .iter()
                .map(|(host, secs)| Job { host: *host, length: Duration::from_secs(*secs) })
                .collect(),
            hosts: limits.iter().map(|limit| Host { share: 0.0, limit: *limit }).collect(),
            places,
        }
    }

    fn starts(work: &Work, order: Order) -> Vec<u64> {
        run(work, order).iter().map(|span| span.from.as_secs()).collect()
    }

    #[test]
    fn in_the_order_of_submission_or_in_turn() {
        let work = work(1, &[9, 9], &[(0, 1), (0, 1), (0, 1), (1, 1)]);
        assert_eq!(starts(&work, Order::Submitted), [0, 1, 2, 3]);
        assert_eq!(starts(&work, Order::InTurn), [0, 2, 3, 1]);
    }

    #[test]
    fn a_host_at_its_limit_keeps_nobody_else_back() {
        let work = work(3, &[1, 2], &[(0, 5), (0, 5), (1, 2), (1, 2), (1, 2)]);
        for order in [Order::Submitted, Order::InTurn] {
            assert_eq!(starts(&work, order), [0, 5, 0, 0, 2], "{order:?}");
        }
    }

    #[test]
    fn neither_places_nor_limits_are_passed() {
        let size = super::super::size::Size::new(true, Some(3_000), Some(40)).unwrap();
        let work = Work::draw(&size);
        let spans = run(&work, Order::InTurn);
        assert_eq!(timeline::most_at_once(spans.iter().copied()), work.places);
        for (host, limit) in (0_u32..).zip(work.hosts.iter().map(|host| host.limit)) {
            let of_host = spans.iter().zip(&work.jobs).filter(|(_, job)| job.host == host);
            assert!(timeline::most_at_once(of_host.map(|(span, _)| *span)) <= limit, "{host}");
        }
    }
}
