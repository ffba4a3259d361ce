//! What was measured so far. A contestant that fails is a result, too: the others go on.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::analysis::Percentiles;
use super::contestants::{Contestant, Mode};
use super::measure::{Drain, KeyedDrain, millis};
use crate::rate::Samples;

/// Percentiles of several rounds, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50: Samples,
    pub(crate) p99: Samples,
    pub(crate) p999: Samples,
}

/// A backlog of several rounds.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// What was there in the shortest round.
    pub(crate) reached: Option<u64>,
    pub(crate) rate: Samples,
    pub(crate) cpu_us: Samples,
    pub(crate) redis_bytes: Samples,
    pub(crate) disk_bytes: Samples,
    pub(crate) rebuilt_secs: Samples,
}

/// A load with keys of several rounds.
#[derive(Debug, Default)]
pub(crate) struct Keyed {
    pub(crate) over_ideal: Samples,
    pub(crate) cold_p99_ms: Samples,
    pub(crate) most_at_once: u32,
    /// Jobs that were not done in the time that there was.
    pub(crate) left: usize,
    pub(crate) twice: usize,
    pub(crate) ideal_secs: f64,
    pub(crate) jobs: usize,
}

/// Everything, by contestant.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) versions: HashMap<&'static str, String>,
    pub(crate) modes: HashMap<&'static str, Mode>,
    pub(crate) rates: HashMap<&'static str, Samples>,
    pub(crate) latencies: HashMap<&'static str, Latency>,
    pub(crate) backlogs: BTreeMap<(u64, &'static str), Backlog>,
    pub(crate) keyed: HashMap<&'static str, Keyed>,
    /// What failed, once for each reason.
    pub(crate) failures: Vec<String>,
}

impl Results {
    pub(crate) fn add_rate(&mut self, contestant: &Contestant, drain: Result<Drain>) {
        if let Some(drain) = self.take(contestant, "rate", drain) {
            self.rates.entry(contestant.name).or_default().add(drain.rate);
        }
    }

    pub(crate) fn add_latency(&mut self, contestant: &Contestant, latency: Result<Percentiles>) {
        if let Some(found) = self.take(contestant, "latency", latency) {
            let latency = self.latencies.entry(contestant.name).or_default();
            latency.p50.add(found.p50);
            latency.p99.add(found.p99);
            latency.p999.add(found.p999);
        }
    }

    pub(crate) fn add_backlog(&mut self, contestant: &Contestant, wanted: u64, drain: Result<Drain>) {
        if let Some(drain) = self.take(contestant, &format!("backlog of {wanted}"), drain) {
            let backlog = self.backlogs.entry((wanted, contestant.name)).or_default();
            backlog.reached = Some(backlog.reached.map_or(drain.backlog, |least| least.min(drain.backlog)));
            backlog.rate.add(drain.rate);
            backlog.cpu_us.add(drain.cpu_us);
            drain.redis_bytes.into_iter().for_each(|bytes| backlog.redis_bytes.add(bytes));
            drain.disk_bytes.into_iter().for_each(|bytes| backlog.disk_bytes.add(bytes));
            drain.rebuilt.into_iter().for_each(|time| backlog.rebuilt_secs.add(time.as_secs_f64()));
        }
    }

    pub(crate) fn add_keyed(&mut self, contestant: &Contestant, jobs: u32, drain: Result<KeyedDrain>) {
        if let Some(drain) = self.take(contestant, "keys", drain) {
            let keyed = self.keyed.entry(contestant.name).or_default();
            let jobs = usize::try_from(jobs).unwrap_or(usize::MAX);
            keyed.over_ideal.add(millis(drain.took) / millis(drain.ideal));
            keyed.cold_p99_ms.add(drain.cold_p99_ms);
            keyed.most_at_once = keyed.most_at_once.max(drain.most_at_once);
            keyed.left = keyed.left.max(jobs.saturating_sub(drain.done));
            keyed.twice = keyed.twice.max(drain.twice);
            keyed.ideal_secs = drain.ideal.as_secs_f64();
            keyed.jobs = jobs;
        }
    }

    /// The contestants of a mode that have samples.
    pub(crate) fn peers_of<'r, T>(
        &'r self,
        mode: Mode,
        of: &'r HashMap<&'static str, T>,
    ) -> impl Iterator<Item = (&'static str, &'r T)> {
        of.iter()
            .filter(move |(name, _)| self.modes.get(*name) == Some(&mode))
            .map(|(name, one)| (*name, one))
    }

    fn take<T: std::fmt::Debug>(
        &mut self,
        contestant: &Contestant,
        what: &str,
        found: Result<T>,
    ) -> Option<T> {
        self.modes.insert(contestant.name, contestant.mode);
        match found {
            Ok(found) => {
                println!("{}, {what}: {found:?}", contestant.name);
                Some(found)
            }
            Err(error) => {
                println!("{}, {what}: {error:#}", contestant.name);
                self.failures.push(format!("{}, {what}: {error:#}", contestant.name));
                None
            }
        }
    }
}
