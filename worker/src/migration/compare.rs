//! The source's mailboxes against the target's, folder by folder.
//!
//! Numbers of mails decide; sizes are reported only, since some servers lie about RFC822.SIZE.

use std::collections::BTreeMap;

use serde::Serialize;

use super::count::Counted;
use crate::doveadm::status::MailboxStatus;

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

/// A folder that the target calls otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Renamed {
    source: String,
    target: String,
}

/// What a comparison found. A folder without mail on one side is equal to none on the other: some
/// storages make parents of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) equal: bool,
    mailboxes: usize,
    missing: Vec<OneSided>,
    extra: Vec<OneSided>,
    different: Vec<Difference>,
    /// Folders with the same number of mails and another size.
    other_size: Vec<Difference>,
    /// Folders with another name on the target, which were compared all the same.
    renamed: Vec<Renamed>,
    /// Exclusions by special use can't be resolved to names: as many missing folders prove nothing.
    unresolved_exclusions: bool,
}

/// Folders by name.
type Folders<'c> = BTreeMap<&'c str, Size>;

fn folders(counted: &Counted) -> Folders<'_> {
    let size = |mailbox: &MailboxStatus| Size {
        messages: mailbox.messages.unwrap_or(0),
        vsize: mailbox.vsize.unwrap_or(0),
    };
    counted.0.iter().map(|mailbox| (canonical(&mailbox.mailbox), size(mailbox))).collect()
}

/// INBOX is the same in any case of letters (RFC 9051, 5.1).
fn canonical(mailbox: &str) -> &str {
    if mailbox.eq_ignore_ascii_case("INBOX") { "INBOX" } else { mailbox }
}

/// Whether doveadm's `-x` with one of these masks leaves the folder out, as 2.3.19 does it: a mask with a
/// star is a pattern, in which `*` stands for anything and `?` for one byte; without one it is the name.
/// Letters count as they are written, in INBOX too.
fn is_excluded(mailbox: &str, masks: &[&str]) -> bool {
    masks.iter().any(|mask| {
        if mask.contains('*') { matches_mask(mailbox.as_bytes(), mask.as_bytes()) } else { *mask == mailbox }
    })
}

fn matches_mask(text: &[u8], mask: &[u8]) -> bool {
    // The classic two-pointer walk: remembers the last star, so the cost is bounded by text × mask.
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match mask.get(next) {
            Some(b'*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(byte) if *byte == text[at] || *byte == b'?' => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((position, from)) => {
                    star = Some((position, from + 1));
                    at = from + 1;
                    next = position + 1;
                }
                None => return false,
            },
        }
    }
    mask[next..].iter().all(|byte| *byte == b'*')
}

/// A name in which everything is the same that servers and storages write in different ways: the folder
/// prefix is gone, so is that of a namespace `INBOX`, and a separator or a letter that a storage refuses
/// (`.`, `/`, `\`, control characters; dsync writes `_` instead) is `_`.
fn folded(mailbox: &str, prefix: Option<&str>) -> String {
    let is_separator = |c: char| matches!(c, '/' | '.' | '\\');
    let below = |name: &'_ str, prefix: &str| -> Option<String> {
        let prefix = prefix.trim_end_matches(is_separator);
        let rest = name.strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
        rest.strip_prefix(is_separator).filter(|rest| !rest.is_empty()).map(str::to_owned)
    };
    let mut name = mailbox.to_owned();
    for prefix in prefix.into_iter().chain(["INBOX"]) {
        name = below(&name, prefix).unwrap_or(name);
    }
    name.chars().map(|c| if is_separator(c) || c.is_control() { '_' } else { c }).collect()
}

/// Pairs that have one name, and what is left of both sides.
struct Paired<'c> {
    pairs: Vec<(&'c str, Size, &'c str, Size)>,
    source: Folders<'c>,
    target: Folders<'c>,
}

impl<'c> Paired<'c> {
    /// First those of one name; then, of what is left, those whose names are the same when folded: the only
    /// two of their kind, or two that hold the same number of mails.
    fn find(mut source: Folders<'c>, mut target: Folders<'c>, prefix: Option<&str>) -> Self {
        let mut pairs = Vec::new();
        source.retain(|name, size| match target.remove(name) {
            Some(other) => {
                pairs.push((*name, *size, *name, other));
                false
            }
            None => true,
        });
        let mut alike: BTreeMap<String, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for name in source.keys() {
            alike.entry(folded(name, prefix)).or_default().0.push(name);
        }
        for name in target.keys() {
            alike.entry(folded(name, prefix)).or_default().1.push(name);
        }
        for (ours, mut theirs) in alike.into_values() {
            let only = ours.len() == 1 && theirs.len() == 1;
            for name in ours {
                let size = source[name];
                let same = |other: &&str| only || target[*other].messages == size.messages;
                if let Some(at) = theirs.iter().position(same) {
                    let other = theirs.swap_remove(at);
                    pairs.push((name, size, other, target[other]));
                    target.remove(other);
                    source.remove(name);
                }
            }
        }
        Self { pairs, source, target }
    }
}

/// Compares what both sides hold, exclusions left out. `prefix` is what the source's folders lie below.
fn compare(source: &Counted, target: &Counted, excluded: &[String], prefix: Option<&str>) -> Report {
    let (special, masks): (Vec<&str>, Vec<&str>) =
        excluded.iter().map(String::as_str).partition(|mask| mask.starts_with('\\'));
    let kept = |counted| {
        let mut folders = folders(counted);
        folders.retain(|mailbox, _| !is_excluded(mailbox, &masks));
        folders
    };
    let mailboxes = source.0.len();
    let Paired { pairs, source, target } = Paired::find(kept(source), kept(target), prefix);
    let (mut different, mut other_size, mut renamed) = (vec![], vec![], vec![]);
    for (mailbox, source, other, target) in pairs {
        let difference = Difference { mailbox: mailbox.to_owned(), source, target };
        if source.messages != target.messages {
            different.push(difference);
        } else if source.vsize != target.vsize {
            other_size.push(difference);
        }
        if mailbox != other {
            renamed.push(Renamed { source: mailbox.to_owned(), target: other.to_owned() });
        }
    }
    let one_sided = |folders: Folders<'_>| -> Vec<OneSided> {
        let filled = folders.into_iter().filter(|(_, size)| size.messages > 0);
        filled.map(|(mailbox, size)| OneSided { mailbox: mailbox.to_owned(), size }).collect()
    };
    let (missing, extra) = (one_sided(source), one_sided(target));
    let unresolved_exclusions = !special.is_empty();
    // A missing folder may be the one that a special use excludes, which a mailbox has one of; INBOX never is.
    let excused = missing.len() <= special.len() && missing.iter().all(|folder| folder.mailbox != "INBOX");
    let equal = (missing.is_empty() || excused) && extra.is_empty() && different.is_empty();
    Report { equal, mailboxes, missing, extra, different, other_size, renamed, unresolved_exclusions }
}

impl Report {
    pub(super) fn sentence(&self) -> String {
        format!(
            "Source and target differ: {} folders are missing, {} are extra, {} hold another number of mails",
            self.missing.len(),
            self.extra.len(),
            self.different.len()
        )
    }

    /// With at most [`NAMED`] folders of each kind.
    pub(super) fn bounded(mut self) -> Self {
        self.missing.truncate(NAMED);
        self.extra.truncate(NAMED);
        self.different.truncate(NAMED);
        self.other_size.truncate(NAMED);
        self.renamed.truncate(NAMED);
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
pub(super) fn compare_as_known(
    source: &Counted,
    target: &Counted,
    excluded: &[String],
    prefix: Option<&str>,
) -> Option<Report> {
    if is_by_folder(source) && is_by_folder(target) {
        return Some(compare(source, target, excluded, prefix));
    }
    Some(compare(&total(source)?, &total(target)?, &[], None))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
