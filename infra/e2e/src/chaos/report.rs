use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::Plan;
use super::schedule::Event;
use super::verdict::Facts;

/// What a campaign was and what came of it.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    faults: BTreeMap<&'static str, usize>,
    facts: Facts,
    violations: Vec<String>,
    broken: Duration,
    healing: Duration,
}

impl Report {
    pub(super) fn new(
        plan: Plan,
        events: &[Event],
        facts: Facts,
        violations: Vec<String>,
        broken: Duration,
        healing: Duration,
    ) -> Self {
        let mut faults = BTreeMap::new();
        for event in events.iter().filter(|event| event.begins) {
            *faults.entry(event.fault.kind()).or_default() += 1;
        }
        Self { plan, faults, facts, violations, broken, healing }
    }

    /// Whether nothing was wrong.
    pub fn has_passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// Everything that was wrong.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The report as a document.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Plan { seed, users, hosts, workers, schedulers, .. } = self.plan;
        let (broken, healing) = (self.broken.as_secs(), self.healing.as_secs());
        let minutes = self.plan.time.as_secs().div_ceil(60);
        let passed = if self.has_passed() { "passed" } else { "FAILED" };
        writeln!(text, "# Chaos campaign, seed {seed}: {passed}\n")?;
        writeln!(
            text,
            "`infra/chaos --minutes {minutes} --seed {seed} --users {users} --hosts {hosts} --workers {workers} --schedulers {schedulers}`\n"
        )?;
        writeln!(
            text,
            "Things broke for {broken} s; after another {healing} s all was at rest and looked at.\n"
        )?;
        writeln!(text, "| fault | times |\n|---|---:|")?;
        for (kind, times) in &self.faults {
            writeln!(text, "| {kind} | {times} |")?;
        }
        let facts = &self.facts;
        let rows: usize = facts.rows.values().sum();
        writeln!(text, "\n| what | number |\n|---|---:|\n| migrations | {rows} |")?;
        for (status, count) in &facts.rows {
            writeln!(text, "| of them {status} | {count} |")?;
        }
        writeln!(text, "| submits that were answered | {} |", facts.answered)?;
        writeln!(text, "| losses of workers recorded | {} |", facts.losses)?;
        writeln!(text, "| connections to source hosts | {} |", facts.connections)?;
        writeln!(text, "| times that the queue was repaired | {} |", facts.drifts)?;
        writeln!(text, "| looks at MariaDB from outside | {} |", facts.looks)?;
        writeln!(text, "| users whose mailboxes were compared | {} |", facts.compared)?;
        writeln!(text, "\n## What must not be\n")?;
        if self.violations.is_empty() {
            return writeln!(
                text,
                "Nothing of it was seen: each migration ended once, all mail equals what the sources hold, no source host saw more connections than its limit, no two syncs of a user met, and nothing is left in Redis, in MariaDB's leases or in the process table."
            );
        }
        for violation in &self.violations {
            writeln!(text, "- {}", violation.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}
