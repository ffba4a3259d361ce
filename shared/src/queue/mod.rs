//! Redis, the queue: what could run next. MariaDB decides what runs, and the queue is rebuilt from
//! it whenever it is lost. Lua and the Redis protocol live nowhere else.
//!
//! The scheduler pushes through [`Producer`], an apalis task sink; the worker takes jobs through
//! [`Backend`], an apalis backend. `shared/lua/_prelude.lua` lists the keys.

mod backend;
mod connection;
mod control;
mod depth;
mod endpoint;
mod error;
mod heartbeat;
mod lead;
mod observe;
mod options;
mod policy;
mod producer;
mod progress;
mod propose;
mod rebuild;
mod replicas;
mod scripts;
mod sentinel;
mod settle;

use crate::domain::ids::{Epoch, HostId, JobId, TargetId};

pub use backend::{Backend, BackendOptions, Free, Lessor};
pub use connection::{Queue, Server};
pub use control::{Control, ControlSender};
pub use depth::Depth;
pub use endpoint::Tls;
pub use error::{Error, Result};
pub use observe::{HeldSlot, Life};
pub use options::{Options, Replicas};
pub use producer::{Host, Job, JobState, Producer};
pub use progress::Progress;
pub use propose::{Proposal, Proposals, Ticket};
pub use rebuild::Rebuild;
pub use settle::{Hold, Settlement, Then};

/// A job that runs, as heartbeats and releases name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Running {
    /// The migration.
    pub job: JobId,
    /// Fencing token of its claim.
    pub epoch: Epoch,
    /// The source host whose slot it holds.
    pub host: HostId,
    /// The target that it belongs to.
    pub target: TargetId,
    /// Whether it went first.
    pub priority: bool,
}
