//! This queue beside what a user would pick instead: rates, latency, backlogs, and loads with keys, on the same
//! servers, in turn. Each contestant is a program of its own; `protocol` is what they and the runner say.

mod analysis;
mod contestants;
mod goals;
mod measure;
pub(crate) mod own;
mod pipe;
mod program;
pub(crate) mod protocol;
mod results;
mod servers;
mod tables;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::contestants::{Contestant, Mode};
use self::measure::{Arena, KeyedPlan, Plan};
use self::pipe::Pipe;
use self::results::Results;
use self::servers::Servers;
use crate::report::Report;

/// How much is measured.
#[derive(Debug)]
struct Extent {
    /// Rounds of rates and latencies; in each, every contestant is measured once.
    rounds: usize,
    /// Seconds that enqueueing a small backlog, and running from it, may take.
    rate_secs: (u64, u64),
    /// Seconds of a measurement of latency.
    latency_secs: u64,
    /// Sizes of backlogs, and how many rounds each has.
    backlogs: &'static [(u64, usize)],
    /// Seconds that enqueueing a backlog, and running from it, may take.
    backlog_secs: (u64, u64),
    /// Jobs with keys: in memory, durable.
    keyed_jobs: (u32, u32),
    /// Rounds of these.
    keyed_rounds: usize,
}

const QUICK: Extent = Extent {
    rounds: 1,
    rate_secs: (2, 2),
    latency_secs: 3,
    backlogs: &[(1_000, 1), (100_000, 1)],
    backlog_secs: (6, 2),
    keyed_jobs: (5_000, 2_500),
    keyed_rounds: 1,
};
const FULL: Extent = Extent {
    rounds: 3,
    rate_secs: (10, 5),
    latency_secs: 20,
    backlogs: &[(1_000, 3), (100_000, 2), (1_000_000, 1)],
    backlog_secs: (300, 5),
    keyed_jobs: (20_000, 10_000),
    keyed_rounds: 2,
};

/// Jobs that wait when rates are measured: all contestants bear so many.
const RATE_BACKLOG: u64 = 6_000;
/// Jobs that are run from a backlog.
const BACKLOG_JOBS: u64 = 3_000;
/// Jobs a second of the measurements of latency: little for every contestant.
const PACE: u64 = 100;
/// Keys, and most jobs of one at a time.
const KEYS: (u32, u32) = (1_000, 3);
/// How long a job with a key takes.
const KEYED_JOB: Duration = Duration::from_millis(50);
/// Most jobs with keys at a time: in memory, durable.
const PLACES: (u32, u32) = (100, 25);

/// What is chosen on the command line.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) quick: bool,
    /// Where the peers are installed.
    pub(crate) installed: &'a Path,
    /// Only these; all where none is named.
    pub(crate) only: &'a [String],
    /// Where plots go.
    pub(crate) reports: &'a Path,
}

/// Measures everybody, and writes tables, plots and what became of the goals.
pub(crate) async fn measure(data: &Path, choice: &Choice<'_>, report: &mut Report) -> Result<()> {
    let extent = if choice.quick { &QUICK } else { &FULL };
    let mut contestants = contestants::all(choice.installed)?;
    contestants.retain(|one| choice.only.is_empty() || choice.only.iter().any(|name| name == one.name));
    let servers = Servers::start(data).await?;
    let pipe = Pipe::create(servers.directory())?;
    let runtimes = contestants::runtimes(choice.installed)?;
    report.line(&format!("PostgreSQL {}; {runtimes}.\n", servers.postgres_version()?));
    let arena = Arena { servers, pipe };
    // Everything below waits for processes, and there is nothing else to do meanwhile.
    let results = tokio::task::block_in_place(|| run(&arena, &contestants, extent))?;
    tables::write(&contestants, &results, choice.reports, report)?;
    goals::write(&results, report);
    Ok(())
}

fn run(arena: &Arena, contestants: &[Contestant], extent: &Extent) -> Result<Results> {
    let mut results = Results::default();
    for contestant in contestants {
        let version = arena.version(contestant)?;
        results.versions.insert(contestant.name, version);
    }
    for round in 0..extent.rounds {
        for contestant in in_turn(contestants, round) {
            let plan = Plan {
                backlog: RATE_BACKLOG,
                fill_secs: extent.rate_secs.0,
                jobs: RATE_BACKLOG,
                limit: Duration::from_secs(extent.rate_secs.1),
                loses_redis: false,
            };
            results.add_rate(contestant, arena.drain(contestant, plan));
            results.add_latency(contestant, arena.latency(contestant, PACE, extent.latency_secs));
        }
    }
    for (backlog, rounds) in extent.backlogs.iter().copied() {
        for round in 0..rounds {
            for contestant in in_turn(contestants, round) {
                let plan = Plan {
                    backlog,
                    fill_secs: extent.backlog_secs.0,
                    jobs: BACKLOG_JOBS,
                    limit: Duration::from_secs(extent.backlog_secs.1),
                    loses_redis: extent.backlogs.last() == Some(&(backlog, rounds)),
                };
                results.add_backlog(contestant, backlog, arena.drain(contestant, plan));
            }
        }
    }
    for round in 0..extent.keyed_rounds {
        for contestant in in_turn(contestants, round).filter(|one| one.keyed) {
            let (jobs, places) = match contestant.mode {
                Mode::Memory => (extent.keyed_jobs.0, PLACES.0),
                Mode::Durable => (extent.keyed_jobs.1, PLACES.1),
            };
            let plan = KeyedPlan { jobs, keys: KEYS.0, limit_of_key: KEYS.1, places, job: KEYED_JOB };
            results.add_keyed(contestant, jobs, arena.keyed(contestant, plan));
        }
    }
    Ok(results)
}

/// Each round begins with somebody else.
fn in_turn(contestants: &[Contestant], round: usize) -> impl Iterator<Item = &Contestant> {
    let (before, from) = contestants.split_at(round % contestants.len().max(1));
    from.iter().chain(before)
}
