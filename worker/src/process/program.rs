//! Which file guards are started from.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::fcntl::OFlag;
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::guard;

/// How long the program may take to say what it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// As much of its answer is read.
const ANSWER_BYTES: u64 = 200;

/// The file that guards are started from: the same one, whatever is installed at its path later.
#[derive(Debug)]
pub struct GuardProgram {
    /// Where it was found, for people.
    path: PathBuf,
    /// What the system is told to run.
    exe: PathBuf,
    /// Holds what `exe` names open.
    _file: Option<File>,
}

/// Why a file is not what guards are started from.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is not there, or can't be run.
    #[error("{} can't be run", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was built from other sources than this program, so that the two may not understand each other.
    #[error("{} says {answer:?} and should say {:?}", path.display(), guard::identity())]
    OtherBuild {
        /// The file.
        path: PathBuf,
        /// What it says.
        answer: String,
    },
}

impl GuardProgram {
    /// `dmf-guard` beside this program, or this program itself, with a warning, where that is not fit.
    pub async fn find() -> Self {
        let beside = async {
            let own =
                std::env::current_exe().map_err(|source| Unfit::Run { path: PathBuf::from(OWN), source })?;
            Self::open(&own.with_file_name(guard::PROGRAM)).await
        };
        beside.await.unwrap_or_else(|unfit| {
            tracing::warn!(
                error = &unfit as &dyn std::error::Error,
                "children are guarded by the worker's own binary, which takes longer to start"
            );
            Self::own()
        })
    }

    /// This program itself, which calls [`guard::dispatch`] first.
    pub fn own() -> Self {
        Self::at(Path::new(OWN))
    }

    /// A file, as it is.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), exe: path.to_owned(), _file: None }
    }

    /// Opens a file and asks it whether it is a guard of the same sources.
    pub async fn open(path: &Path) -> Result<Self, Unfit> {
        let cannot_run = |source| Unfit::Run { path: path.to_owned(), source };
        // Only to be run: no right to read is needed, and nothing waits, whatever kind of file it is.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_PATH.bits())
            .open(path)
            .map_err(cannot_run)?;
        let exe = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let answered = timeout(ANSWER_LIMIT, ask(&exe)).await;
        let answer = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(cannot_run)?;
        if answer != guard::identity() {
            return Err(Unfit::OtherBuild { path: path.to_owned(), answer });
        }
        Ok(Self { path: path.to_owned(), exe, _file: Some(file) })
    }

    /// What the system is told to run.
    pub(super) fn exe(&self) -> &Path {
        &self.exe
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file of the running program, also after another was installed at its path.
const OWN: &str = "/proc/self/exe";

/// The first line that the program prints when it is asked for its version. It is killed when this is dropped.
#[allow(clippy::disallowed_methods, reason = "guards can't guard the first of them")]
async fn ask(exe: &Path) -> io::Result<String> {
    let mut asked = Command::new(exe)
        .arg0(guard::PROGRAM)
        .arg(guard::VERSION)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut answer = Vec::new();
    if let Some(stdout) = asked.stdout.take() {
        stdout.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    }
    // It has said what it was asked for, or more than that; only where it has ended can it not be killed.
    let _ = asked.kill().await;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}
