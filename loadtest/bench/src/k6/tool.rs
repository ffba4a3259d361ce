//! The program k6: installed where it is missing, run with a script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use dmf_e2e::Customer;
use tokio::process::Command;

use super::summary::Summary;
use crate::stage::Stage;

/// Scripts and their installer, from the top of the repository.
const SCRIPTS: &str = "loadtest/k6";
/// What the installer makes.
const PROGRAM: &str = "target/k6/bin/k6";
/// Longest time to install it.
const INSTALLING: Duration = Duration::from_mins(10);
/// How long a run may take beyond what was asked for.
const BEYOND: Duration = Duration::from_mins(10);
/// The exit code that says that a threshold did not hold.
const THRESHOLDS: i32 = 99;

/// k6, with a place for what it writes.
#[derive(Debug)]
pub(super) struct K6 {
    home: tempfile::TempDir,
    pub(super) version: String,
}

/// What a script is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) script: &'a str,
    pub(super) secs: u64,
    /// What the names of new users begin with.
    pub(super) run: &'a str,
    pub(super) customer: &'a Customer,
    /// Users that are there: the beginning of their names, and how many.
    pub(super) known: (&'a str, u64),
}

impl K6 {
    pub(super) async fn install() -> Result<Self> {
        let installer = Path::new(SCRIPTS).join("install");
        let installed = Command::new(&installer).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(INSTALLING, installed)
            .await
            .context("the installation of k6 did not end")?
            .with_context(|| format!("{} (run it from the top of the repository)", installer.display()))?;
        ensure!(
            output.status.success(),
            "{}: {}",
            installer.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let output = Command::new(PROGRAM).arg("version").output().await.context(PROGRAM)?;
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Ok(Self { home: tempfile::tempdir()?, version })
    }

    /// Runs a script against the schedulers. Limits that did not hold are in the summary.
    pub(super) async fn run(&self, stage: &Stage, order: Order<'_>) -> Result<Summary> {
        let summary = self.home.path().join(format!("{}.json", order.run));
        let script = PathBuf::from(SCRIPTS).join(format!("{}.js", order.script));
        let schedulers = stage.fleet.schedulers().len();
        let addresses: Vec<String> =
            (0..schedulers).map(|number| stage.fleet.api().only(number).url().to_owned()).collect();
        let running = Command::new(PROGRAM)
            // Without its own server and without reports to its makers.
            .args(["run", "--quiet", "--no-color", "--no-usage-report", "--address", ""])
            .arg(&script)
            .env_clear()
            .env("HOME", self.home.path())
            .env("SCHEDULERS", addresses.join(","))
            .env("API_KEY", order.customer.key())
            .env("RUN", order.run)
            .env("SECONDS", order.secs.to_string())
            .env("READ_NAME", order.known.0)
            .env("READ_COUNT", order.known.1.to_string())
            .env("SUMMARY", &summary)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let limit = Duration::from_secs(order.secs) + BEYOND;
        let output = tokio::time::timeout(limit, running).await.context("k6 did not end")??;
        match output.status.code() {
            Some(0 | THRESHOLDS) => {}
            _ => bail!(
                "k6 {} ended with {}: {}",
                order.script,
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
        let text = fs::read_to_string(&summary).with_context(|| summary.display().to_string())?;
        Summary::read(&text).with_context(|| format!("the summary of {}", order.script))
    }
}
