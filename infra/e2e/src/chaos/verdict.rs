use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::field::Field;
use super::load::Load;
use crate::faults::expect_quiet;

/// More of one kind need not be told.
const MAX_OF_A_KIND: usize = 20;

/// Numbers of a campaign.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Rows by status.
    pub(super) rows: BTreeMap<String, usize>,
    pub(super) losses: u64,
    /// Rows whose creation was answered.
    pub(super) answered: usize,
    pub(super) connections: u64,
    /// Looks at MariaDB from outside.
    pub(super) looks: u64,
    /// Mailboxes compared.
    pub(super) compared: usize,
    /// How often a reconciler found the queue to differ.
    pub(super) drifts: usize,
}

/// Brings the fleet to rest and gathers everything that must not be.
pub(super) async fn judge(field: &Field, load: &mut Load, violations: &mut Vec<String>) -> Result<Facts> {
    let mut facts = Facts::default();
    violations.extend(fault(load.finish(field).await));
    violations.extend(fault(expect_quiet(&field.books, &field.keys, &field.children, &field.witness).await));
    facts.compared = load.truths.len();
    violations.extend(compare_mail(field, load).await);
    violations.extend(look_at_rows(field, load, &mut facts).await?);
    violations.extend(look_at_sources(field, &mut facts));
    violations.extend(look_at_logs(field, &mut facts));
    let (seen, looks) = field.witness.report();
    facts.looks = looks;
    violations.extend(seen);
    violations.extend(field.noted());
    violations.extend(fault(field.fleet.expect_clean_end().await));
    Ok(facts)
}

fn fault(check: Result<()>) -> Option<String> {
    check.err().map(|error| format!("{error:#}"))
}

async fn compare_mail(field: &Field, load: &Load) -> Vec<String> {
    let mut wrong = Vec::new();
    for (user, truth) in &load.truths {
        if wrong.len() < MAX_OF_A_KIND {
            wrong.extend(fault(field.fleet.expect_mail(user, truth).await));
        }
    }
    wrong
}

/// Every row has ended, every answered submit has a row, and every failure says why.
async fn look_at_rows(field: &Field, load: &Load, facts: &mut Facts) -> Result<Vec<String>> {
    let (rows, mut wrong) = (field.books.rows().await?, Vec::new());
    facts.answered = load.answered.len();
    let mut promised = load.answered.clone();
    for row in &rows {
        promised.remove(&row.id);
        *facts.rows.entry(row.status.clone()).or_default() += 1;
        facts.losses += u64::from(row.losses);
    }
    wrong.extend(promised.iter().map(|id| format!("migration {id} was answered and is not there")));
    for (id, user, details) in field.books.failures().await? {
        let details: Value = details.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let is_told = details.as_array().is_some_and(|blocks| !blocks.is_empty());
        if !is_told && wrong.len() < MAX_OF_A_KIND {
            wrong.push(format!("migration {id} of {user} failed without a word: {details}"));
        }
    }
    Ok(wrong)
}

fn look_at_sources(field: &Field, facts: &mut Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    for host in &field.hosts {
        facts.connections += host.proxy.total();
        let (most, overlaps) = (host.proxy.max_open(), host.proxy.overlaps());
        if most > host.limit {
            wrong.push(format!("{} saw {most} connections, its limit is {}", host.name(), host.limit));
        }
        if !overlaps.is_empty() {
            wrong.push(format!("users had several connections at {}: {overlaps:?}", host.name()));
        }
    }
    wrong
}

fn look_at_logs(field: &Field, facts: &mut Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    for daemon in field.daemons() {
        let log = daemon.log();
        facts.drifts += log.matches("had drifted").count();
        let panics = log.lines().filter(|line| line.contains("panicked"));
        wrong.extend(panics.take(MAX_OF_A_KIND).map(|line| format!("{}: {line}", daemon.name())));
    }
    wrong
}
