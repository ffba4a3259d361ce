//! The report of the simulation.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::{
    Outcome,
    ideal::{self, Order},
    load::Load,
    saturation,
    size::{HELD, SCHEDULERS, THREADS},
    timeline::{self, Span},
    work::LONGEST,
    workers::{CONNECTIONS, RHYTHM},
};
use crate::{
    plot::{self, Labels, Scale, Series},
    report::Report,
};

/// The plot beside the report.
const PLOT: &str = "fleet.svg";
/// Points of a line in it.
const SLICES: u32 = 150;
/// Users a place from which on the goal can be met.
const ENOUGH: u32 = 60;
/// Goal: makespan over the lower bound.
const GOAL: f64 = 1.05;

/// Writes all of it.
pub(super) fn write(outcome: &Outcome, reports: &Path, report: &mut Report) -> Result<()> {
    write_work(outcome, report);
    write_makespan(outcome, reports, report)?;
    write_load(outcome, report);
    write_heartbeats(outcome, report);
    saturation::write(outcome, report);
    Ok(())
}

fn secs(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

fn write_work(outcome: &Outcome, report: &mut Report) {
    let Outcome { size, work, .. } = outcome;
    let lengths = work.lengths();
    let at = |part: usize| lengths.get((lengths.len() * part / 100).min(lengths.len() - 1)).copied();
    let quantile = |part| secs(at(part).unwrap_or_default());
    let limits = || work.hosts.iter().map(|host| host.limit);
    report.line(&format!(
        "{} simulated workers with {THREADS} place each, {SCHEDULERS} real schedulers, Redis without persistence, \
         MariaDB with `innodb_flush_log_at_trx_commit=1`. A worker is the runtime of `dmf-worker` as it is: its \
         registration, its heartbeats every {} s and leases of {} s, its lease table, its apalis backend, its reports \
         of progress, its connections to Redis. In the place of doveadm it sleeps; the result that it records is as \
         long as a short real one. All workers live in one process and share {CONNECTIONS} connections to MariaDB, \
         where real ones have a few each. Users are submitted by bulk while their Source is paused.\n",
        size.workers,
        RHYTHM.every.as_secs(),
        RHYTHM.lease.as_secs(),
    ));
    report.line(&format!(
        "## Work\n\nLengths are a bounded Pareto distribution with the exponent 1.1, always the same draw. The bound \
         is {:.0}% of the time that all places need: with longer ones the end of the run is decided by which of them \
         happens to begin last, and no queue that does not know the lengths can help it. {} hosts have users as a \
         Zipf-Mandelbrot law gives them, and allow ten times the connections that they need on average, {} to {}; one \
         in ten is small and allows a single one. Hosts take turns, so that small ones do not wait behind large \
         ones. What this costs is the difference of the two ideal queues below: a large host whose limit is near what \
         it needs on average, or a small one that its single connection keeps busy most of the time, would end last and alone.\n",
        LONGEST * 100.0,
        work.hosts.len(),
        limits().filter(|limit| *limit > 1).min().unwrap_or_default(),
        limits().max().unwrap_or_default(),
    ));
    if size.users / work.places < ENOUGH {
        report.line(&format!(
            "**With fewer than {ENOUGH} users a place the tail decides the makespan, not the queue**: only the costs \
             below mean something.\n"
        ));
    }
    let mean = work.total().as_secs_f64() / f64::from(size.users);
    report.table(
        &["users", "places", "shortest s", "median s", "mean s", "p99 s", "longest s"],
        &[vec![
            size.users.to_string(),
            work.places.to_string(),
            quantile(0),
            quantile(50),
            format!("{mean:.2}"),
            quantile(99),
            quantile(100),
        ]],
    );
}

fn write_makespan(outcome: &Outcome, reports: &Path, report: &mut Report) -> Result<()> {
    let Outcome { work, bound, measured, .. } = outcome;
    let lower = bound.lower();
    let over = |time: Duration| time.as_secs_f64() / lower.as_secs_f64();
    let row = |name: &str, time: Duration| vec![name.to_owned(), secs(time), format!("{:.3}", over(time))];
    let submitted = timeline::makespan(&ideal::run(work, Order::Submitted));
    let in_turn_spans = ideal::run(work, Order::InTurn);
    let in_turn = timeline::makespan(&in_turn_spans);
    let makespan = timeline::makespan(&measured.whole);
    let verdict = if over(makespan) <= GOAL { "met" } else { "**missed**" };
    report.line(&format!(
        "## Makespan\n\nFrom the sending of the first claim to the last result that stands in MariaDB. No queue is \
         faster than the greatest of three bounds. An ideal queue is simulated in memory: it costs nothing and knows \
         no length beforehand.\n\nMakespan ÷ lower bound: {:.3}, goal {GOAL} {verdict}. Makespan ÷ ideal queue with \
         hosts in turn: {:.3}.\n",
        over(makespan),
        makespan.as_secs_f64() / in_turn.as_secs_f64(),
    ));
    report.table(
        &["", "s", "÷ lower bound"],
        &[
            row("bound: all work ÷ places", bound.places),
            row("bound: work of a host ÷ its connections", bound.hosts),
            row("bound: the longest migration", bound.longest),
            row("ideal queue, in the order of submits", submitted),
            row("ideal queue, hosts in turn", in_turn),
            row("**measured**", makespan),
        ],
    );
    let mut overheads: Vec<f64> = overheads(outcome);
    overheads.sort_by(f64::total_cmp);
    let at = |part: usize| overheads.get(overheads.len() * part / 100).copied().unwrap_or_default() * 1e3;
    report.line(&format!(
        "A migration holds its place for {:.0} ms longer than it sleeps in the middle, {:.0} ms at p99: its claim and \
         its end.\n",
        at(50),
        at(99),
    ));
    write_faults(outcome, report);
    let end = makespan.max(in_turn);
    let line = |name: &str, spans: &[Span]| Series {
        name: name.into(),
        points: timeline::in_use(spans, end, SLICES),
    };
    let series = [line("measured", &measured.whole), line("ideal, hosts in turn", &in_turn_spans)];
    let labels = Labels { title: "Places in use", x: "seconds", y: "places" };
    plot::lines(&reports.join(PLOT), labels, (Scale::Linear, Scale::Linear), &series)?;
    report.line(&format!("![Places in use]({PLOT})\n"));
    Ok(())
}

fn write_faults(outcome: &Outcome, report: &mut Report) {
    let Outcome { measured, faults, claimed_again, .. } = outcome;
    if faults.is_empty() {
        report.line(&format!(
            "Every user was migrated exactly once, by the records of the workers and by the database; {claimed_again} \
             migrations were claimed more than once. {} hosts at some moment ran as many as they allow, and none more.\n",
            measured.full_hosts,
        ));
    }
    for fault in faults {
        report.line(&format!("**This must not be**: {fault}.\n"));
        report.fail(fault.clone());
    }
}

/// How much longer than its sleep each migration had its place, in seconds.
fn overheads(outcome: &Outcome) -> Vec<f64> {
    let spans = outcome.measured.whole.iter().zip(&outcome.measured.sleeps);
    spans.map(|(span, sleep)| span.to.saturating_sub(span.from + *sleep).as_secs_f64()).collect()
}

/// A figure of a load: what it is called, and where it stands.
type Figure = (&'static str, fn(&Load) -> f64);

const PROCESSORS: [Figure; 4] = [
    ("MariaDB", |load| load.mariadb),
    ("Redis", |load| load.redis),
    ("both schedulers", |load| load.schedulers),
    ("the simulator", |load| load.simulator),
];
const COUNTS: [Figure; 6] = [
    ("statements of MariaDB", |load| load.questions),
    ("explicit commits of MariaDB", |load| load.commits),
    ("flushes of MariaDB's disk", |load| load.flushes),
    ("scripts of Redis", |load| load.scripts),
    ("commands of Redis, also in scripts", |load| load.commands),
    ("messages published in Redis", |load| load.published),
];

fn write_load(outcome: &Outcome, report: &mut Report) {
    let (run, migrations) = (&outcome.watched.run, f64::from(outcome.watched.migrations));
    report.line(&format!(
        "## Load of the run\n\n{:.0} migrations a second, heartbeats and reports of progress included. CPU is that of \
         the processes, from the kernel. Each published message goes to every worker. The disk takes {:.0} small \
         writes a second when each is waited for; commits that come together share one.\n",
        run.rate(migrations),
        outcome.flushes,
    ));
    let share = |(name, of): &Figure| {
        let used = of(run);
        vec![
            format!("CPU of {name}"),
            format!("{:.1}% of a core", run.rate(used) * 100.0),
            format!("{:.2} ms", used / migrations * 1e3),
        ]
    };
    let count = |(name, of): &Figure| {
        let value = of(run);
        vec![(*name).to_owned(), format!("{:.0}", run.rate(value)), format!("{:.1}", value / migrations)]
    };
    let rows: Vec<Vec<String>> = PROCESSORS.iter().map(share).chain(COUNTS.iter().map(count)).collect();
    report.table(&["", "a second", "a migration"], &rows);
}

fn write_heartbeats(outcome: &Outcome, report: &mut Report) {
    let watched = &outcome.watched;
    report.line(&format!(
        "## Heartbeats\n\nWith nothing to do, and while each worker holds {HELD} migrations of which none begins or \
         ends. A worker without work beats in MariaDB every {} s, looks whether both stores answer and asks Redis for \
         work every 5 s; one with work also beats for its leases in both stores, and reports progress to Redis every \
         second. Figures are a second; CPU is a part of a core.\n",
        RHYTHM.every.as_secs(),
    ));
    let row = |name: String, load: &Load| {
        let counted = |of: f64| format!("{:.1}", load.rate(of));
        let cpu = |of: f64| format!("{:.2}%", load.rate(of) * 100.0);
        vec![
            name,
            counted(load.questions),
            counted(load.flushes),
            counted(load.commands),
            cpu(load.mariadb),
            cpu(load.redis),
            cpu(load.schedulers),
            cpu(load.simulator),
        ]
    };
    let mut rows = vec![row("no worker".into(), &watched.empty)];
    rows.extend(watched.idle.iter().map(|(count, load)| row(format!("{count} idle workers"), load)));
    rows.push(row(format!("{} workers hold {}", outcome.size.workers, watched.leases), &watched.holding));
    rows.push(row(
        format!("{} idle workers, {} migrations wait", outcome.size.workers, outcome.size.users),
        &watched.waiting,
    ));
    let head = [
        "",
        "statements",
        "flushes",
        "Redis commands",
        "MariaDB",
        "Redis",
        "both schedulers",
        "the simulator",
    ];
    report.table(&head, &rows);
    report.line("What these and the run come to, each part without the others. While migrations wait, the schedulers compare \
         both stores at a pace of their own:\n");
    let cost = |(name, of): &Figure| {
        let cost = watched.cost(of);
        let thousand = |of: f64| format!("{:.2}%", of * 1e5);
        vec![
            (*name).to_owned(),
            format!("{:.2}%", cost.base * 100.0),
            format!("{:.2}%", cost.waiting * 100.0),
            thousand(cost.worker),
            thousand(cost.lease),
            format!("{:.0} µs", cost.migration * 1e6),
        ]
    };
    let head = [
        "CPU of",
        "always",
        "while any wait",
        "1,000 idle workers",
        "1,000 migrations held",
        "each migration from claim to end",
    ];
    report.table(&head, &PROCESSORS.iter().take(3).map(cost).collect::<Vec<_>>());
}
