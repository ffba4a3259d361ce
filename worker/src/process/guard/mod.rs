//! The guard: `dmf-worker guard`, a process of its own between the worker and each child.
//!
//! It holds the lease's deadline on `CLOCK_BOOTTIME` and kills the child's whole family when that passes or when
//! the worker is gone, whatever state the worker is in. It is single-threaded, so that the parent-death signal of
//! its child means the guard's own end, and it runs before anything else of the program is set up, so that it
//! costs little. `dmf-worker exec-child` is the process that becomes the child.

mod control;
mod family;
mod launch;
mod watch;

use std::{ffi::OsString, process::ExitCode};

/// The sub command of the guard.
pub(super) const GUARD: &str = "guard";

/// The sub command of the process that becomes the child.
const EXEC_CHILD: &str = "exec-child";

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
