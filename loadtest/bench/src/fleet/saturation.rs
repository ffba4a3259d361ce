//! Fleets that were not measured: at which size something is full, and what to do then.

use super::{
    Outcome,
    cost::{Cost, Plan},
    size::SCHEDULERS,
};
use crate::report::Report;

/// Threads of a worker, the default of the product.
const FLEET_THREADS: f64 = 10.0;
/// Mean lengths of migrations: name, seconds.
const MEANS: [(&str, f64); 4] = [("20 s", 20.0), ("1 min", 60.0), ("10 min", 600.0), ("1 h", 3_600.0)];
/// Workers of the fleets whose needs are told.
const FLEETS: [f64; 3] = [100.0, 1_000.0, 10_000.0];
/// What helps.
const REMEDIES: [(&str, &str); 4] = [
    (
        "Redis",
        "fewer workers with more threads; a longer `dmf.lease.heartbeat`; a faster core; then a second fleet. A \
         cluster does not help: all keys lie in one slot",
    ),
    (
        "MariaDB's processor",
        "fewer workers with more threads; a longer `dmf.lease.heartbeat`; more cores; then a second fleet. A replica \
         does not help: what costs are writes",
    ),
    ("MariaDB's disk", "one that keeps what it has confirmed without waiting for flash; then a second fleet"),
    (
        "a scheduler",
        "a core of its own. Another scheduler takes requests off it, but watches all leases, too",
    ),
];

/// What comes to its end: its name, how much there is of it in a second, what it costs.
fn limits(outcome: &Outcome) -> [(String, f64, Cost); 5] {
    let watched = &outcome.watched;
    let (mariadb, redis) = (watched.cost(|load| load.mariadb), watched.cost(|load| load.redis));
    let scheduler = watched.cost(|load| load.schedulers / f64::from(SCHEDULERS));
    [
        ("Redis: one core, it has no use for more".into(), 1.0, redis),
        ("MariaDB: one core".into(), 1.0, mariadb),
        ("MariaDB: eight cores".into(), 8.0, mariadb),
        (
            format!("MariaDB: {:.0} flushes of the disk, as here", outcome.flushes),
            outcome.flushes,
            watched.cost(|load| load.flushes),
        ),
        ("each scheduler: one core".into(), 1.0, scheduler),
    ]
}

/// Writes it.
pub(super) fn write(outcome: &Outcome, report: &mut Report) {
    report.line(&format!(
        "## Saturation\n\nThe number of busy workers with {FLEET_THREADS:.0} threads each at which something is full, \
         by the costs above, and the migrations that end in a second then. It is a straight line through what was \
         measured: plan for half of it. Wake-ups go to every worker, so Redis takes more for each migration in a \
         fleet that is larger than the {} workers here, and less in a smaller one. Flushes are shared by commits that \
         come together, so a busy MariaDB gets further than the line says.\n",
        outcome.size.workers,
    ));
    let limits = limits(outcome);
    let row = |(name, most, cost): &(String, f64, Cost)| {
        let cell = |(_, mean_secs): &(&str, f64)| {
            let plan = Plan { threads: FLEET_THREADS, mean_secs: *mean_secs };
            let workers = cost.workers_until(*most, plan);
            format!("{} ({} /s)", rounded(workers), rounded(workers * FLEET_THREADS / mean_secs))
        };
        std::iter::once(name.clone()).chain(MEANS.iter().map(cell)).collect::<Vec<_>>()
    };
    let means = MEANS.map(|(name, _)| format!("mean length {name}"));
    let head: Vec<&str> = std::iter::once("full is").chain(means.iter().map(String::as_str)).collect();
    report.table(&head, &limits.iter().map(row).collect::<Vec<_>>());
    report.line("What fleets of busy workers take of a core, with a mean length of 10 minutes:\n");
    let fleet = |workers: &f64| {
        let plan = Plan { threads: FLEET_THREADS, mean_secs: 600.0 };
        let share = |cost: &Cost| format!("{:.1}%", cost.of_fleet(*workers, plan) * 100.0);
        let [(_, _, redis), (_, _, mariadb), _, (_, _, flushes), (_, _, scheduler)] = &limits;
        vec![
            format!("{workers:.0} × {FLEET_THREADS:.0}"),
            share(redis),
            share(mariadb),
            format!("{:.0}", flushes.of_fleet(*workers, plan)),
            share(scheduler),
        ]
    };
    let head = ["workers × threads", "Redis", "MariaDB", "flushes a second", "each scheduler"];
    report.table(&head, &FLEETS.iter().map(fleet).collect::<Vec<_>>());
    report.line("What to do when something is full; `docs/sizing.md` says more:\n");
    report.table(&["full is", "then"], &REMEDIES.map(|(what, then)| vec![what.to_owned(), then.to_owned()]));
}

/// A number with two digits that count.
fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return "any".to_owned();
    }
    let step = 10_f64.powf(value.max(1.0).log10().floor() - 1.0).max(0.1);
    let digits = usize::from(step < 1.0);
    format!("{:.digits$}", (value / step).round() * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_what_counts() {
        let texts = [0.26, 1.24, 37.4, 1_449.0, 123_456.0, f64::INFINITY].map(rounded);
        assert_eq!(texts, ["0.3", "1.2", "37", "1400", "120000", "any"]);
    }
}
