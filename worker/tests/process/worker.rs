//! A process of its own that holds a supervisor, for tests that freeze or kill it: this test binary, run again for
//! the one test that does nothing unless it is told so.

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use dmf_worker::process::{Deadline, GuardProgram, LeaseClock, Limits, Supervisor};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::bench::{EXE, sh};

const STATE: &str = "DMF_TEST_STATE";
const SCRIPT: &str = "DMF_TEST_SCRIPT";

/// How long a heartbeat keeps the lease of that process.
const LEASE: Duration = Duration::from_secs(2);

/// A running process with one child. Killed and waited for when dropped.
pub(crate) struct WorkerProcess {
    process: Option<Child>,
    state: TempDir,
}

impl WorkerProcess {
    pub(crate) fn start(script: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "worker::as_a_worker_process", "--nocapture"])
            .env(STATE, state.path())
            .env(SCRIPT, script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process: Some(process), state }
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.as_ref().unwrap().id()).unwrap()
    }

    /// Kills the process and waits for it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Waits for the process to tell how its child ended.
    pub(crate) fn result(mut self) -> String {
        let output = self.process.take().unwrap().wait_with_output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let result =
            output.lines().find_map(|line| line.split_once("CAUSE ")).unwrap_or_else(|| panic!("{output}"));
        result.1.to_owned()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Does nothing in a run of the tests; see above.
#[tokio::test]
async fn as_a_worker_process() {
    let (Ok(state), Ok(script)) = (env::var(STATE), env::var(SCRIPT)) else { return };
    let supervisor = Supervisor::new(GuardProgram::at(Path::new(EXE)), Path::new(&state)).unwrap();
    let (handle, lease) = LeaseClock::channel(Deadline::after(LEASE));
    let limits = Limits::new(lease, Duration::from_mins(10), CancellationToken::new());
    let beat = async {
        loop {
            tokio::time::sleep(LEASE / 20).await;
            handle.extend(Deadline::after(LEASE));
        }
    };
    let mut on_stderr = |_: &[u8]| {};
    tokio::select! {
        finished = supervisor.run(sh(&script), limits, &mut on_stderr) => println!("CAUSE {:?}", finished.unwrap().cause),
        () = beat => {}
    }
}
