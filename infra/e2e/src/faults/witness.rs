use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_lab::Lab;
use tokio::task::JoinHandle;

use super::books::{Books, Row, Usage};
use super::children::{Child, Children};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// More of the same need not be told.
const MAX_VIOLATIONS: usize = 50;

/// Looks at MariaDB and at the machine all the time and notes what must never be seen: an epoch that falls, a row
/// that leaves its end, a host with more leases than it allows. Looks that a store
/// does not answer are left out.
#[derive(Debug)]
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    rows: BTreeMap<u64, Row>,
    usage: BTreeMap<u32, i64>,
    children: BTreeSet<Child>,
    violations: Vec<String>,
    looks: u64,
}

impl Witness {
    /// Watches until it is dropped.
    pub fn start(lab: &Lab, books: Books) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (own, children) = (Arc::clone(&seen), Children::of(lab));
        let watching = tokio::spawn(async move {
            loop {
                let looked = tokio::join!(books.rows(), books.usage());
                lock(&own).look(looked, children.recorded());
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { seen, watching }
    }

    /// What must never be seen and was, and how many looks it took.
    pub fn report(&self) -> (Vec<String>, u64) {
        let seen = lock(&self.seen);
        (seen.violations.clone(), seen.looks)
    }

    /// Children and guards that were seen at any time and live now.
    pub fn survivors(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        let lives = |child: &&Child| child.guard.lives() || child.child.lives();
        seen.children.iter().filter(lives).map(|child| format!("{child:?}")).collect()
    }

    /// Fails when something was seen that must never be.
    pub fn expect_nothing(&self) -> Result<()> {
        let (violations, looks) = self.report();
        ensure!(looks > 0, "the witness never saw anything");
        ensure!(violations.is_empty(), "seen, though it must never be:\n{}", violations.join("\n"));
        Ok(())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Seen {
    fn look(&mut self, books: (Result<Vec<Row>>, Result<Vec<Usage>>), mut children: BTreeSet<Child>) {
        self.children.append(&mut children);
        if let (Ok(rows), Ok(usage)) = books {
            self.look_at_rows(rows);
            self.look_at_usage(&usage);
            self.looks += 1;
        }
    }

    fn look_at_rows(&mut self, rows: Vec<Row>) {
        for row in rows {
            let Some(before) = self.rows.insert(row.id, row.clone()) else { continue };
            if row.epoch < before.epoch {
                self.note(format!("the epoch fell: {before:?}, then {row:?}"));
            }
            if before.is_terminal() && row != before {
                self.note(format!("a row left its end: {before:?}, then {row:?}"));
            }
        }
    }

    /// A host whose limit was lowered may have more leases, but none that is new.
    fn look_at_usage(&mut self, usage: &[Usage]) {
        for Usage { host, limit, leases } in usage {
            let before = self.usage.insert(*host, *leases).unwrap_or(0);
            if *leases > i64::from(*limit) && *leases > before {
                self.note(format!("host {host} has {leases} leases after {before}, its limit is {limit}"));
            }
        }
    }

    fn note(&mut self, violation: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
