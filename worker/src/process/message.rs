//! What worker, guard and the launched process say to each other. All three are built from the same sources, so
//! that the messages need no versions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    clock::Deadline,
    exit::{Exit, LaunchStep},
    spec::{EnvVar, RunAs, Spec},
};

/// From the worker to the guard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The first order, and only once. The frame's payload is the child's input.
    Start(Start),
    /// A heartbeat was confirmed.
    Extend(Deadline),
    /// SIGTERM to the child's group.
    Terminate,
    /// SIGKILL to the child and all its descendants.
    Kill,
}

/// What to start, and until when it may live.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// When the guard kills.
    pub(super) deadline: Deadline,
    /// The directory of records.
    pub(super) records: PathBuf,
    /// Which boot of the machine this is.
    pub(super) boot_id: String,
    /// What the child runs for.
    pub(super) name: String,
    /// The child itself.
    pub(super) child: ChildSpec,
}

/// A child as it is to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildSpec {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) cwd: PathBuf,
    pub(super) run_as: Option<RunAs>,
    /// Whether the frame's payload is its input, if only an empty one; else `/dev/null`.
    pub(super) has_input: bool,
}

impl ChildSpec {
    /// The child of a spec whose input travels as the frame's payload.
    pub(super) fn of(spec: Spec, has_input: bool) -> Self {
        let Spec { program, args, env, cwd, run_as, .. } = spec;
        Self { program, args, env, cwd, run_as, has_input }
    }
}

/// From the guard to the process that becomes the child. The payload is the child's input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    /// The guard's process id, which has to be the parent still.
    pub(super) guard: i32,
    /// Nothing is started after this.
    pub(super) deadline: Deadline,
    pub(super) child: ChildSpec,
}

/// From the process that should have become the child to the guard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum LaunchFailure {
    /// Too late.
    Expired,
    /// A step failed with this `errno`.
    Failed { step: LaunchStep, errno: i32 },
}

/// From the guard to the worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The child's program runs.
    Started,
    /// The child ended, and none of its descendants is left.
    Ended { exit: Exit, expired: bool },
    /// The child did not come to run.
    NotLaunched(LaunchFailure),
    /// SIGKILL did not end them in time.
    Survivors { count: usize },
}
