use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::field::{Field, HIGHEST_LIMIT};
use super::load::Load;
use crate::daemon::Daemon;
use crate::faults::{HookRun, Row, Violation, expect_quiet};

/// More of one kind need not be told.
const MAX_OF_A_KIND: usize = 20;
/// A failure command that was lost so often is given up: twice as often as the migration itself.
const GIVEN_UP_AFTER: u32 = 6;
/// The block of a failure command in `details`.
const FAILURE_BLOCK: &str = "failure sync command";

/// Numbers of a campaign.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Rows by phase and status.
    pub(super) rows: BTreeMap<String, usize>,
    pub(super) losses: u64,
    /// What was answered, by name.
    pub(super) answered: BTreeMap<&'static str, usize>,
    /// Runs of hooks, by name.
    pub(super) hooks: BTreeMap<String, usize>,
    pub(super) connections: u64,
    /// Looks at MariaDB from outside.
    pub(super) looks: u64,
    /// Mailboxes compared.
    pub(super) compared: usize,
    /// How often a reconciler found the queue to differ.
    pub(super) drifts: usize,
}

/// Brings the fleet to rest and gathers everything that must not be.
pub(super) async fn judge(field: &Field, load: &mut Load, violations: &mut Vec<Violation>) -> Result<Facts> {
    let mut facts = Facts::default();
    violations.extend(fault(load.finish(field).await));
    violations.extend(fault(expect_quiet(&field.books, &field.keys, &field.children, &field.witness).await));
    facts.compared = load.truths.len();
    violations.extend(compare_mail(field, load).await);
    let rows = field.books.rows().await?;
    count_rows(field, &rows, &mut facts).await?;
    violations.extend(look_for_promises(field, &rows));
    violations.extend(look_at_failures(field).await?);
    violations.extend(look_for_failure_commands(field, &rows).await?);
    violations.extend(look_at_sources(field, &mut facts));
    violations.extend(look_at_logs(field, &mut facts));
    let (seen, looks) = field.witness.report();
    facts.looks = looks;
    violations.extend(seen);
    violations.extend(field.noted());
    violations.extend(fault(field.fleet.expect_clean_end().await));
    Ok(facts)
}

fn fault(check: Result<()>) -> Option<Violation> {
    check.err().map(|error| Violation::general(format!("{error:#}")))
}

async fn compare_mail(field: &Field, load: &Load) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for (user, truth) in &load.truths {
        if wrong.len() < MAX_OF_A_KIND
            && let Err(error) = field.fleet.expect_mail(user, truth).await
        {
            let newest = field.books.row(user).await.map(|row| row.id);
            wrong.push(Violation::of(newest, format!("{error:#}")));
        }
    }
    wrong
}

async fn count_rows(field: &Field, rows: &[Row], facts: &mut Facts) -> Result<()> {
    facts.rows = field.books.count_by_end().await?;
    facts.losses = rows.iter().map(|row| u64::from(row.losses)).sum();
    let promises = field.promises();
    facts.answered = BTreeMap::from([
        ("submits", promises.submitted.len()),
        ("cancels", promises.cancelled.len()),
        ("closes", promises.closed.len()),
    ]);
    drop(promises);
    for HookRun { word, .. } in field.hooks.runs() {
        *facts.hooks.entry(word).or_default() += 1;
    }
    Ok(())
}

/// Every answered submit has a row, and no migration was claimed after its cancel was answered.
fn look_for_promises(field: &Field, rows: &[Row]) -> Vec<Violation> {
    let (promises, mut wrong) = (field.promises(), Vec::new());
    let by_id: BTreeMap<u64, &Row> = rows.iter().map(|row| (row.id, row)).collect();
    for (id, user) in promises.submitted.iter().filter(|(id, _)| !by_id.contains_key(id)) {
        wrong.push(Violation::of([*id], format!("migration {id} of {user} was answered and is not there")));
    }
    for (id, epoch) in &promises.cancelled {
        let is_broken = |row: &&Row| row.status == "SUCCESS" && row.epoch > *epoch;
        if let Some(row) = by_id.get(id).copied().filter(|row| is_broken(row)) {
            let text = format!("its cancel was answered at epoch {epoch}, and yet it ran again: {row:?}");
            wrong.push(Violation::of([*id], text));
        }
    }
    wrong.truncate(MAX_OF_A_KIND);
    wrong
}

/// Every failure says why.
async fn look_at_failures(field: &Field) -> Result<Vec<Violation>> {
    let mut wrong = Vec::new();
    for (id, user, details) in field.books.failures().await? {
        if blocks(details.as_deref()).is_empty() && wrong.len() < MAX_OF_A_KIND {
            let text = format!("migration {id} of {user} failed without a word: {details:?}");
            wrong.push(Violation::of([id], text));
        }
    }
    Ok(wrong)
}

fn blocks(details: Option<&str>) -> Vec<Value> {
    details.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Nobody stays locked out: whoever had a pre command and no success had a failure command, by the record and by
/// what the commands themselves wrote. A record that an operator closed is the operator's, and so is one that was
/// given up in its failure command.
async fn look_for_failure_commands(field: &Field, rows: &[Row]) -> Result<Vec<Violation>> {
    let details = field.books.details_of_unsuccessful().await?;
    let (runs, promises, mut wrong) = (field.hooks.runs(), field.promises(), Vec::new());
    let mut due: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let is_due = |row: &&Row| {
        row.pre_started
            && matches!(row.status.as_str(), "FAILURE" | "ABORTED")
            && row.losses < GIVEN_UP_AFTER
            && !promises.closed.contains(&row.id)
            && !promises.maybe_closed.contains(&row.user)
    };
    for row in rows.iter().filter(is_due) {
        due.entry(&row.user).or_default().push(row);
        let blocks = blocks(details.get(&row.id).map(String::as_str));
        if !blocks.iter().any(|block| !block[FAILURE_BLOCK].is_null()) {
            wrong.push(Violation::of(
                [row.id],
                format!("no failure command followed the pre command of {row:?}"),
            ));
        }
    }
    for (user, rows) in due {
        let own: Vec<&HookRun> = runs.iter().filter(|run| run.user == user).collect();
        let failures = own.iter().filter(|run| run.word == "failure").count();
        if failures < rows.len() {
            let text = format!("{user} had {failures} failure commands and needed {}: {own:?}", rows.len());
            wrong.push(Violation::of(rows.iter().map(|row| row.id), text));
        }
    }
    wrong.truncate(MAX_OF_A_KIND);
    Ok(wrong)
}

fn look_at_sources(field: &Field, facts: &mut Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let guests = field.guests();
    let guests = guests.iter().map(|(_, host)| (&**host, host.limit));
    // An order may have set another limit; the witness knows which one held when.
    let own = field.hosts.iter().map(|host| (host, host.limit.max(HIGHEST_LIMIT)));
    for (host, limit) in own.chain(guests) {
        facts.connections += host.proxy.total();
        let (most, overlaps) = (host.proxy.max_open(), host.proxy.overlaps());
        if most > limit {
            wrong.push(format!("{} saw {most} connections, its limit is {limit}", host.name()));
        }
        if !overlaps.is_empty() {
            wrong.push(format!("users had several connections at {}: {overlaps:?}", host.name()));
        }
    }
    wrong.into_iter().map(Violation::general).collect()
}

fn look_at_logs(field: &Field, facts: &mut Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for daemon in field.daemons().chain(&field.twins) {
        let log = daemon.log();
        facts.drifts += log.matches("had drifted").count();
        let panics = log.lines().filter(|line| line.contains("panicked"));
        let told = |line: &str| Violation::general(format!("{}: {line}", Daemon::name(daemon)));
        wrong.extend(panics.take(MAX_OF_A_KIND).map(told));
    }
    wrong
}
