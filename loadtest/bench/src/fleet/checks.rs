//! What must hold whatever was measured: every user once, no host beyond its limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{
    field::Books,
    runs::Ran,
    timeline::{self, Span},
    work::Work,
};

/// What the records show.
#[derive(Debug)]
pub(super) struct Measured {
    /// Each migration from its claim to its result.
    pub(super) whole: Vec<Span>,
    /// How long each of them was to sleep.
    pub(super) sleeps: Vec<Duration>,
    /// Hosts that ran as many as they allow at some moment.
    pub(super) full_hosts: u32,
    /// What must not be so.
    pub(super) faults: Vec<String>,
}

impl Measured {
    /// Of records whose first claim was sent at the beginning.
    pub(super) fn of(work: &Work, ran: &[Ran]) -> Self {
        let zero = ran.iter().map(|one| one.claimed).min().unwrap_or_else(Instant::now);
        let since = |at: Instant| at.saturating_duration_since(zero);
        let whole =
            ran.iter().map(|one| Span { from: since(one.claimed), to: since(one.recorded) }).collect();
        let sleeps = ran.iter().map(|one| work.jobs[one.job as usize].length).collect();
        let mut faults = Vec::new();
        let mut by_host: HashMap<u32, Vec<Span>> = HashMap::new();
        let mut times = vec![0_u32; work.jobs.len()];
        for one in ran {
            times[one.job as usize] += 1;
            // The lease begins before and ends after, so that more at a time than allowed are too many for certain.
            let span = Span { from: since(one.started), to: since(one.done) };
            by_host.entry(work.jobs[one.job as usize].host).or_default().push(span);
        }
        let (never, again) =
            (times.iter().filter(|n| **n == 0).count(), times.iter().filter(|n| **n > 1).count());
        if never + again > 0 {
            faults.push(format!("{never} migrations were never finished, {again} more than once"));
        }
        let mut full_hosts = 0;
        for (host, spans) in by_host {
            let (most, limit) = (timeline::most_at_once(spans.into_iter()), work.hosts[host as usize].limit);
            full_hosts += u32::from(most == limit);
            if most > limit {
                faults.push(format!("host {host} allows {limit} connections, and {most} were in use"));
            }
        }
        Self { whole, sleeps, full_hosts, faults }
    }
}

/// What is wrong in the database after `users` have been migrated.
pub(super) fn faults_in(books: Books, users: u64) -> Option<String> {
    let Books { records, succeeded, users: of_users, leases, .. } = books;
    let right = records == users && succeeded == users && of_users == users && leases == 0;
    (!right).then(|| {
        format!(
            "of {users} users the database has {records} records, {succeeded} that ended well, of {of_users} users, \
             and {leases} leases are left"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{hosts::Host, work::Job};
    use super::*;

    fn ran(zero: Instant, job: u32, from: u64, to: u64) -> Ran {
        let at = |secs| zero + Duration::from_secs(secs);
        Ran { job, claimed: at(from), started: at(from), done: at(to), recorded: at(to) }
    }

    fn work() -> Work {
        let job = Job { host: 0, length: Duration::from_secs(1) };
        Work { jobs: vec![job; 3], hosts: vec![Host { share: 1.0, limit: 2 }], places: 9 }
    }

    #[test]
    fn as_many_as_allowed_are_well_and_one_more_is_a_fault() {
        let zero = Instant::now();
        let good = [ran(zero, 0, 5, 7), ran(zero, 1, 5, 6), ran(zero, 2, 6, 8)];
        let measured = Measured::of(&work(), &good);
        assert!(measured.faults.is_empty(), "{:?}", measured.faults);
        assert_eq!((measured.full_hosts, measured.whole[0].from), (1, Duration::ZERO));
        let bad = [ran(zero, 0, 5, 7), ran(zero, 1, 5, 7), ran(zero, 2, 6, 8)];
        let measured = Measured::of(&work(), &bad);
        assert!(measured.faults[0].contains("3 were in use"), "{:?}", measured.faults);
    }

    #[test]
    fn what_ran_twice_or_never_is_a_fault() {
        let zero = Instant::now();
        let measured = Measured::of(&work(), &[ran(zero, 0, 0, 1), ran(zero, 0, 2, 3), ran(zero, 1, 4, 5)]);
        assert_eq!(measured.faults, ["1 migrations were never finished, 1 more than once"]);
    }

    #[test]
    fn the_database_is_to_have_each_user_once() {
        let good = Books { records: 9, succeeded: 9, users: 9, claimed_again: 0, leases: 0 };
        assert_eq!(faults_in(good, 9), None);
        for bad in
            [Books { records: 10, ..good }, Books { succeeded: 8, ..good }, Books { leases: 1, ..good }]
        {
            assert!(faults_in(bad, 9).is_some(), "{bad:?}");
        }
    }
}
