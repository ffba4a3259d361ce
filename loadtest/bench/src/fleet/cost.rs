//! From what was measured to the size of a fleet at which a store is at its end.

use super::load::Load;

/// What a fleet costs of one thing, such as seconds of Redis' processor or flushes of MariaDB's disk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    /// In a second, without any worker.
    pub(super) base: f64,
    /// While migrations wait, in a second, whatever their number: the reconciler compares the stores at its own pace.
    pub(super) waiting: f64,
    /// Of a worker that holds nothing, in a second.
    pub(super) worker: f64,
    /// Of a migration that is held, in a second.
    pub(super) lease: f64,
    /// Of a migration, from its claim to its end, the holding aside. Its submit has cost something before.
    pub(super) migration: f64,
}

/// What was watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// Without workers.
    pub(super) empty: Load,
    /// Numbers of workers, and what they take while there is nothing to do; the largest last.
    pub(super) idle: Vec<(u32, Load)>,
    /// All of these workers hold `leases` migrations, and none begins or ends.
    pub(super) holding: Load,
    pub(super) leases: u32,
    /// All workers are there, and everything that is to be run waits and may not begin.
    pub(super) waiting: Load,
    /// The run, of which all workers did `migrations` that took `held_secs` together.
    pub(super) run: Load,
    pub(super) migrations: u32,
    pub(super) held_secs: f64,
}

/// A fleet to be asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Migrations of a worker at a time.
    pub(super) threads: f64,
    /// Mean length of a migration.
    pub(super) mean_secs: f64,
}

impl Watched {
    /// The cost of what `of` picks. Noise may make a part negative, which nothing is.
    pub(super) fn cost(&self, of: impl Fn(&Load) -> f64) -> Cost {
        let rate = |load: &Load| load.rate(of(load));
        let base = rate(&self.empty);
        let Some((workers, idle)) = self.idle.last() else { return Cost { base, ..Cost::default() } };
        let (workers, leases) = (f64::from(*workers), f64::from(self.leases));
        let worker = ((rate(idle) - base) / workers).max(0.0);
        let lease = ((rate(&self.holding) - rate(idle)) / leases).max(0.0);
        let waiting = (rate(&self.waiting) - rate(idle)).max(0.0);
        let kept = self.run.secs * (base + waiting + workers * worker) + self.held_secs * lease;
        let migration = ((of(&self.run) - kept) / f64::from(self.migrations)).max(0.0);
        Cost { base, waiting, worker, lease, migration }
    }
}

impl Cost {
    /// What so many workers take in a second while all of them are busy and more waits.
    pub(super) fn of_fleet(&self, workers: f64, plan: Plan) -> f64 {
        self.base + self.waiting + workers * self.of_busy_worker(plan)
    }

    /// How many busy workers it takes until `most` is reached.
    pub(super) fn workers_until(&self, most: f64, plan: Plan) -> f64 {
        ((most - self.base - self.waiting) / self.of_busy_worker(plan)).max(0.0)
    }

    fn of_busy_worker(&self, plan: Plan) -> f64 {
        self.worker + plan.threads * (self.lease + self.migration / plan.mean_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { threads: 10.0, mean_secs: 100.0 };

    #[test]
    fn costs_are_told_apart() {
        let truth = Cost { base: 0.01, waiting: 0.005, worker: 0.000_1, lease: 0.000_02, migration: 0.002 };
        let load = |secs: f64, redis| Load { secs, redis: redis * secs, ..Load::default() };
        let idle = truth.base + 100.0 * truth.worker;
        let (held, run_secs) = (9_000.0, 100.0);
        let run = idle + truth.waiting + (held * truth.lease + 7_000.0 * truth.migration) / run_secs;
        let watched = Watched {
            empty: load(10.0, truth.base),
            idle: vec![(10, load(1.0, 7.0)), (100, load(20.0, idle))],
            holding: load(20.0, idle + 500.0 * truth.lease),
            leases: 500,
            waiting: load(10.0, idle + truth.waiting),
            run: load(run_secs, run),
            migrations: 7_000,
            held_secs: held,
        };
        let found = watched.cost(|load| load.redis);
        for (found, truth) in [
            (found.base, truth.base),
            (found.waiting, truth.waiting),
            (found.worker, truth.worker),
            (found.lease, truth.lease),
            (found.migration, truth.migration),
        ] {
            assert!((found / truth - 1.0).abs() < 1e-6, "{found} {truth}");
        }
        assert_eq!(watched.cost(|load| load.mariadb), Cost::default());
    }

    #[test]
    fn a_fleet_of_the_found_size_takes_all_there_is() {
        let cost = Cost { base: 0.06, waiting: 0.04, worker: 0.001, lease: 0.000_1, migration: 0.01 };
        let workers = cost.workers_until(1.0, PLAN);
        assert!((workers - 300.0).abs() < 1e-6, "{workers}");
        assert!((cost.of_fleet(workers, PLAN) - 1.0).abs() < 1e-9);
        assert!(cost.workers_until(0.05, PLAN).abs() < 1e-9, "the base alone is too much");
    }
}
