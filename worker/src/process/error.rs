//! What can go wrong with a child, apart from how it ends.

use std::{io, path::PathBuf};

use super::{
    exit::{Cause, LaunchStep},
    frame,
};

/// A child that could not be run to its end. Never holds an argument, a variable's value or an input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The child could not be started: no such program, no permission, no such directory.
    #[error("{} cannot be started: {step}", program.display())]
    Start {
        /// The program of the child.
        program: PathBuf,
        /// Where it failed.
        step: LaunchStep,
        /// The system's reason.
        source: io::Error,
    },
    /// The child was not started, because it had to stop before.
    #[error("not started: {cause}")]
    NotStarted {
        /// Why; never [`Cause::Natural`].
        cause: Cause,
    },
    /// The guard died or froze and had to be killed; the child is dead, how it ended is not known.
    #[error("the guard of the child process was lost")]
    GuardLost,
    /// Processes that SIGKILL did not end in time, for example in an uninterruptible wait for a disk. Its record
    /// stays in the state directory.
    #[error("{count} process(es) of the child still live after SIGKILL")]
    Survivors {
        /// How many of them are known.
        count: usize,
    },
    /// A child's arguments and environment, or its input, are over the bound.
    #[error("the child's description cannot be handed to its guard")]
    Description(#[source] frame::FrameError),
    /// The guard said what this version does not understand.
    #[error("the guard of the child process cannot be understood")]
    Protocol(#[source] frame::FrameError),
    /// The state directory cannot be used.
    #[error("state directory {}", path.display())]
    State {
        /// The file or directory at fault.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The guard itself could not be started.
    #[error("the guard cannot be started from {}", program.display())]
    Guard {
        /// The program that guards are started from.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
