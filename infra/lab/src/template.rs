//! An initialised MariaDB data directory, made once and copied for each server: making one takes ten times as
//! long as starting a server on it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::{Doing as _, Error, Result};
use crate::programs;
use crate::server::{SYSTEM_PATH, tail};

/// Part of the template's name: raise it when what a template holds changes.
const REVISION: u32 = 1;
/// Cargo writes this file into its target directory.
const CARGO_MARK: &str = "CACHEDIR.TAG";
const UNFINISHED: &str = "unfinished-";

/// Settings that a data directory is made with and that its server must be started with.
pub(crate) const LAYOUT: [&str; 4] = [
    "--no-defaults",
    "--innodb-log-file-size=16M",
    "--innodb-data-file-path=ibdata1:5M:autoextend",
    "--innodb-autoextend-increment=1",
];

/// The path of the template, made by whoever comes first: any number of processes may ask at once.
pub(crate) fn find_or_make(accounts_sql: &str) -> Result<PathBuf> {
    let mariadbd = programs::MARIADBD.locate()?;
    let cache = cache_dir()?;
    let template = cache.join(name(&mariadbd)?);
    if template.is_dir() {
        return Ok(template);
    }
    let lock = File::create(cache.join("lock")).doing(|| format!("create a lock in {}", cache.display()))?;
    lock.lock().doing(|| format!("wait for the lock in {}", cache.display()))?;
    if template.is_dir() {
        return Ok(template);
    }
    remove_unfinished(&cache).doing(|| format!("clear {}", cache.display()))?;
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&cache)
        .doing(|| format!("create a directory in {}", cache.display()))?;
    make(&mariadbd, unfinished.path(), accounts_sql)?;
    let made = unfinished.keep();
    fs::rename(&made, &template).doing(|| format!("rename {}", made.display()))?;
    Ok(template)
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    copy_dir(from, to).doing(|| format!("copy {} to {}", from.display(), to.display()))
}

/// The arguments that make MariaDB run as whoever runs the lab.
pub(crate) fn user_argument() -> Option<&'static str> {
    nix::unistd::geteuid().is_root().then_some("--user=root")
}

fn make(mariadbd: &Path, dir: &Path, accounts_sql: &str) -> Result<()> {
    let layout = |program: &Path| {
        let mut command = Command::new(program);
        command
            .args(LAYOUT)
            .args(user_argument())
            .arg(format!("--datadir={}", dir.display()))
            .args(["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"])
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let mut install = layout(&programs::MARIADB_INSTALL_DB.locate()?);
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    check("mariadb-install-db", &install.output().doing(|| "run mariadb-install-db".into())?)?;

    let mut bootstrap =
        layout(mariadbd).arg("--bootstrap").stdin(Stdio::piped()).spawn().doing(|| "run mariadbd".into())?;
    if let Some(mut sql) = bootstrap.stdin.take() {
        sql.write_all(accounts_sql.as_bytes()).doing(|| "write to mariadbd".into())?;
    }
    check("mariadbd --bootstrap", &bootstrap.wait_with_output().doing(|| "wait for mariadbd".into())?)
}

fn check(command: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command { command: command.into(), status: output.status, stderr: tail(&output.stderr) })
}

/// Cargo's target directory when the running program lies in one, else where temporary files go.
fn cache_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().doing(|| "find the running program".into())?;
    let target = exe.ancestors().find(|dir| dir.join(CARGO_MARK).is_file());
    if let Some(cache) = target.map(|t| t.join("dmf-lab"))
        && fs::create_dir_all(&cache).is_ok()
        && tempfile::tempfile_in(&cache).is_ok()
    {
        return Ok(cache);
    }
    let cache = std::env::temp_dir().join(format!("dmf-lab-{}", nix::unistd::geteuid()));
    fs::create_dir_all(&cache).doing(|| format!("create {}", cache.display()))?;
    Ok(cache)
}

/// Another server program or another user needs another template. Asking the program for its version would cost
/// each start what the template saves.
fn name(mariadbd: &Path) -> Result<String> {
    let meta = mariadbd.metadata().doing(|| format!("look at {}", mariadbd.display()))?;
    let changed = meta.modified().ok().and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
    let changed = changed.map_or(0, |d| d.as_secs());
    Ok(format!("mariadb-{REVISION}-{}-{changed}-{}", meta.len(), nix::unistd::geteuid()))
}

fn remove_unfinished(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
