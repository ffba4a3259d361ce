//! What a service tells its manager.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::net::UnixDatagram;
use tokio::time::{Instant, timeout_at};

/// The socket of a manager, `NOTIFY_SOCKET` to the service.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// Listens at this path, to services of any user.
    pub(crate) fn listen(path: &Path) -> Result<Self> {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let socket = UnixDatagram::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(Self { socket, heard: Vec::new() })
    }

    /// Waits until a state was told so many times in all; `log` is for the report of a failure.
    pub(crate) async fn wait_for(
        &mut self,
        state: &str,
        times: usize,
        limit: Duration,
        log: impl Fn() -> String,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 4096];
        while self.count(state) < times {
            let received = timeout_at(deadline, self.socket.recv(&mut buffer)).await;
            ensure!(received.is_ok(), "{state} was not told {times} times: {:?}\n{}", self.heard, log());
            let text = String::from_utf8_lossy(&buffer[..received??]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
        Ok(())
    }

    /// How often a state was told.
    pub(crate) fn count(&self, state: &str) -> usize {
        self.heard.iter().filter(|heard| *heard == state).count()
    }
}
