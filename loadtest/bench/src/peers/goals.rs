//! What became of the goals.

use super::KEYS;
use super::contestants::Mode;
use super::own::{REDIS_PART, WHOLE};
use super::results::Results;
use crate::rate::Samples;
use crate::report::Report;

/// Time over the ideal.
const KEYED_GOAL: f64 = 1.05;
/// Cost at the largest backlog over that at the smallest.
const COST_GOAL: f64 = 1.3;
/// Bytes of Redis for a job that waits.
const BYTES_GOAL: f64 = 150.0;
/// Jobs of the goal of a rebuild.
const REBUILD_JOBS: u64 = 1_000_000;
/// Seconds until their queue is there again.
const REBUILD_GOAL: f64 = 20.0;

/// Writes a row for each goal of which something was measured.
pub(crate) fn write(results: &Results, report: &mut Report) {
    let rows = [
        rate_row(results),
        latency_row(results),
        backlog_row(results),
        keyed_row(results, REDIS_PART),
        keyed_row(results, WHOLE),
        cost_row(results, REDIS_PART),
        cost_row(results, WHOLE),
        bytes_row(results),
        rebuild_row(results),
    ];
    report.line("## Goals\n");
    report.table(&["goal", "measured", ""], &rows.into_iter().flatten().collect::<Vec<_>>());
}

fn row(goal: &str, measured: String, is_met: bool, why_missed: &str) -> Vec<String> {
    let end = if is_met { "met".to_owned() } else { format!("**missed**: {why_missed}") };
    vec![goal.to_owned(), measured, end]
}

/// Why a goal is missed, as far as it is known.
mod why {
    /// Of the rate of the whole queue.
    pub(super) const RATE: &str = "the servers are busy with a job for longer (see above). The peers delete a row when it is done; here a \
         record stays, whose state changes twice under six indexes that lists and summaries read, with a lease that \
         is inserted and deleted between. Tried and kept: claims and finishes in batches (1.2 transactions for ten \
         jobs), and a claim in four round trips where there were ten: 2,400 a second after 1,700, 0.48 ms of the \
         servers a job after 1.0. A profile of MariaDB now has no single large part: selects 23 %, inserts 20 %, \
         parsing 14 %, updates 10 %, commits 5 %";
    /// Of its latency.
    pub(super) const LATENCY: &str = "two commits to the disk stand before the start, that of the submit and that of the claim, and \
         between them the relay reads the row and tells Redis, which wakes the worker; BullMQ commits once. Tried and \
         kept: fewer round trips in each (submit 5 after 15, relay 4 after 6, claim 4 after 10), no question to a \
         connection that returns to its pool, and no look at the relay's lag on the way: in one run p50 3.9 ms after \
         4.6. Rejected: to hand a job to Redis before its submit is committed, as Redis would then know what MariaDB \
         may never have heard of";
    /// Of the rate of the Redis part.
    pub(super) const REDIS: &str = "Redis is nearly always busy (its time a job, above, times the rate): a proposal keeps limits of \
         hosts, priorities and rings, and a second call confirms the lease, where a peer has one for both. Tried and \
         kept: settles in batches, a heartbeat that only adds what is new, a proposal that looks at reserved places \
         only where they matter, and scripts that do not look for a job where it can't be: 22 commands of Redis for a \
         job after 29 (one pair of runs on a busy machine: 11,800 jobs a second after 8,800 from a backlog of 6,000, \
         10,300 after 9,700 from 100,000). The report of the part `micro` has the time of each script";
    /// Of loads with keys.
    pub(super) const KEYED: &str = "a place stays empty while the end of its job is told and the next one is claimed: some milliseconds, \
         which is much beside a job of 50 ms and nothing beside a migration (see the report of the part `fleet`, \
         where jobs take seconds). Rejected: to lease jobs ahead, since a lease that waits holds a connection of its \
         source host that another worker could use";
    /// Of the cost of a lease before a long backlog.
    pub(super) const COST: &str = "a backlog of 1,000 is run by claims that begin full, 50 jobs each. Later, places become free one \
         after the other, and a transaction has fewer jobs: a backlog of 6,000 takes 0.43 to 0.53 ms of the servers a \
         job in the same runs, a ratio of 1.2. Tried: to let the servers rest between filling and \
         running, for what filling has left to purge and to write, which changed nothing (1.54 before and after)";
    /// Of costs that are not known to be missed.
    pub(super) const UNKNOWN: &str = "not looked into yet";
}

/// The best of the others, by the greatest value.
fn best<'s>(
    samples: impl Iterator<Item = (&'static str, &'s Samples)>,
    own: &str,
) -> Option<(&'static str, f64)> {
    let others = samples.filter(|(name, samples)| *name != own && !samples.is_empty());
    others.map(|(name, samples)| (name, samples.median())).max_by(|one, other| one.1.total_cmp(&other.1))
}

fn rate_row(results: &Results) -> Option<Vec<String>> {
    let own = results.rates.get(WHOLE)?.median();
    let (name, peer) = best(results.peers_of(Mode::Durable, &results.rates), WHOLE)?;
    let measured = format!("{own:.0} a second, {name} {peer:.0}");
    Some(row("rate ahead of every durable peer", measured, own > peer, why::RATE))
}

fn latency_row(results: &Results) -> Option<Vec<String>> {
    let own = results.latencies.get(WHOLE)?;
    let peers = results.peers_of(Mode::Durable, &results.latencies).filter(|(name, _)| *name != WHOLE);
    let peers: Vec<_> = peers.collect();
    let best_of = |pick: fn(&super::results::Latency) -> &Samples| {
        peers
            .iter()
            .map(|(name, latency)| (*name, pick(latency).median()))
            .min_by(|one, other| one.1.total_cmp(&other.1))
    };
    let (p50, p99) = (best_of(|latency| &latency.p50)?, best_of(|latency| &latency.p99)?);
    let (own50, own99) = (own.p50.median(), own.p99.median());
    let measured =
        format!("p50 {own50:.2} ms, {} {:.2}; p99 {own99:.2} ms, {} {:.2}", p50.0, p50.1, p99.0, p99.1);
    Some(row("latency ahead of every durable peer", measured, own50 < p50.1 && own99 < p99.1, why::LATENCY))
}

fn backlog_row(results: &Results) -> Option<Vec<String>> {
    let mut measured = Vec::new();
    let mut is_met = true;
    let mut sizes: Vec<u64> = results.backlogs.keys().map(|(size, _)| *size).collect();
    sizes.dedup();
    for size in sizes.into_iter().filter(|size| *size >= 100_000) {
        let of_size = results.backlogs.iter().filter(|((wanted, _), _)| *wanted == size);
        let in_memory = of_size
            .filter(|((_, name), _)| results.modes.get(name) == Some(&Mode::Memory))
            .map(|((_, name), backlog)| (*name, &backlog.rate));
        let (Some((name, peer)), Some(own)) =
            (best(in_memory, REDIS_PART), results.backlogs.get(&(size, REDIS_PART)))
        else {
            continue;
        };
        let own = own.rate.median();
        is_met &= own > peer;
        measured.push(format!("{size}: {own:.0} a second, {name} {peer:.0}"));
    }
    let goal = "Redis part ahead of every peer in memory at a backlog of 100,000 and more";
    (!measured.is_empty()).then(|| row(goal, measured.join("; "), is_met, why::REDIS))
}

fn keyed_row(results: &Results, own: &str) -> Option<Vec<String>> {
    let keyed = results.keyed.get(own)?;
    let over = keyed.over_ideal.median();
    let goal =
        format!("{own}: loads with keys in at most {KEYED_GOAL} of the ideal, {} of a key at once", KEYS.1);
    let measured = format!("{over:.3}, {} at once", keyed.most_at_once);
    let is_met = over <= KEYED_GOAL && keyed.most_at_once <= KEYS.1 && keyed.left == 0 && keyed.twice == 0;
    Some(row(&goal, measured, is_met, why::KEYED))
}

fn cost_row(results: &Results, own: &str) -> Option<Vec<String>> {
    let mut of_own = results.backlogs.iter().filter(|((_, name), _)| *name == own);
    let ((small, _), least) = of_own.next()?;
    let ((large, _), most) = of_own.next_back()?;
    let ratio = most.cpu_us.median() / least.cpu_us.median();
    let goal = format!("{own}: cost of a lease at {large} at most {COST_GOAL} of that at {small}");
    let measured = format!(
        "{ratio:.2} ({:.0} µs, {:.0} µs of the servers)",
        most.cpu_us.median(),
        least.cpu_us.median()
    );
    Some(row(&goal, measured, ratio <= COST_GOAL, why::COST))
}

fn bytes_row(results: &Results) -> Option<Vec<String>> {
    let of_own = results
        .backlogs
        .iter()
        .filter(|((_, name), backlog)| [REDIS_PART, WHOLE].contains(name) && !backlog.redis_bytes.is_empty());
    let ((size, _), backlog) = of_own.max_by_key(|((size, _), _)| *size)?;
    let bytes = backlog.redis_bytes.median();
    let goal = format!("at most {BYTES_GOAL:.0} bytes of Redis a waiting job");
    Some(row(&goal, format!("{bytes:.0} at a backlog of {size}"), bytes <= BYTES_GOAL, why::UNKNOWN))
}

fn rebuild_row(results: &Results) -> Option<Vec<String>> {
    let of_own = results.backlogs.iter().filter(|(_, backlog)| !backlog.rebuilt_secs.is_empty());
    let (_, backlog) = of_own.max_by_key(|((size, _), _)| *size)?;
    let (secs, jobs) = (backlog.rebuilt_secs.median(), backlog.reached?);
    let goal = format!("1,000,000 jobs rebuilt in {REBUILD_GOAL:.0} s after Redis has lost everything");
    let measured = format!("{jobs} jobs in {secs:.1} s, until the loss is noticed included");
    if jobs < REBUILD_JOBS && secs <= REBUILD_GOAL {
        // Fewer jobs in less time say nothing.
        return Some(vec![goal, measured, "not measured at that size".to_owned()]);
    }
    Some(row(&goal, measured, secs <= REBUILD_GOAL, why::UNKNOWN))
}
