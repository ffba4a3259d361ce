//! `dmf-worker judge`: what the worker would make of a run.

use std::path::PathBuf;

use clap::Args;
use dmf_shared::domain::migration::Phase;

use super::{Error, read};
use crate::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, Judgement, judge},
    mail_log::StderrReader,
};

/// How a run ended.
#[derive(Debug, Args)]
pub struct JudgeArguments {
    /// The exit code; above 128 it is read as the signal behind it.
    #[arg(long, value_name = "N", required_unless_present = "signal", conflicts_with = "signal")]
    exit: Option<i32>,
    /// The signal that ended it.
    #[arg(long, value_name = "N")]
    signal: Option<i32>,
    /// What it wrote to standard error.
    #[arg(long, value_name = "FILE")]
    stderr: PathBuf,
    /// What it wrote to standard output: given for a count.
    #[arg(long, value_name = "FILE")]
    stdout: Option<PathBuf>,
    /// The phase of the migration: `PRE_SYNC` or CUTOVER.
    #[arg(long, value_parser = parse_phase)]
    phase: Option<Phase>,
    /// Whether a master user logged in.
    #[arg(long)]
    master_user: bool,
}

fn parse_phase(text: &str) -> Result<Phase, String> {
    Phase::parse(text).ok_or_else(|| "must be PRE_SYNC or CUTOVER".to_owned())
}

/// The judgement over a run, from its files.
pub fn judge_files(arguments: &JudgeArguments) -> Result<Judgement, Error> {
    let mut reader = StderrReader::new();
    reader.feed(&read(&arguments.stderr)?);
    let stdout = arguments.stdout.as_deref().map(read).transpose()?;
    let end = match (arguments.signal, arguments.exit) {
        (Some(signal), _) => RunEnd::Signal(signal),
        (None, code) => RunEnd::of_code(code.unwrap_or(0)),
    };
    let stderr = reader.finish();
    let kind = kind_of(stdout.as_deref(), stderr.evidence().is_connected());
    Ok(judge(JudgeInput {
        end,
        stderr: &stderr,
        stdout: stdout.as_deref().unwrap_or_default(),
        kind,
        success_code: 0,
        phase: arguments.phase,
        master_user: arguments.master_user,
    }))
}

/// What ran, told from what it left: only a count writes to standard output, and whatever reaches the source says
/// so on standard error. A count of no mailbox at all may write nothing.
fn kind_of(stdout: Option<&[u8]>, is_connected: bool) -> RunKind {
    match stdout {
        None => RunKind::Sync,
        Some([]) if is_connected => RunKind::Sync,
        Some([]) => RunKind::LocalCount,
        Some(_) if is_connected => RunKind::RemoteCount,
        Some(_) => RunKind::LocalCount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_told_from_what_it_left() {
        for (stdout, connected, kind) in [
            (None, false, RunKind::Sync),
            (Some(&b""[..]), true, RunKind::Sync),
            (Some(b""), false, RunKind::LocalCount),
            (Some(b"[]"), false, RunKind::LocalCount),
            (Some(b"[]"), true, RunKind::RemoteCount),
        ] {
            assert_eq!(kind_of(stdout, connected), kind);
        }
    }
}
