//! One verdict over one run: class, policy, what moved, what was counted.

use std::collections::BTreeMap;

use dmf_shared::domain::{
    migration::Phase,
    outcome::{Outcome, Policy},
};
use serde::Serialize;

use super::{
    classify::{RunEnd, RunKind, classify},
    mail_log::StderrReading,
    status::{self, MailboxStatus},
};

/// All that is known about a run that ended.
#[derive(Debug, Clone, Copy)]
pub struct JudgeInput<'r> {
    /// How it ended.
    pub end: RunEnd,
    /// What was read from its standard error.
    pub stderr: &'r StderrReading,
    /// Its standard output.
    pub stdout: &'r [u8],
    /// What was run.
    pub kind: RunKind,
    /// The exit code that means success; 0 as a rule.
    pub success_code: i32,
    /// What the migration is for, where known.
    pub phase: Option<Phase>,
    /// Whether one master user logs in for all users of the host.
    pub master_user: bool,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The class.
    pub outcome: Outcome,
    /// What follows by default.
    pub policy: Policy,
    /// Why, in doveadm's own words where it has some; empty for a success. At most some KiB, no passwords.
    pub message: String,
    /// Mails saved on the target, by mailbox.
    pub saved: BTreeMap<String, u64>,
    /// Mails expunged on the target, by mailbox.
    pub expunged: BTreeMap<String, u64>,
    /// What a count found; partial where the run failed.
    pub mailboxes: Vec<MailboxStatus>,
}

/// Judges a run.
pub fn judge(input: JudgeInput<'_>) -> Judgement {
    let class = classify(input.end, input.stderr.evidence(), input.kind, input.success_code);
    let mailboxes = match input.kind {
        RunKind::LocalCount | RunKind::RemoteCount => status::parse(input.stdout).mailboxes,
        RunKind::Sync | RunKind::Other => Vec::new(),
    };
    let mut message = class.message;
    match (class.outcome, input.phase) {
        (Outcome::Changed, Some(Phase::Cutover)) => {
            message.push_str("; a CUTOVER needs a run without changes");
        }
        (Outcome::Authentication, _) if input.master_user => {
            message
                .push_str("; a master user logs in here: other users of this host are likely to fail alike");
        }
        _ => {}
    }
    Judgement {
        outcome: class.outcome,
        policy: class.policy,
        message,
        saved: input.stderr.counts().saved.clone(),
        expunged: input.stderr.counts().expunged.clone(),
        mailboxes,
    }
}
