//! Load from outside: the program k6 with the scenarios of `loadtest/k6`, against two schedulers.

mod latest;
mod soak;
mod summary;
mod tool;

use std::path::Path;

use anyhow::Result;

use self::{
    soak::{Growth, MORE_DESCRIPTORS, Seen},
    summary::Summary,
    tool::{K6, Order},
};
use crate::{
    plot::{self, Labels, Scale, Series},
    process,
    report::Report,
    seed,
    stage::Stage,
};

/// What the names of the seeded users begin with.
const KNOWN: &str = "known";
/// How much resident memory may grow in a soak, from when everything is warm.
const MEMORY_GROWTH: f64 = 1.1;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    users: u64,
    /// Seconds of each scenario.
    scenarios: [(&'static str, u64); 4],
    soak_secs: u64,
    latest_rounds: usize,
    latest_secs: u64,
}

impl Extent {
    fn new(quick: bool) -> Self {
        if quick {
            let scenarios = [("submit", 24), ("mixed", 24), ("bulk", 12), ("spike", 20)];
            return Self { users: 100_000, scenarios, soak_secs: 40, latest_rounds: 3, latest_secs: 4 };
        }
        let scenarios = [("submit", 240), ("mixed", 480), ("bulk", 60), ("spike", 60)];
        Self { users: 1_000_000, scenarios, soak_secs: 1800, latest_rounds: 5, latest_secs: 20 }
    }
}

/// Runs every scenario, then the soak, then compares reads.
pub(crate) async fn measure(data: &Path, quick: bool, reports: &Path, report: &mut Report) -> Result<()> {
    let extent = Extent::new(quick);
    let k6 = K6::install().await?;
    let stage = Stage::start(data, 2).await?;
    let small = latest::small_source(&stage).await?;
    seed::add(&stage, KNOWN, extent.users).await?;
    seed::build_queue(&stage).await?;
    let known = (KNOWN, extent.users);
    report.line(&format!(
        "{}; two schedulers without workers, which are asked in turn, MariaDB with \
         `innodb_flush_log_at_trx_commit=1`, Redis and k6 itself on one machine. {} users with a waiting migration each \
         are there before. Scripts: `loadtest/k6`. `submit` and `mixed` are a day of office hours pressed into so many \
         seconds: requests come at their time, whether or not the ones before are answered (arrival rate).\n",
        k6.version, extent.users,
    ));

    let (mut rows, mut limits) = (Vec::new(), Vec::new());
    for (script, secs) in extent.scenarios {
        let order = Order { script, secs, run: script, customer: &stage.customer, known };
        let summary = k6.run(&stage, order).await?;
        describe(script, &summary, &mut rows, &mut limits)?;
    }
    let order =
        Order { script: "soak", secs: extent.soak_secs, run: "soak", customer: &stage.customer, known };
    let schedulers = stage.fleet.schedulers();
    let before = schedulers.iter().map(process::look_at).collect::<Result<Vec<_>>>()?;
    let (summary, seen) = soak::watch(schedulers, k6.run(&stage, order)).await?;
    let mut soaked = Vec::new();
    for ((daemon, before), seen) in schedulers.iter().zip(before).zip(seen) {
        let behind = soak::descriptors_behind(daemon, before.descriptors).await?;
        soaked.push(Soaked { name: daemon.name().to_owned(), seen, before: before.descriptors, behind });
    }
    describe("soak", &summary, &mut rows, &mut limits)?;
    report.line("## Scenarios\n\nTimes in milliseconds.\n");
    report.table(&HEAD, &rows);
    write_limits(&limits, report);
    write_soak(&soaked, report)?;
    draw_soak(&soaked, reports)?;

    let (rounds, secs) = (extent.latest_rounds, extent.latest_secs);
    let compared = latest::compare(&k6, &stage, &small, known, rounds, secs).await?;
    report.line(&format!(
        "## Newest record of a user\n\nOne Source of 1000 users, one of {} (and those of the scenarios), in the same \
         database; 100 reads a second of random users for {secs} s each, medians of {rounds} alternating rounds, with \
         the spread.\n",
        extent.users,
    ));
    report.table(&latest::HEAD, &compared);
    Ok(())
}

const HEAD: [&str; 10] =
    ["scenario", "seconds", "request", "count", "median", "p95", "p99", "max", "users created /s", "failed"];

fn describe(
    script: &str,
    summary: &Summary,
    rows: &mut Vec<Vec<String>>,
    limits: &mut Vec<(String, summary::Threshold)>,
) -> Result<()> {
    let secs = summary.secs();
    let created = format!("{:.0}", summary.count("users_created") / secs);
    println!("{script}: {created} users created a second, {} requests failed", summary.failed());
    for (name, times) in summary.times()? {
        let ms = |value: f64| format!("{value:.1}");
        rows.push(vec![
            script.to_owned(),
            format!("{secs:.0}"),
            name,
            times.count.to_string(),
            ms(times.median),
            ms(times.p95),
            ms(times.p99),
            ms(times.max),
            created.clone(),
            summary.failed().to_string(),
        ]);
    }
    limits.extend(summary.thresholds().into_iter().map(|limit| (script.to_owned(), limit)));
    Ok(())
}

/// All limits of the scripts; those that did not hold fail the run in the end.
fn write_limits(limits: &[(String, summary::Threshold)], report: &mut Report) {
    let row = |(script, limit): &(String, summary::Threshold)| {
        vec![
            script.clone(),
            format!("`{}`", limit.name),
            if limit.held { "met" } else { "**missed**" }.to_owned(),
        ]
    };
    report.line("## Thresholds\n");
    report.table(&["scenario", "threshold", ""], &limits.iter().map(row).collect::<Vec<_>>());
    for (script, limit) in limits.iter().filter(|(_, limit)| !limit.held) {
        report.fail(format!("{script}: {}", limit.name));
    }
}

/// One scheduler over a soak.
#[derive(Debug)]
struct Soaked {
    name: String,
    seen: Vec<Seen>,
    /// Open descriptors before it.
    before: u64,
    /// Open descriptors when its connections were closed.
    behind: u64,
}

fn write_soak(soaked: &[Soaked], report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    for Soaked { name, seen, before, behind } in soaked {
        let memory = Growth::of_memory(seen)?;
        let most = seen.iter().map(|seen| seen.taken.descriptors).max().unwrap_or_default();
        let held = memory.factor() <= MEMORY_GROWTH && *behind <= before + MORE_DESCRIPTORS;
        rows.push(vec![
            name.clone(),
            seen.len().to_string(),
            format!("{:.1}", memory.warm),
            format!("{:.1}", memory.last),
            format!("{:.2}", memory.factor()),
            before.to_string(),
            most.to_string(),
            behind.to_string(),
            if held { "met" } else { "**missed**" }.to_owned(),
        ]);
        if !held {
            report.fail(format!("soak: {name} grew: {memory:?} MB, from {before} to {behind} descriptors"));
        }
    }
    report.line(&format!(
        "## Soak\n\nBoth schedulers, looked at each second: medians of resident memory in the second quarter of the time \
         (warm) and in the last, which may be larger by a factor of {MEMORY_GROWTH}; file descriptors before the load, at \
         most, and behind it, which may be {MORE_DESCRIPTORS} more than before.\n",
    ));
    let head =
        ["process", "looks", "MB warm", "MB last", "factor", "descriptors before", "most", "behind", ""];
    report.table(&head, &rows);
    report.line(&format!("![Resident memory]({MEMORY_PLOT})\n\n![File descriptors]({DESCRIPTORS_PLOT})\n"));
    Ok(())
}

/// The plots beside the report.
const MEMORY_PLOT: &str = "k6-memory.svg";
const DESCRIPTORS_PLOT: &str = "k6-descriptors.svg";

fn draw_soak(soaked: &[Soaked], reports: &Path) -> Result<()> {
    let draw = |file: &str, title: &str, y: &str, value: fn(&Seen) -> f64| {
        let line = |Soaked { name, seen, .. }: &Soaked| {
            let points = seen.iter().map(|seen| (seen.secs, value(seen))).collect();
            Series { name: name.clone(), points }
        };
        let series: Vec<Series> = soaked.iter().map(line).collect();
        let labels = Labels { title, x: "seconds of the soak", y };
        plot::lines(&reports.join(file), labels, (Scale::Linear, Scale::Linear), &series)
    };
    draw(MEMORY_PLOT, "Resident memory under steady load", "MB", Seen::megabytes)?;
    draw(DESCRIPTORS_PLOT, "File descriptors under steady load", "open", Seen::descriptors)
}
