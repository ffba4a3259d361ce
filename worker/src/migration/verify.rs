//! Verification: the source's mailboxes against the target's, folder by folder.
//!
//! Numbers of mails decide; sizes are reported only, since some servers lie about RFC822.SIZE.

use std::collections::BTreeMap;

use dmf_shared::domain::migration::Phase;
use serde::Serialize;
use serde_json::json;

use super::{Gathered, Runner, count::Counted, details::Block, sync::Synced};
use crate::{doveadm::status::MailboxStatus, held::Held, settings::Verification};

/// Most folders that a report names of each kind; its numbers are of all.
const NAMED: usize = 100;

/// Mails and bytes of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Size {
    messages: u64,
    vsize: u64,
}

/// A folder whose numbers of mails differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    mailbox: String,
    source: Size,
    target: Size,
}

/// A folder that one side alone has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct OneSided {
    mailbox: String,
    #[serde(flatten)]
    size: Size,
}

/// What a comparison found. A folder without mail on one side is equal to none on the other: some
/// storages make parents of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    equal: bool,
    mailboxes: usize,
    missing: Vec<OneSided>,
    extra: Vec<OneSided>,
    different: Vec<Difference>,
    /// Folders with the same number of mails and another size.
    other_size: Vec<Difference>,
    /// Exclusions by special use can't be resolved to names: differences then prove nothing.
    unresolved_exclusions: bool,
}

fn sizes(mailboxes: &[MailboxStatus]) -> BTreeMap<&str, Size> {
    let size = |mailbox: &MailboxStatus| Size {
        messages: mailbox.messages.unwrap_or(0),
        vsize: mailbox.vsize.unwrap_or(0),
    };
    mailboxes.iter().map(|mailbox| (canonical(&mailbox.mailbox), size(mailbox))).collect()
}

/// INBOX is the same in any case of letters (RFC 9051, 5.1).
fn canonical(mailbox: &str) -> &str {
    if mailbox.eq_ignore_ascii_case("INBOX") { "INBOX" } else { mailbox }
}

/// Whether doveadm's `-x` with one of these masks leaves the folder out. `*` stands for anything, `%` for
/// anything without a separator.
fn is_excluded(mailbox: &str, masks: &[String]) -> bool {
    masks.iter().any(|mask| matches_mask(canonical(mailbox).as_bytes(), canonical(mask).as_bytes()))
}

fn matches_mask(text: &[u8], mask: &[u8]) -> bool {
    // The classic two-pointer walk: remembers the last star, so the cost is bounded by text × mask.
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match mask.get(next) {
            Some(b'*' | b'%') => {
                star = Some((next, at));
                next += 1;
            }
            Some(byte) if *byte == text[at] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((position, from)) if mask[position] == b'*' || !matches!(text[from], b'/' | b'.') => {
                    star = Some((position, from + 1));
                    at = from + 1;
                    next = position + 1;
                }
                _ => return false,
            },
        }
    }
    mask[next..].iter().all(|byte| matches!(byte, b'*' | b'%'))
}

/// Compares what both sides hold, exclusions left out.
pub(super) fn compare(source: &Counted, target: &Counted, excluded: &[String]) -> Report {
    let (special, masks): (Vec<_>, Vec<_>) =
        excluded.iter().cloned().partition(|mask| mask.starts_with('\\'));
    let (source, target) = (sizes(&source.0), sizes(&target.0));
    let (mut missing, mut extra, mut different, mut other_size) = (vec![], vec![], vec![], vec![]);
    for (mailbox, size) in source.iter().filter(|(mailbox, _)| !is_excluded(mailbox, &masks)) {
        let mailbox = (*mailbox).to_owned();
        match target.get(&mailbox[..]) {
            None if size.messages > 0 => missing.push(OneSided { mailbox, size: *size }),
            Some(other) if other.messages != size.messages => {
                different.push(Difference { mailbox, source: *size, target: *other });
            }
            Some(other) if other.vsize != size.vsize => {
                other_size.push(Difference { mailbox, source: *size, target: *other });
            }
            _ => {}
        }
    }
    for (mailbox, size) in &target {
        let excluded = is_excluded(mailbox, &masks);
        if size.messages > 0 && !excluded && !source.contains_key(mailbox) {
            extra.push(OneSided { mailbox: (*mailbox).to_owned(), size: *size });
        }
    }
    let unresolved_exclusions = !special.is_empty();
    let differs = !(missing.is_empty() && extra.is_empty() && different.is_empty());
    Report {
        equal: !differs || unresolved_exclusions,
        mailboxes: source.len(),
        missing,
        extra,
        different,
        other_size,
        unresolved_exclusions,
    }
}

impl Report {
    fn sentence(&self) -> String {
        format!(
            "Source and target differ: {} folders are missing, {} are extra, {} hold another number of mails",
            self.missing.len(),
            self.extra.len(),
            self.different.len()
        )
    }

    /// With at most [`NAMED`] folders of each kind.
    fn bounded(mut self) -> Self {
        self.missing.truncate(NAMED);
        self.extra.truncate(NAMED);
        self.different.truncate(NAMED);
        self.other_size.truncate(NAMED);
        self
    }
}

/// Whether the count names its folders and their numbers; a configured status command may not.
fn is_by_folder(counted: &Counted) -> bool {
    counted.0.iter().all(|mailbox| !mailbox.mailbox.is_empty() && mailbox.messages.is_some())
}

/// Only the totals, where a side does not name its folders.
fn total(counted: &Counted) -> Option<Counted> {
    let known = counted.0.iter().all(|mailbox| mailbox.messages.is_some());
    let (messages, vsize) = (Some(counted.messages()), Some(counted.vsize()));
    known.then(|| Counted(vec![MailboxStatus { mailbox: "all folders".to_owned(), messages, vsize }]))
}

/// Compares folder by folder, or, where a side does not name its folders, in all; `None` where a side
/// gives no numbers.
fn compare_as_known(source: &Counted, target: &Counted, excluded: &[String]) -> Option<Report> {
    if is_by_folder(source) && is_by_folder(target) {
        return Some(compare(source, target, excluded));
    }
    Some(compare(&total(source)?, &total(target)?, &[]))
}

impl Runner {
    /// Whether source and target are compared at all.
    fn verifies(&self) -> bool {
        let counts = self.settings.count;
        self.settings.sync.verification != Verification::Off && counts.local_post && counts.remote
    }

    /// Whether the comparison decides about this migration.
    pub(super) fn gates(&self, held: &Held) -> bool {
        self.verifies()
            && self.settings.sync.verification == Verification::Gate
            && held.claimed.phase == Phase::Cutover
    }

    /// Compares and reports; a CUTOVER that does not match, or that can't be compared, fails where the
    /// settings gate it.
    pub(super) fn verify(
        &self,
        held: &Held,
        source: Option<&Counted>,
        target: Option<&Counted>,
        gathered: &mut Gathered,
    ) -> Synced {
        if !self.verifies() {
            return Synced::Yes;
        }
        let gates = self.gates(held);
        let mut block = Block::default();
        let excluded = &held.claimed.user.exclude_folders;
        let report =
            source.zip(target).and_then(|(source, target)| compare_as_known(source, target, excluded));
        let equal = if let Some(report) = report {
            let equal = report.equal;
            block.set("success", equal || !gates).set("equal", equal);
            if !equal {
                tracing::warn!(gates, "{}", report.sentence());
                block.set("errors", json!([report.sentence()]));
            }
            gathered.verification = Some(json!(report.bounded()));
            equal
        } else {
            let sentence =
                "Source and target can't be compared, because a count failed or gives no numbers of mails";
            block.set("success", !gates).set("errors", json!([sentence]));
            false
        };
        gathered.details.push("verification", block);
        if equal || !gates { Synced::Yes } else { Synced::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(mailboxes: &[(&str, u64, u64)]) -> Counted {
        let status = |(mailbox, messages, vsize): &(&str, u64, u64)| MailboxStatus {
            mailbox: (*mailbox).to_owned(),
            messages: Some(*messages),
            vsize: Some(*vsize),
        };
        Counted(mailboxes.iter().map(status).collect())
    }

    #[test]
    fn names_what_is_missing_extra_and_different() {
        let source = counted(&[("INBOX", 5, 50), ("A", 1, 10), ("B", 2, 20), ("Empty", 0, 0)]);
        let target = counted(&[("Inbox", 5, 50), ("B", 1, 10), ("C", 3, 30), ("Parent", 0, 0)]);
        let report = compare(&source, &target, &[]);
        assert!(!report.equal);
        let names = |list: &[OneSided]| list.iter().map(|item| item.mailbox.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&report.missing), names(&report.extra)),
            (vec!["A".to_owned()], vec!["C".to_owned()])
        );
        assert_eq!(report.different[0].mailbox, "B");
    }

    #[test]
    fn sizes_are_reported_and_decide_nothing() {
        let report = compare(&counted(&[("INBOX", 5, 50)]), &counted(&[("INBOX", 5, 49)]), &[]);
        assert!(report.equal && report.other_size.len() == 1);
    }

    #[test]
    fn what_is_excluded_is_not_missing() {
        let source = counted(&[("INBOX", 1, 1), ("Spam", 9, 9), ("Old/2001", 9, 9), ("Old/2002/x", 9, 9)]);
        let target = counted(&[("INBOX", 1, 1)]);
        let excluded = |masks: &[&str]| masks.iter().map(|mask| (*mask).to_owned()).collect::<Vec<_>>();
        assert!(compare(&source, &target, &excluded(&["Spam", "Old/*"])).equal);
        assert!(!compare(&source, &target, &excluded(&["Spam", "Old/%"])).equal);
        let special = compare(&source, &target, &excluded(&["\\Junk"]));
        assert!(special.equal && special.unresolved_exclusions);
    }

    #[test]
    fn a_count_without_folders_is_compared_in_all() {
        let folders = counted(&[("INBOX", 5, 50), ("A", 1, 10)]);
        assert!(compare_as_known(&counted(&[("", 6, 60)]), &folders, &[]).unwrap().equal);
        assert!(!compare_as_known(&counted(&[("", 7, 60)]), &folders, &[]).unwrap().equal);
        let mut numberless = folders.clone();
        numberless.0[0].messages = None;
        assert!(compare_as_known(&numberless, &folders, &[]).is_none());
    }

    #[test]
    fn masks_match_like_those_of_imap() {
        for (text, mask, matches) in [
            ("Spam", "Spam", true),
            ("Spam", "spam", false),
            ("inbox", "INBOX", true),
            ("a/b/c", "a/*", true),
            ("a/b/c", "a/%", false),
            ("a/b", "a/%", true),
            ("abc", "*b*", true),
            ("abc", "%c%", true),
            ("a/c", "%c", false),
            ("", "*", true),
            ("x", "", false),
        ] {
            assert_eq!(is_excluded(text, &[mask.to_owned()]), matches, "{text} {mask}");
        }
    }
}
