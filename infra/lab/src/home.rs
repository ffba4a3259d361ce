use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::{Statvfs, statvfs};

use crate::error::{Doing as _, Error, Result};
use crate::programs;

/// Memory-backed: file creation there is an order of magnitude faster than on a busy disk.
const TMPFS: &str = "/dev/shm";
/// A lab with some mail takes a part of this; a container's tmpfs is often smaller (64 MB).
const TMPFS_FREE_BYTES: u64 = 1 << 30;
/// How long a removal may be repeated while dying processes still create files.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(5);
const WATCHDOG: &str = include_str!("watchdog.sh");

/// The directory of one lab, and the watchdog that clears it and its processes away when the lab's process is
/// gone without having done so itself (SIGKILL, abort, `exit`).
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    watchdog: Mutex<Watchdog>,
    kept: AtomicBool,
}

#[derive(Debug)]
struct Watchdog {
    process: Child,
    /// `None` only while the lab ends: closing it is the sign to clear up.
    orders: Option<ChildStdin>,
}

impl Home {
    /// Makes the directory: `wanted`, or one of a random name on tmpfs, or else where temporary files go.
    pub(crate) fn create(wanted: Option<&Path>) -> Result<Self> {
        let shell = programs::SHELL.locate()?;
        let path = match wanted {
            Some(path) => create_wanted(path)?,
            None => create_random()?,
        };
        // The mail user must be able to pass through.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .doing(|| format!("change the mode of {}", path.display()))?;
        let mut process = Command::new(shell)
            .args(["-c", WATCHDOG, "dmf-lab-watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .doing(|| "start the watchdog".into())?;
        let orders = process.stdin.take();
        let watchdog = Mutex::new(Watchdog { process, orders });
        Ok(Self { path, watchdog, kept: AtomicBool::new(false) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a process group on the watchdog's list.
    pub(crate) fn guard(&self, group: i32) -> Result<()> {
        self.order(&format!("add {group}")).doing(|| "give the watchdog an order".into())
    }

    /// Takes a process group off the watchdog's list. A watchdog that is gone has no list.
    pub(crate) fn release(&self, group: i32) {
        drop(self.order(&format!("del {group}")));
    }

    /// Leaves directory and processes alone from now on.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
        drop(self.order("keep"));
    }

    /// Whether [`Home::keep`] was called.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    fn order(&self, line: &str) -> std::io::Result<()> {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut watchdog.orders {
            Some(orders) => writeln!(orders, "{line}"),
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.is_kept() {
            let deadline = Instant::now() + REMOVAL_DEADLINE;
            while self.path.exists() && fs::remove_dir_all(&self.path).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let watchdog = self.watchdog.get_mut().unwrap_or_else(PoisonError::into_inner);
        // What could not be removed is left to the watchdog, which now sees its pipe closed.
        drop(watchdog.orders.take());
        drop(watchdog.process.wait());
    }
}

fn create_wanted(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).doing(|| format!("create {}", path.display()))?;
    let mut entries = fs::read_dir(path).doing(|| format!("read {}", path.display()))?;
    if entries.next().is_some() {
        return Err(Error::DirectoryNotEmpty(path.to_path_buf()));
    }
    path.canonicalize().doing(|| format!("resolve {}", path.display()))
}

fn create_random() -> Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("dmf-lab-");
    let has_room = statvfs(TMPFS).is_ok_and(|fs| free_bytes(&fs) >= TMPFS_FREE_BYTES);
    let on_tmpfs = if has_room { builder.tempdir_in(TMPFS) } else { builder.tempdir() };
    on_tmpfs
        .or_else(|_| builder.tempdir())
        .map(tempfile::TempDir::keep)
        .doing(|| "create the lab's directory".into())
}

fn free_bytes(fs: &Statvfs) -> u64 {
    fs.blocks_available().saturating_mul(fs.fragment_size())
}
