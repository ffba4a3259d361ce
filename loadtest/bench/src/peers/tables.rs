//! Tables and plots of a report.

use std::path::Path;

use anyhow::Result;

use super::contestants::{Contestant, Mode};
use super::results::{Backlog, Results};
use super::{KEYED_JOB, KEYS, PACE, PLACES, RATE_BACKLOG, measure::CONCURRENCY};
use crate::plot::{self, Bar, Labels, Scale, Series};
use crate::rate::Samples;
use crate::report::Report;

/// What stands where nothing was measured.
const NONE: &str = "–";

/// Writes all of them.
pub(crate) fn write(
    contestants: &[Contestant],
    results: &Results,
    plots: &Path,
    report: &mut Report,
) -> Result<()> {
    introduce(contestants, results, report);
    for mode in Mode::ALL {
        let of_mode: Vec<_> = contestants.iter().filter(|one| one.mode == mode).collect();
        if of_mode.is_empty() {
            continue;
        }
        report.line(&format!("## Jobs that do nothing, {}\n", mode.as_str()));
        rates(&of_mode, results, report);
        plot_rates(mode, &of_mode, results, plots, report)?;
        report.line(&format!("## Backlogs, {}\n", mode.as_str()));
        backlogs(&of_mode, results, report);
        plot_backlogs(mode, &of_mode, results, plots, report)?;
    }
    keyed(contestants, results, report);
    if !results.failures.is_empty() {
        report.line("## What failed\n");
        results.failures.iter().for_each(|failure| report.line(&format!("- {}", one_line(failure))));
        report.line("");
    }
    Ok(())
}

fn introduce(contestants: &[Contestant], results: &Results, report: &mut Report) {
    report.line(&format!(
        "Each contestant has one producer process and one worker (Celery, RQ and dramatiq: two processes of it), \
         {CONCURRENCY} jobs at a time where jobs do nothing, and the same servers, which are emptied before each \
         measurement: Redis without persistence, PostgreSQL with `fsync` and `synchronous_commit` on, MariaDB with \
         `innodb_flush_log_at_trx_commit=1`. A job carries its number and a key. All take turns; medians, with the \
         spread where there was more than one round.\n"
    ));
    let head = ["contestant", "version", "keeps jobs", "set up"];
    let row = |one: &Contestant| {
        let version = results.versions.get(one.name).cloned().unwrap_or_default();
        vec![name(one), version, one.mode.as_str().to_owned(), one.how.to_owned()]
    };
    report.table(&head, &contestants.iter().map(row).collect::<Vec<_>>());
}

/// Own contestants are printed bold.
fn name(contestant: &Contestant) -> String {
    if contestant.is_own() { format!("**{}**", contestant.name) } else { contestant.name.to_owned() }
}

fn show(samples: Option<&Samples>, digits: usize) -> String {
    samples
        .filter(|samples| !samples.is_empty())
        .map_or_else(|| NONE.to_owned(), |samples| samples.show(digits))
}

fn rates(contestants: &[&Contestant], results: &Results, report: &mut Report) {
    report.line(&format!(
        "The rate is that from a backlog of {RATE_BACKLOG} jobs, without the first tenth. Latency is measured at \
         {PACE} jobs a second from the moment at which the runner tells the producer to enqueue, which it does on \
         time whatever the producer does, to the start of the job; milliseconds. A job that has not started some \
         seconds after the last one was due counts as waiting until then.\n"
    ));
    let head = ["contestant", "jobs a second", "p50", "p99", "p99.9"];
    let row = |one: &&Contestant| {
        let latency = results.latencies.get(one.name);
        vec![
            name(one),
            show(results.rates.get(one.name), 0),
            show(latency.map(|latency| &latency.p50), 2),
            show(latency.map(|latency| &latency.p99), 2),
            show(latency.map(|latency| &latency.p999), 2),
        ]
    };
    report.table(&head, &contestants.iter().map(row).collect::<Vec<_>>());
}

fn plot_rates(
    mode: Mode,
    contestants: &[&Contestant],
    results: &Results,
    plots: &Path,
    report: &mut Report,
) -> Result<()> {
    let bar = |one: &&Contestant| {
        let rate = results.rates.get(one.name)?;
        Some(Bar { name: one.name.to_owned(), value: rate.median(), spread: (rate.least(), rate.most()) })
    };
    let bars: Vec<Bar> = contestants.iter().filter_map(bar).collect();
    let file = format!("peers-rate-{}.svg", mode.slug());
    let title = format!("Jobs that do nothing, {}", mode.as_str());
    plot::bars(&plots.join(&file), Labels { title: &title, x: "jobs a second", y: "" }, &bars)?;
    report.line(&format!("![{title}]({file})\n"));
    Ok(())
}

/// Sizes of backlogs that were measured.
fn sizes(results: &Results) -> Vec<u64> {
    let mut sizes: Vec<u64> = results.backlogs.keys().map(|(size, _)| *size).collect();
    sizes.dedup();
    sizes
}

fn backlogs(contestants: &[&Contestant], results: &Results, report: &mut Report) {
    report.line(
        "The rate from a backlog, the time of the servers' processors for each job that ran, and what each waiting \
         job takes in Redis and on the disk of the database. Where a producer could not enqueue as many in the time \
         that it had, the backlog is what it reached.\n",
    );
    let head = [
        "contestant",
        "backlog",
        "jobs a second",
        "µs of the servers a job",
        "bytes of Redis a job",
        "bytes of disk a job",
    ];
    let mut rows = Vec::new();
    for one in contestants {
        for size in sizes(results) {
            let backlog = results.backlogs.get(&(size, one.name));
            let reached = backlog.and_then(|backlog| backlog.reached);
            rows.push(vec![
                name(one),
                reached.unwrap_or(size).to_string(),
                show(backlog.map(|backlog| &backlog.rate), 0),
                show(backlog.map(|backlog| &backlog.cpu_us), 0),
                show(backlog.map(|backlog| &backlog.redis_bytes), 0),
                show(backlog.map(|backlog| &backlog.disk_bytes), 0),
            ]);
        }
    }
    report.table(&head, &rows);
}

fn plot_backlogs(
    mode: Mode,
    contestants: &[&Contestant],
    results: &Results,
    plots: &Path,
    report: &mut Report,
) -> Result<()> {
    let series = |one: &&Contestant| {
        let backlogs = results.backlogs.iter().filter(|((_, name), _)| *name == one.name);
        let point = |backlog: &Backlog| Some((number(backlog.reached?), backlog.rate.median()));
        Series {
            name: one.name.to_owned(),
            points: backlogs.filter_map(|(_, backlog)| point(backlog)).collect(),
        }
    };
    let series: Vec<Series> = contestants.iter().map(series).collect();
    let file = format!("peers-backlog-{}.svg", mode.slug());
    let title = format!("Rate over backlog, {}", mode.as_str());
    let labels = Labels { title: &title, x: "jobs that wait", y: "jobs a second" };
    plot::lines(&plots.join(&file), labels, (Scale::Logarithmic, Scale::Logarithmic), &series)?;
    report.line(&format!("![{title}]({file})\n"));
    Ok(())
}

fn keyed(contestants: &[Contestant], results: &Results, report: &mut Report) {
    report.line("## Loads with keys\n");
    report.line(&format!(
        "{} keys, of which a tenth is hot and has nine tenths of the jobs; all jobs of a key are enqueued together, \
         the hot ones first. A job sleeps {} ms; at most {} of one key may run at a time, and {} in all in memory, {} \
         where jobs are durable. The ideal is the least time in which so many places can run all jobs under the \
         limit; jobs of cold keys wait from the first start of any job.\n",
        KEYS.0,
        KEYED_JOB.as_millis(),
        KEYS.1,
        PLACES.0,
        PLACES.1
    ));
    let head = [
        "contestant",
        "mode",
        "jobs",
        "ideal",
        "time ÷ ideal",
        "most of a key at once",
        "p99 wait of cold keys",
        "",
    ];
    let row = |one: &Contestant| {
        let keyed = results.keyed.get(one.name)?;
        let mut notes = Vec::new();
        if keyed.left > 0 {
            notes.push(format!("{} jobs were not done in the time that there was", keyed.left));
        }
        if keyed.twice > 0 {
            notes.push(format!("{} jobs ran more than once", keyed.twice));
        }
        Some(vec![
            name(one),
            one.mode.as_str().to_owned(),
            keyed.jobs.to_string(),
            format!("{:.2} s", keyed.ideal_secs),
            keyed.over_ideal.show(3),
            keyed.most_at_once.to_string(),
            format!("{} ms", keyed.cold_p99_ms.show(0)),
            notes.join("; "),
        ])
    };
    report.table(&head, &contestants.iter().filter_map(row).collect::<Vec<_>>());
}

#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
