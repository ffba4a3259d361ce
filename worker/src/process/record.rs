//! Records of running children: one small JSON file each in `<state>/children`, named by the guard's process id.
//! The guard writes it before the child's program runs and removes it once all are dead, so that a new worker
//! process can find what an old one left.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::procfs::{self, Stat};

/// The records' directory within a state directory.
pub(super) fn directory(state: &Path) -> PathBuf {
    state.join("children")
}

/// Makes the directory, for the owner only.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Where the record of a guard's child is.
pub(super) fn path(directory: &Path, guard: i32) -> PathBuf {
    directory.join(guard.to_string())
}

/// A process for which its id alone would not do, because ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`.
    pub(super) start_time: u64,
}

impl Identity {
    /// The process that has this id now.
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        let stat = procfs::stat(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// The process, as long as it is there, if only as a zombie.
    pub(super) fn find(self) -> Option<Stat> {
        procfs::stat(self.pid).filter(|stat| stat.start_time == self.start_time)
    }
}

/// One running child and its guard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Ids and start times are worth nothing in another boot.
    pub(super) boot_id: String,
    /// What it runs for.
    pub(super) name: String,
    /// The session of guard and child.
    pub(super) session: i32,
    pub(super) guard: Identity,
    /// The child, which leads a group of its own.
    pub(super) child: Identity,
}

impl Record {
    /// Writes the record. Where this is cut short the child's program never runs, so that a record that cannot be
    /// read stands for nobody.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// Reads a record.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}
