//! Captured runs of real doveadms against a table written by hand from what happened in each run.
//!
//! `fixtures/NAME.{cmd,rc,stdout,stderr}`; empty files are left out, `.cmd` is missing where the run was one of
//! several at once. Names with `v2321` and `v24` are of Dovecot 2.3.21.1 and 2.4.1, all others of 2.3.19.1. The
//! debug output of `backup_alice-D` is cut to its ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use dmf_shared::domain::outcome::{
    Outcome::{self, *},
    Policy,
};
use dmf_worker::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, Judgement, judge},
    mail_log::{StderrReader, StderrReading},
};

/// A run that moved nothing and counted nothing.
const ENDED: &[(&str, Outcome)] = &[
    ("backup_alice-D", Success),
    ("backup_alice-v", Success),
    ("backup_odd_second", Changed),
    ("c01_success", Success),
    ("c02_wrong_password", Authentication),
    ("c03_unknown_host", Unreachable),
    ("c04_conn_refused", Unreachable),
    ("c05b_missing_host", Configuration),
    ("c06_bad_option", Success),
    ("c06b_bad_value", Configuration),
    ("c06d_no_dest", Configuration),
    ("c06e_bad_subcommand", Configuration),
    ("c06f_bad_flag", Configuration),
    ("c06h_missing_conf", Configuration),
    ("c06i_broken_conf", Configuration),
    ("c06j_ssl_to_plain", Unreachable),
    ("c07_hang_default", Unreachable),
    ("c07c_hang_T5", Unreachable),
    ("c07e_hang_status", Unreachable),
    ("c08_stall_midsync_cmdtimeout5", Success),
    ("c08b_stall_always_after_1500_cmdtimeout3", Temporary),
    ("c09_conn_reset_midsync", Success),
    ("c10c_source_stopped_midsync", Success),
    // doveadm obeys a signal with 75 and a warning; without that warning the signal itself is the end.
    ("c11_sigINT", Killed),
    ("c11_sigKILL", Killed),
    ("c11_sigTERM", Killed),
    ("c12_sigterm_while_stalled_11146", Killed),
    ("c13_unknown_target_user", TargetUser),
    ("c13b_status_unknown_target_user", TargetUser),
    // A quota that nothing enforces on dsync.
    ("c14_quota_exceeded", Success),
    ("c14b_quota_exceeded_count", Success),
    ("c14_quota_get", Success),
    ("c15b_home_readonly", Backend),
    ("c16c_concurrent_l5.b", Changed),
    ("c16d_concurrent_l1.b", Changed),
    ("c17b_slow_concurrent_l2.b", Temporary),
    ("c18_concurrent_no_l_mailbox_lock_30s", Temporary),
    ("d07_after_mailbox_delete", Diverged),
    ("d08_after_uidvalidity_change", Diverged),
    ("d08c_inbox_uidvalidity", Diverged),
    ("e01_userip_limit_backup", Limited),
    ("e01c_userip_limit_master", Limited),
    ("f02_forward_wrong_password", Authentication),
    ("f04_forward_unknown_host", Unreachable),
    ("f05_forward_userip", TargetUser),
    ("fmt_maildir_5_again", Diverged),
    // No auth daemon is running.
    ("g01_nodaemon_u", Temporary),
    ("g05_nodaemon_hostname", Unreachable),
    ("g06_daemon_hostname", Diverged),
    ("g09_status_unknown_field", Configuration),
    ("g10_status_nomatch", Success),
    ("h_mdbox_evil_backup2", Changed),
    ("h_sdbox_evil_backup2", Changed),
    ("j03_secret_memfd", Success),
    ("k01_source_changes_midsync", Temporary),
    ("k03_mailbox_deleted_midsync", Vanished),
    ("k04_target_delivery_midsync", Changed),
    // Run as a user who may not ask Dovecot's sockets: so would every other user's run here.
    ("l02_wrong_os_user", Backend),
    ("l04_status_as_nobody", Backend),
    ("l06_bad_port_range", Configuration),
    ("l07_unreachable_ip", Unreachable),
    ("r_uidv_a", Diverged),
    ("r_uidv_c", Diverged),
    ("s_uidvalidity_inbox_2", Diverged),
    ("v2321_conn_refused", Unreachable),
    ("v2321_maildir_diverged", Diverged),
    ("v2321_unknown_storage", Configuration),
    ("v2321_wrong_password", Authentication),
    ("v24_conn_refused", Unreachable),
    ("v24_maildir_diverged", Diverged),
    ("v24_unknown_host", Unreachable),
    ("v24_wrong_password", Authentication),
    ("x4_exclude_after_sync", Success),
];

type Mails = &'static [(&'static str, u64)];

/// A run that moved mails: saved, expunged.
const MOVED: &[(&str, Outcome, Mails, Mails)] = &[
    (
        "d01_initial",
        Success,
        &[
            ("Archive", 11),
            ("Archive/2023", 11),
            ("Archive/2024", 11),
            ("Drafts", 11),
            ("Entwürfe", 13),
            ("INBOX", 95),
            ("My Folder", 17),
            ("Sent", 11),
            ("Spam", 8),
            ("Trash", 12),
        ],
        &[],
    ),
    ("d04_backup_after_target_save", Diverged, &[], &[("INBOX", 86)]),
    ("d05_sync1_after_target_save", Success, &[("INBOX", 85)], &[]),
    (
        "d06_after_rename",
        Diverged,
        &[],
        &[("Archive", 11), ("Archive/2023", 11), ("Archive/2024", 11), ("Drafts", 11)],
    ),
    ("f01_forward_ok", Success, &[("INBOX", 150)], &[]),
    ("fmt_maildir_3_expunge", Success, &[], &[("INBOX", 5)]),
    ("fmt_maildir_4_target_diverged", Diverged, &[], &[("INBOX", 95)]),
    ("fmt_mdbox_3_expunge", Success, &[], &[("INBOX", 7)]),
    ("fmt_mdbox_4_target_diverged", Success, &[("INBOX", 92)], &[("INBOX", 93)]),
    ("fmt_sdbox_3_expunge", Success, &[], &[("INBOX", 6)]),
    ("k05_target_delivery_rerun", Diverged, &[], &[("INBOX", 499)]),
    ("maillog_odd", Success, ODD_CUT, &[]),
    ("r_uidv_b", Success, &[("INBOX", 94)], &[]),
    ("s_mboxdelete_1", Success, &[], &[("Spam", 11)]),
    (
        "s_rename_1",
        Success,
        &[("Arch", 8), ("Arch/2023", 14), ("Arch/2024", 18), ("Drafts-renamed", 10)],
        &[("Archive", 8), ("Archive/2023", 14), ("Archive/2024", 18), ("Drafts", 10)],
    ),
    ("s_uidvalidity_inbox_1", Diverged, &[], &[("INBOX", 94)]),
    ("s_uidvalidity_sent_1", Success, &[("Sent", 13)], &[("Sent", 13)]),
    ("v24_maillog_23style", Success, &[("INBOX", 150)], &[]),
    ("v24_maillog_24style", Success, &[("INBOX", 150)], &[]),
    ("v24_maillog_odd", Success, ODD_WHOLE, &[]),
    ("v24_odd_expunge", Success, &[], &[("Sent", 2)]),
    (
        "x2_exclude_wildcard",
        Success,
        &[("Archive", 11), ("Drafts", 11), ("Entwürfe", 10), ("INBOX", 97), ("My Folder", 13), ("Trash", 15)],
        &[],
    ),
];

const fn odd(long: &'static str) -> [(&'static str, u64); 25] {
    [
        ("#hash", 12),
        ("(paren) [br] {cu}", 10),
        ("Apostrophe's", 12),
        ("Archive", 15),
        ("Archive/2019", 11),
        ("Archive/2019/Q1", 9),
        ("Back\\slash", 10),
        ("Emoji 😀", 13),
        ("Entwürfe", 11),
        ("INBOX", 302),
        ("INBOX/Sub", 15),
        ("INBOX/Sub/Wïth Spâce", 16),
        ("LOWER", 13),
        ("Quote\"d \"x\"", 18),
        ("Sent", 13),
        ("Star*and?mark", 10),
        ("Trash", 13),
        ("With Space", 16),
        (long, 15),
        ("box=INBOX, uid=1", 9),
        ("equals=a, b: c", 13),
        ("lower", 9),
        ("trailing space ", 13),
        ("Ёлки & Co", 10),
        ("日本語/会議", 12),
    ]
}
/// A hundred times `a`, whole and as 2.3 cuts it.
const LONG: &str =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CUT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...";
const ODD_WHOLE: Mails = &odd(LONG);
const ODD_CUT: Mails = &odd(CUT);

/// A count: mailboxes, mails, bytes.
const COUNTED: &[(&str, Outcome, usize, u64, u64)] = &[
    ("g04_nodaemon_remote_status", Success, 1, 150, 172_348),
    ("g08_status_json_partial_evil", Configuration, 28, 585, 5_593_841),
    ("g12_status_totals", Success, 1, 0, 0),
    ("g13_status_fields_split", Success, 1, 0, 0),
    ("h_maildir_odd_status", Success, 29, 598, 5_614_993),
    ("i_maildir_noparent_status1", Success, 29, 60, 244_625),
    ("i_maildir_noparent_status2", Vanished, 27, 60, 244_625),
    ("i_mdbox_noparent_status2", Success, 27, 60, 244_625),
    ("j05_secret_memfd_weird", Success, 1, 0, 0),
    ("j06_argv_weird", Success, 1, 0, 0),
    ("n01_tabname_source_flow", Success, 6, 5, 4_539),
    ("n01_tabname_source_json", Success, 6, 5, 4_539),
    ("n01_tabname_source_tab", Success, 6, 5, 4_539),
    ("n03_tabname_target_tab", Success, 6, 5, 4_539),
    ("status_json_target_odd", Success, 27, 600, 4_886_581),
    ("status_remote_alice", Success, 1, 150, 172_348),
    ("status_remote_odd", Configuration, 28, 585, 5_593_841),
    ("status_tab_local_odd", Configuration, 28, 585, 5_593_841),
    ("status_tab_target_odd", Success, 27, 600, 4_886_581),
    ("v24_status_json", Success, 1, 150, 172_348),
    ("v24_status_odd", Success, 29, 600, 5_616_918),
    ("v24_status_remote_driver", Success, 1, 150, 172_348),
    // 2.4 ignores mail=imapc: and counted the local mailbox.
    ("v24_status_remote_mail", Configuration, 1, 150, 172_348),
];

/// Runs whose command would fail for every user of the host.
const COMMAND_AT_FAULT: [&str; 7] = [
    "c05b_missing_host",
    "c06d_no_dest",
    "c06e_bad_subcommand",
    "c06f_bad_flag",
    "g09_status_unknown_field",
    "v2321_unknown_storage",
    "v24_status_remote_mail",
];

fn file(name: &str, ending: &str) -> Vec<u8> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.{ending}"));
    fs::read(path).unwrap_or_default()
}

/// The words of a command line as the captures write it: quotes and spaces behind backslashes, `''` for nothing.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut escaped) = (Vec::new(), String::new(), false);
    for letter in line.trim().chars() {
        match letter {
            _ if escaped => {
                word.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            ' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words
}

fn read(name: &str) -> StderrReading {
    let mut reader = StderrReader::new();
    for piece in file(name, "stderr").chunks(37) {
        reader.feed(piece);
    }
    reader.finish()
}

fn judge_fixture(name: &str) -> Judgement {
    let stderr = read(name);
    let code = String::from_utf8(file(name, "rc")).unwrap().trim().parse().expect(name);
    let command = words(&String::from_utf8(file(name, "cmd")).unwrap());
    let kind = if command.len() == 1 { RunKind::Sync } else { RunKind::of_args(&command) };
    judge(JudgeInput {
        end: RunEnd::of_code(code),
        stderr: &stderr,
        stdout: &file(name, "stdout"),
        kind,
        success_code: 0,
        phase: None,
        master_user: false,
    })
}

fn check_class(name: &str, judgement: &Judgement, outcome: Outcome) {
    assert_eq!(judgement.outcome, outcome, "{name}: {judgement:#?}");
    let policy =
        if COMMAND_AT_FAULT.contains(&name) { Policy::SuspendHost } else { outcome.default_policy() };
    assert_eq!(judgement.policy, policy, "{name}: {judgement:#?}");
    assert_eq!(judgement.message.is_empty(), outcome == Success, "{name}: {judgement:#?}");
    assert!(judgement.message.len() < 4096 && !judgement.message.contains("backtrace"), "{name}");
}

fn mails(mails: Mails) -> BTreeMap<String, u64> {
    mails.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn runs_that_only_ended() {
    for (name, outcome) in ENDED {
        let judgement = judge_fixture(name);
        check_class(name, &judgement, *outcome);
        let moved = (judgement.saved.len(), judgement.expunged.len(), judgement.mailboxes.len());
        assert_eq!(moved, (0, 0, 0), "{name}");
    }
}

#[test]
fn runs_that_moved_mails() {
    for (name, outcome, saved, expunged) in MOVED {
        let judgement = judge_fixture(name);
        check_class(name, &judgement, *outcome);
        assert_eq!(judgement.saved, mails(saved), "{name}");
        assert_eq!(judgement.expunged, mails(expunged), "{name}");
        assert!(judgement.mailboxes.is_empty(), "{name}");
    }
}

#[test]
fn runs_that_counted() {
    for (name, outcome, mailboxes, messages, vsize) in COUNTED {
        let judgement = judge_fixture(name);
        check_class(name, &judgement, *outcome);
        assert!(judgement.saved.is_empty() && judgement.expunged.is_empty(), "{name}");
        let sum = |field: fn(&dmf_worker::doveadm::status::MailboxStatus) -> Option<u64>| {
            judgement.mailboxes.iter().filter_map(field).sum::<u64>()
        };
        let found =
            (judgement.mailboxes.len(), sum(|mailbox| mailbox.messages), sum(|mailbox| mailbox.vsize));
        assert_eq!(found, (*mailboxes, *messages, *vsize), "{name}");
    }
}

#[test]
fn every_captured_run_is_in_the_table_once() {
    let table = ENDED
        .iter()
        .map(|row| row.0)
        .chain(MOVED.iter().map(|row| row.0))
        .chain(COUNTED.iter().map(|row| row.0));
    let mut table: Vec<String> = table.map(str::to_owned).collect();
    table.sort();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut captured: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".rc")?.to_owned())).collect();
    captured.sort();
    assert_eq!(table, captured);
}

#[test]
fn names_of_mailboxes_come_whole_out_of_every_format() {
    let names =
        |name: &str| judge_fixture(name).mailboxes.into_iter().map(|row| row.mailbox).collect::<Vec<_>>();
    let odd = ["Tab\there", "Soh\u{1}x", "Cr\rx", "New\nline", "Plain", "INBOX"];
    for format in ["flow", "json", "tab"] {
        assert_eq!(names(&format!("n01_tabname_source_{format}")), odd, "{format}");
    }
    assert!(names("v24_status_odd").contains(&"日本語/会議".to_owned()));
    assert!(names("status_tab_target_odd").contains(&"box=INBOX, uid=1".to_owned()));
    assert_eq!(names("status_tab_target_odd"), names("status_json_target_odd"));
}

/// What was saved into an empty target is what the target then holds.
#[test]
fn saved_mails_equal_the_count_afterwards() {
    let counted = judge_fixture("status_json_target_odd").mailboxes;
    let mut counts = read("maillog_odd").counts().clone();
    counts.restore_names(&counted.iter().map(|row| row.mailbox.as_str()));
    let held = counted.iter().filter(|row| row.messages != Some(0));
    let held: BTreeMap<String, u64> = held.map(|row| (row.mailbox.clone(), row.messages.unwrap())).collect();
    assert_eq!(counts.saved, held);
}

#[test]
fn the_message_is_what_doveadm_said_before_it_aborted() {
    let said = |name: &str| judge_fixture(name).message;
    assert_eq!(
        said("c02_wrong_password"),
        "Failed to initialize user: imapc: Login to 127.0.0.1 failed: Authentication failed: [AUTHENTICATIONFAILED] Authentication failed."
    );
    assert_eq!(
        said("c04_conn_refused"),
        "Failed to initialize user: imapc: Login to 127.0.0.1 failed: Disconnected from server (imapc(127.0.0.1:11199): connect(127.0.0.1, 11199) failed: Connection refused - disconnecting)"
    );
    assert!(
        said("r_uidv_a")
            .starts_with("Couldn't delete mailbox INBOX: INBOX can't be deleted.; the target has changed")
    );
    assert!(said("c06f_bad_flag").starts_with("backup: invalid option -- 'Z'"));
    assert!(said("k04_target_delivery_midsync").contains("111 UIDs changed due to UID conflicts"));
    assert!(said("c12_sigterm_while_stalled_11146").contains("signal 9"));
}

#[test]
fn errors_are_kept_for_the_details() {
    let reading = read("k01_source_changes_midsync");
    let errors: Vec<&str> = reading.errors().collect();
    assert_eq!(errors.len(), 20);
    assert_eq!(errors[19], "dsync(chg): Error: Mailbox INBOX: Remote didn't send mail UID=506");
}
