use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use dmf_lab::Persistence;

use super::Plan;
use super::evidence::Evidence;
use super::schedule::Event;
use super::verdict::Facts;

/// What a campaign was and what came of it.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    faults: BTreeMap<&'static str, usize>,
    facts: Facts,
    violations: Vec<Evidence>,
    broken: Duration,
    healing: Duration,
}

impl Report {
    pub(super) fn new(
        plan: Plan,
        events: &[Event],
        facts: Facts,
        violations: Vec<Evidence>,
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
        let redis = match self.plan.persistence() {
            Persistence::None => "kept nothing",
            Persistence::AppendOnly => "kept everything, in an append-only file,",
        };
        writeln!(
            text,
            "Things broke for {broken} s; after another {healing} s all was at rest and looked at. Redis {redis} over its restarts.\n"
        )?;
        writeln!(text, "| fault or order | times |\n|---|---:|")?;
        for (kind, times) in &self.faults {
            writeln!(text, "| {kind} | {times} |")?;
        }
        self.write_facts(text)?;
        writeln!(text, "\n## What must not be\n")?;
        if self.violations.is_empty() {
            return writeln!(
                text,
                "Nothing of it was seen: each migration ended once, all mail equals what the sources hold, message by message, no source host saw more connections than its limit, no two syncs of a user met, nothing cancelled ran again, nobody stayed locked out, and nothing is left in Redis, in MariaDB's leases or in the process table."
            );
        }
        for (number, Evidence { violation, exhibits }) in (1..).zip(&self.violations) {
            writeln!(text, "{number}. {}\n", violation.text.replace('\n', "\n   "))?;
            if !exhibits.is_empty() {
                writeln!(text, "```text\n{exhibits}```\n")?;
            }
        }
        Ok(())
    }

    fn write_facts(&self, text: &mut String) -> std::fmt::Result {
        let facts = &self.facts;
        let rows: usize = facts.rows.values().sum();
        writeln!(text, "\n| what | number |\n|---|---:|\n| migrations | {rows} |")?;
        for (end, count) in &facts.rows {
            writeln!(text, "| of them {end} | {count} |")?;
        }
        for (what, count) in &facts.answered {
            writeln!(text, "| {what} that were answered | {count} |")?;
        }
        for (word, count) in &facts.hooks {
            writeln!(text, "| {word} commands run | {count} |")?;
        }
        writeln!(text, "| losses of workers recorded | {} |", facts.losses)?;
        writeln!(text, "| connections to source hosts | {} |", facts.connections)?;
        writeln!(text, "| times that the queue was repaired | {} |", facts.drifts)?;
        writeln!(text, "| looks at MariaDB from outside | {} |", facts.looks)?;
        writeln!(text, "| users whose messages were compared | {} |", facts.compared)
    }
}
