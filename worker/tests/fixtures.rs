//! Captured runs of real doveadms against a table written by hand from what happened in each run.
//!
//! `fixtures/NAME.{cmd,rc,stdout,stderr}`; empty files are left out, `.cmd` is missing where the run was one of
//! several at once. Names with `v2321` and `v24` are of Dovecot 2.3.21.1 and 2.4.1, all others of 2.3.19.1;
//! in those with `sim` the source was a scripted IMAP server. The debug output of `backup_alice-D` is cut to its ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "fixtures/table/mod.rs"]
mod table;

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
use table::{COMMAND_AT_FAULT, COUNTED, ENDED, MOVED, Mails};

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
