//! From how a run ended and what it said to its class.
//!
//! What standard error says goes before the code, because codes lie: a refused login comes as 75 or 77, 2.3.19
//! turns a failed login into an abort, a status count of the wrong mailbox ends with 0.

use dmf_shared::domain::outcome::{Outcome, Policy};
use nix::sys::signal::Signal;

use super::{evidence::Evidence, signs::Sign};
use crate::process::Exit;

/// Signals by which a program ends itself: an abort, and what a fault in it comes to. Nobody sends them.
const OF_A_CRASH: [Signal; 7] = [
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
];

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
            arg.split_once('=').is_some_and(|(key, value)| names_source(key, value))
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

/// Whether a setting puts the remote mailbox into the place of the local one, in the words of either dialect.
pub(super) fn names_source(key: &str, value: &str) -> bool {
    match key {
        "mail" | "mail_location" => value.starts_with("imapc:"),
        "mail_driver" => value == "imapc",
        _ => false,
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
    match end {
        RunEnd::Signal(signal) if evidence.is_explained() && is_crash(signal) => of_failure(75, evidence),
        // Whoever killed it: another run would destroy more.
        RunEnd::Signal(_) if evidence.sign(Sign::Diverged).is_some() => of_failure(75, evidence),
        RunEnd::Signal(signal) => {
            let said = evidence.last_error().map(|said| format!("; last: {said}")).unwrap_or_default();
            class(Outcome::Killed, format!("ended by signal {signal}{said}"))
        }
        RunEnd::Code(code) if code == success_code || code == 0 => of_success(evidence, kind),
        RunEnd::Code(code) => of_failure(code, evidence),
    }
}

fn is_crash(signal: i32) -> bool {
    OF_A_CRASH.iter().any(|crash| *crash as i32 == signal)
}

/// An end that calls itself a success.
fn of_success(evidence: &Evidence, kind: RunKind) -> Class {
    const BELIED: [(Sign, Outcome); 4] = [
        (Sign::Diverged, Outcome::Diverged),
        (Sign::Limited, Outcome::Limited),
        (Sign::Authentication, Outcome::Authentication),
        (Sign::Quota, Outcome::Quota),
    ];
    /// A count passes over what it can't read; a sync ends with another code.
    const BELIED_COUNT: [(Sign, Outcome); 1] = [(Sign::Backend, Outcome::Backend)];
    let counts = matches!(kind, RunKind::LocalCount | RunKind::RemoteCount);
    let further = if counts { BELIED_COUNT.as_slice() } else { &[] };
    for (sign, outcome) in BELIED.iter().chain(further) {
        if let Some(said) = evidence.sign(*sign) {
            return class(*outcome, said.to_owned());
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

/// A desync ends with 2, whatever else went wrong: dsync then keeps the code of no other failure but 75.
const DESYNC: i32 = 2;

fn of_failure(code: i32, evidence: &Evidence) -> Class {
    if evidence.is_killed() {
        return class(Outcome::Killed, format!("doveadm obeyed a signal and ended with code {code}"));
    }
    if let Some(class) = of_signs(evidence) {
        return class;
    }
    if code == DESYNC {
        let said = evidence.desync().or(evidence.last_error());
        return class(
            Outcome::Changed,
            said.unwrap_or("mailboxes changed while they were synced").to_owned(),
        );
    }
    match evidence.warned() {
        Some((Sign::Limited, said)) => return class(Outcome::Limited, explain(evidence, said)),
        Some((_, said)) if evidence.is_unreachable() => {
            return class(Outcome::Temporary, explain(evidence, said));
        }
        _ => {}
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

/// What the lines of a failed run say, the weightiest sign first.
fn of_signs(evidence: &Evidence) -> Option<Class> {
    const BY_SIGN: [(Sign, Outcome); 10] = [
        (Sign::Diverged, Outcome::Diverged),
        (Sign::Limited, Outcome::Limited),
        (Sign::Authentication, Outcome::Authentication),
        (Sign::LoginTemporary, Outcome::Temporary),
        (Sign::Command, Outcome::Configuration),
        (Sign::Configuration, Outcome::Configuration),
        (Sign::Backend, Outcome::Backend),
        (Sign::Quota, Outcome::Quota),
        (Sign::TargetUser, Outcome::TargetUser),
        (Sign::Busy, Outcome::Temporary),
    ];
    let (sign, outcome, said) =
        BY_SIGN.iter().find_map(|(sign, outcome)| Some((*sign, *outcome, evidence.sign(*sign)?)))?;
    let mut class = class(outcome, explain(evidence, said));
    if sign == Sign::Command {
        class.policy = Policy::SuspendHost;
    }
    if outcome == Outcome::Diverged {
        class.message.push_str(DIVERGED_HINT);
    }
    Some(class)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doveadm::mail_log::StderrReader;

    fn outcome(end: RunEnd, kind: RunKind, stderr: &str) -> Outcome {
        let mut reader = StderrReader::new();
        reader.feed(stderr.as_bytes());
        classify(end, reader.finish().evidence(), kind, 0).outcome
    }

    const DESYNC_LINE: &str =
        "dsync(a): Warning: Mailbox changes caused a desync. You may want to run dsync again: x\n";

    #[test]
    fn a_desync_hides_no_other_failure() {
        for (said, expected) in [
            (
                "dsync(a): Error: Mailbox INBOX sync: mailbox_delete failed: INBOX can't be deleted.\n",
                Outcome::Diverged,
            ),
            (
                "dsync(a): Error: Mailbox INBOX: Saving failed: Quota exceeded (mailbox for user is full)\n",
                Outcome::Quota,
            ),
            ("dsync(a): Error: write(/m/x) failed: No space left on device\n", Outcome::Backend),
            ("dsync(a): Warning: Killed with signal 15 (by pid=1 uid=0 code=kill)\n", Outcome::Killed),
            ("dsync(a): Error: Can't open mailbox Shared: Permission denied\n", Outcome::Changed),
            ("", Outcome::Changed),
        ] {
            assert_eq!(
                outcome(RunEnd::Code(2), RunKind::Sync, &format!("{said}{DESYNC_LINE}")),
                expected,
                "{said}"
            );
        }
    }

    #[test]
    fn an_abort_means_what_was_said_before_it() {
        let panic = "dsync(a): Panic: file x.c: line 1\ndsync(a): Error: Raw backtrace: /usr/lib/x\n";
        for (said, expected) in [
            (
                "dsync(a): Error: imapc_list_prefix must not end with hierarchy separator\n",
                Outcome::Configuration,
            ),
            ("dsync(a): Error: write(/m/x) failed: No space left on device\n", Outcome::Backend),
            ("dsync(a): Error: something else\n", Outcome::Killed),
            ("", Outcome::Killed),
        ] {
            assert_eq!(
                outcome(RunEnd::of_code(134), RunKind::Sync, &format!("{said}{panic}")),
                expected,
                "{said}"
            );
        }
    }

    /// Which signal it was decides less than what was said: a crash after an explanation is that failure. Who is
    /// killed from outside proves nothing by what it said before, but that a mailbox has diverged.
    #[test]
    fn a_crash_is_what_was_said_before_it_and_a_kill_is_a_kill() {
        let config = "doveadm(a): Fatal: Error reading configuration: Invalid setting x\n";
        let refused = "dsync(a): Error: imapc(h:1): Authentication failed: [AUTHENTICATIONFAILED] x\n";
        let diverged = "dsync(a): Error: Couldn't delete mailbox INBOX: INBOX can't be deleted.\n";
        let full = "dsync(a): Error: write(/m/x) failed: No space left on device\n";
        for (signal, said, expected) in [
            (11, config, Outcome::Configuration),
            (7, refused, Outcome::Authentication),
            (8, full, Outcome::Backend),
            (11, "dsync(a): Error: something else\n", Outcome::Killed),
            (11, "", Outcome::Killed),
            (9, config, Outcome::Killed),
            (15, refused, Outcome::Killed),
            (9, full, Outcome::Killed),
            (9, diverged, Outcome::Diverged),
            (11, diverged, Outcome::Diverged),
        ] {
            assert_eq!(outcome(RunEnd::Signal(signal), RunKind::Sync, said), expected, "{signal}: {said}");
            assert_eq!(outcome(RunEnd::of_code(128 + signal), RunKind::Sync, said), expected);
        }
    }

    #[test]
    fn warnings_decide_only_where_errors_are_silent() {
        let limited = "dsync(a): Warning: imapc(h:1): Server disconnected with message: Too many connections - reconnecting (delay 0 ms)\n";
        let lost = "dsync(a): Error: Failed to initialize user: imapc: Login to h failed: Authentication failed: Disconnected from server\n";
        let full = "dsync(a): Error: write(/m/x) failed: No space left on device\n";
        let lost_after = format!("{limited}{lost}");
        assert_eq!(outcome(RunEnd::of_code(134), RunKind::Sync, &lost_after), Outcome::Limited);
        assert_eq!(outcome(RunEnd::Code(75), RunKind::Sync, &format!("{limited}{full}")), Outcome::Backend);
        assert_eq!(outcome(RunEnd::Code(0), RunKind::Sync, limited), Outcome::Success);
    }

    #[test]
    fn a_count_that_passed_over_mailboxes_is_none() {
        for said in [
            "doveadm(a): Error: mkdir(/mail/a) failed: Read-only file system\n",
            "doveadm(a): Error: stat(/mail/a) failed: Permission denied (euid=8(mail) egid=8(mail))\n",
        ] {
            assert_eq!(outcome(RunEnd::Code(0), RunKind::LocalCount, said), Outcome::Backend);
            assert_eq!(outcome(RunEnd::Code(0), RunKind::Sync, said), Outcome::Success);
        }
    }

    #[test]
    fn a_broken_listing_is_a_login_only_where_listing_logs_in() {
        let connected = "dsync(a): Info: imapc(h:1): Connected to 10.0.0.1:143\n";
        let lost = "dsync(a): Error: imapc(h:1): Server disconnected unexpectedly: EOF - disconnecting\n";
        let listing = |brain: &str| {
            format!(
                "{connected}{lost}dsync(a): Error: {brain}Mailbox listing for namespace '' failed: Internal error occurred.\n"
            )
        };
        assert_eq!(outcome(RunEnd::Code(75), RunKind::Sync, &listing("")), Outcome::Temporary);
        assert_eq!(outcome(RunEnd::Code(75), RunKind::Sync, &listing("brain S: ")), Outcome::Unreachable);
    }

    #[test]
    fn the_remote_mailbox_is_seen_in_every_spelling() {
        for (args, kind) in [
            (["-o", "mail=imapc:", "mailbox", "status"], RunKind::RemoteCount),
            (["-o", "mail_location=imapc:~/imapc", "mailbox", "status"], RunKind::RemoteCount),
            (["-o", "mail_driver=imapc", "mailbox", "status"], RunKind::RemoteCount),
            (["-o", "mail=mdbox:~/imapc:", "mailbox", "status"], RunKind::LocalCount),
        ] {
            assert_eq!(RunKind::of_args(&args), kind, "{args:?}");
        }
    }
}
