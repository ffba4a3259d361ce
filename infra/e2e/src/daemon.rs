use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dmf_lab::{Lab, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::settings::write_private;

/// Longest time for what should happen at once.
const DEADLINE: Duration = Duration::from_secs(20);
/// How many lines of a log a failed test shows.
const LOG_LINES: usize = 60;

/// A scheduler or worker process, which can be ended and started again. Dies with its lab.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    child: Mutex<Option<Child>>,
    lab: Arc<Lab>,
}

impl Daemon {
    /// A daemon that is not started yet. Its log lies beside its settings.
    pub(crate) fn new(lab: Arc<Lab>, name: &str, program: PathBuf, settings: PathBuf) -> Self {
        let log = settings.with_extension("log");
        Self { name: name.into(), program, settings, log, child: Mutex::default(), lab }
    }

    /// One more process with the name and the lines of this one and a state directory of its own, as on another
    /// machine. Not started.
    pub(crate) fn twin(&self) -> Result<Self> {
        let name = format!("{}-twin", self.name);
        let settings = fs::read_to_string(&self.settings)?;
        let settings = settings.replace(&format!("{}.state", self.name), &format!("{name}.state"));
        let path = self.settings.with_file_name(format!("{name}.yml"));
        write_private(&path, settings.as_bytes())?;
        Ok(Self::new(Arc::clone(&self.lab), &name, self.program.clone(), path))
    }

    /// The name, such as `worker-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program that it runs.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Its settings file.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts the process; nothing happens when it runs. Does not wait until it serves.
    pub fn start(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let errors = log.try_clone()?;
        let started = Command::new(&self.program)
            .arg("--config")
            .arg(&self.settings)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("RUST_BACKTRACE", "1")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let group = i32::try_from(started.id())?;
        *child = Some(started);
        drop(child);
        Ok(self.lab.guard(group)?)
    }

    /// Whether it runs (or is frozen).
    pub fn is_running(&self) -> bool {
        matches!(self.status(), Ok(None))
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.child().as_ref().and_then(|child| i32::try_from(child.id()).ok())
    }

    /// Asks it to end (SIGTERM) without waiting.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.terminate();
        self.wait().await
    }

    /// Kills it (SIGKILL), it alone, as a machine's failure would.
    pub async fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL);
        self.wait().await
    }

    /// Freezes it (SIGSTOP), it alone.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it and starts it again.
    pub async fn restart(&self) -> Result<()> {
        self.kill().await?;
        self.start()
    }

    /// Waits for its end and returns how it ended.
    pub async fn wait(&self) -> Result<ExitStatus> {
        self.wait_for(DEADLINE).await
    }

    /// The same, for another time at most.
    pub(crate) async fn wait_for(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} did not end", self.name);
        let status = poll_until(&what, limit, async || match self.status() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("still running".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        self.clear();
        Ok(status)
    }

    /// The last lines of its log, for the report of a failure.
    pub(crate) fn log_tail(&self) -> String {
        format!("---- {}, the end of its log\n{}\n", self.name, self.last_lines(LOG_LINES))
    }

    /// At most so many of the last lines of its log.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    fn status(&self) -> Result<Option<ExitStatus>> {
        match &mut *self.child() {
            Some(child) => Ok(child.try_wait()?),
            None => Err(anyhow!("{} was not started", self.name)),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // A process that is gone needs no signal.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Reaps and forgets the process.
    fn clear(&self) {
        if let Some(mut child) = self.child().take() {
            drop(child.kill());
            drop(child.wait());
            if let Ok(group) = i32::try_from(child.id()) {
                self.lab.release(group);
            }
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.clear();
    }
}
