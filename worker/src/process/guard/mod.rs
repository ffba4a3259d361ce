//! The guard: `dmf-guard guard`, a process of its own between the worker and each child.
//!
//! It holds the lease's deadline on `CLOCK_BOOTTIME` and kills the child's whole family when that passes or when
//! the worker is gone, whatever state the worker is in. It is single-threaded, so that the parent-death signal of
//! its child means the guard's own end. `dmf-guard exec-child` is the process that becomes the child.
//!
//! Both are started for every child, so the program is small: what it costs is mostly what the system takes to start
//! it. `dmf-worker` has the same sub commands, for where `dmf-guard` is missing.

mod control;
mod family;
mod identity;
mod launch;
mod watch;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

pub(super) use identity::identity;

/// The name of the program, in its own directory and in the list of processes.
pub(super) const PROGRAM: &str = "dmf-guard";

/// What has the program say which one it is.
pub(super) const VERSION: &str = "--version";

/// The sub command of the guard.
pub(super) const GUARD: &str = "guard";

/// The sub command of the process that becomes the child.
const EXEC_CHILD: &str = "exec-child";

/// The exit code after arguments that say nothing, as of most programs.
const USAGE: u8 = 2;

/// `dmf-guard`. Its argument is one of the sub commands, or `--version`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|argument| argument == VERSION) {
        let said = writeln!(std::io::stdout(), "{}", identity());
        return if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    dispatch(args).unwrap_or_else(|| {
        // Nobody may listen, and then nobody wants to know.
        let _ = writeln!(std::io::stderr(), "{PROGRAM}: dmf-worker starts this beside each of its children");
        ExitCode::from(USAGE)
    })
}

/// Runs the guard or launches a child when the arguments of the process, its name first, say so; `None` when they
/// ask for something else. Must be the first call in `main`.
pub fn dispatch(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let command = args.next()?;
    if command == GUARD {
        Some(if watch::run().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    } else if command == EXEC_CHILD {
        // Comes back only when the child could not be started; the guard has been told.
        launch::run();
        Some(ExitCode::FAILURE)
    } else {
        None
    }
}
