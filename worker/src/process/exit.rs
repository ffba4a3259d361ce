//! How a child ended.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use serde::{Deserialize, Serialize};

/// How a process ended: by itself or by a signal, never mixed (no `128 + n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel says that it dumped a core.
        core: bool,
    },
}

impl Exit {
    /// Reads the status of a process that has been waited for.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal { signal: signal.unwrap_or(0), core: status.core_dumped() },
        }
    }
}

/// Why a child stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// By itself, or by something outside of the worker.
    Natural,
    /// The cancel signal; the child had the grace to end by itself, so that any [`Exit`] is possible.
    Cancelled,
    /// The step's own deadline; as with a cancel.
    TimedOut,
    /// The lease: killed at once. Nothing more of this migration may run.
    LeaseLost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Natural => "ended by itself",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed out",
            Self::LeaseLost => "the lease was lost",
        })
    }
}

/// What a child that ran to its end left.
#[derive(Debug)]
pub struct Finished {
    /// Code or signal.
    pub exit: Exit,
    /// Why it stopped.
    pub cause: Cause,
    /// The beginning of its standard output, at most `Spec::stdout_limit` bytes.
    pub stdout: Vec<u8>,
    /// Whether there was more standard output than kept.
    pub stdout_truncated: bool,
    /// The end of its standard error, at most `Spec::stderr_tail` bytes.
    pub stderr_tail: Vec<u8>,
    /// From the order to start until its end was reported, on the monotonic clock.
    pub duration: Duration,
}

/// The step at which a child's start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaunchStep {
    /// Making the process.
    Spawn,
    /// Writing its record into the state directory.
    Record,
    /// Handing it its description.
    Describe,
    /// Becoming the user it should run as.
    Privileges,
    /// Making its standard input.
    Input,
    /// Entering its working directory.
    Directory,
    /// Running the program.
    Exec,
}

impl fmt::Display for LaunchStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spawn => "making a process",
            Self::Record => "writing the record of the process",
            Self::Describe => "handing over its description",
            Self::Privileges => "changing to its user",
            Self::Input => "making its standard input",
            Self::Directory => "entering its working directory",
            Self::Exec => "running the program",
        })
    }
}
