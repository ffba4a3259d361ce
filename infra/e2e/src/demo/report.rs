use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::stage::{Mover, Stage};

const HEADINGS: [&str; 9] =
    ["user", "source host", "status", "mails source", "target", "bytes source", "target", "attempts", "ms"];
/// Columns from this one on are numbers.
const FIRST_NUMBER: usize = 3;

/// What came of it all.
#[derive(Debug)]
pub(super) struct Report {
    rows: Vec<[String; 9]>,
    /// What is not as it should be.
    faults: Vec<String>,
    start_latency_ms: i128,
    /// Name, most connections at the same time, limit.
    hosts: Vec<(String, usize, usize)>,
}

/// Looks at every record, every mailbox and every source host.
pub(super) async fn gather(stage: &Stage) -> Result<Report> {
    let mut report = Report { rows: Vec::new(), faults: Vec::new(), start_latency_ms: 0, hosts: Vec::new() };
    for (number, mover) in stage.movers.iter().enumerate() {
        let record = stage.customer.latest(&mover.name).await?;
        if number == 0 {
            report.start_latency_ms = start_latency_ms(&record)?;
        }
        report.add_user(stage, mover, &record).await?;
    }
    for host in &stage.hosts {
        report.hosts.push((host.name(), host.proxy.max_open(), host.limit));
        if host.proxy.max_open() > host.limit {
            report.faults.push(format!("{} saw more connections than allowed", host.name()));
        }
        for (user, most) in host.proxy.overlaps() {
            report.faults.push(format!("{user} had {most} connections at the same time"));
        }
    }
    Ok(report)
}

impl Report {
    async fn add_user(&mut self, stage: &Stage, mover: &Mover, record: &Value) -> Result<()> {
        let found = stage.fleet.lab().target().mailboxes(&mover.name).await?;
        let truth = mover.truth.counts();
        let status = record["status"].as_str().context("a record without a status")?;
        if status != "SUCCESS" {
            self.faults.push(format!("{} ended as {status}: {}", mover.name, record["details"]));
        }
        let names = found.keys().chain(truth.keys()).filter(|name| found.get(*name) != truth.get(*name));
        let mut changed: BTreeSet<String> = names.cloned().collect();
        changed.extend(stage.fleet.changed_mailboxes(&mover.name).await?);
        if !changed.is_empty() {
            self.faults.push(format!("{} has another content in {changed:?}", mover.name));
        }
        self.rows.push([
            mover.name.clone(),
            stage.hosts[mover.host].name(),
            status.to_owned(),
            truth.values().map(|count| count.messages).sum::<u64>().to_string(),
            found.values().map(|count| count.messages).sum::<u64>().to_string(),
            truth.values().map(|count| count.vsize).sum::<u64>().to_string(),
            found.values().map(|count| count.vsize).sum::<u64>().to_string(),
            record["attempt"].to_string(),
            record["syncSpeed"].to_string(),
        ]);
        Ok(())
    }

    /// Whether all is as it should be.
    pub(super) fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    /// Prints the table, the start latency, the source hosts, and the faults.
    pub(super) fn print(&self) {
        println!();
        for line in table(&self.rows) {
            println!("{line}");
        }
        println!("\nFrom submit to start on the idle fleet: {} ms (in steps of 10).", self.start_latency_ms);
        for (name, most, limit) in &self.hosts {
            println!("Source host {name}: at most {most} connections at the same time, {limit} allowed.");
        }
        if self.passed() {
            println!("Every user was moved, every mailbox is what it was, no limit was passed.");
        }
        for fault in &self.faults {
            println!("FAULT: {fault}");
        }
    }
}

/// Milliseconds from submit to start. The API gives times in hundredths of a second.
fn start_latency_ms(record: &Value) -> Result<i128> {
    let time = |field: &str| {
        let text = record[field].as_str().with_context(|| format!("a record has no {field}"))?;
        OffsetDateTime::parse(text, &Iso8601::DEFAULT).with_context(|| text.to_owned())
    };
    Ok((time("started")? - time("created")?).whole_milliseconds())
}

/// Columns as wide as their widest text; numbers to the right.
fn table(rows: &[[String; 9]]) -> Vec<String> {
    let headings = HEADINGS.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let widths: [usize; 9] =
        std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
    all()
        .map(|row| {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (text, width))| {
                if column < FIRST_NUMBER { format!("{text:width$}") } else { format!("{text:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_stand_below_each_other() {
        let row = ["u", "h", "SUCCESS", "5", "5", "1234567890123", "7", "1", "20"].map(str::to_owned);
        let lines = super::table(&[row]);
        assert_eq!(
            lines,
            [
                "user  source host  status   mails source  target   bytes source  target  attempts  ms",
                "u     h            SUCCESS             5       5  1234567890123       7         1  20",
            ]
        );
    }
}
