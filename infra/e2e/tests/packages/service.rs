//! A service, started by hand as its manager would start it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Result;
use dmf_lab::{Lab, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::notify::Manager;

/// How long a service may take to get ready, or to end.
const DEADLINE: Duration = Duration::from_secs(40);
/// The time within which the manager wants to hear of a service, as it tells it.
const WATCHDOG: Duration = Duration::from_secs(1);

/// A running service.
#[derive(Debug)]
pub(crate) struct Service<'l> {
    manager: Manager,
    child: Child,
    log: PathBuf,
    lab: &'l Lab,
}

impl<'l> Service<'l> {
    /// Starts it. `socket` is what it shall call the manager's socket, `manager` where that is.
    pub(crate) fn start(lab: &'l Lab, mut command: Command, manager: Manager, socket: &str) -> Result<Self> {
        let log = lab.dir().join("service.log");
        let output = File::create(&log)?;
        let child = command
            .env("NOTIFY_SOCKET", socket)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .process_group(0)
            .spawn()?;
        lab.guard(i32::try_from(child.id())?)?;
        Ok(Self { manager, child, log, lab })
    }

    /// Waits until it says that it is ready, and that it lives again and again.
    pub(crate) async fn wait_until_ready(&mut self) -> Result<()> {
        let path = self.log.clone();
        let log = || fs::read_to_string(&path).unwrap_or_default();
        self.manager.wait_for("READY=1", 1, DEADLINE, log).await?;
        let beats = self.manager.count("WATCHDOG=1");
        self.manager.wait_for("WATCHDOG=1", beats + 3, 3 * WATCHDOG, log).await
    }

    /// Ends it as its manager does, and looks whether it said so.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let path = self.log.clone();
        let log = || fs::read_to_string(&path).unwrap_or_default();
        self.manager.wait_for("STOPPING=1", 1, DEADLINE, log).await?;
        let ended = poll_until("the service did not end", DEADLINE, async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        Ok(ended.await?)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Ok(group) = i32::try_from(self.child.id()) {
            self.lab.release(group);
        }
    }
}
