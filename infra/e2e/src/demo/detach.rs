//! `--keep`: what the demo started lives on in a process of its own, and the command returns.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::unistd::{dup2_stderr, dup2_stdout};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PASSED: u8 = b'1';
const FAILED: u8 = b'0';

/// Runs the same demo in a process of its own, which writes to the same terminal; returns when that says that it
/// has passed or not, and leaves it running.
pub(super) fn launch() -> Result<bool> {
    let (mut mine, theirs) = UnixStream::pair()?;
    let mut held = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--held")
        .stdin(OwnedFd::from(theirs))
        // Ctrl-C ends this process, which the other one sees by its closed socket; later it is nobody's business.
        .process_group(0)
        .spawn()
        .context("start the part that stays")?;
    let mut verdict = [0];
    match mine.read_exact(&mut verdict) {
        Ok(()) => Ok(verdict[0] == PASSED),
        // It has ended and has said why.
        Err(_) => Ok(held.wait()?.success()),
    }
}

/// The process that waits for the verdict, seen from the one that stays.
#[derive(Debug)]
pub(super) struct Launcher(tokio::net::UnixStream);

impl Launcher {
    /// Takes the socket, which is standard input.
    pub(super) fn connect() -> Result<Self> {
        let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        Ok(Self(tokio::net::UnixStream::from_std(socket)?))
    }

    /// Returns when the waiting process is gone.
    pub(super) async fn gone(&mut self) {
        // It never writes, so every answer is the end.
        drop(self.0.read_u8().await);
    }

    /// Lets the waiting process end. Nothing is printed from here on.
    pub(super) async fn release(&mut self, passed: bool) -> Result<()> {
        let nowhere = File::options().write(true).open("/dev/null")?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        self.0.write_u8(if passed { PASSED } else { FAILED }).await?;
        Ok(())
    }
}
