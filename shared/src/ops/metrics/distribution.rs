//! A histogram with fixed buckets, its sum and its maximum, written without locks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::HistogramFn;

/// Upper bounds of the buckets, in seconds: from a millisecond of a statement to a day of a migration.
pub(super) const BOUNDS: [f64; 20] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0,
    3_600.0, 14_400.0, 86_400.0,
];

/// After so long a maximum is forgotten: it is one of lately.
const MAX_LIVES: Duration = Duration::from_mins(2);

/// What was measured.
#[derive(Debug)]
pub(super) struct Distribution {
    /// Not cumulative; the last one is above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds, or in thousandths of another unit.
    sum: AtomicU64,
    max: Mutex<Max>,
}

#[derive(Debug)]
struct Max {
    value: f64,
    before: f64,
    since: Instant,
}

/// A copy at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Cumulative counts for each bound, ascending; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Sum of all values.
    pub sum: f64,
    /// Number of values.
    pub count: u64,
    /// The highest value of the last minutes.
    pub max: f64,
}

const MICROS: f64 = 1_000_000.0;

impl Distribution {
    pub(super) fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            max: Mutex::new(Max { value: 0.0, before: 0.0, since: Instant::now() }),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let bounds = BOUNDS.into_iter().chain(std::iter::once(f64::INFINITY));
        let buckets = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| {
                count += bucket.load(Ordering::Relaxed);
                (bound, count)
            })
            .collect();
        #[allow(clippy::cast_precision_loss, reason = "a sum of measurements needs no more digits")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / MICROS;
        let mut max = self.max.lock().unwrap_or_else(PoisonError::into_inner);
        max.age();
        Snapshot { buckets, sum, count, max: max.value.max(max.before) }
    }
}

impl Max {
    fn age(&mut self) {
        let age = self.since.elapsed();
        if age >= MAX_LIVES {
            self.before = if age < 2 * MAX_LIVES { self.value } else { 0.0 };
            self.value = 0.0;
            self.since = Instant::now();
        }
    }
}

impl HistogramFn for Distribution {
    /// Negative values and NaN count as 0: a clock that went backwards measured nothing.
    fn record(&self, value: f64) {
        let value = value.max(0.0);
        let bucket = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturating where it does not fit"
        )]
        self.sum.fetch_add((value * MICROS) as u64, Ordering::Relaxed);
        let mut max = self.max.lock().unwrap_or_else(PoisonError::into_inner);
        max.age();
        max.value = max.value.max(value);
    }
}

/// As the registry wants it.
pub(super) type Shared = Arc<Distribution>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_summed_and_bounded() {
        let distribution = Distribution::new();
        for value in [0.0005, 0.02, 0.02, 100_000.0, -3.0, f64::NAN] {
            distribution.record(value);
        }
        let seen = distribution.snapshot();
        assert_eq!(seen.count, 6);
        assert_eq!(seen.buckets.first(), Some(&(0.001, 3)));
        assert_eq!(seen.buckets.last(), Some(&(f64::INFINITY, 6)));
        assert!(seen.buckets.is_sorted_by_key(|(_, count)| *count));
        assert!((seen.sum - 100_000.040_5).abs() < 1e-6, "{}", seen.sum);
        assert!((seen.max - 100_000.0).abs() < f64::EPSILON);
    }
}
