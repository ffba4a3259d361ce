use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::error::{Doing as _, Error, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
/// How often a first start is tried again on another port.
const START_TRIES: usize = 3;
/// How much of a log goes into an error.
const LOG_TAIL: usize = 2048;
/// Enough for every server and for the shell script that makes MariaDB's data directory.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All that is needed to start a server, again and again.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// User and group id, when not those of the lab's owner.
    pub(crate) run_as: Option<(u32, u32)>,
    /// Takes standard output and error of all runs.
    pub(crate) log: PathBuf,
    /// Emptied before each start: sockets of a Dovecot that was killed delay the next one by 5 s.
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) probe: Probe,
}

/// A server process with its children, in a process group of its own; killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    recipe: Recipe,
    home: Arc<Home>,
    child: Mutex<Option<Child>>,
    /// One start or stop at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Server {
    /// Starts the server and waits until it serves.
    pub(crate) async fn launch(recipe: Recipe, home: Arc<Home>) -> Result<Self> {
        let server = Self { recipe, home, child: Mutex::default(), turn: tokio::sync::Mutex::default() };
        server.start().await?;
        Ok(server)
    }

    /// Starts a server on a free port; on another one when it ends at once, which a port taken in the last
    /// moment makes it do.
    pub(crate) async fn launch_on_free_port(
        home: &Arc<Home>,
        recipe: impl Fn(u16) -> Result<Recipe>,
    ) -> Result<(Self, Port)> {
        let mut tries = 1;
        loop {
            let port = Port::reserve()?;
            match Self::launch(recipe(port.number())?, Arc::clone(home)).await {
                Err(Error::Exited { .. }) if tries < START_TRIES => tries += 1,
                other => return Ok((other?, port)),
            }
        }
    }

    /// Starts the server unless it runs, and waits until it serves.
    pub(crate) async fn start(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self.pid().is_some() {
            if self.status()?.is_none() {
                return Ok(());
            }
            self.clear_group();
        }
        self.spawn()?;
        let deadline = Instant::now() + START_DEADLINE;
        while !self.recipe.probe.is_ready().await {
            if let Some(status) = self.status()? {
                self.clear_group();
                return Err(Error::Exited { server: self.recipe.name.clone(), status, log: self.log_tail() });
            }
            if Instant::now() > deadline {
                return Err(self.late("did not get ready", START_DEADLINE));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Asks the server to end (SIGTERM), waits for that, and kills what is left.
    pub(crate) async fn stop(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.resume();
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGTERM);
        }
        let outcome = self.wait_until_gone("did not stop").await;
        self.clear_group();
        outcome
    }

    /// Stops and starts the server, on the same port and data.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Kills the server and its children at once (SIGKILL).
    pub(crate) async fn kill(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.signal_group(Signal::SIGKILL);
        let outcome = self.wait_until_gone("did not die").await;
        self.clear_group();
        outcome
    }

    /// Freezes the server and its children (SIGSTOP): it accepts, but does not answer.
    pub(crate) fn pause(&self) {
        self.signal_group(Signal::SIGSTOP);
    }

    /// Lets a frozen server go on.
    pub(crate) fn resume(&self) {
        self.signal_group(Signal::SIGCONT);
    }

    /// Process group of the server while it runs.
    pub(crate) fn group(&self) -> Option<i32> {
        self.pid().map(Pid::as_raw)
    }

    /// Where standard output and error go.
    pub(crate) fn log(&self) -> &Path {
        &self.recipe.log
    }

    fn spawn(&self) -> Result<()> {
        let recipe = &self.recipe;
        if let Some(scratch) = &recipe.scratch {
            empty(scratch).doing(|| format!("empty {}", scratch.display()))?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&recipe.log)
            .doing(|| format!("open {}", recipe.log.display()))?;
        let error_log = log.try_clone().doing(|| "duplicate a file".into())?;
        let mut command = Command::new(&recipe.program);
        command
            .args(&recipe.args)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(error_log)
            .process_group(0);
        if let Some((uid, gid)) = recipe.run_as {
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().doing(|| format!("start {}", recipe.program.display()))?;
        *self.child() = Some(child);
        self.group().map_or(Ok(()), |group| self.home.guard(group))
    }

    async fn wait_until_gone(&self, what: &str) -> Result<()> {
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.pid().is_some() && self.status()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.late(what, STOP_DEADLINE));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// How the server ended, `None` while it runs or was never started.
    fn status(&self) -> Result<Option<ExitStatus>> {
        match &mut *self.child() {
            Some(child) => child.try_wait().doing(|| format!("ask for the state of {}", self.recipe.name)),
            None => Ok(None),
        }
    }

    /// Kills what is left of the group, reaps the server and forgets it.
    fn clear_group(&self) {
        self.signal_group(Signal::SIGKILL);
        if let Some(mut child) = self.child().take() {
            drop(child.wait());
            if let Ok(group) = i32::try_from(child.id()) {
                self.home.release(group);
            }
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // A group that is gone needs no signal.
            let _ = killpg(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.child().as_ref().and_then(|c| i32::try_from(c.id()).ok()).map(Pid::from_raw)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self, what: &str, deadline: Duration) -> Error {
        Error::Deadline {
            what: format!("{} {what}", self.recipe.name),
            secs: deadline.as_secs(),
            seen: self.log_tail(),
        }
    }

    fn log_tail(&self) -> String {
        tail(&fs::read(&self.recipe.log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.home.is_kept() {
            self.clear_group();
        }
    }
}

/// The end of a program's output, bounded.
pub(crate) fn tail(output: &[u8]) -> String {
    let from = output.len().saturating_sub(LOG_TAIL);
    String::from_utf8_lossy(&output[from..]).trim().to_owned()
}

/// Removes all that is in a directory.
pub(crate) fn empty(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
