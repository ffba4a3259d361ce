//! How large the simulated fleet is, and how long it is watched.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Migrations that a worker runs at a time in the run.
pub(super) const THREADS: u32 = 1;
/// Migrations that a worker holds while the cost of holding them is measured.
pub(super) const HELD: u32 = 5;
/// Schedulers.
pub(super) const SCHEDULERS: u8 = 2;

/// A fleet and its work.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    /// Users of the run, a migration each.
    pub(super) users: u32,
    /// Simulated workers.
    pub(super) workers: u32,
    /// Source hosts.
    pub(super) hosts: u32,
    /// Migrations a second while all places are in use: so many that the stores have room. The mean length follows.
    pub(super) rate: f64,
    /// For each of these numbers of workers heartbeats are measured while there is nothing to do.
    pub(super) idle: Vec<u32>,
    /// How long each phase without an end of its own is watched.
    pub(super) watch: Duration,
}

impl Size {
    /// Of a quick pass or at full length, unless other numbers are wanted.
    pub(crate) fn new(quick: bool, users: Option<u32>, workers: Option<u32>) -> Result<Self> {
        let workers = workers.unwrap_or(if quick { 100 } else { 1_000 });
        let users = users.unwrap_or(if quick { 8_000 } else { 100_000 });
        ensure!((1..=5_000).contains(&workers), "the fleet has 1 to 5000 workers");
        ensure!((1..=5_000_000).contains(&users), "the fleet has 1 to 5,000,000 users");
        let idle = if quick {
            vec![workers]
        } else {
            vec![workers.div_ceil(10), (workers * 3).div_ceil(10), workers]
        };
        Ok(Self {
            users,
            workers,
            hosts: if quick { 200 } else { 1_000 },
            rate: if quick { 65.0 } else { 100.0 },
            idle,
            watch: Duration::from_secs(if quick { 12 } else { 30 }),
        })
    }

    /// Migrations that run at a time.
    pub(super) fn places(&self) -> u32 {
        self.workers * THREADS
    }

    /// Mean length of a migration, in seconds.
    pub(super) fn mean_secs(&self) -> f64 {
        f64::from(self.places()) / self.rate
    }
}
