//! What no queue can beat.

use std::time::Duration;

use super::work::Work;

/// Three times that the end of all work has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// All work, shared by all places.
    pub(super) places: Duration,
    /// The work of the host that needs longest, shared by its connections.
    pub(super) hosts: Duration,
    /// The longest migration.
    pub(super) longest: Duration,
}

impl Bound {
    pub(super) fn of(work: &Work) -> Self {
        let by_host = work.by_host();
        let needs = by_host.iter().zip(&work.hosts).map(|(time, host)| *time / host.limit);
        Self {
            places: work.total() / work.places,
            hosts: needs.max().unwrap_or_default(),
            longest: work.jobs.iter().map(|job| job.length).max().unwrap_or_default(),
        }
    }

    /// The greatest of them.
    pub(super) fn lower(self) -> Duration {
        self.places.max(self.hosts).max(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{hosts::Host, work::Job};
    use super::*;

    #[test]
    fn each_of_the_three_may_be_the_greatest() {
        let secs = Duration::from_secs;
        let work = |places, limit, lengths: &[u64]| Work {
            jobs: lengths.iter().map(|length| Job { host: 0, length: secs(*length) }).collect(),
            hosts: vec![Host { share: 1.0, limit }],
            places,
        };
        let by_places = Bound::of(&work(2, 4, &[10; 8]));
        assert_eq!(by_places, Bound { places: secs(40), hosts: secs(20), longest: secs(10) });
        assert_eq!(by_places.lower(), secs(40));
        assert_eq!(Bound::of(&work(8, 2, &[10; 8])).lower(), secs(40));
        assert_eq!(Bound::of(&work(8, 8, &[10, 90])).lower(), secs(90));
    }
}
