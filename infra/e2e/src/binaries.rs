use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Takes the programs from this directory, as they are, instead of building them.
const DIRECTORY_VARIABLE: &str = "DMF_E2E_BIN_DIR";
const SCHEDULER: &str = "dmf-scheduler";
const WORKER: &str = "dmf-worker";
const GUARD: &str = "dmf-guard";

/// The product's programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// The programs beside this one, as they are.
    ///
    /// # Errors
    /// One is missing.
    pub fn beside_this_program() -> Result<Self> {
        Self::in_directory(&own_directory()?)
    }

    /// The programs beside this test, built first: a test must never run against yesterday's worker. With
    /// `DMF_E2E_BIN_DIR` set, those in that directory.
    ///
    /// # Errors
    /// They don't build, or one is missing.
    pub fn for_test() -> Result<Self> {
        if let Some(directory) = env::var_os(DIRECTORY_VARIABLE) {
            return Self::in_directory(Path::new(&directory));
        }
        let directory = own_directory()?;
        build_once(&directory)?;
        Self::in_directory(&directory)
    }

    /// Where all lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The scheduler.
    pub fn scheduler(&self) -> PathBuf {
        self.directory.join(SCHEDULER)
    }

    /// The worker.
    pub fn worker(&self) -> PathBuf {
        self.directory.join(WORKER)
    }

    /// What the worker starts beside each of its children.
    pub fn guard(&self) -> PathBuf {
        self.directory.join(GUARD)
    }

    fn in_directory(directory: &Path) -> Result<Self> {
        for name in [SCHEDULER, WORKER, GUARD] {
            let program = directory.join(name);
            ensure!(
                program.is_file(),
                "{} is missing: run `cargo build --workspace --bins`, or set {DIRECTORY_VARIABLE}",
                program.display()
            );
        }
        Ok(Self { directory: directory.to_path_buf() })
    }
}

/// Where cargo puts programs of the profile that this one was built with: tests lie one level deeper.
fn own_directory() -> Result<PathBuf> {
    let program = env::current_exe().context("where this program is")?;
    let directory = program.parent().context("a program lies in a directory")?;
    let is_test = directory.file_name().is_some_and(|name| name == "deps");
    let directory = if is_test { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.to_path_buf())
}

/// Runs cargo, but once for all test processes of one run: each look of cargo costs a third of a second.
fn build_once(directory: &Path) -> Result<()> {
    once_per_run(&directory.join("dmf-e2e-build.lock"), || build(directory))
}

/// Does something once for all test processes of one nextest run; each waits for the one that does it. `lock` is a
/// file for that alone.
///
/// # Errors
/// Those of `work`, which the next process does again, or of the file.
pub fn once_per_run(lock: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(lock)
        .with_context(|| lock.display().to_string())?;
    file.lock().with_context(|| lock.display().to_string())?;
    // Without nextest, all tests of a program are in one process.
    let run = env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
    let mut done = String::new();
    file.read_to_string(&mut done).with_context(|| lock.display().to_string())?;
    if done == run {
        return Ok(());
    }
    work()?;
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(run.as_bytes()))?;
    Ok(())
}

fn build(directory: &Path) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--bins", "--profile", profile]);
    if let Some(target) = directory.parent().and_then(|target| fs::canonicalize(target).ok()) {
        command.arg("--target-dir").arg(target);
    }
    let output = command.current_dir(&workspace).output().context("run cargo")?;
    if !output.status.success() {
        bail!("the programs do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
