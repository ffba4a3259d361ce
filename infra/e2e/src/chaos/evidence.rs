//! What is needed to understand a violation: its rows as they stand, and what was logged and broken around them.

use std::fmt::Write as _;

use anyhow::Result;

use super::field::Field;
use crate::faults::Violation;

/// Most rows of one violation that are shown.
const MAX_ROWS: usize = 4;
/// Most lines that are shown for one row.
const MAX_LINES: usize = 120;
/// Longest line, in characters.
const MAX_WIDTH: usize = 400;

/// A violation with what belongs to it.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) violation: Violation,
    /// Text of several lines, empty where there is nothing.
    pub(super) exhibits: String,
}

/// Gathers it, with the events as lines of a log of their own.
pub(super) async fn gather(field: &Field, violations: Vec<Violation>, events: &[String]) -> Vec<Evidence> {
    let mut gathered = Vec::new();
    for violation in violations {
        let mut exhibits = String::new();
        for row in violation.rows.iter().take(MAX_ROWS) {
            // A violation is worth reporting without it, too.
            if let Err(error) = exhibit(field, *row, events, &mut exhibits).await {
                let _ = writeln!(exhibits, "row {row} can't be shown: {error:#}");
            }
        }
        gathered.push(Evidence { violation, exhibits });
    }
    gathered
}

async fn exhibit(field: &Field, row: u64, events: &[String], text: &mut String) -> Result<()> {
    writeln!(text, "{}", field.books.whole_row(row).await?)?;
    for lease in field.books.leases().await?.into_iter().filter(|lease| lease.journal_id == row) {
        writeln!(text, "{lease:?}")?;
    }
    let job = format!("{}/{row}", field.books.source());
    let mut lines: Vec<(String, String)> = Vec::new();
    for daemon in field.daemons().chain(&field.twins) {
        let log = daemon.log();
        let about = log.lines().filter(|line| names(line, &job));
        lines.extend(about.filter_map(|line| Some((stamp(line)?, format!("{:10} {line}", daemon.name())))));
    }
    lines.sort();
    let (first, last) = (lines.first().cloned(), lines.last().cloned());
    if let (Some((first, _)), Some((last, _))) = (first, last) {
        let around =
            events.iter().filter_map(|event| Some((stamp(event)?, format!("{:10} {event}", "CHAOS"))));
        lines.extend(around.filter(|(at, _)| (&first..=&last).contains(&at)));
        lines.sort();
    }
    let hidden = lines.len().saturating_sub(MAX_LINES);
    if hidden > 0 {
        writeln!(text, "({hidden} lines before these)")?;
    }
    for (_, line) in &lines[hidden..] {
        writeln!(text, "{}", line.chars().take(MAX_WIDTH).collect::<String>())?;
    }
    Ok(())
}

/// Whether a line is about this migration, not about one whose number goes on.
fn names(line: &str, job: &str) -> bool {
    line.match_indices(job)
        .any(|(at, _)| !line[at + job.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

/// The time that a line begins with, `HH:MM:SS.mmm`.
fn stamp(line: &str) -> Option<String> {
    let stamp = line.get(..12)?;
    let is_time = stamp.bytes().enumerate().all(|(at, byte)| match at {
        2 | 5 => byte == b':',
        8 => byte == b'.',
        _ => byte.is_ascii_digit(),
    });
    is_time.then(|| stamp.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert!(names("12:00:00.000 [JobID: Acme/7] started", "Acme/7"));
        assert!(!names("12:00:00.000 [JobID: Acme/71] started", "Acme/7"));
        assert_eq!(stamp("12:00:00.001 [main]").as_deref(), Some("12:00:00.001"));
        assert_eq!(stamp("thread 'main' panicked"), None);
    }
}
