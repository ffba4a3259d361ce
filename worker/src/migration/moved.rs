//! What the sync command of one migration has moved, summed over its runs and leases, and what the next
//! lease has to know of those before it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::count::Counted;
use crate::doveadm::mail_log::{MailCounts, OTHER};

/// Most bytes of mailbox names that are kept of each kind; mails of further mailboxes count under [`OTHER`].
const MAX_NAME_BYTES: usize = 1 << 20;

/// Mails by mailbox.
type ByMailbox = BTreeMap<String, u64>;

/// Sums of one migration. Written into its row before each run and at each hand-back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Moved {
    /// Saved on the target.
    pub(super) saved: ByMailbox,
    /// Expunged on the target.
    pub(super) expunged: ByMailbox,
    /// Milliseconds of the sync blocks, pauses between attempts in one lease included.
    pub(super) spent_ms: u64,
    /// How often the mailbox could not be counted that has to be, before anything is overwritten.
    pub(super) uncounted_targets: u32,
    /// Runs whose mails are in the sums.
    told_runs: u32,
    /// What the target held before the first run, where that is known.
    before: Option<ByMailbox>,
}

impl Moved {
    /// What an earlier lease left. Without a readable one, its runs stay untold.
    pub(super) fn from_carried(carried: Option<&Value>) -> Self {
        let Some(carried) = carried else { return Self::default() };
        Self::deserialize(carried).unwrap_or_else(|error| {
            tracing::warn!(%error, "what the lease before this one left can't be read");
            Self::default()
        })
    }

    /// For the next lease.
    pub(super) fn to_carried(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Adds one run.
    pub(super) fn add(&mut self, counts: &MailCounts) {
        self.told_runs += 1;
        add_bounded(&mut self.saved, &counts.saved);
        add_bounded(&mut self.expunged, &counts.expunged);
    }

    /// Mails saved and expunged; `None` while a run of these so many may have moved what nobody counted.
    pub(super) fn totals(&self, runs: u32) -> Option<(u64, u64)> {
        (self.told_runs >= runs).then(|| (self.saved.values().sum(), self.expunged.values().sum()))
    }

    /// Takes a count of the target before a run. The first one is remembered; a later one tells what runs
    /// moved whose worker was lost, so that their own words never came.
    pub(super) fn see_target(&mut self, runs: u32, found: &Counted) {
        let found: ByMailbox =
            found.0.iter().map(|status| (status.mailbox.clone(), status.messages.unwrap_or(0))).collect();
        if runs == 0 {
            let bytes: usize = found.keys().map(String::len).sum();
            self.before = (bytes <= MAX_NAME_BYTES).then_some(found);
        } else if runs > self.told_runs
            && let Some(before) = self.before.clone()
        {
            self.restore_names(found.keys().chain(before.keys()).map(String::as_str));
            self.add_difference(&before, &found);
            self.told_runs = runs;
        }
    }

    /// Whatever differs between what should be there and what was `found` was moved by runs that were lost.
    fn add_difference(&mut self, before: &ByMailbox, found: &ByMailbox) {
        let told: BTreeSet<&String> = self.saved.keys().chain(self.expunged.keys()).collect();
        let by_name = told.iter().all(|name| before.contains_key(*name) || found.contains_key(*name));
        if !by_name {
            // Some mail is counted under a name that is no mailbox: only the sum can be trusted.
            let sum = |map: &ByMailbox| map.values().sum::<u64>();
            let expected = sum(before).saturating_add(sum(&self.saved)).saturating_sub(sum(&self.expunged));
            return self.add_one(OTHER, expected, sum(found));
        }
        let names: BTreeSet<String> = before.keys().chain(found.keys()).cloned().collect();
        let of = |map: &ByMailbox, name: &str| map.get(name).copied().unwrap_or(0);
        for name in names {
            let expected = of(before, &name)
                .saturating_add(of(&self.saved, &name))
                .saturating_sub(of(&self.expunged, &name));
            self.add_one(&name, expected, of(found, &name));
        }
    }

    fn add_one(&mut self, name: &str, expected: u64, found: u64) {
        let one = |count: u64| ByMailbox::from([(name.to_owned(), count)]);
        if found > expected {
            add_bounded(&mut self.saved, &one(found - expected));
        } else if expected > found {
            add_bounded(&mut self.expunged, &one(expected - found));
        }
    }

    /// Gives names that `mail_log` has cut their full length back, where one of the `known` fits alone.
    pub(super) fn restore_names<'n>(&mut self, known: impl Iterator<Item = &'n str>) {
        let known: BTreeSet<&str> = known.collect();
        for counts in [&mut self.saved, &mut self.expunged] {
            let cut: ByMailbox = counts.extract_if(.., |name, _| !known.contains(&name[..])).collect();
            let mut restored = MailCounts::default();
            restored.saved = cut;
            restored.restore_names(&known.iter().copied());
            add_bounded(counts, &restored.saved);
        }
    }
}

fn add_bounded(counts: &mut ByMailbox, more: &ByMailbox) {
    let mut bytes: usize = counts.keys().map(String::len).sum();
    for (name, count) in more {
        let fits = counts.contains_key(name) || bytes + name.len() <= MAX_NAME_BYTES;
        let name = if fits { &name[..] } else { OTHER };
        if let Some(known) = counts.get_mut(name) {
            *known = known.saturating_add(*count);
        } else {
            bytes += name.len();
            counts.insert(name.to_owned(), *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doveadm::{mail_log::StderrReader, status::MailboxStatus};

    fn run(lines: &str) -> MailCounts {
        let mut reader = StderrReader::new();
        reader.feed(lines.as_bytes());
        reader.finish().counts().clone()
    }

    fn saved(mailbox: &str, count: usize) -> String {
        format!("dsync(u): Info: copy from {mailbox}: box={mailbox}, uid=1\n").repeat(count)
    }

    fn target(mailboxes: &[(&str, u64)]) -> Counted {
        let status = |(mailbox, messages): &(&str, u64)| MailboxStatus {
            mailbox: (*mailbox).to_owned(),
            messages: Some(*messages),
            vsize: None,
        };
        Counted(mailboxes.iter().map(status).collect())
    }

    fn by_mailbox(entries: &[(&str, u64)]) -> ByMailbox {
        entries.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// As the next lease gets it.
    fn carry(moved: &Moved) -> Moved {
        Moved::from_carried(Some(&moved.to_carried()))
    }

    #[test]
    fn sums_go_over_leases() {
        let mut moved = Moved::default();
        moved.see_target(0, &target(&[]));
        moved.add(&run(&saved("INBOX", 3)));
        let mut moved = carry(&moved);
        moved.see_target(1, &target(&[("INBOX", 3)]));
        moved.add(&run(&saved("INBOX", 2)));
        assert_eq!(moved.totals(2), Some((5, 0)));
        assert_eq!(moved.saved, by_mailbox(&[("INBOX", 5)]));
    }

    #[test]
    fn what_a_lost_run_moved_is_told_by_the_target() {
        let mut moved = Moved::default();
        moved.see_target(0, &target(&[("INBOX", 10), ("Old", 4)]));
        moved.add(&run(&saved("INBOX", 3)));
        // The second run was noted, and its worker was lost.
        let mut moved = carry(&moved);
        assert_eq!(moved.totals(2), None);
        moved.see_target(2, &target(&[("INBOX", 20), ("New", 1)]));
        assert_eq!(moved.saved, by_mailbox(&[("INBOX", 10), ("New", 1)]));
        assert_eq!(moved.expunged, by_mailbox(&[("Old", 4)]));
        assert_eq!(moved.totals(2), Some((11, 4)));
    }

    #[test]
    fn without_a_count_before_a_lost_run_stays_untold() {
        let mut moved = Moved::default();
        moved.see_target(1, &target(&[("INBOX", 20)]));
        assert_eq!((moved.totals(1), moved.saved.len()), (None, 0));
    }

    #[test]
    fn cut_names_get_their_length_back() {
        let long = format!("{}{}", "A mailbox whose name is ".repeat(3), "long");
        let mut moved = Moved::default();
        moved.add(&run(&saved(&format!("{}...", &long[..61]), 2)));
        moved.restore_names(["INBOX", &long].into_iter());
        assert_eq!(moved.saved, by_mailbox(&[(&long, 2)]));
    }

    #[test]
    fn names_are_bounded_and_no_mail_is_forgotten() {
        let mut moved = Moved::default();
        for number in 0..3 {
            let name = format!("{number}{}", "x".repeat(MAX_NAME_BYTES / 2));
            let mut counts = MailCounts::default();
            counts.saved = by_mailbox(&[(&name, 1)]);
            moved.add(&counts);
        }
        assert_eq!((moved.saved.len(), moved.totals(3)), (2, Some((3, 0))));
        assert_eq!(moved.saved[OTHER], 2);
    }
}
