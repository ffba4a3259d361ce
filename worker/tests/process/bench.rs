//! What the tests share: a supervisor with its own state directory, scripts, and looks at `/proc`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use dmf_worker::process::{
    Deadline, EnvVar, Error, Finished, GuardProgram, LeaseClock, LeaseHandle, Limits, Spec, Supervisor,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The guard's program.
pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_dmf-guard");
/// The worker's, which can do the same.
pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_dmf-worker");

/// How long a state may take to come about. Never reached by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any test.
const LONG: Duration = Duration::from_mins(10);

/// A supervisor on a state directory of its own.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) supervisor: Supervisor,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(GuardProgram::at(Path::new(EXE)))
    }

    pub(crate) fn with(guard: GuardProgram) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(guard, dir.path()).unwrap();
        Self { dir, supervisor }
    }

    /// Runs a child under a long lease, and drops what it writes to standard error.
    pub(crate) async fn run(&self, spec: Spec) -> Result<Finished, Error> {
        let (_lease, limits) = limits();
        self.run_within(spec, limits).await
    }

    /// Runs a child, and drops what it writes to standard error.
    pub(crate) async fn run_within(&self, spec: Spec, limits: Limits) -> Result<Finished, Error> {
        self.supervisor.run(spec, limits, &mut |_| {}).await
    }

    /// Runs a script and gives what it printed.
    pub(crate) async fn print(&self, script: &str) -> String {
        text(&self.run(sh(script)).await.unwrap())
    }

    pub(crate) fn records(&self) -> Vec<PathBuf> {
        records(self.dir.path())
    }

    /// Waits for the one record of a running child, and gives the ids of guard and child.
    pub(crate) async fn guard_and_child(&self) -> (i32, i32) {
        until("a record with a child", || recorded(self.dir.path())).await
    }
}

/// Guard and child as the first record in a state directory has them.
pub(crate) fn recorded(state: &Path) -> Option<(i32, i32)> {
    let record = fs::read(records(state).first()?).ok()?;
    let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
    let pid = |of: &str| i32::try_from(record[of]["pid"].as_i64()?).ok();
    Some((pid("guard")?, pid("child")?))
}

pub(crate) fn records(state: &Path) -> Vec<PathBuf> {
    fs::read_dir(state.join("children")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A script with the usual `PATH`.
pub(crate) fn sh(script: &str) -> Spec {
    let mut spec = Spec::new("test", "/bin/sh");
    spec.args = vec!["-c".to_owned(), script.to_owned()];
    spec.env = vec![EnvVar::new("PATH", "/usr/bin:/bin")];
    spec
}

/// Limits that no test reaches, and the lease's handle.
pub(crate) fn limits() -> (LeaseHandle, Limits) {
    let (handle, lease) = LeaseClock::channel(Deadline::after(LONG));
    (handle, Limits::new(lease, LONG, CancellationToken::new()))
}

/// What a child printed.
pub(crate) fn text(finished: &Finished) -> String {
    String::from_utf8(finished.stdout.clone()).unwrap()
}

/// Polls until there is something.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A duration for `sleep` that no other test and no other process uses, by which its processes are found.
pub(crate) fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("90000.{}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The living processes that sleep for `marker`.
pub(crate) fn sleepers(marker: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = command.split(|&byte| byte == 0);
        (words.next()? == b"sleep" && words.next()? == marker.as_bytes() && lives(pid)).then_some(pid)
    });
    processes.collect()
}

/// Waits until exactly `count` processes sleep for `marker`.
pub(crate) async fn until_sleeping(marker: &str, count: usize) -> Vec<i32> {
    until(&format!("{count} sleepers"), || Some(sleepers(marker)).filter(|found| found.len() == count)).await
}

/// The state of a process as in field 3 of its stat; `None` when there is none.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn lives(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}
