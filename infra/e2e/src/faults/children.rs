use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dmf_lab::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// One process of a worker's children, known by its id and its start time, because ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pid: i32,
    start_time: u64,
}

impl Process {
    fn of(identity: &Value) -> Option<Self> {
        let pid = i32::try_from(identity["pid"].as_i64()?).ok()?;
        Some(Self { pid, start_time: identity["start_time"].as_u64()? })
    }

    /// The process that has this id now.
    pub fn now(pid: i32) -> Option<Self> {
        let start_time = fields(pid)?.get(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }

    /// Its parent's id, while it lives.
    pub fn parent(self) -> Option<i32> {
        self.state()?;
        fields(self.pid)?.get(1)?.parse().ok()
    }

    /// Whether it lives: a zombie does not.
    pub fn lives(self) -> bool {
        self.state().is_some()
    }

    /// The letter of its state in `/proc`; `None` when it is dead.
    fn state(self) -> Option<char> {
        let fields = fields(self.pid)?;
        let started = fields.get(19)?.parse().ok();
        let state = fields.first()?.chars().next()?;
        (started == Some(self.start_time) && !matches!(state, 'Z' | 'X')).then_some(state)
    }

    /// Whether it lives and is not stopped: a stopped process does nothing, as if its machine were frozen.
    pub fn runs(self) -> bool {
        self.state().is_some_and(|state| !matches!(state, 'T' | 't'))
    }

    /// Its process id.
    pub fn pid(self) -> i32 {
        self.pid
    }

    /// The file that it runs.
    ///
    /// # Errors
    /// It does not live.
    pub fn program(self) -> std::io::Result<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid))
    }

    /// Sends it a signal, if it lives.
    pub fn signal(self, signal: Signal) {
        if self.lives() {
            // One that ends meanwhile needs none.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// The fields of a process's `stat` from the third one, its state: the name before it may hold anything. Number 19
/// of them is the start time.
fn fields(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// A child with its guard, as the guard has written it down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// What it runs for: `<source>/<row> <step>`.
    pub name: String,
    /// The guard.
    pub guard: Process,
    /// The child.
    pub child: Process,
}

/// Who runs for the workers of a fleet.
#[derive(Debug, Clone)]
pub struct Children {
    fleet: PathBuf,
    lab: PathBuf,
}

impl Child {
    /// The migration that it runs for, `<source>/<row>`.
    pub fn migration(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// The same as the name of its Source and the id of its row.
    pub fn source_and_row(&self) -> Option<(&str, u64)> {
        let (source, row) = self.migration().rsplit_once('/')?;
        Some((source, row.parse().ok()?))
    }
}

impl Children {
    /// Of all workers over this lab.
    pub fn of(lab: &Lab) -> Self {
        Self { fleet: lab.dir().join("fleet"), lab: lab.dir().to_path_buf() }
    }

    /// Every child that has a record now, dead ones too.
    pub fn recorded(&self) -> BTreeSet<Child> {
        let states = entries(&self.fleet).filter(|path| path.extension().is_some_and(|ext| ext == "state"));
        states.flat_map(|state| entries(&state.join("children"))).filter_map(|file| read(&file)).collect()
    }

    /// The living child of a migration that has this id.
    pub fn of_row(&self, id: u64) -> Option<Child> {
        let wanted = format!("/{id} ");
        self.recorded().into_iter().find(|child| child.name.contains(&wanted) && child.child.lives())
    }

    /// Command lines of all doveadms that live and work on this lab.
    pub fn doveadms(&self) -> Vec<String> {
        let lab = self.lab.to_string_lossy().into_owned();
        entries(Path::new("/proc"))
            .filter_map(|process| fs::read(process.join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&lab) && line.split(' ').next().unwrap_or("").ends_with("doveadm"))
            .collect()
    }
}

/// What is in a directory, nothing when it is not there.
fn entries(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// A record that is gone or half written is none.
fn read(file: &Path) -> Option<Child> {
    let record: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let name = record["name"].as_str()?.to_owned();
    Some(Child { name, guard: Process::of(&record["guard"])?, child: Process::of(&record["child"])? })
}
