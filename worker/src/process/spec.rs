//! What to run, and within which limits.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::clock::LeaseClock;

/// A child to run. Arguments are shown in `Debug`, in `/proc` and in logs: they hold no secret. Values of variables
/// and the input may be secret.
#[derive(Debug)]
pub struct Spec {
    /// What it runs for, for people who find its record: `<journal> <id> <step>`. Not secret.
    pub name: String,
    /// The program; without a slash it is looked for in the `PATH` of `env`.
    pub program: PathBuf,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// Its whole environment: nothing is inherited. The guard adds `DMF_GUARD`, by which it finds its own.
    pub env: Vec<EnvVar>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// The user to become; `None`, or the user that the worker already is, changes nothing.
    pub run_as: Option<RunAs>,
    /// The content of its standard input, at most 16 MiB: a sealed file in memory that only its user can read, and
    /// that can be opened again as `/proc/self/fd/0`. `None` is `/dev/null`.
    pub stdin: Option<SecretSlice<u8>>,
    /// How many bytes of standard output are kept; the rest is read and dropped.
    pub stdout_limit: usize,
    /// How many of the last bytes of standard error are kept.
    pub stderr_tail: usize,
}

impl Spec {
    /// A child without arguments, environment and input, in `/`, that keeps 1 MiB of standard output and 32 KiB of
    /// standard error.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            run_as: None,
            stdin: None,
            stdout_limit: 1 << 20,
            stderr_tail: 32 << 10,
        }
    }
}

/// One variable of a child's environment. Every value is treated as a secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// Its value.
    #[serde(serialize_with = "expose")]
    pub value: SecretString,
}

impl EnvVar {
    /// `name=value`.
    pub fn new(name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Only the control socket to the guard serializes variables.
fn expose<S: Serializer>(value: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.expose_secret())
}

/// The user and the only group a child runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// How long a child may run.
#[derive(Debug)]
pub struct Limits {
    /// The lease it runs under. Its end is SIGKILL at once.
    pub lease: LeaseClock,
    /// The longest that the child may take; then SIGTERM, grace, SIGKILL.
    pub timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Ends the child by SIGTERM, grace, SIGKILL.
    pub cancel: CancellationToken,
}

impl Limits {
    /// The grace that the manual promises.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// Limits with the usual grace.
    pub fn new(lease: LeaseClock, timeout: Duration, cancel: CancellationToken) -> Self {
        Self { lease, timeout, grace: Self::GRACE, cancel }
    }
}
