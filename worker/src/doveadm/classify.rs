//! From how a run ended and what it said to its class.
//!
//! What standard error says goes before the code, because codes lie: a refused login comes as 75 or 77, 2.3.19
//! turns a failed login into an abort, a status count of the wrong mailbox ends with 0.

use dmf_shared::domain::outcome::{Outcome, Policy};

use super::{evidence::Evidence, signs::Sign};
use crate::process::Exit;

const SIGABRT: i32 = 6;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl RunEnd {
    /// Reads an exit code as a shell reports it: above 128 it is a signal.
    pub const fn of_code(code: i32) -> Self {
        if code > 128 && code <= 128 + 64 { Self::Signal(code - 128) } else { Self::Code(code) }
    }
}

impl From<Exit> for RunEnd {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::of_code(code),
            Exit::Signal { signal, .. } => Self::Signal(signal),
        }
    }
}

/// What was run, as far as judging needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// `backup` or `sync`.
    Sync,
    /// `mailbox status` of the local mailbox.
    LocalCount,
    /// `mailbox status` over imapc.
    RemoteCount,
    /// Any other command.
    Other,
}

impl RunKind {
    /// Reads it off an argv (or the words of a command line).
    pub fn of_args<T: AsRef<str>>(args: &[T]) -> Self {
        let has = |word: &str| args.iter().any(|arg| arg.as_ref() == word);
        let remote = args.iter().any(|arg| {
            let arg = arg.as_ref().strip_prefix("-o").unwrap_or(arg.as_ref());
            ["mail=imapc:", "mail_location=imapc:", "mail_driver=imapc"]
                .iter()
                .any(|set| arg.starts_with(set))
        });
        if args.windows(2).any(|pair| pair[0].as_ref() == "mailbox" && pair[1].as_ref() == "status") {
            if remote { Self::RemoteCount } else { Self::LocalCount }
        } else if has("backup") || has("sync") {
            Self::Sync
        } else {
            Self::Other
        }
    }
}

/// A class, why, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The class.
    pub outcome: Outcome,
    /// What follows by default.
    pub policy: Policy,
    /// What doveadm said, or what can be said for it. Bounded; without passwords.
    pub message: String,
}

/// Classifies a run.
pub fn classify(end: RunEnd, evidence: &Evidence, kind: RunKind, success_code: i32) -> Class {
    let code = match end {
        RunEnd::Signal(SIGABRT) if evidence.is_failed_login() => 75,
        RunEnd::Signal(signal) => {
            let said = evidence.last_error().map(|said| format!("; last: {said}")).unwrap_or_default();
            return class(Outcome::Killed, format!("ended by signal {signal}{said}"));
        }
        RunEnd::Code(code) if code == success_code => 0,
        RunEnd::Code(code) => code,
    };
    match code {
        0 => of_success(evidence, kind),
        2 => class(
            Outcome::Changed,
            evidence
                .desync()
                .or(evidence.last_error())
                .unwrap_or("mailboxes changed while they were synced")
                .to_owned(),
        ),
        _ => of_failure(code, evidence),
    }
}

/// An end that calls itself a success.
fn of_success(evidence: &Evidence, kind: RunKind) -> Class {
    const BELIED: [(Sign, Outcome); 4] = [
        (Sign::Diverged, Outcome::Diverged),
        (Sign::Limited, Outcome::Limited),
        (Sign::Authentication, Outcome::Authentication),
        (Sign::Quota, Outcome::Quota),
    ];
    for (sign, outcome) in BELIED {
        if let Some(said) = evidence.sign(sign) {
            return class(outcome, said.to_owned());
        }
    }
    if kind == RunKind::RemoteCount && !evidence.is_connected() {
        let message = "the count never reached the source (its output has no \"imapc(HOST:PORT): Connected to\"), so that it counted the local mailbox; Dovecot 2.4 wants -o mail_driver=imapc -o mail_path= instead of -o mail=imapc:";
        return Class {
            outcome: Outcome::Configuration,
            policy: Policy::SuspendHost,
            message: message.to_owned(),
        };
    }
    class(Outcome::Success, String::new())
}

fn of_failure(code: i32, evidence: &Evidence) -> Class {
    const BY_SIGN: [(Sign, Outcome); 9] = [
        (Sign::Diverged, Outcome::Diverged),
        (Sign::Limited, Outcome::Limited),
        (Sign::Authentication, Outcome::Authentication),
        (Sign::LoginTemporary, Outcome::Temporary),
        (Sign::Command, Outcome::Configuration),
        (Sign::Configuration, Outcome::Configuration),
        (Sign::Backend, Outcome::Backend),
        (Sign::Quota, Outcome::Quota),
        (Sign::TargetUser, Outcome::TargetUser),
    ];
    if evidence.is_killed() {
        return class(Outcome::Killed, format!("doveadm obeyed a signal and ended with code {code}"));
    }
    for (sign, outcome) in BY_SIGN {
        if let Some(said) = evidence.sign(sign) {
            let mut class = class(outcome, explain(evidence, said));
            if sign == Sign::Command {
                class.policy = Policy::SuspendHost;
            }
            if outcome == Outcome::Diverged {
                class.message.push_str(DIVERGED_HINT);
            }
            return class;
        }
    }
    if evidence.is_unreachable() {
        let said = evidence.sign(Sign::Connection).or(evidence.sign(Sign::LoginLost)).unwrap_or_default();
        return class(Outcome::Unreachable, explain(evidence, said));
    }
    let outcome = if evidence.is_denied_lookup() { Outcome::Backend } else { of_code(code) };
    class(
        outcome,
        evidence.last_error().map_or_else(|| format!("ended with code {code} and no word"), str::to_owned),
    )
}

const DIVERGED_HINT: &str = "; the target has changed in a way that it can't be made equal to the source again (new mail on the target, or a new UIDVALIDITY of the source's INBOX), and each further run expunges more of it: save what is new on the target, remove its mailbox and start afresh";

/// What a code says where no line said more: sysexits, as doveadm uses them.
const fn of_code(code: i32) -> Outcome {
    match code {
        64 | 65 | 66 | 72 | 78 | 84 | 89 | 126 | 127 => Outcome::Configuration,
        67 => Outcome::TargetUser,
        68 => Outcome::Vanished,
        73 => Outcome::Quota,
        71 | 74 | 80 | 81 | 82 => Outcome::Backend,
        77 => Outcome::Authentication,
        _ => Outcome::Temporary,
    }
}

/// The last error, and the line that decided where that is another.
fn explain(evidence: &Evidence, decisive: &str) -> String {
    match evidence.last_error() {
        Some(last) if last != decisive && !decisive.is_empty() => format!("{last} ({decisive})"),
        _ => decisive.to_owned(),
    }
}

fn class(outcome: Outcome, message: String) -> Class {
    Class { outcome, policy: outcome.default_policy(), message }
}
