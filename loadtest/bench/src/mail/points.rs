//! What is measured: kinds of mailboxes, latencies, threads.

use std::time::Duration;

/// Users of a quick pass for each thread.
const QUICK_USERS: usize = 4;

/// Rounds of a full pass go on, after the second, while a point has taken less than this.
const ENOUGH: Duration = Duration::from_mins(2);

/// Mailboxes of one kind, and the lines that they are moved over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// What their users' names begin with.
    pub(super) name: &'static str,
    pub(super) users: usize,
    pub(super) mails: u64,
    /// Users that a thread moves over a long line: minutes are enough for a rate.
    a_thread: usize,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Which kind of mailboxes.
    pub(super) kind: usize,
    /// Longer round trips to the source.
    pub(super) latency: Duration,
    pub(super) threads: usize,
    /// How many of the users are moved.
    pub(super) users: usize,
}

impl Point {
    /// How many run at a time: no more than there are.
    pub(super) fn at_a_time(self) -> usize {
        self.threads.min(self.users)
    }

    /// Milliseconds that one of those which run at a time had for a user, when all of them took so long.
    pub(super) fn slot_ms(self, took: Duration) -> f64 {
        let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (took * part(self.at_a_time()) / part(self.users.max(1))).as_secs_f64() * 1000.0
    }
}

/// All of one run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kinds: [Kind; 2],
    pub(super) points: Vec<Point>,
    /// Fewest and most rounds.
    pub(super) rounds: (usize, usize),
    /// At which number of threads mbsync is measured.
    pub(super) peers: Vec<usize>,
}

impl Plan {
    /// The points, or a part of them with fewer users.
    pub(super) fn new(quick: bool) -> Self {
        let small = Kind { name: "small", users: 64, mails: 150, a_thread: 8 };
        let large = if quick {
            Kind { name: "mid", users: 4, mails: 1_000, a_thread: 1 }
        } else {
            Kind { name: "large", users: 8, mails: 5_000, a_thread: 1 }
        };
        let kinds = [small, large];
        let threads: &[usize] = if quick { &[1, 8, 32] } else { &[1, 2, 4, 8, 16, 32] };
        let mut points = Vec::new();
        for (kind, mailboxes) in kinds.iter().enumerate() {
            for latency in [Duration::ZERO, Duration::from_millis(20)] {
                for &threads in threads {
                    let a_thread = match (quick, latency.is_zero()) {
                        (true, _) => QUICK_USERS,
                        (false, true) => mailboxes.users,
                        (false, false) => mailboxes.a_thread,
                    };
                    let users = mailboxes.users.min(threads * a_thread);
                    points.push(Point { kind, latency, threads, users });
                }
            }
        }
        if quick {
            // More threads than users are as many as users; and one thread over a long line takes minutes.
            points.retain(|point| point.kind == 0 || point.threads == 8);
        }
        let peers = if quick { vec![8] } else { vec![1, 8, 32] };
        Self { kinds, points, rounds: if quick { (2, 2) } else { (2, 3) }, peers }
    }

    /// For people: how many rounds there are.
    pub(super) fn rounds_shown(&self) -> String {
        match self.rounds {
            (fewest, most) if fewest == most => format!("{most} for each point"),
            (fewest, most) => format!("{most} for each point, or {fewest} where that takes minutes"),
        }
    }

    /// Whether a point has another round after so many, which took so long.
    pub(super) fn goes_on(&self, rounds: usize, took: Duration) -> bool {
        rounds < self.rounds.0 || (rounds < self.rounds.1 && took < ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_run_has_every_point() {
        let plan = Plan::new(false);
        assert_eq!(plan.points.len(), 2 * 2 * 6);
        let users = |kind, latency| {
            let points =
                plan.points.iter().filter(move |point| (point.kind, point.latency) == (kind, latency));
            points.map(|point| point.users).collect::<Vec<_>>()
        };
        let far = Duration::from_millis(20);
        assert_eq!(users(0, Duration::ZERO), [64; 6]);
        assert_eq!(users(0, far), [8, 16, 32, 64, 64, 64]);
        assert_eq!(users(1, Duration::ZERO), [8; 6]);
        assert_eq!(users(1, far), [1, 2, 4, 8, 8, 8]);
        assert_eq!(plan.points.iter().filter(|point| point.at_a_time() == 8).count(), 2 + 3 * 2);
    }

    #[test]
    fn what_takes_long_has_two_rounds() {
        let plan = Plan::new(false);
        let goes_on = |rounds, secs| plan.goes_on(rounds, Duration::from_secs(secs));
        assert!(goes_on(0, 0) && goes_on(1, 1000) && goes_on(2, 100));
        assert!(!goes_on(2, 121) && !goes_on(3, 1));
        assert!(!Plan::new(true).goes_on(2, Duration::ZERO));
    }

    #[test]
    fn a_slot_s_time_is_shared_by_its_users() {
        let point = Point { kind: 0, latency: Duration::ZERO, threads: 32, users: 8 };
        assert!((point.slot_ms(Duration::from_secs(2)) - 2000.0).abs() < 0.1);
        assert!((Point { threads: 2, ..point }.slot_ms(Duration::from_secs(2)) - 500.0).abs() < 0.1);
    }

    #[test]
    fn the_quick_run_has_few_users_where_one_thread_moves_them() {
        let plan = Plan::new(true);
        let of = |threads| {
            plan.points.iter().find(|point| point.kind == 0 && point.threads == threads).unwrap().users
        };
        assert_eq!((of(1), of(8), of(32)), (4, 32, 64));
        assert_eq!(
            plan.points.iter().filter(|point| point.kind == 1).map(|point| point.threads).collect::<Vec<_>>(),
            [8, 8]
        );
    }
}
