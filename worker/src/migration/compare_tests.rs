use super::*;

fn counted(mailboxes: &[(&str, u64, u64)]) -> Counted {
    let status = |(mailbox, messages, vsize): &(&str, u64, u64)| MailboxStatus {
        mailbox: (*mailbox).to_owned(),
        messages: Some(*messages),
        vsize: Some(*vsize),
    };
    Counted(mailboxes.iter().map(status).collect())
}

/// Mailboxes with so many mails.
fn mails(mailboxes: &[(&str, u64)]) -> Counted {
    counted(&mailboxes.iter().map(|(name, messages)| (*name, *messages, 0)).collect::<Vec<_>>())
}

fn masks(masks: &[&str]) -> Vec<String> {
    masks.iter().map(|mask| (*mask).to_owned()).collect()
}

fn names(list: &[OneSided]) -> Vec<&str> {
    list.iter().map(|item| &item.mailbox[..]).collect()
}

fn renamed(report: &Report) -> Vec<(&str, &str)> {
    report.renamed.iter().map(|pair| (&pair.source[..], &pair.target[..])).collect()
}

#[test]
fn names_what_is_missing_extra_and_different() {
    let source = counted(&[("INBOX", 5, 50), ("A", 1, 10), ("B", 2, 20), ("Empty", 0, 0)]);
    let target = counted(&[("Inbox", 5, 50), ("B", 1, 10), ("C", 3, 30), ("Parent", 0, 0)]);
    let report = compare(&source, &target, &[], None);
    assert!(!report.equal);
    assert_eq!((names(&report.missing), names(&report.extra)), (vec!["A"], vec!["C"]));
    assert_eq!(report.different[0].mailbox, "B");
}

#[test]
fn sizes_are_reported_and_decide_nothing() {
    let report = compare(&counted(&[("INBOX", 5, 50)]), &counted(&[("INBOX", 5, 49)]), &[], None);
    assert!(report.equal && report.other_size.len() == 1);
}

#[test]
fn what_is_excluded_is_not_missing() {
    let source = mails(&[("INBOX", 1), ("Spam", 9), ("Old/2001", 9), ("Old/2002/x", 9)]);
    let target = mails(&[("INBOX", 1)]);
    let equal = |excluded: &[&str]| compare(&source, &target, &masks(excluded), None).equal;
    assert!(equal(&["Spam", "Old/*"]));
    assert!(!equal(&["Spam", "Old/%"]));
    assert!(!equal(&["Spam"]));
}

#[test]
fn an_exclusion_by_special_use_excuses_missing_folders_alone() {
    let special = masks(&["\\Junk"]);
    let report = |source: &[(&str, u64)], target: &[(&str, u64)]| {
        compare(&mails(source), &mails(target), &special, None)
    };
    let missing = report(&[("INBOX", 1), ("Junk", 9)], &[("INBOX", 1)]);
    assert!(missing.equal && missing.unresolved_exclusions && names(&missing.missing) == ["Junk"]);
    assert!(!report(&[("INBOX", 2), ("Junk", 9)], &[("INBOX", 1)]).equal, "INBOX differs");
    assert!(!report(&[("INBOX", 1), ("Junk", 9)], &[("INBOX", 1), ("Junk", 8)]).equal, "Junk differs");
    assert!(!report(&[("INBOX", 1)], &[]).equal, "INBOX is missing");
    assert!(!report(&[("Junk", 9), ("Sent", 9)], &[]).equal, "Sent is missing too");
    assert!(!report(&[("INBOX", 1)], &[("INBOX", 1), ("New", 1)]).equal, "New is extra");
}

#[test]
fn names_that_the_target_writes_otherwise_are_compared() {
    let source = mails(&[("INBOX", 1), ("a.b", 2), ("Tab\there", 3), ("x/y.z", 4), ("q..w", 0)]);
    let target = mails(&[("INBOX", 1), ("a_b", 2), ("Tab_here", 3), ("x/y_z", 4), ("x", 0), ("q__w", 0)]);
    let report = compare(&source, &target, &[], None);
    assert!(report.equal, "{report:?}");
    assert_eq!(
        renamed(&report),
        [("Tab\there", "Tab_here"), ("a.b", "a_b"), ("q..w", "q__w"), ("x/y.z", "x/y_z")]
    );
    let fewer = mails(&[("INBOX", 1), ("a_b", 1), ("Tab_here", 3), ("x/y_z", 4)]);
    assert_eq!(compare(&source, &fewer, &[], None).different[0].mailbox, "a.b");
}

#[test]
fn a_folder_that_another_one_has_overwritten_is_missing() {
    let source = mails(&[("a.b", 1), ("a_b", 1)]);
    let report = compare(&source, &mails(&[("a_b", 1)]), &[], None);
    assert!(!report.equal);
    assert_eq!(names(&report.missing), ["a.b"]);
}

#[test]
fn several_folders_of_one_kind_pair_by_their_mails() {
    let source = mails(&[("a.b", 1), ("a/b", 7)]);
    assert!(compare(&source, &mails(&[("a_b", 7), ("a\\b", 1)]), &[], None).equal);
    let report = compare(&source, &mails(&[("a_b", 7), ("a\\b", 2)]), &[], None);
    assert_eq!((names(&report.missing), names(&report.extra)), (vec!["a.b"], vec!["a\\b"]));
}

#[test]
fn separators_and_prefixes_of_both_sides_are_understood() {
    let target = mails(&[("INBOX", 1), ("Sent", 2), ("Old/2001", 3)]);
    for (source, prefix) in [
        ([("INBOX", 1), ("INBOX.Sent", 2), ("INBOX.Old.2001", 3)], None),
        ([("INBOX", 1), ("Mail/Sent", 2), ("Mail/Old/2001", 3)], Some("Mail/")),
        ([("INBOX", 1), ("Mail.Sent", 2), ("Mail.Old.2001", 3)], Some("Mail")),
        ([("INBOX", 1), ("Sent", 2), ("Old.2001", 3)], Some("Mail")),
    ] {
        assert!(compare(&mails(&source), &target, &[], prefix).equal, "{source:?}");
    }
    let source = mails(&[("INBOX", 1), ("Mail/Sent", 2)]);
    assert!(!compare(&source, &mails(&[("INBOX", 1), ("Sent", 2)]), &[], None).equal, "no prefix was told");
    let namespace = mails(&[("INBOX", 1), ("INBOX/Sent", 2)]);
    assert!(compare(&mails(&[("INBOX", 1), ("Sent", 2)]), &namespace, &[], None).equal);
}

#[test]
fn a_count_without_folders_is_compared_in_all() {
    let folders = counted(&[("INBOX", 5, 50), ("A", 1, 10)]);
    assert!(compare_as_known(&counted(&[("", 6, 60)]), &folders, &[], None).unwrap().equal);
    assert!(!compare_as_known(&counted(&[("", 7, 60)]), &folders, &[], None).unwrap().equal);
    let mut numberless = folders.clone();
    numberless.0[0].messages = None;
    assert!(compare_as_known(&numberless, &folders, &[], None).is_none());
}

/// As `doveadm backup -x` of 2.3.19 was seen to do it.
#[test]
fn masks_match_like_those_of_doveadm() {
    for (text, mask, matches) in [
        ("Spam", "Spam", true),
        ("Spam", "spam", false),
        ("INBOX", "INBOX", true),
        ("INBOX", "inbox", false),
        ("INBOX", "inb*", false),
        ("Archive/2021", "Archive/*", true),
        ("Archive/2021", "Archive/%", false),
        ("Archive", "A%", false),
        ("Archive", "Ar*", true),
        ("Archive/2021", "Ar*", true),
        ("Archive", "A?ch*", true),
        ("Archive", "*A%h*", false),
        ("Archive", "Archiv?", false),
        ("Archive/2021", "Archiv?/*", true),
        ("Archive/2021", "Archive/20??*", true),
        ("Archive", "A[r]*", false),
        ("abc", "*b*", true),
        ("", "*", true),
        ("x", "", false),
    ] {
        assert_eq!(is_excluded(text, &[mask]), matches, "{text} {mask}");
    }
}
