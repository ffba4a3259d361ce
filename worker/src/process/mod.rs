//! Child processes: the only place of the worker that starts any.
//!
//! ```text
//! worker ──control socket──▶ guard ──exec-child──▶ doveadm or hook
//!    ◀──── stdout, stderr pipes, drained with bounds ────┘
//! ```
//!
//! Each child runs under a [`guard`], a small single-threaded process of a program of its own. The
//! worker tells it the deadline of the lease ([`Deadline`], on `CLOCK_BOOTTIME`) and moves that at each confirmed
//! heartbeat. The guard kills the child's whole family when the deadline passes or the control socket closes, so
//! the limit holds although the worker is frozen or dead. Nothing secret stands in any argv: arguments,
//! environment and the content of standard input go through the socket.
//!
//! [`Supervisor::run`] is what the steps of a migration call; [`kill_leftovers`] clears up after a worker process
//! that died.

pub mod clock;
mod control;
mod error;
mod exit;
mod frame;
pub mod guard;
mod leftover;
mod message;
mod output;
mod procfs;
mod program;
mod record;
mod spec;
mod supervisor;

pub use clock::{Deadline, LeaseClock, LeaseHandle};
pub use error::Error;
pub use exit::{Cause, Exit, Finished, LaunchStep};
pub use leftover::{Leftover, Leftovers, kill_leftovers};
pub use program::{GuardProgram, Unfit};
pub use spec::{EnvVar, Limits, RunAs, Spec};
pub use supervisor::Supervisor;
