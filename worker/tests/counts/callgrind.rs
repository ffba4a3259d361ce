//! Counting the instructions of a test of this program.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A test that runs in valgrind.
pub(crate) struct Run {
    child: Child,
    directory: TempDir,
}

impl Run {
    /// Starts the ignored test of this name with a variable in its environment.
    pub(crate) fn start(test: &str, variable: &str, value: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", directory.path().join("out").display()))
            .arg(std::env::current_exe().unwrap())
            // In one thread, it is the first one that runs the test.
            .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(variable, value)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("valgrind, which infra/install-packages --tests installs");
        Self { child, directory }
    }

    /// Waits for its end; all its instructions.
    pub(crate) fn instructions(self) -> u64 {
        let output = self.child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        // A test that was not found leaves a good status.
        assert!(output.status.success() && said[0].contains("1 passed"), "{}{}", said[0], said[1]);
        let out = fs::read_to_string(self.directory.path().join("out")).unwrap();
        let totals = out.lines().find_map(|line| line.strip_prefix("totals: ")).expect("totals");
        totals.trim().parse().expect("one kind of event")
    }
}
