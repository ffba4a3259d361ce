//! Children whose worker process or guard is gone: found by their records, killed, and waited for.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};

use super::{
    error::Error,
    procfs,
    record::{self, Identity, Record},
};

/// The pauses between two looks at `/proc`: the first, and the longest of those that follow, each twice the one before.
/// Who was killed is gone at once; who hangs in the kernel is not hurried by looks.
const LOOK_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A child that an earlier worker process left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it ran for: `Spec::name`.
    pub name: String,
    /// Its processes that live, guard included.
    pub pids: Vec<i32>,
}

/// What [`kill_leftovers`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many children of this boot had a record.
    pub found: usize,
    /// Those that still live. Empty: all are gone.
    pub remaining: Vec<Leftover>,
}

/// Kills the children that an earlier worker process with this state directory left, and waits until they are gone,
/// at most `within`. Their guards, which the end of that process has woken, get half of that time to do it.
///
/// Call it with the lock of the state directory held and before the first child is started. A process is only
/// touched when its id and its start time are those that were recorded in this boot.
pub async fn kill_leftovers(state_dir: &Path, within: Duration) -> Result<Leftovers, Error> {
    let directory = record::directory(state_dir);
    let of_state = |source| Error::State { path: directory.clone(), source };
    let boot_id = procfs::boot_id().map_err(of_state)?;
    let mut families = Vec::new();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Leftovers::default()),
        Err(error) => return Err(of_state(error)),
    };
    for entry in entries {
        let path = entry.map_err(of_state)?.path();
        match Record::read(&path) {
            Ok(record) if record.boot_id == boot_id => families.push(Family { path, record }),
            Ok(_) => forget(&path),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a child's record cannot be read; dropped");
                forget(&path);
            }
        }
    }
    let found = families.len();
    let remaining = kill_families(families, within / 2, within).await;
    Ok(Leftovers { found, remaining })
}

/// Kills the family that one record tells of, its guard too. Gives the number of processes that live after `within`.
pub(super) async fn settle(path: PathBuf, within: Duration) -> usize {
    let Ok(record) = Record::read(&path) else { return 0 };
    let remaining = kill_families(vec![Family { path, record }], Duration::ZERO, within).await;
    remaining.iter().map(|family| family.pids.len()).sum()
}

/// Kills what lives of the children that ran for `name`, which a step follows. Gives how many processes those were.
pub(super) fn strike_named(directory: &Path, name: &str) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let records = entries.filter_map(|entry| Some((Record::read(&entry.path()).ok()?, entry.path())));
    records
        .filter(|(record, _)| record.name.strip_prefix(name).is_some_and(|step| step.starts_with(' ')))
        .map(|(record, path)| {
            let family = Family { path, record };
            let living = family.strike(true).len();
            if living == 0 {
                forget(&family.path);
            }
            living
        })
        .sum()
}

/// One child, its descendants, and its guard.
struct Family {
    path: PathBuf,
    record: Record,
}

/// Kills and looks again until nobody is left or the time is up. Guards are killed after `patience`.
async fn kill_families(mut families: Vec<Family>, patience: Duration, within: Duration) -> Vec<Leftover> {
    let begun = Instant::now();
    let mut pause = LOOK_PAUSES.0;
    loop {
        let impatient = begun.elapsed() >= patience;
        let mut remaining = Vec::new();
        families.retain(|family| {
            let pids = family.strike(impatient);
            let lives = !pids.is_empty();
            if lives {
                remaining.push(Leftover { name: family.record.name.clone(), pids });
            } else {
                forget(&family.path);
            }
            lives
        });
        if families.is_empty() || begun.elapsed() >= within {
            return remaining;
        }
        sleep(pause.min(within.saturating_sub(begun.elapsed()))).await;
        pause = (2 * pause).min(LOOK_PAUSES.1);
    }
}

impl Family {
    /// SIGKILLs who lives, the guard only if told so. Gives those that lived at that moment.
    fn strike(&self, guard_too: bool) -> Vec<i32> {
        let child = self.record.child;
        let mut living = group_members(child, self.record.session);
        if !living.is_empty() {
            // Whoever is gone meanwhile is what is wanted.
            let _ = killpg(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        living.extend(self.strike_strays(&living));
        let guard = self.record.guard;
        if guard.find().is_some_and(|stat| stat.lives()) {
            living.push(guard.pid);
            if guard_too {
                let _ = kill(Pid::from_raw(guard.pid), Signal::SIGKILL);
            }
        }
        living
    }
}

impl Family {
    /// SIGKILLs those who left the child's group or session, known by the guard's mark. Gives those that lived.
    fn strike_strays(&self, known: &[i32]) -> Vec<i32> {
        let mark = procfs::guard_mark(self.record.guard.pid, self.record.guard.start_time);
        let is_stray = |pid: &i32| {
            !known.contains(pid)
                && procfs::carries_mark(*pid, &mark)
                && procfs::stat(*pid).is_some_and(|stat| stat.lives())
        };
        let strays: Vec<i32> = procfs::processes().into_iter().filter(is_stray).collect();
        for stray in &strays {
            let _ = kill(Pid::from_raw(*stray), Signal::SIGKILL);
        }
        strays
    }
}

/// The living processes of a recorded child's group. The child itself may be gone; where its id belongs to another
/// process, the group has gone before.
fn group_members(child: Identity, session: i32) -> Vec<i32> {
    if procfs::stat(child.pid).is_some_and(|stat| stat.start_time != child.start_time) {
        return Vec::new();
    }
    let belongs = |pid: &i32| {
        procfs::stat(*pid).is_some_and(|stat| {
            stat.lives()
                && stat.group == child.pid
                && stat.session == session
                && stat.start_time >= child.start_time
        })
    };
    procfs::processes().into_iter().filter(belongs).collect()
}

/// Removes a record. One that stays is looked at again at the next start, and then harms nobody.
fn forget(path: &Path) {
    let _ = fs::remove_file(path);
}
