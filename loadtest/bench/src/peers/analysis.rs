//! What the records of a measurement say.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use super::protocol::Record;

/// The part of the first records that is left out of a rate: the workers are still starting.
const WARM_UP: usize = 10;

/// Jobs a second, by their ends and without the first tenth; `None` where too few have run to say so.
#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(crate) fn rate(records: &[Record]) -> Option<f64> {
    let mut ends: Vec<u64> = records.iter().map(|record| record.end).collect();
    ends.sort_unstable();
    let steady = ends.get(ends.len() / WARM_UP..)?;
    let (first, last) = (steady.first()?, steady.last()?);
    (last > first).then(|| (steady.len() - 1) as f64 * 1e9 / (last - first) as f64)
}

/// Percentiles of times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Longest time that is told apart: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// The percentiles of these nanoseconds.
pub(crate) fn percentiles(times: impl IntoIterator<Item = u64>) -> Result<Percentiles> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3).context("a histogram")?;
    for time in times {
        histogram.saturating_record(time.max(1));
    }
    let millis = |quantile| nanos_to_millis(histogram.value_at_quantile(quantile));
    Ok(Percentiles { p50: millis(0.5), p99: millis(0.99), p999: millis(0.999) })
}

/// Nanoseconds as milliseconds.
pub(crate) fn nanos_to_millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e3
}

/// From the moment at which each job was to be enqueued to its start. `due` gives the moment of a job; one that
/// was never started counts as waiting until `end`, so that what is stuck is not left out.
pub(crate) fn waits(records: &[Record], due: &[(u64, u64)], end: u64) -> Vec<u64> {
    let mut starts: HashMap<u64, u64> = HashMap::with_capacity(records.len());
    for record in records {
        let first = starts.entry(record.id).or_insert(record.start);
        *first = record.start.min(*first);
    }
    due.iter().map(|(id, due)| starts.get(id).unwrap_or(&end).saturating_sub(*due)).collect()
}

/// A load of jobs with keys, of which few are hot.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    /// The key of each job, in the order in which they are enqueued: all jobs of a key together, the hot ones first.
    pub(crate) keys: Vec<u32>,
    /// How many keys are hot: those with the lowest numbers.
    pub(crate) hot: u32,
}

impl Keyed {
    /// So many jobs over `keys` keys; a tenth of these is hot and gets nine tenths of the jobs.
    pub(crate) fn new(jobs: u32, keys: u32) -> Self {
        let hot = (keys / 10).max(1);
        let of_hot = jobs / 10 * 9;
        let spread = |count: u32, first: u32, over: u32| {
            let mut keys: Vec<u32> = (0..count).map(|n| first + n % over).collect();
            keys.sort_unstable();
            keys
        };
        let mut all = spread(of_hot, 0, hot);
        all.extend(spread(jobs - of_hot, hot, keys - hot));
        Self { keys: all, hot }
    }

    /// The least time in which so many places can run all of it, no more than `limit` jobs of one key at a time.
    pub(crate) fn ideal(&self, places: u32, limit: u32, job: Duration) -> Duration {
        let mut of_key: HashMap<u32, u32> = HashMap::new();
        for key in &self.keys {
            *of_key.entry(*key).or_default() += 1;
        }
        let longest = of_key.values().map(|jobs| jobs.div_ceil(limit)).max().unwrap_or(0);
        let all = u32::try_from(self.keys.len()).unwrap_or(u32::MAX).div_ceil(places);
        job * longest.max(all)
    }

    /// Whether this job has a key that is not hot.
    pub(crate) fn is_cold(&self, id: u64) -> bool {
        self.key(id).is_some_and(|key| key >= self.hot)
    }

    fn key(&self, id: u64) -> Option<u32> {
        usize::try_from(id).ok().and_then(|id| self.keys.get(id)).copied()
    }

    /// The most jobs of one key that ran at the same moment.
    pub(crate) fn most_at_once(&self, records: &[Record]) -> u32 {
        let mut moments: Vec<(u32, u64, bool)> = Vec::with_capacity(records.len() * 2);
        for record in records {
            let Some(key) = self.key(record.id) else { continue };
            moments.push((key, record.start, true));
            moments.push((key, record.end, false));
        }
        // An end comes before a start at the same moment.
        moments.sort_unstable();
        let (mut most, mut now, mut of) = (0_u32, 0_u32, None);
        for (key, _, starts) in moments {
            if of != Some(key) {
                (of, now) = (Some(key), 0);
            }
            now = if starts { now + 1 } else { now.saturating_sub(1) };
            most = most.max(now);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn record(id: u64, start: u64, end: u64) -> Record {
        Record { id, start: start * MS, end: end * MS }
    }

    #[test]
    fn a_rate_leaves_the_first_tenth_out() {
        // The first two take a second, the others a millisecond each.
        let mut records: Vec<_> = (0..18).map(|n| record(n, 0, 2_000 + n)).collect();
        records.extend([record(18, 0, 1_000), record(19, 0, 0)]);
        let rate = rate(&records).unwrap();
        assert!((rate - 1_000.0).abs() < 1e-6, "{rate}");
        assert_eq!(super::rate(&records[..1]), None);
        assert_eq!(super::rate(&[]), None);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let found = percentiles((1..=1_000).map(|n| n * MS)).unwrap();
        let near = |found: f64, wanted: f64| (found - wanted).abs() / wanted < 2e-3;
        assert!(near(found.p50, 500.0) && near(found.p99, 990.0) && near(found.p999, 999.0), "{found:?}");
    }

    #[test]
    fn who_never_starts_waits_until_the_end() {
        let due = [(0, 10), (1, 20), (2, 30)];
        let records = [Record { id: 0, start: 15, end: 16 }, Record { id: 2, start: 99, end: 100 }];
        let twice = [records[0], records[1], Record { id: 2, start: 31, end: 32 }];
        assert_eq!(waits(&records, &due, 1_000), [5, 980, 69]);
        assert_eq!(waits(&twice, &due, 1_000), [5, 980, 1]);
    }

    #[test]
    fn a_tenth_of_the_keys_has_nine_tenths_of_the_jobs() {
        let load = Keyed::new(10_000, 1_000);
        assert_eq!((load.keys.len(), load.hot), (10_000, 100));
        let hot = load.keys.iter().filter(|key| **key < 100).count();
        assert_eq!(hot, 9_000);
        assert!(load.keys.is_sorted());
        assert_eq!((load.is_cold(8_999), load.is_cold(9_000), load.is_cold(10_000)), (false, true, false));
    }

    #[test]
    fn the_ideal_is_bound_by_places_or_by_one_key() {
        let load = Keyed::new(10_000, 1_000);
        let job = Duration::from_millis(50);
        // 10,000 jobs on 100 places are 100 turns; 90 jobs of a hot key are 30 turns of three.
        assert_eq!(load.ideal(100, 3, job), job * 100);
        assert_eq!(load.ideal(10_000, 3, job), job * 30);
        assert_eq!(load.ideal(3_000, 1, job), job * 90);
    }

    #[test]
    fn jobs_of_one_key_at_once_are_counted() {
        let load = Keyed { keys: vec![0, 0, 0, 1, 1], hot: 1 };
        let after_each_other = [record(0, 0, 10), record(1, 10, 20), record(2, 20, 30)];
        assert_eq!(load.most_at_once(&after_each_other), 1);
        let others = [record(0, 0, 10), record(3, 5, 20), record(4, 6, 7)];
        assert_eq!(load.most_at_once(&others), 2);
        let all = [record(0, 0, 10), record(1, 9, 20), record(2, 8, 30)];
        assert_eq!(load.most_at_once(&all), 3);
    }
}
