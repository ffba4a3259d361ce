//! What there is to do: the same draw at every run of the same size.

use std::time::Duration;

use super::{
    hosts::{self, Host},
    lengths::Lengths,
    size::Size,
};

/// The longest migration as a part of the time that all places need: a longer one would decide the end alone.
pub(super) const LONGEST: f64 = 0.03;
/// Of every draw.
const SEED: u64 = 20_240_229;

/// A migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    /// Its host, counted from zero.
    pub(super) host: u32,
    /// How long it takes, in whole milliseconds: timers know no less.
    pub(super) length: Duration,
}

/// Migrations in the order in which they are submitted, and where they may run.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) jobs: Vec<Job>,
    pub(super) hosts: Vec<Host>,
    /// Migrations that run at a time.
    pub(super) places: u32,
}

impl Work {
    /// For a fleet of this size.
    pub(super) fn draw(size: &Size) -> Self {
        let hosts = hosts::make(size.hosts, size.places());
        let (mean, places) = (size.mean_secs(), f64::from(size.places()));
        let lengths = Lengths::new(mean, LONGEST * mean * f64::from(size.users) / places);
        let ends: Vec<f64> = hosts
            .iter()
            .scan(0.0, |sum, host| {
                *sum += host.share;
                Some(*sum)
            })
            .collect();
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut job = || {
            let (at, part) = (random.f64(), random.f64());
            let host = ends.partition_point(|end| *end <= at).min(ends.len() - 1);
            Job { host: u32::try_from(host).unwrap_or_default(), length: millis(lengths.quantile(part)) }
        };
        let jobs = (0..size.users).map(|_| job()).collect();
        Self { jobs, hosts, places: size.places() }
    }

    /// All lengths, the shortest first.
    pub(super) fn lengths(&self) -> Vec<Duration> {
        let mut lengths: Vec<Duration> = self.jobs.iter().map(|job| job.length).collect();
        lengths.sort_unstable();
        lengths
    }

    /// How long all of it takes one after the other.
    pub(super) fn total(&self) -> Duration {
        self.jobs.iter().map(|job| job.length).sum()
    }

    /// The same for each host.
    pub(super) fn by_host(&self) -> Vec<Duration> {
        let mut sums = vec![Duration::ZERO; self.hosts.len()];
        for job in &self.jobs {
            sums[job.host as usize] += job.length;
        }
        sums
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most some hours")]
fn millis(secs: f64) -> Duration {
    Duration::from_millis((secs * 1e3).round().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_always_the_same_and_keeps_to_its_bounds() {
        let size = Size::new(true, Some(5_000), Some(50)).unwrap();
        let work = Work::draw(&size);
        assert_eq!(work.jobs, Work::draw(&size).jobs);
        assert_eq!((work.jobs.len(), work.hosts.len()), (5_000, 200));
        let (total, lengths) = (work.total(), work.lengths());
        let needed = total / work.places;
        assert!(lengths[lengths.len() - 1] < needed.mul_f64(LONGEST * 1.1), "{needed:?}");
        assert!((total.as_secs_f64() / 5_000.0 / size.mean_secs() - 1.0).abs() < 0.05);
        assert_eq!(work.by_host().iter().sum::<Duration>(), total);
    }
}
