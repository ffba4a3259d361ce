use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_lab::Lab;
use tokio::task::JoinHandle;

use super::books::{Books, Row, Usage};
use super::children::{Child, Children};
use super::violation::Violation;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// One look of so many is at all rows, the others at those in which something happens.
const FULL_LOOK_EVERY: u64 = 40;
/// More of the same need not be told.
const MAX_VIOLATIONS: usize = 50;

/// Looks at MariaDB and at the machine all the time and notes what must never be seen: an epoch that falls, a row
/// that leaves its end, a cancelled migration that is run again, a host with more leases than it allows, two
/// living children of one user. Looks that a store does not answer are left out.
#[derive(Debug)]
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Name of the Source whose rows are looked at.
    source: String,
    rows: BTreeMap<u64, Row>,
    usage: BTreeMap<u32, Usage>,
    children: BTreeSet<Child>,
    violations: Vec<Violation>,
    looks: u64,
}

impl Witness {
    /// Watches until it is dropped.
    pub fn start(lab: &Lab, books: Books) -> Self {
        let seen = Seen { source: books.source().to_owned(), ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let (own, children) = (Arc::clone(&seen), Children::of(lab));
        let watching = tokio::spawn(async move {
            for look in 0_u64.. {
                let rows = async {
                    if look % FULL_LOOK_EVERY == 0 { books.rows().await } else { books.lively_rows().await }
                };
                let looked = tokio::join!(rows, books.usage());
                // Children last: whoever they run for has a row by now.
                lock(&own).look(looked, children.recorded());
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { seen, watching }
    }

    /// What must never be seen and was, and how many looks it took.
    pub fn report(&self) -> (Vec<Violation>, u64) {
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
        let texts: Vec<String> = violations.into_iter().map(|violation| violation.text).collect();
        ensure!(texts.is_empty(), "seen, though it must never be:\n{}", texts.join("\n"));
        Ok(())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Seen {
    fn look(&mut self, books: (Result<Vec<Row>>, Result<Vec<Usage>>), children: BTreeSet<Child>) {
        if let (Ok(rows), Ok(usage)) = books {
            self.look_at_rows(rows);
            self.look_at_usage(&usage);
            self.looks += 1;
        }
        self.look_at_children(&children);
        self.children.extend(children);
    }

    fn look_at_rows(&mut self, rows: Vec<Row>) {
        for row in rows {
            let Some(before) = self.rows.insert(row.id, row.clone()) else { continue };
            if row.epoch < before.epoch {
                self.note(Violation::of([row.id], format!("the epoch fell: {before:?}, then {row:?}")));
            }
            if before.is_terminal() && row != before {
                self.note(Violation::of([row.id], format!("a row left its end: {before:?}, then {row:?}")));
            }
            // With `cleanup`, the claim is for the failure command alone.
            let is_claimed_again = row.status == "SYNC" && row.epoch > before.epoch && row.cleanup.is_none();
            if before.cancel_requested && is_claimed_again {
                let text = format!("what was cancelled is run again: {before:?}, then {row:?}");
                self.note(Violation::of([row.id], text));
            }
        }
    }

    /// A host whose limit was lowered may have more leases, but none that is new. Where limit and leases both changed
    /// between two looks, nobody knows in which order.
    fn look_at_usage(&mut self, usage: &[Usage]) {
        for now in usage {
            let Usage { host, limit, leases } = *now;
            let before = self.usage.insert(host, *now).unwrap_or(Usage { host, limit, leases: 0 });
            if leases > i64::from(limit.max(before.limit)) && leases > before.leases {
                let text =
                    format!("host {host} has {leases} leases, its limit is {limit}; before: {before:?}");
                self.note(Violation::general(text));
            }
        }
    }

    /// A source's own connection log does not tell a stalled connection's user, and a child need not have one: what
    /// must not overlap are the children themselves. What a worker asks doveadm at its start runs for no user.
    fn look_at_children(&mut self, children: &BTreeSet<Child>) {
        let mut by_user: BTreeMap<String, Vec<&Child>> = BTreeMap::new();
        let of_users = children.iter().filter(|child| child.source_and_row().is_some());
        for child in of_users.filter(|child| child.child.runs()) {
            by_user.entry(self.user_of(child)).or_default().push(child);
        }
        for (user, together) in by_user.into_iter().filter(|(_, together)| together.len() > 1) {
            let rows = together.iter().filter_map(|child| Some(child.source_and_row()?.1));
            let rows: BTreeSet<u64> = rows.collect();
            let known: Vec<&Row> = rows.iter().filter_map(|id| self.rows.get(id)).collect();
            let text = format!("{user} has several living children: {together:?} of {known:?}");
            self.note(Violation::of(rows, text));
        }
    }

    /// Whose mail a child works on; of a Source that is not looked at, what it runs for.
    fn user_of(&self, child: &Child) -> String {
        let row = child.source_and_row().filter(|(source, _)| *source == self.source);
        let user = row.and_then(|(_, id)| self.rows.get(&id)).map(|row| row.user.clone());
        user.unwrap_or_else(|| child.migration().to_owned())
    }

    fn note(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str, epoch: u64) -> Row {
        Row {
            id: 1,
            user: "one".into(),
            status: status.into(),
            epoch,
            losses: 0,
            attempt: 1,
            cancel_requested: false,
            pre_started: false,
            cleanup: None,
        }
    }

    fn violations(rows: impl IntoIterator<Item = Row>) -> usize {
        let mut seen = Seen::default();
        for row in rows {
            seen.look_at_rows(vec![row]);
        }
        seen.violations.len()
    }

    #[test]
    fn what_was_cancelled_may_only_be_cleaned_up() {
        let cancelled = Row { cancel_requested: true, ..row("SYNC", 1) };
        assert_eq!(violations([cancelled.clone(), row("ABORTED", 2)]), 0);
        assert_eq!(violations([cancelled.clone(), row("SYNC", 3)]), 1);
        let cleaned_up = Row { cleanup: Some("ABORTED".into()), ..row("SYNC", 3) };
        assert_eq!(violations([cancelled, cleaned_up]), 0);
    }

    #[test]
    fn an_end_is_the_end() {
        assert_eq!(violations([row("SYNC", 1), row("SUCCESS", 1), row("SUCCESS", 1)]), 0);
        assert_eq!(violations([row("SUCCESS", 1), row("SCHEDULED", 2)]), 1);
        assert_eq!(violations([row("SYNC", 2), row("SYNC", 1)]), 1);
    }

    #[test]
    fn a_lowered_limit_admits_nobody() {
        let usage = |limit, leases| Usage { host: 1, limit, leases };
        let count = |looks: &[Usage]| {
            let mut seen = Seen::default();
            for look in looks {
                seen.look_at_usage(&[*look]);
            }
            seen.violations.len()
        };
        assert_eq!(count(&[usage(3, 3), usage(1, 3), usage(1, 2)]), 0);
        assert_eq!(count(&[usage(1, 2), usage(1, 3)]), 2);
        assert_eq!(count(&[usage(3, 1), usage(1, 2)]), 0);
    }
}
