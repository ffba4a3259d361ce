//! The measurements of one contestant. Each starts with empty servers and new processes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::analysis::{Keyed, Percentiles, nanos_to_millis, percentiles, rate, waits};
use super::contestants::{Contestant, Keeps};
use super::pipe::Pipe;
use super::program::Program;
use super::protocol::{Record, Role, Settings, now};
use super::servers::Servers;

/// Most jobs at a time, where jobs do nothing.
pub(crate) const CONCURRENCY: u32 = 50;
/// Jobs that come before those that are measured, and how many of them a second: programs that have run for a while
/// are measured, as connections are made and code is compiled at the first jobs.
const WARM_UP: (u64, u64) = (100, 100);
/// How often a worker is looked after while it is waited for.
const LOOK: Duration = Duration::from_millis(200);

/// What runs the contestants.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) servers: Servers,
    pub(crate) pipe: Pipe,
}

/// What came of running jobs from a backlog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// Jobs that waited at the start.
    pub(crate) backlog: u64,
    /// Jobs a second.
    pub(crate) rate: f64,
    /// Microseconds of the servers' processors for each job that ran.
    pub(crate) cpu_us: f64,
    /// Bytes of Redis for each job that waited.
    pub(crate) redis_bytes: Option<f64>,
    /// Bytes of the database for each job that waited.
    pub(crate) disk_bytes: Option<f64>,
    /// How long it took until the queue was there again after Redis had lost everything.
    pub(crate) rebuilt: Option<Duration>,
}

/// How a backlog is made and run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Jobs that are to wait.
    pub(crate) backlog: u64,
    /// Seconds for enqueueing them; what is not there then is left out.
    pub(crate) fill_secs: u64,
    /// Most jobs that are run.
    pub(crate) jobs: u64,
    /// How long they may take.
    pub(crate) limit: Duration,
    /// Whether Redis loses everything between filling and running, where that can be survived.
    pub(crate) loses_redis: bool,
}

/// What came of a load with keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedDrain {
    pub(crate) took: Duration,
    pub(crate) ideal: Duration,
    /// Jobs that ran to their end in the time that there was.
    pub(crate) done: usize,
    /// Jobs that ran more than once.
    pub(crate) twice: usize,
    /// Most jobs of one key at once.
    pub(crate) most_at_once: u32,
    /// How long jobs of cold keys waited, in milliseconds, of a hundred the longest but one.
    pub(crate) cold_p99_ms: f64,
}

/// A load with keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedPlan {
    pub(crate) jobs: u32,
    pub(crate) keys: u32,
    pub(crate) limit_of_key: u32,
    pub(crate) places: u32,
    pub(crate) job: Duration,
}

/// How many times the ideal a load with keys may take, and what is added to that.
const KEYED_LIMIT: (u32, Duration) = (5, Duration::from_secs(10));

impl Arena {
    /// Jobs a second from a backlog, and what the backlog costs.
    pub(crate) fn drain(&self, contestant: &Contestant, plan: Plan) -> Result<Drain> {
        let settings = self.settings(contestant, CONCURRENCY);
        let mut producer = self.start_producer(contestant, &settings)?;
        let before = self.bytes(contestant, &mut producer)?;
        let backlog = producer.fill(0, plan.backlog, plan.fill_secs)?;
        ensure!(backlog > 0, "nothing was enqueued in {} s", plan.fill_secs);
        let after = self.bytes(contestant, &mut producer)?;
        let rebuilt = if plan.loses_redis && contestant.rebuilds() {
            Some(self.lose_redis(contestant, &mut producer)?)
        } else {
            None
        };
        let wanted = plan.jobs.min(backlog - backlog / 10);
        let busy = self.servers.busy()?;
        let records = self.run(contestant, &settings, plan.limit, usize::try_from(wanted)?)?;
        let busy = self.servers.busy()?.saturating_sub(busy);
        let rate = rate(&records).with_context(|| format!("only {} jobs have run", records.len()))?;
        let each = |place: usize| {
            let (before, after) = ([before.0, before.1][place]?, [after.0, after.1][place]?);
            Some(quotient(after.saturating_sub(before), backlog))
        };
        let cpu_us = quotient(busy, records.len() as u64) / 1e3;
        Ok(Drain { backlog, rate, cpu_us, redis_bytes: each(0), disk_bytes: each(1), rebuilt })
    }

    /// From the moment at which a job is to be enqueued to its start, at this rate, for so many seconds.
    pub(crate) fn latency(&self, contestant: &Contestant, per_second: u64, secs: u64) -> Result<Percentiles> {
        let settings = self.settings(contestant, CONCURRENCY);
        let mut producer = self.start_producer(contestant, &settings)?;
        let mut worker = self.start(contestant, Role::Work, &settings)?;
        producer.pace(0..WARM_UP.0, WARM_UP.1)?;
        let due = producer.pace(WARM_UP.0..WARM_UP.0 + per_second * secs, per_second)?;
        let all = WARM_UP.0 + per_second * secs;
        let grace = Duration::from_secs(secs.clamp(3, 10));
        let records = self.wait(&mut worker, grace, usize::try_from(all)?)?;
        percentiles(waits(&records, &due, now()))
    }

    /// How long a load with keys takes.
    pub(crate) fn keyed(&self, contestant: &Contestant, plan: KeyedPlan) -> Result<KeyedDrain> {
        let load = Keyed::new(plan.jobs, plan.keys);
        let ideal = load.ideal(plan.places, plan.limit_of_key, plan.job);
        let limit = ideal * KEYED_LIMIT.0 + KEYED_LIMIT.1;
        let settings = Settings {
            sleep_ms: u64::try_from(plan.job.as_millis())?,
            keys: load.keys.clone(),
            key_limit: plan.limit_of_key,
            ..self.settings(contestant, plan.places)
        };
        let mut producer = self.start_producer(contestant, &settings)?;
        let filled = producer.fill(0, u64::from(plan.jobs), limit.as_secs())?;
        ensure!(filled == u64::from(plan.jobs), "only {filled} jobs were enqueued");
        let records = self.run(contestant, &settings, limit, load.keys.len())?;
        let begun = records.iter().map(|record| record.start).min().context("no job has run")?;
        let ended = records.iter().map(|record| record.end).max().context("no job has run")?;
        let mut ids: Vec<u64> = records.iter().map(|record| record.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let cold: Vec<(u64, u64)> =
            (0..filled).filter(|id| load.is_cold(*id)).map(|id| (id, begun)).collect();
        let cold = percentiles(waits(&records, &cold, ended))?;
        Ok(KeyedDrain {
            took: Duration::from_nanos(ended - begun),
            ideal,
            done: ids.len(),
            twice: records.len() - ids.len(),
            most_at_once: load.most_at_once(&records),
            cold_p99_ms: cold.p99,
        })
    }

    fn settings(&self, contestant: &Contestant, concurrency: u32) -> Settings {
        Settings {
            redis: format!("{}0", self.servers.redis(contestant.redis).url()),
            postgres: self.servers.postgres_url(),
            mariadb: self.servers.mariadb(),
            records: self.pipe.path().to_owned(),
            concurrency,
            sleep_ms: 0,
            keys: Vec::new(),
            key_limit: 0,
        }
    }

    /// Empties what the last one has left, and starts a producer, which does the same with its database.
    fn start_producer(&self, contestant: &Contestant, settings: &Settings) -> Result<Program> {
        self.servers.empty(contestant.redis)?;
        self.pipe.clear()?;
        self.start(contestant, Role::Produce, settings)
    }

    pub(crate) fn start(&self, contestant: &Contestant, role: Role, settings: &Settings) -> Result<Program> {
        let log: PathBuf =
            self.servers.directory().join(format!("{}-{}.log", contestant.name, role.as_str()));
        Program::start(&contestant.command, role, settings, &log)
    }

    /// Version of a contestant.
    pub(crate) fn version(&self, contestant: &Contestant) -> Result<String> {
        let settings = self.settings(contestant, CONCURRENCY);
        Ok(self.start_producer(contestant, &settings)?.version().to_owned())
    }

    /// Runs a worker until so many jobs have ended, or for `limit`.
    fn run(
        &self,
        contestant: &Contestant,
        settings: &Settings,
        limit: Duration,
        jobs: usize,
    ) -> Result<Vec<Record>> {
        let mut worker = self.start(contestant, Role::Work, settings)?;
        self.wait(&mut worker, limit, jobs)
    }

    /// The records of a worker; an error when it ends by itself.
    fn wait(&self, worker: &mut Program, limit: Duration, jobs: usize) -> Result<Vec<Record>> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let records = self.pipe.wait(left.min(LOOK), |records| records.len() >= jobs);
            if records.len() >= jobs || left.is_zero() {
                return Ok(records);
            }
            if let Some(end) = worker.has_ended() {
                anyhow::bail!("the worker {end}, after {} jobs", records.len());
            }
        }
    }

    /// Bytes in Redis and in the database.
    fn bytes(&self, contestant: &Contestant, producer: &mut Program) -> Result<(Option<u64>, Option<u64>)> {
        let redis = match contestant.keeps {
            Keeps::Redis | Keeps::Both => Some(self.servers.redis_bytes(contestant.redis)?),
            Keeps::Database => None,
        };
        let disk = match contestant.keeps {
            Keeps::Redis => None,
            Keeps::Database | Keeps::Both => Some(producer.size()?),
        };
        Ok((redis, disk))
    }

    fn lose_redis(&self, contestant: &Contestant, producer: &mut Program) -> Result<Duration> {
        let begun = Instant::now();
        self.servers.empty(contestant.redis)?;
        producer.wait_until_built()?;
        Ok(begun.elapsed())
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn quotient(sum: u64, count: u64) -> f64 {
    sum as f64 / count.max(1) as f64
}

/// Milliseconds of a time.
pub(crate) fn millis(time: Duration) -> f64 {
    nanos_to_millis(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
